//! What gateways are told about API keys and passwords.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_database::command::{PutUser, RevokeApiKey};
use portcullis_database::{Apimgtdb, Userdb};
use portcullis_jose::Unverified;
use portcullis_model::api::ApiScope;
use portcullis_model::port::{ApiKeyOrder, IssueRefusal, KeyQuestion, KeyRefusal, ShownKey};
use portcullis_model::{
    Api, ApiKeyForm, KeyRestriction, KeyType, Principal, Refused, Role, SubscriptionState, TenantDomain, TokenType,
    User, Username,
};
use serde_json::{Value, json};

use super::world::{Node, PASSWORD, World, submit};
use crate::mint;

fn order(world: &World, form: ApiKeyForm) -> ApiKeyOrder {
    ApiKeyOrder {
        principal: Principal { tenant: TenantDomain::super_tenant(), username: Username("admin".to_owned()) },
        application: world.application,
        key_type: KeyType::Production,
        form,
        name: "phone".to_owned(),
        validity_s: Some(600),
        restriction: KeyRestriction {
            networks: vec!["10.0.0.0/8".to_owned()],
            referrers: vec!["https://a/*".to_owned()],
        },
        origin: None,
    }
}

async fn issue(node: &Node, order: ApiKeyOrder) -> String {
    node.faces.issuer.issue_api_key(order).await.unwrap_or_else(|refusal| panic!("{refusal}")).key
}

async fn refusal(node: &Node, key: &str) -> KeyRefusal {
    node.validate_key(ShownKey::ApiKey(key)).await.unwrap_err()
}

#[tokio::test]
async fn a_key_of_either_form_is_good_until_its_time_is_over_or_it_is_revoked() {
    for form in [ApiKeyForm::Jwt, ApiKeyForm::Opaque] {
        let world = World::new(TokenType::Jwt);
        let node = world.node();
        let key = issue(&node, order(&world, form)).await;
        let verdict = node.validate_key(ShownKey::ApiKey(&key)).await.unwrap();
        assert_eq!((verdict.application, verdict.plan.as_str()), (world.application, "Gold"));
        assert_eq!((verdict.end_user.0.as_str(), verdict.is_user_token), ("admin", false));
        assert_eq!(verdict.restriction.unwrap().networks, ["10.0.0.0/8"]);
        assert_eq!(node.validate(&key).await.unwrap_err(), KeyRefusal::Invalid, "an API key is no access token");
        world.wait(Duration::from_secs(601));
        assert_eq!(refusal(&node, &key).await, KeyRefusal::Expired);

        let forever = issue(&node, ApiKeyOrder { validity_s: None, ..order(&world, form) }).await;
        world.wait(Duration::from_secs(10 * 365 * 24 * 3_600));
        assert!(node.validate_key(ShownKey::ApiKey(&forever)).await.is_ok());
        let digest = mint::digest_of(&forever);
        assert!(submit(&node, RevokeApiKey { digest, application: world.application, owned_by: None }).await);
        assert_eq!(refusal(&node, &forever).await, KeyRefusal::Invalid);
    }
}

#[tokio::test]
async fn a_json_web_token_says_what_the_original_says_in_it() {
    let world = World::new(TokenType::Opaque);
    let node = world.node();
    let key = issue(&node, order(&world, ApiKeyForm::Jwt)).await;
    let claims: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(key.split('.').nth(1).unwrap()).unwrap()).unwrap();
    assert_eq!((&claims["token_type"], &claims["keytype"]), (&json!("apiKey"), &json!("PRODUCTION")));
    assert_eq!((&claims["permittedIP"], &claims["permittedReferer"]), (&json!("10.0.0.0/8"), &json!("https://a/*")));
    assert_eq!(claims["sub"], "admin@carbon.super");
    assert_eq!(claims["application"]["uuid"], world.application.to_string());
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 600);
}

#[tokio::test]
async fn what_is_no_key_or_was_changed_is_refused_and_asks_nobody() {
    let world = World::new(TokenType::Jwt);
    let node = world.node();
    let (token, _) = node.token("grant_type=client_credentials").await;
    let (signed, opaque) =
        (issue(&node, order(&world, ApiKeyForm::Jwt)).await, issue(&node, order(&world, ApiKeyForm::Opaque)).await);
    let asked = node.times_asked();
    let other_end = if signed.ends_with('A') { 'Q' } else { 'A' };
    let changed = format!("{}{other_end}", &signed[..signed.len() - 1]);
    let long = "x".repeat(20_000);
    for bad in ["", "a.b.c", token.as_str(), &opaque[1..], &format!("{signed}x"), &changed, &long] {
        assert_eq!(refusal(&node, bad).await, KeyRefusal::Invalid, "{bad}");
    }
    assert_eq!(node.times_asked(), asked);
}

#[tokio::test]
async fn a_key_issued_on_another_node_a_moment_ago_is_asked_about() {
    for form in [ApiKeyForm::Jwt, ApiKeyForm::Opaque] {
        let world = World::new(TokenType::Jwt);
        let issuing = world.node();
        issue(&issuing, order(&world, form)).await;
        // It knows the key that signs, but nothing that came after.
        let late = world.lagging_node();
        let key = issue(&issuing, order(&world, form)).await;
        assert!(late.validate_key(ShownKey::ApiKey(&key)).await.is_ok());
        let cut_off = world.lagging_node();
        let key = issue(&issuing, order(&world, form)).await;
        cut_off.cut_off();
        assert_eq!(refusal(&cut_off, &key).await, KeyRefusal::Unavailable);
    }
}

