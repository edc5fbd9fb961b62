//! The policies that come with the program: their parameters, the flows they fit, and what each does, typed.

use super::guardrail::{self, Guardrail};
use super::intercept::{self, Includes};
use super::models::{self, ModelRoute};
use super::own_answer::OwnAnswer;
use super::soap::{self, SoapCall};
use super::threat::{self, Forbidden, JsonLimits, XmlLimits};
use super::token::{self, WantedClaim};
use super::{Applied, BadPolicy, Flow, VERSION};
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
    /// `String`, `Integer` or `Boolean`, as the contract has it.
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

const VERBS: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
const HEADER: Parameter = required("headerName", "Header Name", "Name of the header field");
const QUERY: Parameter = required("paramKey", "Parameter Key", "Name of the query parameter");

/// Every policy that comes with the program.
pub const KINDS: &[Kind] = &[
    Kind {
        name: "addHeader",
        title: "Add Header",
        description: "Sets a header field, in place of those of the same name",
        flows: &Flow::ALL,
        parameters: &[HEADER, required("headerValue", "Header Value", "Value of the header field")],
    },
    Kind {
        name: "removeHeader",
        title: "Remove Header",
        description: "Removes the header fields of a name",
        flows: &Flow::ALL,
        parameters: &[HEADER],
    },
    Kind {
        name: "renameHeader",
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
        title: "Add Query Param",
        description: "Adds a query parameter",
        flows: &[Flow::Request],
        parameters: &[QUERY, required("paramValue", "Parameter Value", "Value of the query parameter")],
    },
    Kind {
        name: "removeQueryParam",
        title: "Remove Query Param",
        description: "Removes the query parameters of a name",
        flows: &[Flow::Request],
        parameters: &[QUERY],
    },
    Kind {
        name: "changeHTTPMethod",
        title: "Change HTTP Method",
        description: "Calls the backend with another verb",
        flows: &[Flow::Request],
        parameters: &[Parameter { allowed: &VERBS, ..required("httpMethod", "HTTP Method", "The verb") }],
    },
    Kind {
        name: "rewriteResourcePath",
        title: "Rewrite Resource Path",
        description: "Calls the backend at another path: /new/{uri.var.id} takes a parameter of the URI template",
        flows: &[Flow::Request],
        parameters: &[
            required("newResourcePath", "New Resource Path", "The path after the endpoint's own, with a slash first"),
            Parameter {
                kind: "Boolean",
                ..optional("includeQueryParams", "Include Query Parameters", "Whether the query stays", "true")
            },
        ],
    },
    Kind {
        name: "mockResponse",
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
        title: "JSON to XML",
        description: "Turns a JSON body into XML",
        flows: &[Flow::Request, Flow::Response],
        parameters: &[],
    },
    Kind {
        name: "xmlToJson",
        title: "XML to JSON",
        description: "Turns an XML body into JSON",
        flows: &[Flow::Request, Flow::Response],
        parameters: &[],
    },
    Kind {
        name: "jsonFault",
        title: "JSON Fault",
        description: "Tells faults in JSON, whatever the caller asked for",
        flows: &[Flow::Fault],
        parameters: &[],
    },
    Kind {
        name: "addLogMessage",
        title: "Add Log Message",
        description: "Writes to the log of the node that a call passed",
        flows: &Flow::ALL,
        parameters: &[optional("label", "Label", "A word to find it by", "")],
    },
    Kind {
        name: "compress",
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
    models::WEIGHTED,
    models::EVEN,
    models::FAILOVER,
];

/// The largest bound that can be set.
const COUNT_MAX: usize = 1_000_000;
/// Characters of a header's value, of a path and of other texts that go into a request's head.
const HEAD_TEXT_CHARS_MAX: usize = 4_096;

impl Kind {
    /// Returns the policy of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        KINDS.iter().find(|kind| kind.name == name)
    }
}

/// The parameters of a policy that is read.
struct Read<'a> {
    kind: &'static Kind,
    applied: &'a Applied,
}

fn bad(place: impl Into<String>, reason: impl Into<String>) -> BadPolicy {
    BadPolicy { place: place.into(), reason: reason.into() }
}

fn bad_parameter(name: &str, reason: impl Into<String>) -> BadPolicy {
    bad(format!("parameters.{name}"), reason)
}

