//! Guardrails: policies that let a body pass only if what is said in it is as it should be. Names of policies and parameters
//! are the original's.

use std::time::Duration;

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

use super::parameters::{Read, bad_parameter};
use super::step::{Kind, Parameter, flag, json, optional, required};
use super::threat::PATTERN_BYTES_MAX;
use super::{BadPolicy, Flow};
use crate::ai::Part;

/// How long an address in a text may take to answer where the policy does not say, in milliseconds, as in the original.
const TIMEOUT_MS: &str = "3000";
/// The longest that can be set.
const TIMEOUT_MS_MAX: u64 = 30_000;

/// What is asked of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// This many words: what white space parts.
    Words(u64, u64),
    /// This many sentences: what `.`, `!` and `?` end.
    Sentences(u64, u64),
    /// This many bytes.
    Bytes(u64, u64),
    /// That an expression is found in it.
    Pattern(String),
    /// That it is or holds JSON of a schema, written here as text.
    Schema(String),
    /// That the addresses in it lead somewhere.
    Addresses {
        /// Whether it is enough that their names are known.
        only_names: bool,
        /// How long each may take.
        timeout: Duration,
    },
    /// That a service for moderation finds it harmless.
    Harmless {
        /// From which severity on, 0 to 7, it is not, by category.
        levels: Vec<(&'static str, u8)>,
        /// Whether it passes where the service says nothing.
        passes_unasked: bool,
    },
}

/// A guardrail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guardrail {
    /// What people call it.
    pub name: String,
    /// What is asked.
    pub asked: Asked,
    /// Where the text is in a JSON body; nothing for all of the body.
    pub place: Vec<Part>,
    /// Whether it is the other texts that pass.
    pub is_inverted: bool,
    /// Whether callers are told what was asked.
    pub tells: bool,
}

impl Asked {
    /// Returns the type of fault that says so, as in the original.
    #[must_use]
    pub fn fault(&self) -> &'static str {
        match self {
            Self::Words(..) => "WORD_COUNT_GUARDRAIL",
            Self::Sentences(..) => "SENTENCE_COUNT_GUARDRAIL",
            Self::Bytes(..) => "CONTENT_LENGTH_GUARDRAIL",
            Self::Pattern(_) => "REGEX_GUARDRAIL",
            Self::Schema(_) => "JSON_SCHEMA_GUARDRAIL",
            Self::Addresses { .. } => "URL_GUARDRAIL",
            Self::Harmless { .. } => "AZURE_CONTENT_SAFETY_CONTENT_MODERATION",
        }
    }
}

/// Compiles a schema of JSON. What it does not hold itself is not fetched; expressions in it take linear time.
///
/// # Errors
/// What is wrong with it.
pub fn compile_schema(text: &str) -> Result<Validator, String> {
    let schema: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let options = jsonschema::options().with_pattern_options(PatternOptions::regex().size_limit(PATTERN_BYTES_MAX));
    options.offline().build(&schema).map_err(|error| error.to_string())
}

pub(super) fn read(read: &Read<'_>) -> Result<Guardrail, BadPolicy> {
    let name = read.label("name")?;
    let asked = match *read.kind {
        PATTERN => Asked::Pattern(read.pattern("regex")?),
        WORDS => bounds(read, Asked::Words)?,
        SENTENCES => bounds(read, Asked::Sentences)?,
        SCHEMA => Asked::Schema(schema(read)?),
        ADDRESSES => Asked::Addresses { only_names: read.flag("onlyDNS")?, timeout: timeout(read)? },
        HARMLESS => Asked::Harmless { levels: levels(read)?, passes_unasked: read.flag("passthroughOnError")? },
        _ => bounds(read, Asked::Bytes)?,
    };
    let is_inverted = read.kind.has("invert") && read.flag("invert")?;
    Ok(Guardrail { name, asked, place: read.place("jsonPath")?, is_inverted, tells: read.flag("showAssessment")? })
}

fn bounds(read: &Read<'_>, asked: fn(u64, u64) -> Asked) -> Result<Asked, BadPolicy> {
    let bound = |name: &str| {
        let said = read.text(name)?;
        said.trim().parse().map_err(|_| bad_parameter(name, "must be a whole number of at least 0"))
    };
    let (min, max) = (bound("min")?, bound("max")?);
    if min > max {
        return Err(bad_parameter("max", format!("is {max}, which is less than min, {min}")));
    }
    Ok(asked(min, max))
}

fn schema(read: &Read<'_>) -> Result<String, BadPolicy> {
    let schema = read.json("schema")?.to_string();
    compile_schema(&schema).map_err(|why| bad_parameter("schema", format!("is not a schema that is served: {why}")))?;
    Ok(schema)
}

fn timeout(read: &Read<'_>) -> Result<Duration, BadPolicy> {
    let said = read.text("timeout")?.trim().parse().ok().filter(|ms| (1..=TIMEOUT_MS_MAX).contains(ms));
    let wrong = || bad_parameter("timeout", format!("must be 1 to {TIMEOUT_MS_MAX} milliseconds"));
    said.map(Duration::from_millis).ok_or_else(wrong)
}

