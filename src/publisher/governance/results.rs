//! `/artifact-compliance` and `/policy-adherence`: how far APIs keep to what holds for them.

use axum::extract::{Path, State};
use axum::response::Response;
use portcullis_actor::Address;
use portcullis_http::page::Page;
use portcullis_http::{ApiError, List, PageQuery};
use serde_json::{Value, json};

use super::judge::{Governance, JudgedApi, Judgement};
use super::policy::Policy;
use super::ruleset::Ruleset;
use super::spectral::{Rules, Severity, Violation};
use crate::actor::Publisher;
use crate::dto::api_body::provider_of;
use crate::messages::{JudgeApis, Seen};
use crate::openapi;
use crate::rest::answer::{flat, read as read_answer};
use crate::rest::request::{Params, Request};

const READ: &[&str] = &["apim:gov_result_read"];

async fn judge(
    publisher: &Address<Publisher>,
    request: &Request,
    only: Option<String>,
    part: Option<Page>,
) -> Result<Seen<Judgement>, ApiError> {
    let asker = request.list_asker(READ)?;
    let part = part.map(|page| (page.offset, page.limit));
    flat(publisher.ask(JudgeApis { asker, only, part }).await)
}

impl JudgedApi {
    fn found_by(&self, ruleset: &str) -> Option<&[Violation]> {
        self.found.iter().find(|(id, _)| id.to_string() == ruleset).map(|(_, found)| found.as_slice())
    }

    /// How far it keeps to a policy.
    fn keeps_to(&self, policy: &Policy) -> &'static str {
        let found: Vec<&[Violation]> = policy.body.rulesets.iter().filter_map(|id| self.found_by(id)).collect();
        match (self.policies.contains(&policy.id) && !found.is_empty(), found.iter().all(|one| one.is_empty())) {
            (false, _) => "UNAPPLIED",
            (true, true) => "FOLLOWED",
            (true, false) => "VIOLATED",
        }
    }

    fn status(&self) -> &'static str {
        match (self.found.is_empty(), self.found.iter().all(|(_, found)| found.is_empty())) {
            (true, _) => "NOT-APPLICABLE",
            (false, true) => "COMPLIANT",
            (false, false) => "NON-COMPLIANT",
        }
    }

    fn info(&self) -> Value {
        json!({"name": self.api.name, "type": "API", "version": self.api.version, "owner": provider_of(&self.api)})
    }

    fn write(&self, governance: &Governance) -> Value {
        let states: Vec<&str> = governance.policies.iter().map(|policy| self.keeps_to(policy)).collect();
        let all = self.found.iter().flat_map(|(_, found)| found);
        let of = |severity: Severity| all.clone().filter(|one| one.severity == severity).count();
        let counts = Severity::ALL
            .map(|severity| json!({"severity": severity.as_contract(), "violatedRulesCount": of(severity)}));
        json!({
            "id": self.api.id.to_string(),
            "status": self.status(),
            "info": self.info(),
            "policyAdherenceSummary": adherence(&states),
            "severityBasedRuleViolationSummary": counts,
        })
    }
}

fn count(states: &[&str], state: &str) -> usize {
    states.iter().filter(|one| **one == state).count()
}

fn adherence(states: &[&str]) -> Value {
    json!({
        "total": states.len(),
        "followed": count(states, "FOLLOWED"),
        "violated": count(states, "VIOLATED"),
        "unApplied": count(states, "UNAPPLIED"),
    })
}

pub async fn apis(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Params(page): Params<PageQuery>,
) -> Result<Response, ApiError> {
    let page = page.page()?;
    let seen = judge(&publisher, &request, None, Some(page)).await?;
    let shown = seen.value.apis.iter().map(|api| api.write(&seen.value.governance)).collect();
    let list = List::part(shown, seen.value.total, page).with_links("/artifact-compliance/api", "");
    Ok(read_answer(&request.headers, &json!(list), seen.index))
}

pub async fn apis_summary(State(publisher): State<Address<Publisher>>, request: Request) -> Result<Response, ApiError> {
    let seen = judge(&publisher, &request, None, None).await?;
    let states: Vec<&str> = seen.value.apis.iter().map(JudgedApi::status).collect();
    let body = json!({
        "total": states.len(),
        "compliant": count(&states, "COMPLIANT"),
        "nonCompliant": count(&states, "NON-COMPLIANT"),
        "pending": 0,
        "notApplicable": count(&states, "NOT-APPLICABLE"),
    });
    Ok(read_answer(&request.headers, &body, seen.index))
}

async fn one(
    publisher: &Address<Publisher>,
    request: &Request,
    id: String,
) -> Result<Seen<(JudgedApi, Governance)>, ApiError> {
    let seen = judge(publisher, request, Some(id.clone()), None).await?;
    let api = seen.value.apis.into_iter().next().ok_or_else(|| ApiError::not_found("API", id))?;
    Ok(Seen { value: (api, seen.value.governance), index: seen.index })
}

fn ruleset_status(api: &JudgedApi, ruleset: &Ruleset) -> &'static str {
    match api.found_by(&ruleset.id.to_string()) {
        None => "UNAPPLIED",
        Some([]) => "PASSED",
        Some(_) => "FAILED",
    }
}

