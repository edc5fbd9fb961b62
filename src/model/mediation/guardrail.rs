//! Guardrails: policies that let a body pass only if what is said in it is as it should be. Names of parameters are the
//! original's.

use super::step::{Kind, Parameter, optional, required};
use super::threat::PATTERN_BYTES_MAX;
use super::{BadPolicy, Flow};
use crate::ai::{Part, parts_of};

const NAME_CHARS_MAX: usize = 255;

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
        }
    }
}

/// A policy of this kind whose parameters are read.
pub(super) struct Reading<'a> {
    pub(super) policy: &'a str,
    pub(super) text: &'a dyn Fn(&str) -> Result<String, BadPolicy>,
}

impl Reading<'_> {
    pub(super) fn read(&self) -> Result<Guardrail, BadPolicy> {
        let name = (self.text)("name")?.trim().to_owned();
        let chars = name.chars().count();
        if chars == 0 || chars > NAME_CHARS_MAX || name.chars().any(char::is_control) {
            return Err(bad("name", format!("must have 1 to {NAME_CHARS_MAX} visible characters")));
        }
        let asked = match self.policy {
            _ if self.policy == PATTERN.name => Asked::Pattern(self.pattern()?),
            _ if self.policy == WORDS.name => self.bounds(Asked::Words)?,
            _ if self.policy == SENTENCES.name => self.bounds(Asked::Sentences)?,
            _ => self.bounds(Asked::Bytes)?,
        };
        let path = (self.text)("jsonPath")?;
        let place = match path.trim() {
            "" => Vec::new(),
            path => parts_of(path).ok_or_else(|| {
                bad("jsonPath", format!("`{path}` is no path of names and numbers, such as $.messages[-1].content"))
            })?,
        };
        Ok(Guardrail { name, asked, place, is_inverted: self.flag("invert")?, tells: self.flag("showAssessment")? })
    }

    fn pattern(&self) -> Result<String, BadPolicy> {
        let pattern = (self.text)("regex")?;
        let compiled = regex::RegexBuilder::new(&pattern).size_limit(PATTERN_BYTES_MAX).build();
        compiled.map_err(|error| bad("regex", format!("is not a regular expression that is served: {error}")))?;
        Ok(pattern)
    }

    fn bounds(&self, asked: fn(u64, u64) -> Asked) -> Result<Asked, BadPolicy> {
        let bound = |name: &str| {
            let said = (self.text)(name)?;
            said.trim().parse().map_err(|_| bad(name, "must be a whole number of at least 0"))
        };
        let (min, max) = (bound("min")?, bound("max")?);
        if min > max {
            return Err(bad("max", format!("is {max}, which is less than min, {min}")));
        }
        Ok(asked(min, max))
    }

    fn flag(&self, name: &str) -> Result<bool, BadPolicy> {
        (self.text)(name)?.parse().map_err(|_| bad(name, "must be true or false"))
    }
}

fn bad(name: &str, reason: impl Into<String>) -> BadPolicy {
    BadPolicy { place: format!("parameters.{name}"), reason: reason.into() }
}

const BOTH: &[Flow] = &[Flow::Request, Flow::Response];
const NAME: Parameter = required("name", "Guardrail Name", "What callers are told intervened");
const PLACE: Parameter =
    optional("jsonPath", "JSON Path", "Where the text is in a JSON body; nothing for all of the body", "");
const INVERT: Parameter = flag("invert", "Invert the Guardrail Decision", "Whether it is the other texts that pass");
const TELL: Parameter = flag("showAssessment", "Show Guardrail Assessment", "Whether callers are told what was asked");

const fn flag(name: &'static str, title: &'static str, description: &'static str) -> Parameter {
    Parameter { kind: "Boolean", ..optional(name, title, description, "false") }
}

const fn bound(name: &'static str, title: &'static str, description: &'static str) -> Parameter {
    Parameter { kind: "Integer", ..required(name, title, description) }
}

/// A pattern.
pub(super) const PATTERN: Kind = Kind {
    name: "regexGuardrail",
    title: "Regex Guardrail",
    description: "Lets bodies pass in which an expression is found",
    flows: BOTH,
    parameters: &[NAME, required("regex", "Regex Pattern", "What must be found"), PLACE, INVERT, TELL],
};

/// Words.
pub(super) const WORDS: Kind = Kind {
    name: "wordCountGuardrail",
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
    name: "sentenceCountGuardrail",
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
    name: "contentLengthGuardrail",
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

impl Kind {
    /// Says whether it is a guardrail.
    pub(super) fn is_guardrail(&self) -> bool {
        [PATTERN.name, WORDS.name, SENTENCES.name, BYTES.name].contains(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::{Applied, Step, VERSION};
    use super::*;

    fn read(policy: &str, parameters: &[(&str, &str)]) -> Result<Guardrail, String> {
        let parameters: BTreeMap<String, String> =
            parameters.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        let applied = Applied { name: policy.to_owned(), version: VERSION.to_owned(), parameters };
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
        for (policy, parameters, place) in [
            ("wordCountGuardrail", &[("name", "w"), ("min", "6"), ("max", "5")][..], "parameters.max"),
            ("sentenceCountGuardrail", &[("name", "w"), ("min", "few"), ("max", "5")], "parameters.min"),
            ("contentLengthGuardrail", &[("name", ""), ("min", "1"), ("max", "5")], "parameters.name"),
            ("regexGuardrail", &[("name", "r"), ("regex", "(")], "parameters.regex"),
            ("regexGuardrail", &[("name", "r"), ("regex", "x"), ("jsonPath", "$..a")], "parameters.jsonPath"),
        ] {
            assert_eq!(read(policy, parameters).unwrap_err(), place);
        }
    }
}
