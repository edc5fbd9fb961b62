//! Policies of AI APIs that choose the model of a call and the endpoint it goes to. Each has one parameter, a JSON text as the
//! original's portal writes it.

use serde_json::Value;

use super::step::{Kind, Parameter, required};
use super::{BadPolicy, Flow, VERSION, json_parameter};
use crate::api_endpoint::usual_id;
use crate::oauth::KeyType;

/// Models of one stage.
pub const MODELS_MAX: usize = 50;
const MODEL_CHARS_MAX: usize = 255;
const WEIGHT_MAX: u32 = 1_000;
/// A day.
const SECONDS_MAX: u64 = 86_400;
/// How long a model may take to begin its answer where the policy does not say, in seconds, as in the original.
const TIMEOUT_S: u64 = 120;

/// How one of several models is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelOrder {
    /// In turn, each by its weight.
    InTurn,
    /// The first that answers.
    Failover,
    /// The first whose condition a call meets; a call that meets none goes where it would without a choice.
    ByContent,
}

/// A choice among models.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelRoute {
    /// How one is chosen.
    pub order: ModelOrder,
    /// The models for production keys; of failover the target first. None at all leaves those calls as they are.
    pub production: Vec<Model>,
    /// Those for sandbox keys.
    pub sandbox: Vec<Model>,
    /// How long a model is left alone that failed, in milliseconds; 0 for not at all.
    pub suspension_ms: u64,
    /// How long a model may take to begin its answer, in milliseconds; `None` for as long as its endpoint says.
    pub timeout_ms: Option<u64>,
}

/// A model, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// Its name.
    pub name: String,
    /// The endpoint's id.
    pub endpoint: String,
    /// Its share of the calls, at least 1.
    pub weight: u32,
    /// What a call has to say to be its, where it is chosen by content.
    pub condition: Option<Condition>,
}

/// What a call has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Where.
    pub source: ConditionSource,
    /// Under which name.
    pub key: String,
    /// What.
    pub value: String,
}

/// Where a call says what model it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConditionSource {
    /// In a header field.
    Header,
    /// In a query parameter.
    Query,
}

impl ModelRoute {
    /// Returns the models for keys of a type.
    #[must_use]
    pub fn models(&self, stage: KeyType) -> &[Model] {
        match stage {
            KeyType::Production => &self.production,
            KeyType::Sandbox => &self.sandbox,
        }
    }

    /// Says whether it names an endpoint.
    #[must_use]
    pub fn names(&self, endpoint: &str) -> bool {
        self.production.iter().chain(&self.sandbox).any(|model| model.endpoint == endpoint)
    }

    /// Reads what models take turns.
    pub(super) fn in_turn(parameter: &str, text: &str, has_weights: bool) -> Result<Self, BadPolicy> {
        let read = Reading { parameter, has_weights };
        let document = read.document(text)?;
        let (production, sandbox) = read.stages(|name, stage| match &document[name] {
            Value::Null => Ok(Vec::new()),
            Value::Array(items) => read.models(items, name, stage),
            _ => Err(read.bad(format!("{name} must be a list of models"))),
        })?;
        let suspension_ms = read.seconds(&document, "suspendDuration")?.unwrap_or(0) * 1_000;
        Ok(Self { order: ModelOrder::InTurn, production, sandbox, suspension_ms, timeout_ms: None })
    }

    /// Reads which model is asked, and which after it.
    pub(super) fn failover(parameter: &str, text: &str) -> Result<Self, BadPolicy> {
        let read = Reading { parameter, has_weights: false };
        let document = read.document(text)?;
        let (production, sandbox) = read.stages(|name, stage| {
            let said = &document[name];
            if !(said.is_null() || said.is_object()) {
                return Err(read.bad(format!("{name} must be an object with targetModel and fallbackModels")));
            }
            let fallbacks = match &said["fallbackModels"] {
                Value::Null => &[][..],
                Value::Array(items) => items,
                _ => return Err(read.bad(format!("{name}.fallbackModels must be a list of models"))),
            };
            let target = &said["targetModel"];
            // A stage without a target is not set; portals send it all the same.
            if target["model"].as_str().is_none_or(str::is_empty) {
                if fallbacks.is_empty() {
                    return Ok(Vec::new());
                }
                return Err(read.bad(format!("{name}.targetModel must name a model")));
            }
            read.models(std::iter::once(target).chain(fallbacks), name, stage)
        })?;
        let suspension_ms = read.seconds(&document, "suspendDuration")?.unwrap_or(0) * 1_000;
        let timeout_s = read.seconds(&document, "requestTimeout")?.filter(|seconds| *seconds > 0);
        let timeout_ms = Some(timeout_s.unwrap_or(TIMEOUT_S) * 1_000);
        Ok(Self { order: ModelOrder::Failover, production, sandbox, suspension_ms, timeout_ms })
    }

