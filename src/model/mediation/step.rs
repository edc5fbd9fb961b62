//! The policies that come with the program: their parameters, the flows they fit, and what each does, typed.

use super::guardrail::{self, Guardrail};
use super::intercept::{self, Includes};
use super::masking::{self, Masking};
use super::models::{self, ModelRoute};
use super::own_answer::OwnAnswer;
use super::parameters::{Read, bad_parameter};
use super::prompt::{self, Decoration, Templates};
use super::soap::{self, SoapCall};
use super::threat::{self, Forbidden, JsonLimits, XmlLimits};
use super::token::{self, WantedClaim};
use super::{Applied, BadPolicy, Flow, VERSION, bad};
use crate::lambda::Function;

/// A parameter of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// The name.
    pub name: &'static str,
    /// The name people read.
    pub title: &'static str,
    /// What it is for.
    pub description: &'static str,
    /// Whether it must be set.
    pub is_required: bool,
    /// `String`, `Integer`, `Boolean` or `JSON`, as the original has it.
    pub kind: &'static str,
    /// What holds where it is not set.
    pub default: Option<&'static str>,
    /// What it can be; nothing for anything.
    pub allowed: &'static [&'static str],
}

/// A policy as it comes with the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// The name.
    pub name: &'static str,
    /// The version, the original's.
    pub version: &'static str,
    /// The name people read.
    pub title: &'static str,
    /// What it does.
    pub description: &'static str,
    /// The flows it fits.
    pub flows: &'static [Flow],
    /// Its parameters.
    pub parameters: &'static [Parameter],
}

/// What is done, with its parameters read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Sets a header field, in place of those of the name.
    SetHeader {
        /// The name, in lower case.
        name: String,
        /// The value.
        value: String,
    },
    /// Removes all header fields of a name.
    RemoveHeader {
        /// The name, in lower case.
        name: String,
    },
    /// Renames all header fields of a name.
    RenameHeader {
        /// The name, in lower case.
        from: String,
        /// The new name, in lower case.
        to: String,
    },
    /// Adds a query parameter.
    AddQuery {
        /// The name.
        name: String,
        /// The value.
        value: String,
    },
    /// Removes all query parameters of a name.
    RemoveQuery {
        /// The name.
        name: String,
    },
    /// Changes the verb.
    ChangeMethod {
        /// The new verb.
        verb: String,
    },
    /// Replaces the part of the path after the context.
    RewritePath {
        /// The new path; `{uri.var.NAME}` and `{NAME}` stand for a parameter of the operation's URI template.
        path: String,
        /// Whether the query stays.
        keeps_query: bool,
    },
    /// Answers in the backend's place.
    Mock {
        /// The status.
        status: u16,
        /// The media type.
        content_type: String,
        /// The body.
        body: String,
    },
    /// Answers in the backend's place what the API does by itself.
    Answer(Box<OwnAnswer>),
    /// Calls a function of AWS Lambda in place of what was asked for.
    CallFunction(Function),
    /// Takes what a function answered.
    TakeAnswer,
    /// Turns a JSON body into XML.
    JsonToXml,
    /// Turns an XML body into JSON.
    XmlToJson,
    /// Tells faults in JSON.
    FaultInJson,
    /// Turns a call into a message of SOAP.
    JsonToSoap(SoapCall),
    /// Turns an answer of SOAP into JSON.
    SoapToJson,
    /// Turns away a JSON body that passes a bound.
    LimitJson(JsonLimits),
    /// Turns away an XML body that passes a bound.
    LimitXml(XmlLimits),
    /// Turns away what holds a pattern.
    Forbid(Forbidden),
    /// Turns away calls whose token does not have a claim.
    AskForClaim(WantedClaim),
    /// Spends tokens that have a scope.
    SpendToken {
        /// The scope.
        scope: String,
    },
    /// Shows calls or answers to a service.
    Intercept {
        /// Where the service is: an `http` or `https` URL.
        url: String,
        /// What it is shown.
        includes: Includes,
    },
    /// Packs an answer for a caller that takes it.
    Compress {
        /// From how many bytes on.
        bytes_min: u64,
    },
    /// Unpacks a call's body.
    Decompress,
    /// Lets a body pass only if it is as it should be.
    Guard(Box<Guardrail>),
    /// Masks what is said of people, and unmasks it.
    Mask(Box<Masking>),
    /// Puts something around a prompt.
    Decorate(Box<Decoration>),
    /// Puts templates where a call names them.
    FillTemplates(Templates),
    /// Chooses the model of a call, and where it goes.
    ChooseModel(Box<ModelRoute>),
    /// Writes to the node's log that a call passed.
    Log {
        /// A word to find it by.
        label: String,
    },
}

