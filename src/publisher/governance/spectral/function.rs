//! What a rule asks of a value: Spectral's core functions.

use std::borrow::Cow;

use regex::Regex;
use serde_json::Value;

use super::expression::Expressions;
use super::message::beginning_of;
use super::work::Work;

/// A function with its options.
#[derive(Clone, Debug)]
pub(super) enum Function {
    Truthy,
    Falsy,
    Defined,
    Undefined,
    Pattern {
        matches: Option<Regex>,
        not_matches: Option<Regex>,
    },
    Casing {
        pattern: Regex,
        name: String,
    },
    Enumeration(Vec<Value>),
    Length {
        min: Option<f64>,
        max: Option<f64>,
    },
    Alphabetical(Option<String>),
    /// How many of the members there may be, and how many there must be.
    Members {
        names: Vec<String>,
        max: usize,
    },
}

const KNOWN: &str = "truthy, falsy, defined, undefined, pattern, casing, enumeration, length, alphabetical, xor and or";

impl Function {
    /// Reads a function.
    pub(super) fn parse(name: &str, options: &Value, expressions: &mut Expressions) -> Result<Self, String> {
        let texts = |member: &str| -> Result<Vec<String>, String> {
            let items = options[member].as_array().ok_or_else(|| format!("{name} needs the list {member}"))?;
            let texts: Option<Vec<String>> = items.iter().map(|item| item.as_str().map(str::to_owned)).collect();
            texts.ok_or_else(|| format!("{member} of {name} must be texts"))
        };
        Ok(match name {
            "truthy" => Self::Truthy,
            "falsy" => Self::Falsy,
            "defined" => Self::Defined,
            "undefined" => Self::Undefined,
            "pattern" => {
                let mut read = |member: &str| options[member].as_str().map(|text| expressions.read(text)).transpose();
                let (matches, not_matches) = (read("match")?, read("notMatch")?);
                if matches.is_none() && not_matches.is_none() {
                    return Err("pattern needs match or notMatch".to_owned());
                }
                Self::Pattern { matches, not_matches }
            }
            "casing" => casing(options, expressions)?,
            "enumeration" => {
                let values = options["values"].as_array().ok_or("enumeration needs the list values")?;
                Self::Enumeration(values.clone())
            }
            "length" => Self::Length { min: options["min"].as_f64(), max: options["max"].as_f64() },
            "alphabetical" => Self::Alphabetical(options["keyedBy"].as_str().map(str::to_owned)),
            "xor" => Self::Members { names: texts("properties")?, max: 1 },
            "or" => Self::Members { names: texts("properties")?, max: usize::MAX },
            other => return Err(format!("the function {other} is not served; {KNOWN} are")),
        })
    }

    /// Returns the steps that it takes to look at a value.
    pub(super) fn steps(&self, value: Option<&Value>) -> usize {
        let own = match (self, value) {
            (Self::Enumeration(values), _) => values.len(),
            (Self::Members { names, .. }, _) => names.len(),
            (Self::Alphabetical(_), Some(Value::Array(items))) => items.len(),
            (Self::Alphabetical(_), Some(Value::Object(map))) => map.len(),
            _ => 0,
        };
        own + value.and_then(Value::as_str).map_or(1, Work::of_text)
    }

    /// Returns what is wrong with a value, if anything; `None` is a value that is not there.
    pub(super) fn fault(&self, value: Option<&Value>) -> Option<String> {
        let is_truthy = value.is_some_and(|value| match value {
            Value::Null | Value::Bool(false) => false,
            Value::Number(number) => number.as_f64() != Some(0.0),
            Value::String(text) => !text.is_empty(),
            _ => true,
        });
        let text = || value.and_then(Value::as_str);
        let fault = |is_wrong: bool, reason: String| is_wrong.then_some(reason);
        match self {
            Self::Truthy => fault(!is_truthy, "must be there and not be empty".to_owned()),
            Self::Falsy => fault(is_truthy, "must not be there, or be empty".to_owned()),
            Self::Defined => fault(value.is_none(), "must be there".to_owned()),
            Self::Undefined => fault(value.is_some(), "must not be there".to_owned()),
            Self::Pattern { matches, not_matches } => {
                let text = text()?;
                let misses = matches.as_ref().filter(|pattern| !pattern.is_match(text));
                let hits = not_matches.as_ref().filter(|pattern| pattern.is_match(text));
                let misses = misses.map(|pattern| format!("must match {pattern}"));
                misses.or_else(|| hits.map(|pattern| format!("must not match {pattern}")))
            }
            Self::Casing { pattern, name } => {
                let text = text()?;
                fault(!text.is_empty() && !pattern.is_match(text), format!("must be {name} case"))
            }
            Self::Enumeration(values) => {
                let value = value?;
                fault(!values.contains(value), format!("must be one of {}", Value::from(values.clone())))
            }
            Self::Length { min, max } => {
                let length = length_of(value?)?;
                let short = min.filter(|min| length < *min).map(|min| format!("must be {min} or longer"));
                short.or_else(|| max.filter(|max| length > *max).map(|max| format!("must be {max} or shorter")))
            }
            Self::Alphabetical(key) => {
                let keys: Vec<Cow<'_, str>> = match value? {
                    Value::Object(map) => map.keys().map(|key| Cow::Borrowed(key.as_str())).collect(),
                    Value::Array(items) => {
                        items.iter().map(|item| text_of(key.as_ref().map_or(item, |key| &item[key.as_str()]))).collect()
                    }
                    _ => return None,
                };
                fault(!keys.is_sorted(), "must be in alphabetical order".to_owned())
            }
            Self::Members { names, max } => {
                let object = value?.as_object()?;
                let count = names.iter().filter(|name| object.contains_key(*name)).count();
                let how = if *max == 1 { "exactly one" } else { "one or more" };
                fault(count == 0 || count > *max, format!("must have {how} of {}", names.join(", ")))
            }
        }
    }
}