/// Returns from which severity on a text does not pass, by the service's name of the category.
fn levels(read: &Read<'_>) -> Result<Vec<(&'static str, u8)>, BadPolicy> {
    let mut levels = Vec::new();
    for (parameter, category) in CATEGORIES {
        let said = read.text(parameter)?.trim();
        if said.is_empty() {
            continue;
        }
        let level = said.parse().ok().filter(|level| *level <= SEVERITY_MAX);
        let wrong = || bad_parameter(parameter, format!("must be 0 to {SEVERITY_MAX}, or not there"));
        levels.push((category, level.ok_or_else(wrong)?));
    }
    if levels.is_empty() {
        return Err(bad_parameter(CATEGORIES[0].0, "must be there, or another category"));
    }
    Ok(levels)
}

/// Parameters, and what the service calls the categories that they are for.
const CATEGORIES: [(&str, &str); 4] = [
    ("hateCategory", "Hate"),
    ("sexualCategory", "Sexual"),
    ("selfHarmCategory", "SelfHarm"),
    ("violenceCategory", "Violence"),
];
/// The worst.
const SEVERITY_MAX: u8 = 7;

/// The version of most of them, the original's.
const VERSION: &str = "v1.0";
const BOTH: &[Flow] = &[Flow::Request, Flow::Response];
const NAME: Parameter = required("name", "Guardrail Name", "What callers are told intervened");
const PLACE: Parameter =
    optional("jsonPath", "JSON Path", "Where the text is in a JSON body; nothing for all of the body", "");
const INVERT: Parameter =
    flag("invert", "Invert the Guardrail Decision", "Whether it is the other texts that pass", "false");
const TELL: Parameter =
    flag("showAssessment", "Show Guardrail Assessment", "Whether callers are told what was asked", "false");

const fn bound(name: &'static str, title: &'static str, description: &'static str) -> Parameter {
    Parameter { kind: "Integer", ..required(name, title, description) }
}

/// A pattern.
pub(super) const PATTERN: Kind = Kind {
    name: "RegexGuardrail",
    version: VERSION,
    title: "Regex Guardrail",
    description: "Lets bodies pass in which an expression is found",
    flows: BOTH,
    parameters: &[NAME, required("regex", "Regex Pattern", "What must be found"), PLACE, INVERT, TELL],
};

/// Words.
pub(super) const WORDS: Kind = Kind {
    name: "WordCountGuardrail",
    version: "v1.1",
    title: "Word Count Guardrail",
    description: "Lets bodies pass that have a number of words",
    flows: BOTH,
    parameters: &[
        NAME,
        bound("min", "Minimum Word Count", "The fewest words"),
        bound("max", "Maximum Word Count", "The most words"),
        PLACE,
        INVERT,
        TELL,
    ],
};

/// Sentences.
pub(super) const SENTENCES: Kind = Kind {
    name: "SentenceCountGuardrail",
    version: VERSION,
    title: "Sentence Count Guardrail",
    description: "Lets bodies pass that have a number of sentences",
    flows: BOTH,
    parameters: &[
        NAME,
        bound("min", "Minimum Sentence Count", "The fewest sentences"),
        bound("max", "Maximum Sentence Count", "The most sentences"),
        PLACE,
        INVERT,
        TELL,
    ],
};

/// Bytes.
pub(super) const BYTES: Kind = Kind {
    name: "ContentLengthGuardrail",
    version: VERSION,
    title: "Content Length Guardrail",
    description: "Lets bodies pass that have a number of bytes",
    flows: BOTH,
    parameters: &[
        NAME,
        bound("min", "Minimum Content Length", "The fewest bytes"),
        bound("max", "Maximum Content Length", "The most bytes"),
        PLACE,
        INVERT,
        TELL,
    ],
};

/// JSON.
pub(super) const SCHEMA: Kind = Kind {
    name: "JSONSchemaGuardrail",
    version: VERSION,
    title: "JSON Schema Guardrail",
    description: "Lets bodies pass that are or hold JSON of a schema",
    flows: BOTH,
    parameters: &[NAME, json("schema", "JSON Schema", "The schema"), PLACE, INVERT, TELL],
};

/// Addresses.
pub(super) const ADDRESSES: Kind = Kind {
    name: "URLGuardrail",
    version: VERSION,
    title: "URL Guardrail",
    description: "Lets bodies pass in which every URL leads somewhere",
    flows: BOTH,
    parameters: &[
        NAME,
        PLACE,
        flag("onlyDNS", "Perform DNS Lookup", "Whether it is enough that the name of each host is known", "false"),
        Parameter {
            kind: "Integer",
            ..optional("timeout", "Connection Timeout", "How long each URL may take, in milliseconds", TIMEOUT_MS)
        },
        TELL,
    ],
};

