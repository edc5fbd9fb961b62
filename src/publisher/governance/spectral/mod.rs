//! Spectral's rulesets: rules about a document, each with the places it looks at and what it asks of what is there. A
//! ruleset is read whole before it is kept; what of it is not served is refused with the rule's name.

mod filter;
mod function;
mod path;

use serde_json::{Map, Value};

use self::function::Function;
use self::path::Path;
use crate::fault::{FieldFault, PublisherError};
use crate::openapi::document::parse_text;

/// Rules of one ruleset.
const RULES_MAX: usize = 500;
/// Violations of one rule that are told.
const VIOLATIONS_MAX: usize = 100;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    Error,
    Warn,
    Info,
}

impl Severity {
    pub(crate) const ALL: [Self; 3] = [Self::Error, Self::Warn, Self::Info];

    pub(crate) fn as_contract(self) -> &'static str {
        match self {
            Self::Error => "ERROR",
            Self::Warn => "WARN",
            Self::Info => "INFO",
        }
    }
}

/// A ruleset that was read.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) rules: Vec<Rule>,
}

/// A rule.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) name: String,
    pub(crate) severity: Severity,
    message: String,
    given: Vec<Path>,
    then: Vec<(Option<String>, Function)>,
}

/// A place at which a rule is not kept to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    /// The rule's name.
    pub(crate) rule: String,
    pub(crate) severity: Severity,
    /// The keys that lead there, with dots.
    pub(crate) path: String,
    pub(crate) message: String,
}

impl Rules {
    /// Reads a ruleset, JSON or YAML.
    ///
    /// # Errors
    /// All that is not served of it, by rule.
    pub(crate) fn parse(text: &str) -> Result<Self, PublisherError> {
        let whole = |reason: &str| PublisherError::field("rulesetContent", reason);
        let value = parse_text(text).map_err(|error| whole(&error.to_string()))?;
        if value.get("extends").is_some_and(|extends| !extends.is_null()) {
            return Err(whole("extends another ruleset, which is not served: put its rules in here"));
        }
        let rules = value.get("rules").and_then(Value::as_object).filter(|rules| !rules.is_empty());
        let rules = rules.ok_or_else(|| whole("must hold an object `rules` with at least one rule"))?;
        if rules.len() > RULES_MAX {
            return Err(whole(&format!("has {} rules; at most {RULES_MAX} are accepted", rules.len())));
        }
        let none = Map::new();
        let aliases = value.get("aliases").and_then(Value::as_object).unwrap_or(&none);
        let (mut read, mut faults) = (Vec::new(), Vec::new());
        for (name, rule) in rules {
            match Rule::parse(name, rule, aliases) {
                Ok(rule) => read.extend(rule),
                Err(reason) => faults.push(FieldFault::new(format!("rulesetContent.rules.{name}"), reason)),
            }
        }
        if faults.is_empty() { Ok(Self { rules: read }) } else { Err(PublisherError::Fields(faults)) }
    }

    /// Returns where a document does not keep to them.
    pub(crate) fn judge(&self, document: &Value) -> Vec<Violation> {
        self.rules.iter().flat_map(|rule| rule.judge(document)).collect()
    }
}

impl Rule {
    /// Reads a rule; `None` for one that is off.
    fn parse(name: &str, rule: &Value, aliases: &Map<String, Value>) -> Result<Option<Self>, String> {
        let severity = match &rule["severity"] {
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
        };
        let mut given = Vec::new();
        for path in one_or_many(&rule["given"]) {
            let path = path.as_str().ok_or("given must be paths")?;
            for path in with_alias(path, aliases)? {
                given.push(Path::parse(&path)?);
            }
        }
        let mut then = Vec::new();
        for one in one_or_many(&rule["then"]) {
            let function = one["function"].as_str().ok_or("then must name a function")?;
            let field = one["field"].as_str().map(str::to_owned);
            then.push((field, Function::parse(function, &one["functionOptions"])?));
        }
        if given.is_empty() || then.is_empty() {
            return Err("must have given and then".to_owned());
        }
        let text = |member: &str| rule[member].as_str().filter(|text| !text.is_empty());
        let message = text("message").or_else(|| text("description")).unwrap_or("{{error}}").to_owned();
        Ok(Some(Self { name: name.to_owned(), severity, message, given, then }))
    }

