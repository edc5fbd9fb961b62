//! AI APIs: APIs of HTTP (`subtypeConfiguration.subtype` is `AIAPI`) whose backends are those of an LLM provider. Here is
//! which provider that is, and where its calls and answers say which model is meant and how many tokens it took.
//!
//! What the provider's configuration says is kept beside the API when that is saved: what is deployed does not change with
//! the provider, as it does not with operation policies.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::api::Api;
use crate::api_endpoint::{ApiEndpoint, endpoints_among, primary_of, usual_id};
use crate::mediation::models::ModelRoute;
use crate::mediation::{Applied, Flow, Mediation, Step, VERSION};
use crate::oauth::KeyType;

/// The field of the contract that says what subtype an API has.
pub const SUBTYPE: &str = "subtypeConfiguration";
/// The subtype of AI APIs.
pub const AI_API: &str = "AIAPI";
/// The subtype of all others.
pub const USUAL: &str = "DEFAULT";
/// Under which name, among the other fields of an API, is kept what is known of its provider.
const KEPT: &str = "aiProvider";
/// Under which key of a mediation the rules of an AI API are: no `VERB target`.
const RULES_KEY: &str = "(ai)";
/// The name of the step that holds them; no policy that can be applied has it.
const RULES_STEP: &str = "(ai rules)";
const RULES: &str = "rules";

/// What a place holds (`attributeName` of a provider's metadata).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Said {
    /// The model that a call asks for.
    RequestModel,
    /// The tokens of the prompt.
    PromptTokens,
    /// The tokens of the completion.
    CompletionTokens,
    /// Both together.
    TotalTokens,
    /// The tokens that the provider leaves the gateway.
    RemainingTokens,
}

/// Where it is (`inputSource`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// In the body: the identifier is a JSONPath of names and numbers.
    Payload,
    /// In a header field of that name.
    Header,
    /// In the path: the identifier is a regular expression.
    Path,
    /// In a query parameter of that name.
    Query,
}

/// A place of a call or an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// What it holds.
    pub said: Said,
    /// Where it is.
    pub source: Source,
    /// Where there (`attributeIdentifier`).
    pub identifier: String,
}

/// What is known of an LLM provider.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provider {
    /// Its name.
    pub name: String,
    /// The version of its API.
    pub api_version: String,
    /// Where its calls and answers say what.
    pub places: Vec<Place>,
}

impl Provider {
    /// Reads the places out of a provider's configuration. What no gateway looks at is left out.
    #[must_use]
    pub fn new(name: &str, api_version: &str, configurations: &Value) -> Self {
        let rows = configurations["metadata"].as_array().into_iter().flatten();
        let place = |row: &Value| {
            let said = match row["attributeName"].as_str()? {
                "requestModel" | "model" => Said::RequestModel,
                "promptTokenCount" => Said::PromptTokens,
                "completionTokenCount" => Said::CompletionTokens,
                "totalTokenCount" => Said::TotalTokens,
                "remainingTokenCount" => Said::RemainingTokens,
                _ => return None,
            };
            let source = match row["inputSource"].as_str()? {
                "payload" => Source::Payload,
                "header" => Source::Header,
                "pathParams" => Source::Path,
                "queryParams" => Source::Query,
                _ => return None,
            };
            Some(Place { said, source, identifier: row["attributeIdentifier"].as_str()?.to_owned() })
        };
        Self { name: name.to_owned(), api_version: api_version.to_owned(), places: rows.filter_map(place).collect() }
    }

    /// Returns where something is said.
    #[must_use]
    pub fn place(&self, said: Said) -> Option<&Place> {
        self.places.iter().find(|place| place.said == said)
    }
}

/// What a gateway serves an AI API by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AiRules {
    /// The provider.
    pub provider: Provider,
    /// The endpoints that its policies name, but for those that all calls go to.
    pub endpoints: Vec<ApiEndpoint>,
}

impl AiRules {
    /// Returns the rules among what is done to an API's calls; `None` where it is no AI API.
    #[must_use]
    pub fn among(mediation: &Mediation) -> Option<Self> {
        let step = mediation.operations.get(RULES_KEY)?.request.first().filter(|step| step.name == RULES_STEP)?;
        serde_json::from_str(step.parameters.get(RULES)?).ok()
    }

    /// Puts the rules among what is done to an API's calls.
    pub fn put(&self, mediation: &mut Mediation) {
        let parameters = [(RULES.to_owned(), json!(self).to_string())].into();
        let step = Applied { name: RULES_STEP.to_owned(), version: VERSION.to_owned(), parameters };
        mediation.operations.entry(RULES_KEY.to_owned()).or_default().request.push(step);
    }
}

/// A step of a JSONPath.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Into a member of this name.
    Name(String),
    /// To an item; from the last backwards below 0.
    At(i64),
}

/// Returns the steps of a JSONPath of names and numbers: `$.usage.total_tokens`, `$['a'][-1]`; `None` for any other.
#[must_use]
pub fn parts_of(path: &str) -> Option<Vec<Part>> {
    let mut left = path.trim().strip_prefix('$')?;
    let mut parts = Vec::new();
    while !left.is_empty() {
        if let Some(rest) = left.strip_prefix('.') {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            let (name, after) = rest.split_at(end);
            if name.is_empty() || name == "*" {
                return None;
            }
            parts.push(Part::Name(name.to_owned()));
            left = after;
        } else {
            let (inside, after) = left.strip_prefix('[')?.split_once(']')?;
            let quoted = ['\'', '"'].iter().find_map(|&quote| inside.strip_prefix(quote)?.strip_suffix(quote));
            parts.push(match quoted {
                Some(name) => Part::Name(name.to_owned()),
                None => Part::At(inside.parse().ok()?),
            });
            left = after;
        }
    }
    Some(parts)
}