pub(super) const fn required(name: &'static str, title: &'static str, description: &'static str) -> Parameter {
    Parameter { name, title, description, is_required: true, kind: "String", default: None, allowed: &[] }
}

pub(super) const fn optional(
    name: &'static str,
    title: &'static str,
    description: &'static str,
    default: &'static str,
) -> Parameter {
    Parameter { is_required: false, default: Some(default), ..required(name, title, description) }
}

pub(super) const fn flag(
    name: &'static str,
    title: &'static str,
    description: &'static str,
    default: &'static str,
) -> Parameter {
    Parameter { kind: "Boolean", ..optional(name, title, description, default) }
}

pub(super) const fn json(name: &'static str, title: &'static str, description: &'static str) -> Parameter {
    Parameter { kind: "JSON", ..required(name, title, description) }
}

const VERBS: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
const HEADER: Parameter = required("headerName", "Header Name", "Name of the header field");
const QUERY: Parameter = required("paramKey", "Parameter Key", "Name of the query parameter");

/// Every policy that comes with the program.
pub const KINDS: &[Kind] = &[
    Kind {
        name: "addHeader",
        version: VERSION,
        title: "Add Header",
        description: "Sets a header field, in place of those of the same name",
        flows: &Flow::ALL,
        parameters: &[HEADER, required("headerValue", "Header Value", "Value of the header field")],
    },
    Kind {
        name: "removeHeader",
        version: VERSION,
        title: "Remove Header",
        description: "Removes the header fields of a name",
        flows: &Flow::ALL,
        parameters: &[HEADER],
    },
    Kind {
        name: "renameHeader",
        version: VERSION,
        title: "Rename Header",
        description: "Renames the header fields of a name",
        flows: &Flow::ALL,
        parameters: &[
            required("currentHeaderName", "Current Header Name", "Name of the header field"),
            required("updatedHeaderName", "Updated Header Name", "Its new name"),
        ],
    },
    Kind {
        name: "addQueryParam",
        version: VERSION,
        title: "Add Query Param",
        description: "Adds a query parameter",
        flows: &[Flow::Request],
        parameters: &[QUERY, required("paramValue", "Parameter Value", "Value of the query parameter")],
    },
    Kind {
        name: "removeQueryParam",
        version: VERSION,
        title: "Remove Query Param",
        description: "Removes the query parameters of a name",
        flows: &[Flow::Request],
        parameters: &[QUERY],
    },
    Kind {
        name: "changeHTTPMethod",
        version: VERSION,
        title: "Change HTTP Method",
        description: "Calls the backend with another verb",
        flows: &[Flow::Request],
        parameters: &[Parameter { allowed: &VERBS, ..required("httpMethod", "HTTP Method", "The verb") }],
    },
    Kind {
        name: "rewriteResourcePath",
        version: VERSION,
        title: "Rewrite Resource Path",
        description: "Calls the backend at another path: /new/{uri.var.id} takes a parameter of the URI template",
        flows: &[Flow::Request],
        parameters: &[
            required("newResourcePath", "New Resource Path", "The path after the endpoint's own, with a slash first"),
            flag("includeQueryParams", "Include Query Parameters", "Whether the query stays", "true"),
        ],
    },
    Kind {
        name: "mockResponse",
        version: VERSION,
        title: "Mock Response",
        description: "Answers in the backend's place",
        flows: &[Flow::Request],
        parameters: &[
            Parameter { kind: "Integer", ..optional("statusCode", "Status Code", "200 to 599", "200") },
            optional("contentType", "Content Type", "The media type of the content", "application/json"),
            optional("content", "Content", "The body", ""),
        ],
    },
    Kind {
        name: "jsonToXML",
        version: VERSION,
        title: "JSON to XML",
        description: "Turns a JSON body into XML",
        flows: &[Flow::Request, Flow::Response],
        parameters: &[],
    },
    Kind {
        name: "xmlToJson",
        version: VERSION,
        title: "XML to JSON",
        description: "Turns an XML body into JSON",
        flows: &[Flow::Request, Flow::Response],
        parameters: &[],
    },
    Kind {
        name: "jsonFault",
        version: VERSION,
        title: "JSON Fault",
        description: "Tells faults in JSON, whatever the caller asked for",
        flows: &[Flow::Fault],
        parameters: &[],
    },
    Kind {
        name: "addLogMessage",
        version: VERSION,
        title: "Add Log Message",
        description: "Writes to the log of the node that a call passed",
        flows: &Flow::ALL,
        parameters: &[optional("label", "Label", "A word to find it by", "")],
    },
    Kind {
        name: "compress",
        version: VERSION,
        title: "Compress Response",
        description: "Packs answers by gzip for callers that take it",
        flows: &[Flow::Response],
        parameters: &[Parameter {
            kind: "Integer",
            ..optional("minBytes", "Minimum Bytes", "Answers known to be smaller stay as they are", "1024")
        }],
    },
    Kind {
        name: "decompress",
        version: VERSION,
        title: "Decompress Request",
        description: "Unpacks bodies of calls, gzip and deflate, for backends that take plain ones",
        flows: &[Flow::Request],
        parameters: &[],
    },
    soap::CALL,
    soap::ANSWER,
    threat::JSON,
    threat::XML,
    threat::PATTERN,
    token::CLAIM,
    token::ONE_TIME,
    intercept::INTERCEPT,
    guardrail::PATTERN,
    guardrail::WORDS,
    guardrail::SENTENCES,
    guardrail::BYTES,
    guardrail::SCHEMA,
    guardrail::ADDRESSES,
    guardrail::HARMLESS,
    masking::MASKING,
    prompt::DECORATOR,
    prompt::TEMPLATE,
    models::WEIGHTED,
    models::EVEN,
    models::FAILOVER,
    models::BY_CONTENT,
];

