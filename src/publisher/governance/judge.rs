//! Finds out how far APIs keep to what holds for them.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use portcullis_database::{Apimgtdb, Regdb, assets, belongings, headings};
use portcullis_http::contract::document::write_whole;
use portcullis_model::asset::AssetKind;
use portcullis_model::{Api, ApiKind, AssetId, TenantDomain};
use serde_json::Value;

use super::policy::{GLOBAL, Policy};
use super::ruleset::Ruleset;
use super::spectral::{Rules, Violation, Work};
use crate::dto::api_body;
use crate::fault::{FieldFault, PublisherError};
use crate::messages::{JudgeApis, Seen};
use crate::openapi;
use crate::registry::{Registry, Snapshot, find_view, may_see, seen};

/// Violations that are told of an API that is kept back.
const FAULTS_MAX: usize = 500;
/// APIs that are judged for one request.
const JUDGED_MAX: usize = 1_000;
/// About how much memory rulesets may take that were read for one request.
const READ_BYTES_MAX: usize = 64 << 20;

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

/// Returns what a ruleset is about: a part of an API as a document. `definition` is that of a revision, where one is judged.
fn document_of(snapshot: &Snapshot, api: &Api, definition: Option<&Arc<str>>, rule_type: &str) -> Value {
    match rule_type {
        "API_METADATA" => api_body::write(api, None),
        "API_DOCUMENTATION" => {
            belongings::documents_of(snapshot.read::<Regdb>(), api.id).map(|one| write_whole(one)).collect()
        }
        _ => {
            let text = definition.or_else(|| snapshot.read::<Regdb>().definitions.get(&api.id));
            let document = text.and_then(|text| openapi::document::parse_text(text).ok());
            // Of one in another language, what an OpenAPI document would say.
            document.unwrap_or_else(|| openapi::write::generate(api))
        }
    }
}

/// What judges the APIs of one request.
#[derive(Default)]
struct Judge {
    /// The rulesets that were read; `None` for one that cannot be.
    read: BTreeMap<AssetId, Option<Rc<Rules>>>,
    bytes: usize,
    work: Work,
}

impl Judge {
    /// Reads a ruleset once. Where they take too much memory, the others are forgotten.
    fn rules(&mut self, ruleset: &Ruleset) -> Option<Rc<Rules>> {
        if let Some(rules) = self.read.get(&ruleset.id) {
            return rules.clone();
        }
        let rules = Rules::parse(ruleset.content()).ok().map(Rc::new);
        let bytes = rules.as_ref().map_or(0, |rules| rules.bytes);
        if self.bytes + bytes > READ_BYTES_MAX {
            self.read.clear();
            self.bytes = 0;
        }
        self.bytes += bytes;
        self.read.insert(ruleset.id, rules.clone());
        rules
    }

    /// Judges an API by the rulesets of policies.
    fn judged(
        &mut self,
        snapshot: &Snapshot,
        governance: &Governance,
        policies: &[&Policy],
        (api, definition): (&Api, Option<&Arc<str>>),
    ) -> Vec<(AssetId, Vec<Violation>)> {
        let asked = |ruleset: &&Ruleset| {
            let id = ruleset.id.to_string();
            ruleset.is_about(api) && policies.iter().any(|policy| policy.body.rulesets.contains(&id))
        };
        let mut documents: Vec<(&str, Value)> = Vec::new();
        let mut found = Vec::new();
        for ruleset in governance.rulesets.iter().filter(asked) {
            let Some(rules) = self.rules(ruleset) else { continue };
            let kind = ruleset.body.rule_type.as_str();
            if !documents.iter().any(|(its, _)| *its == kind) {
                documents.push((kind, document_of(snapshot, api, definition, kind)));
            }
            let document = documents.iter().find(|(its, _)| *its == kind).map(|(_, document)| document);
            let violations = document.map(|document| rules.judge(document, &mut self.work)).unwrap_or_default();
            found.push((ruleset.id, violations));
        }
        found
    }
}

/// Leaves out what is not told of many APIs at once, where it would take much memory.
fn without_texts(mut found: Vec<(AssetId, Vec<Violation>)>) -> Vec<(AssetId, Vec<Violation>)> {
    for violation in found.iter_mut().flat_map(|(_, violations)| violations) {
        (violation.path, violation.message) = (String::new(), String::new());
    }
    found
}

impl Registry {
    /// Judges APIs as they are: of many, how bad the violations are and not what they say.
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
        let (offset, limit) = message.part.unwrap_or((0, JUDGED_MAX));
        let apis: Vec<Arc<Api>> = apis.into_iter().skip(offset).take(limit.min(JUDGED_MAX)).collect();
        let governance = Governance::of(&snapshot, &identity.principal.tenant);
        let is_one = message.only.is_some();
        let worked = openapi::aside(move || {
            let mut judge = Judge::default();
            let apis = apis.into_iter().map(|api| {
                let policies = governance.policies_for(&snapshot, &api);
                let found = judge.judged(&snapshot, &governance, &policies, (&api, None));
                let found = if is_one { found } else { without_texts(found) };
                JudgedApi { policies: policies.iter().map(|policy| policy.id).collect(), found, api }
            });
            let apis = apis.collect();
            seen(&snapshot, Judgement { apis, total, governance })
        });
        worked.await
    }

    /// Refuses what a policy blocks when an API gets to a state (`API_DEPLOY`, `API_PUBLISH`). `definition` is that of the
    /// revision which gets there; where there is none, the API's of now.
    pub(crate) async fn refuse_ungoverned(
        &self,
        api: &Arc<Api>,
        definition: Option<&Arc<str>>,
        state: &'static str,
    ) -> Result<(), PublisherError> {
        let snapshot = self.handle.view();
        let governance = Governance::of(&snapshot, &api.tenant);
        let is_blocking =
            move |policy: &&Policy| ["ERROR", "WARN", "INFO"].iter().any(|one| policy.body.blocks(state, one));
        if api.kind == ApiKind::Product || !governance.policies.iter().any(|policy| is_blocking(&policy)) {
            return Ok(());
        }
        let (api, definition) = (Arc::clone(api), definition.cloned());
        let worked = openapi::aside(move || {
            let policies: Vec<&Policy> =
                governance.policies_for(&snapshot, &api).into_iter().filter(is_blocking).collect();
            let (mut faults, mut judge) = (Vec::new(), Judge::default());
            for policy in &policies {
                let found = judge.judged(&snapshot, &governance, &[*policy], (&api, definition.as_ref()));
                let violations = found.iter().flat_map(|(_, violations)| violations);
                let blocking = violations.filter(|one| policy.body.blocks(state, one.severity.as_contract()));
                let left = FAULTS_MAX.saturating_sub(faults.len());
                faults.extend(blocking.take(left).map(|one| {
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
