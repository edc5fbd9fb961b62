//! Reads rulesets: what is not served of one, and what is too much, is refused with the rule's name.

use std::sync::Arc;

use portcullis_model::asset::ASSET_BYTES_MAX;
use serde_json::{Map, Value};

use super::expression::{COMPILED_BYTES_MAX, Expressions};
use super::format::Format;
use super::function::Function;
use super::message::joined;
use super::path::Path;
use super::{Rule, Rules, Severity};
use crate::fault::{FieldFault, PublisherError};
use crate::openapi::document::parse_text;

/// Rules of one ruleset.
const RULES_MAX: usize = 500;
/// Characters of a rule's name.
const NAME_CHARS_MAX: usize = 256;
/// Items of `given` and of `then` of one rule, aliases of one ruleset, and paths of one alias.
const ITEMS_MAX: usize = 100;
/// Paths of one rule when its aliases are put in.
const RULE_PATHS_MAX: usize = 1_000;
/// Paths of one ruleset when its aliases are put in.
const PATHS_MAX: usize = 10_000;
/// Characters of one path.
const PATH_CHARS_MAX: usize = 1_000;
/// Faults that are told at a time, and characters of each.
const FAULTS_MAX: usize = 100;
const FAULT_CHARS_MAX: usize = 1_000;

fn whole(reason: impl Into<String>) -> PublisherError {
    PublisherError::field("rulesetContent", reason)
}

/// Refuses content that is too large.
///
/// # Errors
/// How large it may be.
pub(crate) fn check_size(text: &str) -> Result<(), PublisherError> {
    if text.len() <= ASSET_BYTES_MAX {
        return Ok(());
    }
    Err(whole(format!("has {} bytes; at most {ASSET_BYTES_MAX} are accepted: split the ruleset", text.len())))
}

impl Rules {
    /// Reads a ruleset, JSON or YAML. This takes long for a large one: not on a thread that serves others.
    ///
    /// # Errors
    /// All that is not served of it, by rule.
    pub(crate) fn parse(text: &str) -> Result<Self, PublisherError> {
        check_size(text)?;
        let value = parse_text(text).map_err(|error| whole(error.to_string()))?;
        let is_there = |member: &str| value.get(member).is_some_and(|one| !one.is_null());
        if is_there("extends") {
            return Err(whole("extends another ruleset, which is not served: put its rules in here"));
        }
        if is_there("overrides") {
            return Err(whole(
                "has overrides, which are not served: put rules for other APIs into a ruleset of their own",
            ));
        }
        let rules = value.get("rules").and_then(Value::as_object).filter(|rules| !rules.is_empty());
        let rules = rules.ok_or_else(|| whole("must hold an object `rules` with at least one rule"))?;
        if rules.len() > RULES_MAX {
            return Err(whole(format!("has {} rules; at most {RULES_MAX} are accepted", rules.len())));
        }
        let none = Map::new();
        let mut reader = Reader {
            aliases: value.get("aliases").and_then(Value::as_object).unwrap_or(&none),
            formats: Format::read(&value["formats"]).map_err(whole)?,
            expressions: Expressions::default(),
            paths: 0,
        };
        reader.check_aliases().map_err(whole)?;
        let (mut read, mut faults) = (Vec::new(), Vec::new());
        for (name, rule) in rules {
            match reader.rule(name, rule) {
                Ok(rule) => read.extend(rule),
                Err(reason) => {
                    let place = format!("rulesetContent.rules.{}", joined([name.as_str()], NAME_CHARS_MAX));
                    faults.push(FieldFault::new(place, joined([reason.as_str()], FAULT_CHARS_MAX)));
                }
            }
            if faults.len() >= FAULTS_MAX {
                break;
            }
        }
        let bytes = text.len() + reader.expressions.count * COMPILED_BYTES_MAX;
        if faults.is_empty() { Ok(Self { rules: read, bytes }) } else { Err(PublisherError::Fields(faults)) }
    }
}

/// Reads the rules of one ruleset.
struct Reader<'v> {
    aliases: &'v Map<String, Value>,
    /// Those of rules that say none.
    formats: Option<Vec<Format>>,
    expressions: Expressions,
    paths: usize,
}