impl Kind {
    /// Returns the policy of a name. Those that the original began with a capital may be named without one: so they were
    /// called here first.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        let is_former = |kind: &Self| kind.version != VERSION && kind.name.eq_ignore_ascii_case(name);
        KINDS.iter().find(|kind| kind.name == name || is_former(kind))
    }

    /// Returns the policy of a name and version. What came with an older or newer version of the original is the same policy
    /// as long as it is one of `v1`.
    #[must_use]
    pub fn of(name: &str, version: &str) -> Option<&'static Self> {
        Self::named(name).filter(|_| is_first(version))
    }
}

/// Says whether a version is `v1` or one of it, such as `v1.1`.
fn is_first(version: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let minor = version.strip_prefix(VERSION).map(|rest| rest.strip_prefix('.').ok_or(rest));
    minor.is_some_and(|minor| minor.map_or_else(str::is_empty, is_number))
}

impl Step {
    /// Reads what an applied policy does in a flow.
    ///
    /// # Errors
    /// Where there is no such policy, it does not fit the flow, or its parameters are not right.
    pub fn of(applied: &Applied, flow: Flow) -> Result<Self, BadPolicy> {
        let Some(kind) = Kind::named(&applied.name) else {
            let known: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
            return Err(bad("policyName", format!("`{}` is none of {}", applied.name, known.join(", "))));
        };
        if !is_first(&applied.version) {
            return Err(bad("policyVersion", format!("{} has the version {} only", kind.name, kind.version)));
        }
        if !kind.flows.contains(&flow) {
            let flow = flow.as_contract();
            return Err(bad("policyName", format!("{} does not fit the {flow} flow", kind.name)));
        }
        if let Some(unknown) =
            applied.parameters.keys().find(|name| !kind.parameters.iter().any(|one| one.name == *name))
        {
            return Err(bad_parameter(unknown, format!("{} has no such parameter", kind.name)));
        }
        Read { kind, applied }.step()
    }
}