    /// Reads what models calls name by what else they say.
    pub(super) fn by_content(parameter: &str, text: &str) -> Result<Self, BadPolicy> {
        let read = Reading { parameter, has_weights: false };
        let document = read.document(text)?;
        let (production, sandbox) = read.stages(|name, stage| match &document[name] {
            Value::Null => Ok(Vec::new()),
            Value::Array(items) => read.conditional(items, name, stage),
            _ => Err(read.bad(format!("{name} must be a list of conditions with targets"))),
        })?;
        Ok(Self { order: ModelOrder::ByContent, production, sandbox, suspension_ms: 0, timeout_ms: None })
    }
}

/// A parameter that is read.
struct Reading<'a> {
    parameter: &'a str,
    has_weights: bool,
}

impl Reading<'_> {
    fn bad(&self, reason: impl Into<String>) -> BadPolicy {
        BadPolicy { place: format!("parameters.{}", self.parameter), reason: reason.into() }
    }

    fn document(&self, text: &str) -> Result<Value, BadPolicy> {
        match json_parameter::read(text) {
            Ok(document @ Value::Object(_)) => Ok(document),
            Ok(_) => Err(self.bad("must be a JSON object as text")),
            Err(error) => Err(self.bad(format!("must be a JSON object as text: {error}"))),
        }
    }

    /// Reads the models for each type of key, of which one must have some.
    fn stages(
        &self,
        stage: impl Fn(&str, KeyType) -> Result<Vec<Model>, BadPolicy>,
    ) -> Result<(Vec<Model>, Vec<Model>), BadPolicy> {
        let (production, sandbox) = (stage("production", KeyType::Production)?, stage("sandbox", KeyType::Sandbox)?);
        if production.is_empty() && sandbox.is_empty() {
            return Err(self.bad("must name models for production or sandbox"));
        }
        Ok((production, sandbox))
    }

    fn models<'a>(
        &self,
        items: impl IntoIterator<Item = &'a Value>,
        place: &str,
        stage: KeyType,
    ) -> Result<Vec<Model>, BadPolicy> {
        let items: Vec<&Value> = items.into_iter().collect();
        if items.len() > MODELS_MAX {
            return Err(self.bad(format!("{place} has {} models; at most {MODELS_MAX} are accepted", items.len())));
        }
        items.into_iter().map(|item| self.model(item, place, stage)).collect()
    }

    fn model(&self, item: &Value, place: &str, stage: KeyType) -> Result<Model, BadPolicy> {
        let name = item["model"].as_str().unwrap_or_default().trim();
        let chars = name.chars().count();
        if chars == 0 || chars > MODEL_CHARS_MAX || name.chars().any(char::is_control) {
            return Err(self.bad(format!("each model of {place} must have 1 to {MODEL_CHARS_MAX} visible characters")));
        }
        let endpoint = item["endpointId"].as_str().filter(|id| !id.is_empty()).unwrap_or(usual_id(stage));
        let weight = if self.has_weights { self.weight(&item["weight"], name)? } else { 1 };
        Ok(Model { name: name.to_owned(), endpoint: endpoint.to_owned(), weight, condition: None })
    }

    fn conditional(&self, items: &[Value], place: &str, stage: KeyType) -> Result<Vec<Model>, BadPolicy> {
        let mut models = self.models(items.iter().map(|item| &item["target"]), place, stage)?;
        for (model, item) in models.iter_mut().zip(items) {
            model.condition = Some(self.condition(&item["condition"], place)?);
        }
        Ok(models)
    }

    fn condition(&self, said: &Value, place: &str) -> Result<Condition, BadPolicy> {
        let text = |name: &str| said[name].as_str().unwrap_or_default().trim().to_owned();
        let source = match text("type").as_str() {
            "HEADER" => ConditionSource::Header,
            "QUERY_PARAMETER" => ConditionSource::Query,
            other => return Err(self.bad(format!("{place}: `{other}` is no type; HEADER and QUERY_PARAMETER are"))),
        };
        // What is not said is the one there is.
        if !["EQUALS", ""].contains(&text("operator").as_str()) {
            return Err(self.bad(format!("{place}: `{}` is no operator; EQUALS is", text("operator"))));
        }
        let (key, value) = (text("key"), text("value"));
        let is_name = |key: &str| source == ConditionSource::Query || http::HeaderName::try_from(key).is_ok();
        if key.is_empty() || key.chars().count() > MODEL_CHARS_MAX || !is_name(&key) {
            return Err(self.bad(format!("{place}: `{key}` is no name of a header field or query parameter")));
        }
        if value.is_empty() || value.chars().count() > MODEL_CHARS_MAX {
            return Err(self.bad(format!("{place}: the value of {key} must have 1 to {MODEL_CHARS_MAX} characters")));
        }
        Ok(Condition { source, key, value })
    }

    fn weight(&self, said: &Value, model: &str) -> Result<u32, BadPolicy> {
        let weight = match said {
            Value::Null => Some(1.0),
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        let weight = weight.filter(|weight| (0.0..=f64::from(WEIGHT_MAX)).contains(weight));
        let weight = weight.ok_or_else(|| self.bad(format!("the weight of {model} must be 0 to {WEIGHT_MAX}")))?;
        // Within the bound, which a u32 holds; a model that is named has some share, as in the original.
        Ok((weight.round() as u32).max(1))
    }

    fn seconds(&self, document: &Value, name: &str) -> Result<Option<u64>, BadPolicy> {
        let said = match &document[name] {
            Value::Null => return Ok(None),
            Value::String(text) if text.is_empty() => return Ok(None),
            Value::String(text) => text.trim().parse().ok(),
            other => other.as_u64(),
        };
        let said = said.filter(|seconds| *seconds <= SECONDS_MAX);
        said.map(Some).ok_or_else(|| self.bad(format!("{name} must be 0 to {SECONDS_MAX} seconds")))
    }
}