pub async fn api(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let seen = one(&publisher, &request, id).await?;
    let (api, governance) = &seen.value;
    let policies = governance.policies.iter().filter(|policy| api.policies.contains(&policy.id)).map(|policy| {
        let rulesets = policy.body.rulesets.iter().filter_map(|id| governance.ruleset(id)).map(|ruleset| {
            json!({
                "id": ruleset.id.to_string(),
                "name": ruleset.name,
                "ruleType": ruleset.body.rule_type,
                "status": ruleset_status(api, ruleset),
            })
        });
        json!({
            "id": policy.id.to_string(),
            "name": policy.body.name,
            "status": api.keeps_to(policy),
            "rulesetValidationResults": rulesets.collect::<Vec<_>>(),
        })
    });
    let body = json!({
        "id": api.api.id.to_string(),
        "status": api.status(),
        "info": api.info(),
        "governedPolicies": policies.collect::<Vec<_>>(),
    });
    Ok(read_answer(&request.headers, &body, seen.index))
}

pub async fn ruleset(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path((id, ruleset)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let seen = one(&publisher, &request, id).await?;
    let (api, governance) = &seen.value;
    let ruleset = governance.ruleset(&ruleset).ok_or_else(|| ApiError::not_found("Ruleset", ruleset))?;
    let found = api.found_by(&ruleset.id.to_string());
    let violated = found.unwrap_or_default().iter().map(|one| {
        json!({
            "id": format!("{} {}", one.rule, one.path),
            "name": &*one.rule,
            "status": "FAILED",
            "severity": one.severity.as_contract(),
            "violatedPath": {"path": one.path},
            "message": one.message,
        })
    });
    let its = ruleset.clone();
    let rules = openapi::aside(move || Rules::parse(its.content())).await??.rules;
    let keeps = |name: &str| found.is_some_and(|found| found.iter().all(|one| &*one.rule != name));
    let followed = rules.iter().filter(|rule| keeps(&rule.name)).map(
        |rule| json!({"id": &*rule.name, "name": &*rule.name, "status": "PASSED", "severity": rule.severity.as_contract()}),
    );
    let body = json!({
        "id": ruleset.id.to_string(),
        "name": ruleset.name,
        "status": ruleset_status(api, ruleset),
        "violatedRules": violated.collect::<Vec<_>>(),
        "followedRules": followed.collect::<Vec<_>>(),
    });
    Ok(read_answer(&request.headers, &body, seen.index))
}

fn policy_status(states: &[&str]) -> &'static str {
    if count(states, "VIOLATED") > 0 {
        "VIOLATED"
    } else if count(states, "FOLLOWED") > 0 {
        "FOLLOWED"
    } else {
        "UNAPPLIED"
    }
}

fn states_of(judgement: &Judgement, policy: &Policy) -> Vec<&'static str> {
    judgement.apis.iter().map(|api| api.keeps_to(policy)).collect()
}

pub async fn policies(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Params(page): Params<PageQuery>,
) -> Result<Response, ApiError> {
    let page = page.page()?;
    let seen = judge(&publisher, &request, None, None).await?;
    let all = seen.value.governance.policies.iter().map(|policy| {
        let states = states_of(&seen.value, policy);
        json!({
            "id": policy.id.to_string(),
            "name": policy.body.name,
            "status": policy_status(&states),
            "artifactComplianceSummary": {"compliant": count(&states, "FOLLOWED"), "nonCompliant": count(&states, "VIOLATED")},
        })
    });
    let list = List::of(all.collect::<Vec<_>>(), page).with_links("/policy-adherence", "");
    Ok(read_answer(&request.headers, &json!(list), seen.index))
}

pub async fn policies_summary(
    State(publisher): State<Address<Publisher>>,
    request: Request,
) -> Result<Response, ApiError> {
    let seen = judge(&publisher, &request, None, None).await?;
    let policies = seen.value.governance.policies.iter();
    let states: Vec<&str> = policies.map(|policy| policy_status(&states_of(&seen.value, policy))).collect();
    Ok(read_answer(&request.headers, &adherence(&states), seen.index))
}

pub async fn policy(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let seen = judge(&publisher, &request, None, None).await?;
    let policy = seen.value.governance.policies.iter().find(|policy| policy.id.to_string() == id);
    let policy = policy.ok_or_else(|| ApiError::not_found("Governance policy", id))?;
    let judged = seen.value.apis.iter().filter(|api| api.policies.contains(&policy.id)).map(|api| {
        let status = match api.keeps_to(policy) {
            "FOLLOWED" => "COMPLIANT",
            "VIOLATED" => "NON-COMPLIANT",
            _ => "NOT-APPLICABLE",
        };
        json!({"id": api.api.id.to_string(), "status": status, "info": api.info()})
    });
    let body = json!({
        "id": policy.id.to_string(),
        "name": policy.body.name,
        "status": policy_status(&states_of(&seen.value, policy)),
        "evaluatedArtifacts": judged.collect::<Vec<_>>(),
    });
    Ok(read_answer(&request.headers, &body, seen.index))
}