impl Read<'_> {
    fn forbidden(&self) -> Result<Forbidden, BadPolicy> {
        let pattern = self.text("regex")?.to_owned();
        // By what gateways compile it with, which looks at bytes: what is accepted here is in force there.
        Forbidden::compile(&pattern)
            .map_err(|error| bad_parameter("regex", format!("is not a regular expression that is served: {error}")))?;
        Ok(Forbidden {
            pattern,
            in_body: self.flag("enabledCheckBody")?,
            in_headers: self.flag("enabledCheckHeaders")?,
            in_target: self.flag("enabledCheckPathParams")?,
        })
    }

    fn models(&self, policy: &str) -> Result<ModelRoute, BadPolicy> {
        let name = self.kind.parameters[0].name;
        let text = self.text(name)?;
        if policy == models::FAILOVER.name {
            ModelRoute::failover(name, text)
        } else if policy == models::BY_CONTENT.name {
            ModelRoute::by_content(name, text)
        } else {
            ModelRoute::in_turn(name, text, policy == models::WEIGHTED.name)
        }
    }

    fn step(&self) -> Result<Step, BadPolicy> {
        Ok(match self.kind.name {
            "addHeader" => {
                Step::SetHeader { name: self.header_name("headerName")?, value: self.head_text("headerValue")? }
            }
            "removeHeader" => Step::RemoveHeader { name: self.header_name("headerName")? },
            "renameHeader" => Step::RenameHeader {
                from: self.header_name("currentHeaderName")?,
                to: self.header_name("updatedHeaderName")?,
            },
            "addQueryParam" => {
                Step::AddQuery { name: self.head_text("paramKey")?, value: self.head_text("paramValue")? }
            }
            "removeQueryParam" => Step::RemoveQuery { name: self.head_text("paramKey")? },
            "changeHTTPMethod" => Step::ChangeMethod { verb: self.text("httpMethod")?.to_owned() },
            "rewriteResourcePath" => {
                Step::RewritePath { path: self.path("newResourcePath")?, keeps_query: self.flag("includeQueryParams")? }
            }
            "mockResponse" => Step::Mock {
                status: self.status("statusCode")?,
                content_type: self.head_text("contentType")?,
                body: self.text("content")?.to_owned(),
            },
            "jsonToXML" => Step::JsonToXml,
            "xmlToJson" => Step::XmlToJson,
            "jsonToSOAP" => Step::JsonToSoap(SoapCall::parse(
                &self.head_text("soapAction")?,
                self.text("soapVersion")?,
                self.text("envelope")?,
                self.text("arguments")?,
            )?),
            "soapToJSON" => Step::SoapToJson,
            "jsonFault" => Step::FaultInJson,
            "jsonValidator" => Step::LimitJson(JsonLimits {
                depth: self.count("maxJsonDepth")?,
                members: self.count("maxPropertyCount")?,
                name_chars: self.count("maxKeyLength")?,
                text_chars: self.count("maxStringLength")?,
                items: self.count("maxArrayElementCount")?,
            }),
            "xmlValidator" => Step::LimitXml(XmlLimits {
                depth: self.count("maxXMLDepth")?,
                elements: self.count("maxElementCount")?,
                children: self.count("maxChildrenPerElement")?,
                attributes: self.count("maxAttributeCount")?,
                attribute_chars: self.count("maxAttributeLength")?,
                references: self.count("entityExpansionLimit")?,
                has_document_type: self.flag("dtdEnabled")?,
                has_external_entities: self.flag("externalEntitiesEnabled")?,
            }),
            "regexProtector" => Step::Forbid(self.forbidden()?),
            "jwtClaimBasedAccessValidator" => Step::AskForClaim(WantedClaim::parse(
                self.text("accessVerificationClaim")?,
                self.text("accessVerificationClaimValue")?,
                self.text("accessVerificationClaimValueRegex")?,
                self.flag("shouldAllowValidation")?,
            )?),
            "revokeOneTimeToken" => Step::SpendToken { scope: token::parse_scope(self.text("scope")?)? },
            "callInterceptorService" => Step::Intercept {
                url: self.url("interceptorServiceURL")?,
                includes: Includes::parse(self.text("includes")?)
                    .map_err(|word| bad_parameter("includes", format!("`{word}` is nothing that is shown")))?,
            },
            _ if self.kind.is_guardrail() => Step::Guard(Box::new(guardrail::read(self)?)),
            _ if *self.kind == masking::MASKING => Step::Mask(Box::new(masking::read(self)?)),
            _ if *self.kind == prompt::DECORATOR => Step::Decorate(Box::new(prompt::decoration(self)?)),
            _ if *self.kind == prompt::TEMPLATE => Step::FillTemplates(prompt::templates(self)?),
            name if self.kind.is_for_ai() => Step::ChooseModel(Box::new(self.models(name)?)),
            "compress" => Step::Compress { bytes_min: self.count("minBytes")? as u64 },
            "decompress" => Step::Decompress,
            "addLogMessage" => Step::Log { label: self.head_text("label")? },
            other => return Err(bad("policyName", format!("{other} cannot be carried out"))),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    /// Something acceptable for each parameter.
    fn sample(parameter: &Parameter) -> String {
        match (parameter.kind, parameter.allowed.first()) {
            (_, Some(first)) => (*first).to_owned(),
            ("Boolean", _) => "false".to_owned(),
            _ if parameter.name.ends_with("URL") => "http://service".to_owned(),
            _ if parameter.name == "jsonPath" => "$.messages[-1].content".to_owned(),
            _ if parameter.name == "failoverConfigs" => r#"{"production": {"targetModel": {"model": "a"}}}"#.to_owned(),
            _ if parameter.name.ends_with("RobinConfigs") => r#"{"production": [{"model": "a"}]}"#.to_owned(),
            _ if parameter.name == "contentBasedModelRoutingConfigs" => json!({"production": [{
                "condition": {"type": "HEADER", "key": "x-tier", "operator": "EQUALS", "value": "high"}, "target": {"model": "a"},
            }]})
            .to_string(),
            _ if parameter.name == "schema" => r#"{"type": "object"}"#.to_owned(),
            _ if parameter.name == "timeout" => "3000".to_owned(),
            _ if parameter.name.ends_with("Category") => "4".to_owned(),
            ("Integer", _) => "201".to_owned(),
            _ if parameter.name == "piiEntities" => r#"[{"piiEntity": "EMAIL", "piiRegex": ".+@.+"}]"#.to_owned(),
            _ if parameter.name == "promptDecoratorConfig" => r#"{"decoration": "Be brief."}"#.to_owned(),
            _ if parameter.name == "promptTemplateConfig" => r#"[{"name": "short", "prompt": "In brief: [[text]]"}]"#.to_owned(),
            _ if parameter.name == "envelope" => "<Envelope/>".to_owned(),
            _ if parameter.name == "includes" => "request_body, response_headers".to_owned(),
            _ => "x-1".to_owned(),
        }
    }

    #[test]
    fn every_policy_that_is_listed_can_be_applied_in_each_of_its_flows() {
        for kind in KINDS {
            let parameters: BTreeMap<String, String> =
                kind.parameters.iter().map(|one| (one.name.to_owned(), sample(one))).collect();
            let applied = Applied { name: kind.name.to_owned(), version: kind.version.to_owned(), parameters };
            for flow in Flow::ALL {
                assert_eq!(Step::of(&applied, flow).is_ok(), kind.flows.contains(&flow), "{} {flow:?}", kind.name);
            }
        }
    }

    #[test]
    fn a_policy_is_known_by_the_versions_that_the_original_gave_it_and_by_its_former_name() {
        let version = |name: &str, version: &str| Kind::of(name, version).map(|kind| kind.version);
        for known in ["v1", "v1.0", "v1.1", "v1.10"] {
            assert_eq!(version("WordCountGuardrail", known), Some("v1.1"));
            assert_eq!(version("wordCountGuardrail", known), Some("v1.1"));
            assert_eq!(version("addHeader", known), Some("v1"));
        }
        for other in ["v2", "v1.", "v10", "v1.x", "1.0", ""] {
            assert_eq!(version("addHeader", other), None, "{other}");
        }
        assert_eq!(version("AddHeader", "v1"), None, "that may be somebody's own");
    }

    #[test]
    fn what_would_break_a_message_apart_is_refused() {
        for (name, value) in
            [("content-length", "1"), ("a b", "1"), ("x", "a\r\nb: c"), ("Transfer-Encoding", "chunked")]
        {
            let parameters = [("headerName", name), ("headerValue", value)];
            let parameters = parameters.map(|(key, text)| (key.to_owned(), text.to_owned())).into();
            let applied = Applied { name: "addHeader".to_owned(), version: VERSION.to_owned(), parameters };
            assert!(Step::of(&applied, Flow::Request).is_err(), "{name}: {value:?}");
        }
        for path in ["/a/../b", "/a b", "/a#b", "..", "/ä"] {
            let parameters = [("newResourcePath".to_owned(), path.to_owned())].into();
            let applied = Applied { name: "rewriteResourcePath".to_owned(), version: VERSION.to_owned(), parameters };
            assert!(Step::of(&applied, Flow::Request).is_err(), "{path}");
        }
    }
}
