//! The parameters of a policy that is applied, read by what they are.

use serde_json::Value;

use super::step::Kind;
use super::threat::compile_pattern;
use super::{Applied, BadPolicy, bad, json_parameter};
use crate::ai::{Part, parts_of};

/// The largest bound that can be set.
const COUNT_MAX: usize = 1_000_000;
/// Characters of a header's value, of a path and of other texts that go into a request's head.
const HEAD_TEXT_CHARS_MAX: usize = 4_096;
/// Characters of a name that people give.
const LABEL_CHARS_MAX: usize = 255;
/// Characters of a name within a document.
const PLAIN_NAME_CHARS_MAX: usize = 64;

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

/// The parameters of a policy that is read.
pub(super) struct Read<'a> {
    pub(super) kind: &'static Kind,
    pub(super) applied: &'a Applied,
}

/// Says what is wrong with a parameter.
pub(super) fn bad_parameter(name: &str, reason: impl Into<String>) -> BadPolicy {
    bad(format!("parameters.{name}"), reason)
}

impl Read<'_> {
    /// Returns a parameter's text, or its default.
    pub(super) fn text(&self, name: &str) -> Result<&str, BadPolicy> {
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

    pub(super) fn header_name(&self, name: &str) -> Result<String, BadPolicy> {
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

    pub(super) fn head_text(&self, name: &str) -> Result<String, BadPolicy> {
        let text = self.text(name)?;
        if text.chars().count() > HEAD_TEXT_CHARS_MAX {
            return Err(bad_parameter(name, format!("has more than {HEAD_TEXT_CHARS_MAX} characters")));
        }
        if text.chars().any(|one| one.is_control() && one != '\t') {
            return Err(bad_parameter(name, "must not hold control characters"));
        }
        Ok(text.to_owned())
    }

    pub(super) fn flag(&self, name: &str) -> Result<bool, BadPolicy> {
        self.text(name)?.parse().map_err(|_| bad_parameter(name, "must be true or false"))
    }

    pub(super) fn path(&self, name: &str) -> Result<String, BadPolicy> {
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

    pub(super) fn url(&self, name: &str) -> Result<String, BadPolicy> {
        let text = self.head_text(name)?;
        let is_good = url::Url::parse(&text)
            .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host() && url.query().is_none());
        if is_good {
            Ok(text)
        } else {
            Err(bad_parameter(name, "must be an absolute http or https URL without a query"))
        }
    }

    pub(super) fn count(&self, name: &str) -> Result<usize, BadPolicy> {
        let count = self.text(name)?.trim().parse().ok().filter(|count| *count <= COUNT_MAX);
        count.ok_or_else(|| bad_parameter(name, format!("must be a whole number up to {COUNT_MAX}")))
    }

    pub(super) fn status(&self, name: &str) -> Result<u16, BadPolicy> {
        let status: Option<u16> = self.text(name)?.trim().parse().ok();
        status.filter(|status| (200..600).contains(status)).ok_or_else(|| bad_parameter(name, "must be 200 to 599"))
    }

    /// Returns a name that people give.
    pub(super) fn label(&self, name: &str) -> Result<String, BadPolicy> {
        let label = self.text(name)?.trim();
        let chars = label.chars().count();
        if chars == 0 || chars > LABEL_CHARS_MAX || label.chars().any(char::is_control) {
            return Err(bad_parameter(name, format!("must have 1 to {LABEL_CHARS_MAX} visible characters")));
        }
        Ok(label.to_owned())
    }

    /// Returns a place in a JSON body; nothing for all of it.
    pub(super) fn place(&self, name: &str) -> Result<Vec<Part>, BadPolicy> {
        match self.text(name)?.trim() {
            "" => Ok(Vec::new()),
            path => parts_of(path).ok_or_else(|| {
                bad_parameter(name, format!("`{path}` is no path of names and numbers, such as $.messages[-1].content"))
            }),
        }
    }

    /// Returns a document.
    pub(super) fn json(&self, name: &str) -> Result<Value, BadPolicy> {
        json_parameter::read(self.text(name)?)
            .map_err(|error| bad_parameter(name, format!("must be JSON as text: {error}")))
    }

    /// Returns the items of a list that is a document.
    pub(super) fn items(&self, name: &str, items_max: usize) -> Result<Vec<Value>, BadPolicy> {
        match self.json(name)? {
            Value::Array(items) if (1..=items_max).contains(&items.len()) => Ok(items),
            _ => Err(bad_parameter(name, format!("must be a list of 1 to {items_max} objects"))),
        }
    }

    /// Returns a regular expression, which gateways can compile.
    pub(super) fn pattern(&self, name: &str) -> Result<String, BadPolicy> {
        let pattern = self.text(name)?;
        check_pattern(pattern).map_err(|reason| bad_parameter(name, reason))?;
        Ok(pattern.to_owned())
    }
}

/// Says why a regular expression is not served.
pub(super) fn check_pattern(pattern: &str) -> Result<(), String> {
    let compiled = compile_pattern(pattern);
    compiled.map(drop).map_err(|error| format!("is not a regular expression that is served: {error}"))
}

/// Says why something in a document cannot be called so.
pub(super) fn check_plain_name(name: &str) -> Result<(), String> {
    let is_plain = |one: char| one.is_ascii_alphanumeric() || "_-".contains(one);
    if name.is_empty() || name.len() > PLAIN_NAME_CHARS_MAX || !name.chars().all(is_plain) {
        return Err(format!("must have 1 to {PLAIN_NAME_CHARS_MAX} letters, digits and any of _ -"));
    }
    Ok(())
}