    fn judge(&self, document: &Value) -> Vec<Violation> {
        let mut violations = Vec::new();
        for found in self.given.iter().flat_map(|path| path.find(document)) {
            let value = found.value();
            for (field, function) in &self.then {
                for (place, seen) in looked_at(&value, field.as_deref()) {
                    let Some(error) = function.fault(seen.as_ref()) else { continue };
                    if violations.len() >= VIOLATIONS_MAX {
                        return violations;
                    }
                    let place: Vec<&str> = found.place.iter().map(String::as_str).chain(place.as_deref()).collect();
                    violations.push(self.violation(&place, &error, seen.as_ref()));
                }
            }
        }
        violations
    }

    fn violation(&self, place: &[&str], error: &str, seen: Option<&Value>) -> Violation {
        let path = place.join(".");
        let property = place.last().copied().unwrap_or_default();
        let value = seen.map(|seen| seen.as_str().map_or_else(|| seen.to_string(), str::to_owned)).unwrap_or_default();
        let value: String = value.chars().take(200).collect();
        let message = [
            ("{{error}}", error),
            ("{{path}}", path.as_str()),
            ("{{property}}", property),
            ("{{value}}", value.as_str()),
        ]
        .into_iter()
        .fold(self.message.clone(), |message, (mark, text)| message.replace(mark, text));
        Violation { rule: self.name.clone(), severity: self.severity, path, message }
    }
}

fn one_or_many(value: &Value) -> &[Value] {
    match value {
        Value::Null => &[],
        Value::Array(items) => items,
        one => std::slice::from_ref(one),
    }
}

/// Puts the paths of an alias (`#Name`) in its place.
fn with_alias(path: &str, aliases: &Map<String, Value>) -> Result<Vec<String>, String> {
    let Some(rest) = path.strip_prefix('#') else { return Ok(vec![path.to_owned()]) };
    let end = rest.find(|one: char| !one.is_alphanumeric() && !"-_".contains(one)).unwrap_or(rest.len());
    let (name, behind) = rest.split_at(end);
    let paths = aliases.get(name).map(one_or_many).unwrap_or_default();
    let paths: Vec<String> = paths.iter().filter_map(Value::as_str).map(|path| format!("{path}{behind}")).collect();
    if paths.is_empty() || paths.iter().any(|path| path.starts_with('#')) {
        return Err(format!("the alias {name} has no paths that are understood"));
    }
    Ok(paths)
}

/// Returns what a function looks at: the value, its key, each of its keys, or a member.
fn looked_at(value: &Value, field: Option<&str>) -> Vec<(Option<String>, Option<Value>)> {
    match field {
        None => vec![(None, Some(value.clone()))],
        Some("@key") => {
            let keys = value.as_object().into_iter().flatten().map(|(key, _)| key.clone());
            keys.map(|key| (Some(key.clone()), Some(Value::String(key)))).collect()
        }
        Some(field) => {
            let member = field.split('.').try_fold(value, |value, name| value.get(name));
            vec![(Some(field.to_owned()), member.cloned())]
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_ruleset_finds_what_does_not_keep_to_it() {
        let rules = Rules::parse(
            "aliases:\n  Operation:\n  - $.paths[*][get,post]\nrules:\n  has-summary:\n    message: '{{property}}: {{error}} ({{path}})'\n    severity: error\n    given: '#Operation'\n    then:\n      field: summary\n      function: truthy\n  kebab:\n    given: $.paths\n    then:\n      field: '@key'\n      function: pattern\n      functionOptions:\n        match: ^/[a-z-]+$\n  never:\n    severity: off\n    given: $\n    then:\n      function: falsy\n",
        )
        .unwrap();
        let violations = rules.judge(&json!({"paths": {"/Menu": {"get": {"summary": "x"}, "post": {}}}}));
        let told: Vec<_> = violations.iter().map(|one| (&*one.rule, one.severity, &*one.path)).collect();
        assert_eq!(
            told,
            [("has-summary", Severity::Error, "paths./Menu.post.summary"), ("kebab", Severity::Warn, "paths./Menu")]
        );
        assert!(violations[0].message.starts_with("summary: must be there"), "{}", violations[0].message);
    }

    #[test]
    fn what_is_not_served_is_refused_with_the_rules_name() {
        for (text, word) in [
            ("rules: {a: {given: $, then: {function: oasSchema}}}", "rules.a"),
            ("rules: {a: {given: $, then: {function: truthy}, severity: fatal}}", "fatal"),
            ("rules: {a: {given: '#None', then: {function: truthy}}}", "None"),
            ("extends: spectral:oas\nrules: {}", "extends"),
            ("rules: {}", "at least one"),
            ("rules: [", "YAML"),
        ] {
            let refused = Rules::parse(text).unwrap_err().to_string();
            assert!(refused.contains(word), "{text}: {refused}");
        }
    }
}