const fn models(name: &'static str, title: &'static str, description: &'static str) -> Parameter {
    required(name, title, description)
}

/// Models in turn, each by its weight.
pub(super) const WEIGHTED: Kind = Kind {
    name: "modelWeightedRoundRobin",
    version: VERSION,
    title: "Model Weighted Round Robin",
    description: "Has models of an AI API answer in turn, each by its weight",
    flows: &[Flow::Request],
    parameters: &[models(
        "weightedRoundRobinConfigs",
        "Weighted Round Robin Configs",
        "The models with endpoints and weights for production and sandbox, and suspendDuration in seconds: JSON",
    )],
};

/// Models in turn.
pub(super) const EVEN: Kind = Kind {
    name: "modelRoundRobin",
    version: VERSION,
    title: "Model Round Robin",
    description: "Has models of an AI API answer in turn",
    flows: &[Flow::Request],
    parameters: &[models(
        "roundRobinConfigs",
        "Round Robin Configs",
        "The models with endpoints for production and sandbox, and suspendDuration in seconds: JSON",
    )],
};

/// One model after the other.
pub(super) const FAILOVER: Kind = Kind {
    name: "modelFailover",
    version: VERSION,
    title: "Model Failover",
    description: "Asks another model of an AI API where one fails",
    flows: &[Flow::Request],
    parameters: &[models(
        "failoverConfigs",
        "Failover Configs",
        "The target model and its fallbacks for production and sandbox, requestTimeout and suspendDuration in seconds: JSON",
    )],
};

/// The model that a call's header fields or query say.
pub(super) const BY_CONTENT: Kind = Kind {
    name: "ContentBasedModelRouter",
    version: "v1.0",
    title: "Content Based Model Router",
    description: "Has a model of an AI API answer that is chosen by a header field or query parameter",
    flows: &[Flow::Request],
    parameters: &[models(
        "contentBasedModelRoutingConfigs",
        "Content Based Model Routing Configuration",
        "The conditions with models and endpoints for production and sandbox; the first that is met counts: JSON",
    )],
};