/// Returns the subtype that other fields of an API say.
#[must_use]
pub fn subtype_among(fields: &Map<String, Value>) -> &str {
    let said = fields.get(SUBTYPE).and_then(|one| one.get("subtype")).and_then(Value::as_str);
    said.filter(|said| !said.is_empty()).unwrap_or(USUAL)
}

/// Says whether an API is an AI API.
#[must_use]
pub fn is_ai(api: &Api) -> bool {
    // Most are not: their fields are not even read.
    api.other_fields.contains(AI_API)
        && serde_json::from_str(&api.other_fields).is_ok_and(|fields| subtype_among(&fields) == AI_API)
}

/// Returns the subtype of an API as the contracts name it.
#[must_use]
pub fn subtype_of(api: &Api) -> &'static str {
    if is_ai(api) { AI_API } else { USUAL }
}

/// Puts among the other fields of an API what is known of its provider; `None` takes it out.
pub fn set_provider(fields: &mut Map<String, Value>, provider: Option<&Provider>) {
    fields.shift_remove(KEPT);
    if let Some(provider) = provider {
        fields.insert(KEPT.to_owned(), json!(provider));
    }
}

/// Returns what is known of the provider of an API, out of its other fields.
#[must_use]
pub fn provider_among(fields: &Map<String, Value>) -> Option<Provider> {
    serde_json::from_value(fields.get(KEPT)?.clone()).ok()
}

/// Puts the rules of an AI API among what is done to its calls.
pub(crate) fn put(mediation: &mut Mediation, api: &Api, fields: &Value) {
    if !is_ai(api) {
        return;
    }
    let Some(fields) = fields.as_object() else { return };
    let mut named = endpoints_among(fields);
    let routes = routes_in(mediation);
    for stage in [KeyType::Production, KeyType::Sandbox] {
        // What `endpointConfig` says is deployed as the API's endpoints, unless it chose others.
        if primary_of(fields, stage).is_some() {
            let (id, config) = (usual_id(stage).to_owned(), api.endpoints.clone());
            named.push(ApiEndpoint { id, name: String::new(), stage, config });
        }
    }
    let is_named = |one: &ApiEndpoint| routes.iter().any(|route| route.names(&one.id));
    let endpoints = named.into_iter().filter(is_named).collect();
    AiRules { provider: provider_among(fields).unwrap_or_default(), endpoints }.put(mediation);
}

/// Returns the choices among models that policies make.
#[must_use]
pub fn routes_in(mediation: &Mediation) -> Vec<ModelRoute> {
    let flows = std::iter::once(&mediation.api).chain(mediation.operations.values());
    let steps = flows.flat_map(|flows| flows.steps(Flow::Request));
    steps.filter_map(|step| if let Step::ChooseModel(route) = step { Some(*route) } else { None }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_places_of_a_configuration_are_read_and_others_left_out() {
        let configurations = json!({"metadata": [
            {"attributeName": "requestModel", "inputSource": "payload", "attributeIdentifier": "$.model"},
            {"attributeName": "responseModel", "inputSource": "payload", "attributeIdentifier": "$.model"},
            {"attributeName": "totalTokenCount", "inputSource": "header", "attributeIdentifier": "x-tokens"},
            {"attributeName": "promptTokenCount", "inputSource": "elsewhere", "attributeIdentifier": "x"},
        ]});
        let provider = Provider::new("a", "1", &configurations);
        assert_eq!(provider.places.len(), 2);
        assert_eq!(provider.place(Said::TotalTokens).unwrap().source, Source::Header);
        assert_eq!(provider.place(Said::PromptTokens), None);
        let mut fields = Map::new();
        set_provider(&mut fields, Some(&provider));
        assert_eq!(provider_among(&fields), Some(provider));
        set_provider(&mut fields, None);
        assert!(fields.is_empty());
    }

    #[test]
    fn a_path_is_names_and_numbers() {
        let name = |name: &str| Part::Name(name.to_owned());
        assert_eq!(parts_of("$.usage.inputTokens"), Some(vec![name("usage"), name("inputTokens")]));
        assert_eq!(parts_of("$['a b'][-2].c"), Some(vec![name("a b"), Part::At(-2), name("c")]));
        for other in ["usage", "$..a", "$.a[*]", "$.a[?(@.b)]", "$.*", "$["] {
            assert_eq!(parts_of(other), None, "{other}");
        }
    }

    #[test]
    fn an_api_is_what_its_subtype_says() {
        let fields = |said: Value| Map::from_iter([(SUBTYPE.to_owned(), said)]);
        assert_eq!(subtype_among(&fields(json!({"subtype": "AIAPI"}))), AI_API);
        assert_eq!(subtype_among(&fields(json!({"subtype": ""}))), USUAL);
        assert_eq!(subtype_among(&Map::new()), USUAL);
    }
}