fn text_of(value: &Value) -> Cow<'_, str> {
    value.as_str().map_or_else(|| Cow::Owned(beginning_of(value)), Cow::Borrowed)
}

#[allow(clippy::cast_precision_loss, reason = "lengths are small")]
fn length_of(value: &Value) -> Option<f64> {
    match value {
        Value::String(text) => Some(text.chars().count() as f64),
        Value::Array(items) => Some(items.len() as f64),
        Value::Object(map) => Some(map.len() as f64),
        Value::Number(number) => number.as_f64(),
        _ => None,
    }
}

fn casing(options: &Value, expressions: &mut Expressions) -> Result<Function, String> {
    let name = options["type"].as_str().ok_or("casing needs a type")?;
    let has_digits = options["disallowDigits"] != Value::Bool(true);
    let (small, large) = if has_digits { ("[a-z0-9]", "[A-Z0-9]") } else { ("[a-z]", "[A-Z]") };
    let mixed = if has_digits { "[A-Za-z0-9]" } else { "[A-Za-z]" };
    let word = match name {
        "flat" => format!("[a-z]{small}*"),
        "camel" => format!("[a-z]{mixed}*"),
        "pascal" => format!("[A-Z]{mixed}*"),
        "kebab" => format!("[a-z]{small}*(-{small}+)*"),
        "cobol" => format!("[A-Z]{large}*(-{large}+)*"),
        "snake" => format!("[a-z]{small}*(_{small}+)*"),
        "macro" => format!("[A-Z]{large}*(_{large}+)*"),
        other => {
            return Err(format!(
                "casing has the type {other}; flat, camel, pascal, kebab, cobol, snake and macro are known"
            ));
        }
    };
    let separator = &options["separator"];
    let pattern = match separator["char"].as_str() {
        None => format!("^{word}$"),
        Some(between) => {
            let between = regex::escape(between);
            let leading = if separator["allowLeading"] == Value::Bool(true) { "?" } else { "{0}" };
            format!("^(?:{between}){leading}(?:{word}(?:{between}{word})*)?$")
        }
    };
    let pattern = expressions.compile(&pattern, "")?;
    Ok(Function::Casing { pattern, name: name.to_owned() })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn functions_find_what_is_wrong_and_let_the_rest_pass() {
        let is_wrong = |name: &str, options: Value, value: Option<Value>| {
            Function::parse(name, &options, &mut Expressions::default()).unwrap().fault(value.as_ref()).is_some()
        };
        for (name, options, wrong, right) in [
            ("truthy", json!({}), Some(json!("")), Some(json!("a"))),
            ("falsy", json!({}), Some(json!("a")), None),
            ("defined", json!({}), None, Some(json!(null))),
            ("undefined", json!({}), Some(json!(1)), None),
            ("pattern", json!({"match": "/^a/i"}), Some(json!("b")), Some(json!("A"))),
            ("pattern", json!({"notMatch": "b$"}), Some(json!("ab")), Some(json!("ba"))),
            ("casing", json!({"type": "kebab"}), Some(json!("aB")), Some(json!("a-b2"))),
            ("casing", json!({"type": "pascal"}), Some(json!("aB")), Some(json!("AbC"))),
            (
                "casing",
                json!({"type": "kebab", "separator": {"char": "/", "allowLeading": true}}),
                Some(json!("/a_b")),
                Some(json!("/a-b/c")),
            ),
            ("enumeration", json!({"values": ["a", 1]}), Some(json!("b")), Some(json!(1))),
            ("length", json!({"min": 2, "max": 3}), Some(json!([1])), Some(json!("abc"))),
            ("alphabetical", json!({"keyedBy": "n"}), Some(json!([{"n": "b"}, {"n": "a"}])), Some(json!([{"n": "a"}]))),
            ("xor", json!({"properties": ["a", "b"]}), Some(json!({"a": 1, "b": 1})), Some(json!({"a": 1}))),
            ("or", json!({"properties": ["a", "b"]}), Some(json!({})), Some(json!({"a": 1, "b": 1}))),
        ] {
            assert!(is_wrong(name, options.clone(), wrong.clone()), "{name} {options} {wrong:?}");
            assert!(!is_wrong(name, options.clone(), right.clone()), "{name} {options} {right:?}");
        }
        for (name, options) in
            [("oasExample", json!({})), ("pattern", json!({"match": "("})), ("casing", json!({"type": "odd"}))]
        {
            assert!(Function::parse(name, &options, &mut Expressions::default()).is_err(), "{name}");
        }
    }
}