impl Reader<'_> {
    fn check_aliases(&self) -> Result<(), String> {
        if self.aliases.len() > ITEMS_MAX {
            return Err(format!("has {} aliases; at most {ITEMS_MAX} are accepted", self.aliases.len()));
        }
        for (name, paths) in self.aliases {
            let name = joined([name.as_str()], NAME_CHARS_MAX);
            bounded(paths).map_err(|reason| format!("the alias {name} {reason}"))?;
        }
        Ok(())
    }

    /// Reads a rule; `None` for one that is off.
    fn rule(&mut self, name: &str, rule: &Value) -> Result<Option<Rule>, String> {
        if name.chars().count() > NAME_CHARS_MAX {
            return Err(format!("its name may have at most {NAME_CHARS_MAX} characters"));
        }
        let Some(severity) = severity_of(&rule["severity"])? else { return Ok(None) };
        if rule["resolved"] == Value::Bool(false) {
            return Err("resolved: false is not served: leave it out".to_owned());
        }
        let formats = Format::read(&rule["formats"])?.or_else(|| self.formats.clone());
        let given = self.given(&rule["given"])?;
        let mut then = Vec::new();
        for one in bounded(&rule["then"]).map_err(|reason| format!("then {reason}"))? {
            let function = one["function"].as_str().ok_or("then must name a function")?;
            let field = one["field"].as_str().map(str::to_owned);
            then.push((field, Function::parse(function, &one["functionOptions"], &mut self.expressions)?));
        }
        if given.is_empty() || then.is_empty() {
            return Err("must have given and then".to_owned());
        }
        let text = |member: &str| rule[member].as_str().filter(|text| !text.is_empty());
        let message = text("message").or_else(|| text("description")).unwrap_or("{{error}}").to_owned();
        Ok(Some(Rule { name: Arc::from(name), severity, formats, message, given, then }))
    }

    fn given(&mut self, given: &Value) -> Result<Vec<Path>, String> {
        let mut read = Vec::new();
        for path in bounded(given).map_err(|reason| format!("given {reason}"))? {
            let path = path.as_str().ok_or("given must be paths")?;
            for path in with_alias(path, self.aliases)? {
                self.paths += 1;
                if read.len() >= RULE_PATHS_MAX || self.paths > PATHS_MAX {
                    return Err(format!(
                        "has too many paths when its aliases are put in: {RULE_PATHS_MAX} for a rule and {PATHS_MAX} for a ruleset are accepted"
                    ));
                }
                if path.chars().count() > PATH_CHARS_MAX {
                    return Err(format!("has a path of more than {PATH_CHARS_MAX} characters"));
                }
                read.push(Path::parse(&path, &mut self.expressions)?);
            }
        }
        Ok(read)
    }
}

fn severity_of(value: &Value) -> Result<Option<Severity>, String> {
    Ok(Some(match value {
        Value::Null => Severity::Warn,
        Value::Number(number) => match number.as_u64() {
            Some(0) => Severity::Error,
            Some(1) => Severity::Warn,
            Some(2 | 3) => Severity::Info,
            _ => return Err("severity must be 0 to 3".to_owned()),
        },
        Value::String(text) => match text.as_str() {
            "error" => Severity::Error,
            "warn" => Severity::Warn,
            "info" | "hint" => Severity::Info,
            "off" => return Ok(None),
            _ => return Err(format!("severity is {text}; error, warn, info, hint and off are possible")),
        },
        _ => return Err("severity must be a text or a number".to_owned()),
    }))
}

pub(super) fn one_or_many(value: &Value) -> &[Value] {
    match value {
        Value::Null => &[],
        Value::Array(items) => items,
        one => std::slice::from_ref(one),
    }
}

fn bounded(value: &Value) -> Result<&[Value], String> {
    let items = one_or_many(value);
    if items.len() > ITEMS_MAX {
        return Err(format!("has {} items; at most {ITEMS_MAX} are accepted", items.len()));
    }
    Ok(items)
}

