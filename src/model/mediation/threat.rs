//! Policies that turn calls away which look like attacks: bounds on what JSON and XML bodies hold, and patterns. Names of
//! parameters and defaults are those of the original's validators.

use regex::bytes::{Regex, RegexBuilder};

use super::step::{Kind, Parameter, flag, optional, required};
use super::{Flow, VERSION};

/// Bounds on a JSON body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonLimits {
    /// How deep lists and objects may be nested.
    pub depth: usize,
    /// Members of an object.
    pub members: usize,
    /// Characters of a member's name.
    pub name_chars: usize,
    /// Characters of a text.
    pub text_chars: usize,
    /// Items of a list.
    pub items: usize,
}

/// Bounds on an XML body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct XmlLimits {
    /// How deep elements may be nested.
    pub depth: usize,
    /// Elements in all.
    pub elements: usize,
    /// Elements of one element.
    pub children: usize,
    /// Attributes of an element.
    pub attributes: usize,
    /// Characters of an attribute's value.
    pub attribute_chars: usize,
    /// References to entities in all.
    pub references: usize,
    /// Whether a document type may be declared.
    pub has_document_type: bool,
    /// Whether what it declares may be elsewhere.
    pub has_external_entities: bool,
}

/// What must not be in a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forbidden {
    /// A regular expression, whatever the case of letters.
    pub pattern: String,
    /// It is looked for in the body.
    pub in_body: bool,
    /// It is looked for in values of header fields.
    pub in_headers: bool,
    /// It is looked for in path and query.
    pub in_target: bool,
}

impl Forbidden {
    /// Compiles the pattern, as gateways look for it: in bytes, whatever their encoding.
    ///
    /// # Errors
    /// Where it is no regular expression, or too large a one.
    pub fn compile(pattern: &str) -> Result<Regex, regex::Error> {
        RegexBuilder::new(pattern).case_insensitive(true).size_limit(PATTERN_BYTES_MAX).build()
    }
}

/// Bytes that a compiled pattern may take.
pub const PATTERN_BYTES_MAX: usize = 1 << 20;

/// Compiles a pattern that is looked for in texts.
///
/// # Errors
/// Where it is none that is served.
pub fn compile_pattern(pattern: &str) -> Result<regex::Regex, regex::Error> {
    regex::RegexBuilder::new(pattern).size_limit(PATTERN_BYTES_MAX).build()
}

const fn count(name: &'static str, title: &'static str, description: &'static str) -> Parameter {
    Parameter { kind: "Integer", ..optional(name, title, description, "100") }
}

/// Bounds on JSON bodies.
pub(super) const JSON: Kind = Kind {
    name: "jsonValidator",
    version: VERSION,
    title: "JSON Threat Protector",
    description: "Turns away calls whose JSON body passes a bound",
    flows: &[Flow::Request],
    parameters: &[
        count("maxJsonDepth", "Maximum Depth", "How deep lists and objects may be nested"),
        count("maxPropertyCount", "Maximum Property Count", "Members of an object"),
        count("maxKeyLength", "Maximum Key Length", "Characters of a member's name"),
        count("maxStringLength", "Maximum String Length", "Characters of a text"),
        count("maxArrayElementCount", "Maximum Array Element Count", "Items of a list"),
    ],
};

/// Bounds on XML bodies.
pub(super) const XML: Kind = Kind {
    name: "xmlValidator",
    version: VERSION,
    title: "XML Threat Protector",
    description: "Turns away calls whose XML body passes a bound",
    flows: &[Flow::Request],
    parameters: &[
        flag("dtdEnabled", "DTD Enabled", "Whether a document type may be declared", "false"),
        flag("externalEntitiesEnabled", "External Entities Enabled", "Whether it may name others", "false"),
        count("maxXMLDepth", "Maximum Depth", "How deep elements may be nested"),
        count("maxElementCount", "Maximum Element Count", "Elements in all"),
        count("maxChildrenPerElement", "Maximum Children per Element", "Elements of one element"),
        count("maxAttributeCount", "Maximum Attribute Count", "Attributes of an element"),
        count("maxAttributeLength", "Maximum Attribute Length", "Characters of an attribute's value"),
        count("entityExpansionLimit", "Entity Expansion Limit", "References to entities in all"),
    ],
};

/// Patterns.
pub(super) const PATTERN: Kind = Kind {
    name: "regexProtector",
    version: VERSION,
    title: "Regular Expression Threat Protector",
    description: "Turns away calls in which a pattern is found",
    flows: &[Flow::Request],
    parameters: &[
        required("regex", "Regular Expression", "What must not be found, whatever the case of letters"),
        flag("enabledCheckBody", "Check Body", "Whether it is looked for in the body", "true"),
        flag("enabledCheckHeaders", "Check Headers", "Whether it is looked for in header fields", "true"),
        flag("enabledCheckPathParams", "Check Path", "Whether it is looked for in path and query", "true"),
    ],
};

#[cfg(test)]
mod tests {
    use super::super::step::Step;
    use super::super::{Applied, VERSION};
    use super::*;

    #[test]
    fn what_gateways_look_for_is_what_is_accepted() {
        let read = |pattern: &str| {
            let parameters = [("regex".to_owned(), pattern.to_owned())].into();
            let applied = Applied { name: "regexProtector".to_owned(), version: VERSION.to_owned(), parameters };
            Step::of(&applied, Flow::Request)
        };
        // Of bytes alone; and of more than a gateway holds.
        for (pattern, is_one) in [(r"(?-u:\xff)", true), (r"select.+from", true), ("(", false), (r"\w{9999}", false)] {
            assert_eq!((read(pattern).is_ok(), Forbidden::compile(pattern).is_ok()), (is_one, is_one), "{pattern}");
        }
    }
}
