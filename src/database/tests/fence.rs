//! Which answers wait until the change is in force on every live node: decided for each command, one by one.

use std::collections::BTreeMap;

use portcullis_database::command::FENCED;

/// The answer waits: what gateways do changes, and whoever asked relies on it.
const EVERYWHERE: &[(&str, &str)] = &[
    ("UpdateApi", "the running API may change: its visibility, its endpoints, its quota"),
    ("DeleteApi", "the API must not be callable any more"),
    ("DeployRevision", "publish: the new revision answers everywhere"),
    ("UndeployRevision", "undeploy: it answers nowhere"),
    ("ChangeLifecycle", "publish, block, retire"),
    ("SetSubscriptionState", "block and unblock"),
    ("SetCallLog", "who looks for a call begins to call"),
    ("UpdateApplication", "another policy may allow less"),
    ("ChangeApplicationOwner", "what gateways know of its keys names the old owner"),
    ("DecideTask", "publish, deploy, subscribe: as if it had not waited"),
    ("SignUpUser", "signs in on any node"),
    ("DeleteApplication", "its keys must not be accepted any more"),
    ("UpdateSubscription", "another plan may allow less"),
    ("DeleteSubscription", "the API must not be callable by it any more"),
    ("ReplaceClientSecret", "the old secret must not be accepted any more"),
    ("RemoveApplicationClient", "its tokens must not be accepted any more"),
    ("RevokeToken", "revoke"),
    ("DeleteClient", "its tokens must not be accepted any more"),
    ("PutPolicy", "policy change"),
    ("DeletePolicy", "policy change"),
    ("PutThrottlePolicy", "policy change"),
    ("CreateDenyPolicy", "deny"),
    ("UpdateDenyPolicy", "deny"),
    ("DeleteDenyPolicy", "deny, lifted"),
    ("RaiseFeatureLevel", "what the level allows may be asked of any node then"),
    ("ResetCounters", "callers have their limits anew, wherever they call"),
    ("CloseSignIn", "the browser is signed out, wherever it asks"),
    ("RemoveClientSecret", "the secret must not be accepted any more"),
    ("SetTrustedIssuer", "what an issuer says must not be taken any more"),
    ("RetireSigningKey", "what it signed must not be accepted any more"),
    ("RevokeApiKey", "revoke"),
    ("PutClientCertificate", "the one it replaces must not be accepted any more"),
    ("DeleteClientCertificate", "it must not be accepted any more"),
    ("PutKeyManager", "it may be disabled, or have other keys"),
    ("DeleteKeyManager", "its tokens must not be accepted any more"),
    ("UnmapKey", "its tokens must not be accepted any more"),
    ("RevokeClient", "revoke"),
    ("RenewClientSecret", "the old secret is worth nothing"),
    ("PutUser", "a user may be locked or have another password"),
    ("CreateUser", "signs in on any node"),
    ("PutSharedScope", "roles may have lost it"),
    ("CreateTenant", "its administrator signs in on any node"),
    ("SetTenantActive", "no call and no sign-in passes any more"),
    ("PutTenantConfig", "roles may have lost scopes"),
    ("UpdateUser", "a user may be locked or have another password"),
    ("DeleteUser", "must not sign in any more"),
    ("CreateRole", "who holds it may do more on any node"),
    ("ChangeRole", "who lost it may do less"),
    ("DeleteRole", "who held it may do less"),
    ("PutIdentityProvider", "it may be switched off"),
    ("DeleteIdentityProvider", "nobody signs in by it any more"),
    ("AdmitUser", "who lost a role elsewhere may do less"),
    ("PutClaimSettings", "what a client must no longer be told it is not told"),
];