const fn severity(name: &'static str, title: &'static str) -> Parameter {
    Parameter { kind: "Integer", ..optional(name, title, "From which severity on it does not pass, 0 to 7", "") }
}

/// Harmlessness, as Azure sees it.
pub(super) const HARMLESS: Kind = Kind {
    name: "AzureContentSafetyContentModeration",
    version: VERSION,
    title: "Azure Content Safety Content Moderation",
    description: "Lets bodies pass that Azure Content Safety finds harmless",
    flows: BOTH,
    parameters: &[
        NAME,
        severity(CATEGORIES[0].0, "Hate"),
        severity(CATEGORIES[1].0, "Sexual"),
        severity(CATEGORIES[2].0, "Self Harm"),
        severity(CATEGORIES[3].0, "Violence"),
        PLACE,
        flag(
            "passthroughOnError",
            "Passthrough on Error",
            "Whether bodies pass where the service says nothing",
            "false",
        ),
        TELL,
    ],
};

impl Kind {
    /// Says whether it is a guardrail.
    pub(super) fn is_guardrail(&self) -> bool {
        [PATTERN, WORDS, SENTENCES, BYTES, SCHEMA, ADDRESSES, HARMLESS].contains(self)
    }

    /// Says whether it has a parameter.
    fn has(&self, name: &str) -> bool {
        self.parameters.iter().any(|parameter| parameter.name == name)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::{Applied, Step};
    use super::*;

    fn read(policy: &str, parameters: &[(&str, &str)]) -> Result<Guardrail, String> {
        let parameters: BTreeMap<String, String> =
            parameters.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        let applied = Applied { name: policy.to_owned(), version: "v1".to_owned(), parameters };
        match Step::of(&applied, Flow::Request) {
            Ok(Step::Guard(guardrail)) => Ok(*guardrail),
            Ok(other) => panic!("{other:?}"),
            Err(bad) => Err(bad.place),
        }
    }

    #[test]
    fn a_guardrail_is_read_with_its_defaults_and_refused_by_parameter() {
        let words = read("wordCountGuardrail", &[("name", "w"), ("min", "2"), ("max", "5"), ("jsonPath", "$.a[-1].b")]);
        let words = words.unwrap();
        assert_eq!((words.asked, words.is_inverted, words.tells), (Asked::Words(2, 5), false, false));
        assert_eq!(words.place[1], Part::At(-1));
        let pattern = read("regexGuardrail", &[("name", "r"), ("regex", "(?i)dan"), ("invert", "true")]).unwrap();
        assert_eq!((pattern.asked, pattern.is_inverted), (Asked::Pattern("(?i)dan".to_owned()), true));
        let schema =
            read("JSONSchemaGuardrail", &[("name", "s"), ("schema", "{&quot;type&quot;: &quot;object&quot;}")]);
        assert_eq!(schema.unwrap().asked, Asked::Schema(r#"{"type":"object"}"#.to_owned()), "as portals escape it");
        let addresses = read("URLGuardrail", &[("name", "u"), ("onlyDNS", "true")]).unwrap();
        let timeout = Duration::from_secs(3);
        assert_eq!(addresses.asked, Asked::Addresses { only_names: true, timeout });
        let harmless = read(HARMLESS.name, &[("name", "h"), ("hateCategory", "2"), ("violenceCategory", "4")]).unwrap();
        let levels = vec![("Hate", 2), ("Violence", 4)];
        assert_eq!(harmless.asked, Asked::Harmless { levels, passes_unasked: false });
        for (policy, parameters, place) in [
            ("AzureContentSafetyContentModeration", &[("name", "h")][..], "parameters.hateCategory"),
            (
                "AzureContentSafetyContentModeration",
                &[("name", "h"), ("sexualCategory", "8")],
                "parameters.sexualCategory",
            ),
            ("wordCountGuardrail", &[("name", "w"), ("min", "6"), ("max", "5")], "parameters.max"),
            ("sentenceCountGuardrail", &[("name", "w"), ("min", "few"), ("max", "5")], "parameters.min"),
            ("contentLengthGuardrail", &[("name", ""), ("min", "1"), ("max", "5")], "parameters.name"),
            ("regexGuardrail", &[("name", "r"), ("regex", "(")], "parameters.regex"),
            ("regexGuardrail", &[("name", "r"), ("regex", "x"), ("jsonPath", "$..a")], "parameters.jsonPath"),
            ("JSONSchemaGuardrail", &[("name", "s"), ("schema", "{")], "parameters.schema"),
            ("JSONSchemaGuardrail", &[("name", "s"), ("schema", r#"{"type": 1}"#)], "parameters.schema"),
            ("JSONSchemaGuardrail", &[("name", "s"), ("schema", r#"{"$ref": "http://a/b"}"#)], "parameters.schema"),
            ("URLGuardrail", &[("name", "u"), ("timeout", "0")], "parameters.timeout"),
        ] {
            assert_eq!(read(policy, parameters).unwrap_err(), place);
        }
    }
}