#[tokio::test]
async fn the_subscription_decides_about_api_keys_too() {
    let world = World::new(TokenType::Jwt);
    let node = world.node();
    let key = issue(&node, order(&world, ApiKeyForm::Opaque)).await;
    world.set_subscription(SubscriptionState::ProdOnlyBlocked);
    assert_eq!(refusal(&node, &key).await, KeyRefusal::Blocked);
    let sandbox = ApiKeyOrder { key_type: KeyType::Sandbox, ..order(&world, ApiKeyForm::Opaque) };
    let sandbox = issue(&node, sandbox).await;
    assert_eq!(node.validate_key(ShownKey::ApiKey(&sandbox)).await.unwrap().key_type, KeyType::Sandbox);
    world.change(|state| {
        state.apimgt.subscriptions_by_application.remove(&(world.application, world.api));
    });
    assert_eq!(refusal(&node, &key).await, KeyRefusal::NotSubscribed);
    let eve = Principal { tenant: TenantDomain::super_tenant(), username: Username("eve".to_owned()) };
    let refused = node.faces.issuer.issue_api_key(ApiKeyOrder { principal: eve, ..order(&world, ApiKeyForm::Opaque) });
    assert!(matches!(refused.await, Err(IssueRefusal::Refused(Refused::NotAllowed { .. }))));
}

#[tokio::test]
async fn a_password_is_good_for_the_scopes_of_the_users_roles() {
    let world = World::new(TokenType::Jwt);
    let scope = |name: &str, role: &str| ApiScope {
        name: name.to_owned(),
        display_name: name.to_owned(),
        description: String::new(),
        roles: vec![Role(role.to_owned())],
        is_shared: false,
    };
    world.change(|state| {
        let api = Api::clone(&state.apimgt.apis[&world.api]);
        let scopes = vec![scope("manage", "admin"), scope("fly", "pilot")];
        state.apimgt.apis.insert(world.api, Api { scopes, ..api }.into());
    });
    let node = world.node();
    let shown = ShownKey::Password { username: "admin", password: PASSWORD };
    let verdict = node.validate_key(shown).await.unwrap();
    assert_eq!((verdict.end_user.0.as_str(), verdict.is_user_token), ("admin", true));
    assert_eq!((verdict.plan.as_str(), verdict.scopes), ("Unauthenticated", vec!["manage".to_owned()]));
    for (username, password) in [("admin", "wrong"), ("nobody", PASSWORD), ("admin", "")] {
        let refused = node.validate_key(ShownKey::Password { username, password }).await;
        assert_eq!(refused.unwrap_err(), KeyRefusal::Invalid, "{username}");
    }
    let view = node.view();
    let key = (TenantDomain::super_tenant(), Username("admin".to_owned()));
    let locked = User { is_locked: true, ..view.read::<Userdb>().users[&key].as_ref().clone() };
    node.handle.submit(PutUser { user: locked, is_new: false }, &portcullis_database::Caller::system()).await.unwrap();
    assert_eq!(node.validate_key(shown).await.unwrap_err(), KeyRefusal::Invalid);
    assert!(view.read::<Apimgtdb>().api_keys.is_empty());
}

#[tokio::test]
async fn a_backend_is_told_who_calls_in_the_original_words() {
    let world = World::new(TokenType::Opaque);
    let node = world.node();
    let (token, _) = node.token("grant_type=client_credentials").await;
    let ask = |wants_assertion| {
        let question = KeyQuestion { shown: ShownKey::Token(&token), api: world.api, wants_assertion, origin: None };
        node.faces.keys.validate(question)
    };
    assert_eq!(ask(false).await.unwrap().assertion, None);
    let verdict = ask(true).await.unwrap();
    let assertion = verdict.assertion.unwrap();
    let unverified = Unverified::parse(&assertion.token).unwrap();
    let authority = crate::keyring::Keyring::new();
    let key = {
        let named = unverified.header.kid.as_deref().unwrap().parse().unwrap();
        authority.verifying(&node.view(), named).expect("a key of the JWK set")
    };
    let claims: Value = unverified.verify(&key).expect("signed with the cluster's key");
    let claim = |name: &str| claims[format!("http://wso2.org/claims/{name}")].as_str().unwrap_or_default().to_owned();
    assert_eq!(claims["iss"], "wso2.org/products/am");
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 900);
    assert_eq!((claim("subscriber"), claim("enduser")), ("admin".to_owned(), "admin@carbon.super".to_owned()));
    assert_eq!((claim("tier"), claim("applicationtier")), ("Gold".to_owned(), "50PerMin".to_owned()));
    assert_eq!((claim("usertype"), claim("keytype")), ("APPLICATION".to_owned(), "PRODUCTION".to_owned()));
    assert_eq!((claim("applicationid"), claim("enduserTenantId")), (world.application.to_string(), "-1234".to_owned()));
}