impl Read<'_> {
    /// Returns a parameter's text, or its default.
    fn text(&self, name: &str) -> Result<&str, BadPolicy> {
        let parameter = self.kind.parameters.iter().find(|parameter| parameter.name == name);
        let given = self.applied.parameters.get(name).map(String::as_str);
        let Some(text) = given.or_else(|| parameter?.default) else {
            return Err(bad_parameter(name, "must be there"));
        };
        let allowed = parameter.map_or(&[][..], |parameter| parameter.allowed);
        if !allowed.is_empty() && !allowed.contains(&text) {
            return Err(bad_parameter(name, format!("one of {} is accepted", allowed.join(", "))));
        }
        Ok(text)
    }

    fn header_name(&self, name: &str) -> Result<String, BadPolicy> {
        let text = self.text(name)?.trim();
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if text.is_empty() || text.len() > 256 || !text.bytes().all(is_token) {
            return Err(bad_parameter(name, format!("`{text}` is not the name of a header field (RFC 9110 §5.1)")));
        }
        let text = text.to_ascii_lowercase();
        if RESERVED.contains(&text.as_str()) {
            return Err(bad_parameter(name, format!("`{text}` is the gateway's own: it says how a message is framed")));
        }
        Ok(text)
    }

    fn head_text(&self, name: &str) -> Result<String, BadPolicy> {
        let text = self.text(name)?;
        if text.chars().count() > HEAD_TEXT_CHARS_MAX {
            return Err(bad_parameter(name, format!("has more than {HEAD_TEXT_CHARS_MAX} characters")));
        }
        if text.chars().any(|one| one.is_control() && one != '\t') {
            return Err(bad_parameter(name, "must not hold control characters"));
        }
        Ok(text.to_owned())
    }

    fn flag(&self, name: &str) -> Result<bool, BadPolicy> {
        self.text(name)?.parse().map_err(|_| bad_parameter(name, "must be true or false"))
    }

    fn path(&self, name: &str) -> Result<String, BadPolicy> {
        let text = self.head_text(name)?;
        let text = if text.starts_with('/') { text } else { format!("/{text}") };
        if let Some(wrong) = text.chars().find(|one| !one.is_ascii_graphic() || matches!(one, '#' | '"' | '<' | '>')) {
            return Err(bad_parameter(name, format!("must not have {wrong:?}: write it percent-encoded")));
        }
        if text.split(['/', '?']).any(|segment| segment == "." || segment == "..") {
            return Err(bad_parameter(name, "must not have the segments `.` and `..`"));
        }
        Ok(text)
    }

    fn url(&self, name: &str) -> Result<String, BadPolicy> {
        let text = self.head_text(name)?;
        let is_good = url::Url::parse(&text)
            .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host() && url.query().is_none());
        if is_good {
            Ok(text)
        } else {
            Err(bad_parameter(name, "must be an absolute http or https URL without a query"))
        }
    }

    fn count(&self, name: &str) -> Result<usize, BadPolicy> {
        let count = self.text(name)?.trim().parse().ok().filter(|count| *count <= COUNT_MAX);
        count.ok_or_else(|| bad_parameter(name, format!("must be a whole number up to {COUNT_MAX}")))
    }

    fn forbidden(&self) -> Result<Forbidden, BadPolicy> {
        let pattern = self.text("regex")?.to_owned();
        // By what gateways compile it with: what is accepted here is in force there.
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
        } else {
            ModelRoute::in_turn(name, text, policy == models::WEIGHTED.name)
        }
    }

    fn status(&self, name: &str) -> Result<u16, BadPolicy> {
        let status: Option<u16> = self.text(name)?.trim().parse().ok();
        status.filter(|status| (200..600).contains(status)).ok_or_else(|| bad_parameter(name, "must be 200 to 599"))
    }
}

/// Header fields that say how a message is framed, or belong to one connection.
pub(super) const RESERVED: [&str; 9] = [
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-request-id",
];

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
        if applied.version != VERSION {
            return Err(bad("policyVersion", format!("{} has the version {VERSION} only", kind.name)));
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
            policy if self.kind.is_guardrail() => {
                let text = |name: &str| self.text(name).map(str::to_owned);
                Step::Guard(Box::new(guardrail::Reading { policy, text: &text }.read()?))
            }
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

    use super::*;

    /// Something acceptable for each parameter.
    fn sample(parameter: &Parameter) -> String {
        match (parameter.kind, parameter.allowed.first()) {
            (_, Some(first)) => (*first).to_owned(),
            ("Integer", _) => "201".to_owned(),
            ("Boolean", _) => "false".to_owned(),
            _ if parameter.name.ends_with("URL") => "http://service".to_owned(),
            _ if parameter.name == "jsonPath" => "$.messages[-1].content".to_owned(),
            _ if parameter.name == "failoverConfigs" => r#"{"production": {"targetModel": {"model": "a"}}}"#.to_owned(),
            _ if parameter.name.ends_with("RobinConfigs") => r#"{"production": [{"model": "a"}]}"#.to_owned(),
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
            let applied = Applied { name: kind.name.to_owned(), version: VERSION.to_owned(), parameters };
            for flow in Flow::ALL {
                assert_eq!(Step::of(&applied, flow).is_ok(), kind.flows.contains(&flow), "{} {flow:?}", kind.name);
            }
        }
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