/// Puts the paths of an alias (`#Name`) in its place. An alias of aliases is not served.
fn with_alias(path: &str, aliases: &Map<String, Value>) -> Result<Vec<String>, String> {
    let Some(rest) = path.strip_prefix('#') else { return Ok(vec![path.to_owned()]) };
    let end = rest.find(|one: char| !one.is_alphanumeric() && !"-_".contains(one)).unwrap_or(rest.len());
    let (name, behind) = rest.split_at(end);
    // Before they are made: each may become as long as the text that follows the alias.
    if behind.chars().count() > PATH_CHARS_MAX {
        return Err(format!("has a path of more than {PATH_CHARS_MAX} characters"));
    }
    let paths = aliases.get(name).map(one_or_many).unwrap_or_default();
    let paths: Vec<String> = paths.iter().filter_map(Value::as_str).map(|path| format!("{path}{behind}")).collect();
    if paths.iter().any(|path| path.starts_with('#')) {
        return Err(format!("the alias {name} is made of another alias, which is not served: put its paths in"));
    }
    if paths.is_empty() {
        return Err(format!("the alias {name} has no paths that are understood"));
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_served_is_refused_with_the_rules_name() {
        for (text, word) in [
            ("rules: {a: {given: $, then: {function: oasSchema}}}", "rules.a"),
            ("rules: {a: {given: $, then: {function: truthy}, severity: fatal}}", "fatal"),
            ("rules: {a: {given: '#None', then: {function: truthy}}}", "None"),
            ("extends: spectral:oas\nrules: {}", "extends"),
            ("overrides: [{files: ['*']}]\nrules: {a: {given: $, then: {function: truthy}}}", "overrides"),
            ("rules: {a: {given: $, resolved: false, then: {function: truthy}}}", "rules.a: resolved"),
            ("rules: {a: {given: $, formats: [asyncapi2], then: {function: truthy}}}", "asyncapi2"),
            ("formats: [arazzo]\nrules: {a: {given: $, then: {function: truthy}}}", "arazzo"),
            ("aliases: {A: ['#B'], B: [$]}\nrules: {a: {given: '#A', then: {function: truthy}}}", "another alias"),
            ("rules: {}", "at least one"),
            ("rules: [", "YAML"),
        ] {
            let refused = Rules::parse(text).unwrap_err().to_string();
            assert!(refused.contains(word), "{text}: {refused}");
        }
    }

    #[test]
    fn what_is_too_much_is_refused_with_the_rules_name() {
        let truthy = json!({"function": "truthy"});
        let one = |given: Value, then: Value, aliases: Value| json!({"aliases": aliases, "rules": {"large": {"given": given, "then": then}}});
        let patterns: Vec<Value> = (0..100)
            .map(|_| json!({"function": "pattern", "functionOptions": {"match": "a", "notMatch": "b"}}))
            .collect();
        let pattern = json!({"function": "pattern", "functionOptions": {"match": r"\w{1000}"}});
        let mut many = one(json!("$"), json!(patterns), json!({}));
        assert!(Rules::parse(&many.to_string()).is_ok());
        many["rules"]["one more"] =
            json!({"given": "$", "then": {"function": "casing", "functionOptions": {"type": "flat"}}});
        for (ruleset, words) in [
            (one(json!(vec!["$"; 101]), truthy.clone(), json!({})), "rules.large: given has 101"),
            (one(json!("$"), json!(vec![truthy.clone(); 101]), json!({})), "rules.large: then has 101"),
            (one(json!("$"), truthy.clone(), json!({"A": vec!["$"; 101]})), "alias A has 101"),
            (one(json!(vec!["#A"; 11]), truthy.clone(), json!({"A": vec!["$"; 100]})), "rules.large: has too many"),
            (one(json!("$.a".repeat(400)), truthy, json!({})), "rules.large: has a path"),
            (one(json!("$"), pattern, json!({})), "rules.large: "),
            (many, "rules.one more: is one regular"),
            (json!({"rules": {"a": "x".repeat(ASSET_BYTES_MAX)}}), "bytes; at most"),
        ] {
            let refused = Rules::parse(&ruleset.to_string()).unwrap_err().to_string();
            assert!(refused.contains(words), "{words}: {refused}");
        }
    }
}
