//! Finds out how far APIs keep to what holds for them.

use std::sync::Arc;

use portcullis_database::{Apimgtdb, Regdb, assets, belongings, headings};
use portcullis_http::contract::document::write_whole;
use portcullis_model::asset::AssetKind;
use portcullis_model::{Api, ApiKind, AssetId, TenantDomain};
use serde_json::Value;

use super::policy::{GLOBAL, Policy};
use super::ruleset::Ruleset;
use super::spectral::{Rules, Violation};
use crate::dto::api_body;
use crate::fault::{FieldFault, PublisherError};
use crate::messages::{JudgeApis, Seen};
use crate::openapi;
use crate::registry::{Registry, Snapshot, find_view, may_see, seen};

/// What holds in a tenant.
#[derive(Clone, Debug)]
pub struct Governance {
    pub(super) rulesets: Vec<Ruleset>,
    pub(super) policies: Vec<Policy>,
}

/// How far APIs keep to what holds for them.
#[derive(Clone, Debug)]
pub struct Judgement {
    pub(super) governance: Governance,
    /// Those APIs that were asked for.
    pub(super) apis: Vec<JudgedApi>,
    /// How many there are.
    pub(super) total: usize,
}

/// How far an API does.
#[derive(Clone, Debug)]
pub struct JudgedApi {
    pub(super) api: Arc<Api>,
    /// The policies that hold for it.
    pub(super) policies: Vec<AssetId>,
    /// What the rulesets of those found; a ruleset that is about other APIs is left out.
    pub(super) found: Vec<(AssetId, Vec<Violation>)>,
}

impl Governance {
    pub(crate) fn of(snapshot: &Snapshot, tenant: &TenantDomain) -> Self {
        let database = snapshot.read::<Apimgtdb>();
        Self {
            rulesets: Ruleset::all(assets::of_tenant(database, tenant, AssetKind::Ruleset)),
            policies: Policy::all(assets::of_tenant(database, tenant, AssetKind::GovernancePolicy)),
        }
    }

    pub(super) fn ruleset(&self, id: &str) -> Option<&Ruleset> {
        self.rulesets.iter().find(|ruleset| ruleset.id.to_string() == id)
    }

    fn policies_for<'a>(&'a self, snapshot: &Snapshot, api: &Api) -> Vec<&'a Policy> {
        let database = snapshot.read::<Apimgtdb>();
        let labels: Vec<String> = headings::labels_of(database, api.id).map(|id| id.to_string()).collect();
        let holds = |label: &String| label == GLOBAL || labels.contains(label);
        self.policies.iter().filter(|policy| policy.body.labels.iter().any(holds)).collect()
    }
}

/// Returns what a ruleset is about: a part of an API as a document.
fn document_of(snapshot: &Snapshot, api: &Api, rule_type: &str) -> Value {
    match rule_type {
        "API_METADATA" => api_body::write(api, None),
        "API_DOCUMENTATION" => {
            belongings::documents_of(snapshot.read::<Regdb>(), api.id).map(|one| write_whole(one)).collect()
        }
        _ => {
            let text = snapshot.read::<Regdb>().definitions.get(&api.id).cloned();
            text.and_then(|text| openapi::document::parse_text(&text).ok()).unwrap_or_default()
        }
    }
}

/// Judges an API by the rulesets of policies.
fn judged(
    snapshot: &Snapshot,
    governance: &Governance,
    policies: &[&Policy],
    api: &Api,
) -> Vec<(AssetId, Vec<Violation>)> {
    let asked = |ruleset: &&Ruleset| {
        let id = ruleset.id.to_string();
        ruleset.is_about(api) && policies.iter().any(|policy| policy.body.rulesets.contains(&id))
    };
    let mut documents: Vec<(&str, Value)> = Vec::new();
    let mut found = Vec::new();
    for ruleset in governance.rulesets.iter().filter(asked) {
        let Ok(rules) = Rules::parse(&ruleset.content) else { continue };
        let kind = ruleset.body.rule_type.as_str();
        if !documents.iter().any(|(its, _)| *its == kind) {
            documents.push((kind, document_of(snapshot, api, kind)));
        }
        let document = documents.iter().find(|(its, _)| *its == kind).map(|(_, document)| document);
        found.push((ruleset.id, document.map(|document| rules.judge(document)).unwrap_or_default()));
    }
    found
}

impl Registry {
    /// Judges APIs as they are.
    pub(crate) async fn judge_apis(&self, message: JudgeApis) -> Result<Seen<Judgement>, PublisherError> {
        let snapshot = self.snapshot(&message.asker).await?;
        let identity = &message.asker.identity;
        let mut apis: Vec<Arc<Api>> = match &message.only {
            Some(id) => vec![find_view(&snapshot, identity, id)?.api],
            None => snapshot.read::<Apimgtdb>().apis.values().filter(|api| may_see(identity, api)).cloned().collect(),
        };
        apis.retain(|api| api.kind != ApiKind::Product);
        apis.sort_by(|one, other| (&one.name, &one.version).cmp(&(&other.name, &other.version)));
        let total = apis.len();
        let (offset, limit) = message.part.unwrap_or((0, usize::MAX));
        let apis: Vec<Arc<Api>> = apis.into_iter().skip(offset).take(limit).collect();
        let governance = Governance::of(&snapshot, &identity.principal.tenant);
        let worked = openapi::aside(move || {
            let apis = apis.into_iter().map(|api| {
                let policies = governance.policies_for(&snapshot, &api);
                let found = judged(&snapshot, &governance, &policies, &api);
                JudgedApi { policies: policies.iter().map(|policy| policy.id).collect(), found, api }
            });
            let apis = apis.collect();
            seen(&snapshot, Judgement { apis, total, governance })
        });
        worked.await
    }

    /// Refuses what a policy blocks when an API gets to a state (`API_DEPLOY`, `API_PUBLISH`).
    pub(crate) async fn refuse_ungoverned(&self, api: &Arc<Api>, state: &'static str) -> Result<(), PublisherError> {
        let snapshot = self.handle.view();
        let governance = Governance::of(&snapshot, &api.tenant);
        let is_blocking =
            move |policy: &&Policy| ["ERROR", "WARN", "INFO"].iter().any(|one| policy.body.blocks(state, one));
        if api.kind == ApiKind::Product || !governance.policies.iter().any(|policy| is_blocking(&policy)) {
            return Ok(());
        }
        let api = Arc::clone(api);
        let worked = openapi::aside(move || {
            let policies: Vec<&Policy> =
                governance.policies_for(&snapshot, &api).into_iter().filter(is_blocking).collect();
            let mut faults = Vec::new();
            for policy in &policies {
                let found = judged(&snapshot, &governance, &[*policy], &api);
                let violations = found.iter().flat_map(|(_, violations)| violations);
                let blocking = violations.filter(|one| policy.body.blocks(state, one.severity.as_contract()));
                faults.extend(blocking.map(|one| {
                    FieldFault::new(
                        &*one.path,
                        format!("{} ({} of the policy {})", one.message, one.rule, policy.body.name),
                    )
                }));
            }
            faults
        });
        let faults = worked.await?;
        if faults.is_empty() { Ok(()) } else { Err(PublisherError::Fields(faults)) }
    }
}