/// The answer does not wait.
const NOT_EVERYWHERE: &[(&str, &str)] = &[
    ("Bootstrap", "there is one node"),
    ("DeleteSharedScope", "one that no API uses"),
    ("PutDocument", "nothing that gateways act on"),
    ("DeleteDocument", "nothing that gateways act on"),
    ("PutDocumentContent", "nothing that gateways act on"),
    ("PutThumbnail", "nothing that gateways act on"),
    ("AddComment", "nothing that gateways act on"),
    ("ChangeComment", "nothing that gateways act on"),
    ("DeleteComment", "nothing that gateways act on"),
    ("RateApi", "nothing that gateways act on"),
    ("CancelTask", "what waits is not in force"),
    ("PutHeading", "nothing that gateways act on"),
    ("DeleteHeading", "nothing that gateways act on"),
    ("LabelApi", "nothing that gateways act on"),
    ("CopyBelongings", "nothing that gateways act on"),
    ("ChangeApiProvider", "nothing that gateways act on"),
    ("NoteSignIns", "says what was; nothing acts on it"),
    ("SetAuditRetention", "nothing that gateways act on"),
    ("LockOutUser", "whoever guesses is not told when it is in force"),
    ("AdmitNode", "only the joining node acts on it"),
    ("RemoveNode", "the membership changes in steps of its own"),
    ("CreateJoinToken", "admission is decided by the log"),
    ("RevokeJoinToken", "admission is decided by the log"),
    ("UpdateNode", "nothing that gateways act on"),
    ("SetNodeCondition", "who asks is told whether the node has heard of it"),
    ("ChangeMembership", "the membership changes in steps of its own"),
    ("ChangePlan", "nothing happens before it is applied"),
    ("CreateApi", "a design: nothing is served"),
    ("PutDefinition", "a design: nothing is served"),
    ("CreateRevision", "a copy: nothing is served"),
    ("DeleteRevision", "deployed ones cannot be deleted"),
    ("RestoreRevision", "a design: nothing is served"),
    ("CreateApplication", "gives, takes nothing away"),
    ("CreateSubscription", "gives, takes nothing away"),
    ("CreateSubscriptions", "gives, takes nothing away"),
    ("PutApplicationClient", "says what new tokens are like; present ones stay"),
    ("IssueToken", "gives, takes nothing away; the token endpoint is called too often to wait"),
    ("PutClient", "says what new tokens are like; present ones stay"),
    ("PutSigningKey", "a new key is known before it signs"),
    ("RotateRefreshToken", "decided by the log; where a spent token comes back, nobody was promised an end"),
    ("KeepGrant", "gives, takes nothing away"),
    ("GrantToken", "gives; where grounds come a second time, nobody was promised an end"),
    ("OpenSignIn", "gives, takes nothing away"),
    ("DecideDevice", "the device asks until it hears of it"),
    ("PutClientSecret", "gives, takes nothing away"),
    ("RotateSigningKey", "the new key is known long before it signs"),
    ("SeedPolicies", "made once, by nodes themselves"),
    ("RecordCertificate", "nothing that gateways act on"),
    ("BeginRotation", "every node says itself when it trusts the next authority"),
    ("AdvanceRotation", "refused until every node has said that it is ready"),
    ("CreateApiKey", "gives, takes nothing away"),
    ("MapKey", "gives, takes nothing away"),
    ("ReportUsage", "grants are decided by the log"),
    ("StateUsage", "grants are decided by the log"),
];

#[test]
fn for_every_command_it_is_decided_whether_its_answer_waits_for_all_nodes() {
    let decided: BTreeMap<&str, bool> = EVERYWHERE
        .iter()
        .map(|(name, _)| (*name, true))
        .chain(NOT_EVERYWHERE.iter().map(|(name, _)| (*name, false)))
        .collect();
    assert_eq!(decided.len(), EVERYWHERE.len() + NOT_EVERYWHERE.len(), "a command is decided twice");
    assert_eq!(
        FENCED.iter().copied().collect::<BTreeMap<_, _>>(),
        decided,
        "left: the code, right: this list. Decide for a new command whether whoever asks relies on its being in force \
         on every node, and say why here"
    );
}