impl Kind {
    /// Says whether it is for AI APIs alone.
    #[must_use]
    pub fn is_for_ai(&self) -> bool {
        [WEIGHTED, EVEN, FAILOVER, BY_CONTENT].contains(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weighted(text: &str) -> Result<ModelRoute, String> {
        ModelRoute::in_turn("configs", text, true).map_err(|bad| bad.reason)
    }

    fn failover(text: &str) -> Result<ModelRoute, String> {
        ModelRoute::failover("configs", text).map_err(|bad| bad.reason)
    }

    #[test]
    fn what_the_original_s_portal_writes_is_read() {
        let text = "{'production':[{'vendor':'','model':'a','endpointId':'e1','endpointName':'E','weight':80},\
                    {'model':'b','weight':'20'},{'model':'c','endpointId':'e2','weight':0}],'sandbox':[],'suspendDuration':'5'}";
        let route = weighted(text).unwrap();
        let models: Vec<_> =
            route.production.iter().map(|one| (one.name.as_str(), one.endpoint.as_str(), one.weight)).collect();
        assert_eq!(models, [("a", "e1", 80), ("b", "default_production_endpoint", 20), ("c", "e2", 1)]);
        assert_eq!((route.suspension_ms, route.timeout_ms), (5_000, None));
        assert!(route.names("e2") && !route.names("e3") && route.models(KeyType::Sandbox).is_empty());
        let text = r#"{"production":{"targetModel":{"model":"a","endpointId":"e1"},"fallbackModels":[{"model":"b","endpointId":"e2"}]},
                       "sandbox":{"targetModel":{},"fallbackModels":[]},"requestTimeout":"30","suspendDuration":"0"}"#;
        let route = failover(text).unwrap();
        assert_eq!(route.production.len(), 2);
        assert_eq!((route.suspension_ms, route.timeout_ms), (0, Some(30_000)));
    }

    fn by_content(entry: &str) -> Result<ModelRoute, String> {
        let text = format!(r#"{{"production": [{entry}]}}"#);
        ModelRoute::by_content("configs", &text).map_err(|bad| bad.reason)
    }

    #[test]
    fn a_model_has_a_condition_and_what_is_none_is_refused() {
        let route = by_content(
            r#"{"condition": {"type": "HEADER", "key": "X-Tier", "operator": "EQUALS", "value": "high"},
                "target": {"model": "a", "endpointId": "e1"}},
               {"condition": {"type": "QUERY_PARAMETER", "key": "tier", "value": "low"}, "target": {"model": "b"}}"#,
        );
        let models = route.unwrap().production;
        let conditions = models.iter().map(|model| model.condition.clone().unwrap());
        let said: Vec<_> = conditions.map(|one| (one.source, one.key, one.value)).collect();
        let text = str::to_owned;
        assert_eq!(
            said,
            [
                (ConditionSource::Header, text("X-Tier"), text("high")),
                (ConditionSource::Query, text("tier"), text("low"))
            ]
        );
        assert_eq!((models[0].endpoint.as_str(), models[1].endpoint.as_str()), ("e1", "default_production_endpoint"));
        for (condition, said) in [
            (r#"{"type": "BODY", "key": "a", "value": "b"}"#, "no type"),
            (r#"{"type": "HEADER", "key": "a", "value": "b", "operator": "LIKE"}"#, "no operator"),
            (r#"{"type": "HEADER", "key": "a b", "value": "b"}"#, "no name"),
            (r#"{"type": "HEADER", "key": "a"}"#, "the value of a"),
        ] {
            let why = by_content(&format!(r#"{{"condition": {condition}, "target": {{"model": "a"}}}}"#)).unwrap_err();
            assert!(why.contains(said), "{condition}: {why}");
        }
        assert!(by_content(r#"{"condition": {"type": "HEADER", "key": "a", "value": "b"}}"#).is_err());
    }

    #[test]
    fn what_cannot_be_done_is_refused_with_its_reason() {
        for (text, said) in [
            ("[]", "JSON object"),
            ("{", "JSON object"),
            (r#"{"production": {}}"#, "list of models"),
            (r#"{"production": [], "sandbox": []}"#, "must name models"),
            (r#"{"production": [{"model": ""}]}"#, "visible characters"),
            (r#"{"production": [{"model": "a", "weight": -1}]}"#, "weight of a"),
            (r#"{"production": [{"model": "a"}], "suspendDuration": "soon"}"#, "suspendDuration"),
        ] {
            let reason = weighted(text).unwrap_err();
            assert!(reason.contains(said), "{text}: {reason}");
        }
        for (text, said) in [
            (r#"{"production": []}"#, "targetModel and fallbackModels"),
            (r#"{"production": {"fallbackModels": [{"model": "a"}]}}"#, "must name a model"),
            (r#"{"production": {"targetModel": {"model": "a"}}, "requestTimeout": 100000}"#, "requestTimeout"),
        ] {
            let reason = failover(text).unwrap_err();
            assert!(reason.contains(said), "{text}: {reason}");
        }
    }
}
