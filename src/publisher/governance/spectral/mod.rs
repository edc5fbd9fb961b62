//! Spectral's rulesets: rules about a document, each with the places it looks at and what it asks of what is there. A
//! ruleset is read whole before it is kept; what of it is not served is refused with the rule's name.

mod expression;
mod filter;
mod find;
mod format;
mod function;
mod message;
mod path;
mod read;
mod work;

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::Value;

use self::find::Found;
use self::format::Format;
use self::function::Function;
use self::message::{PATH_CHARS_MAX, beginning_of, filled, joined};
use self::path::Path;
pub(crate) use self::read::check_size;
pub(crate) use self::work::Work;
use self::work::{RULE_STEPS_MAX, TooCostly};

/// Violations of one rule that are told.
const VIOLATIONS_MAX: usize = 100;
/// Steps that telling a violation counts for.
const VIOLATION_STEPS: usize = 100;

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
    /// About how much memory it takes.
    pub(crate) bytes: usize,
}

/// A rule.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) name: Arc<str>,
    pub(crate) severity: Severity,
    /// The kinds of documents that it is for; `None` for all.
    formats: Option<Vec<Format>>,
    message: String,
    given: Vec<Path>,
    then: Vec<(Option<String>, Function)>,
}

/// A place at which a rule is not kept to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    /// The rule's name.
    pub(crate) rule: Arc<str>,
    pub(crate) severity: Severity,
    /// The keys that lead there, with dots.
    pub(crate) path: String,
    pub(crate) message: String,
}

impl Rules {
    /// Returns where a document does not keep to them.
    pub(crate) fn judge(&self, document: &Value, work: &mut Work) -> Vec<Violation> {
        self.rules.iter().flat_map(|rule| rule.judge(document, work)).collect()
    }
}

impl Rule {
    /// A rule that cannot be evaluated to its end is not kept to: nothing gets past a policy by being large.
    fn judge(&self, document: &Value, work: &mut Work) -> Vec<Violation> {
        let mut violations = Vec::new();
        let is_for = |formats: &Vec<Format>| formats.iter().any(|format| format.is_of(document));
        if !self.formats.as_ref().is_none_or(is_for) {
            return violations;
        }
        work.begin_rule();
        if self.look(document, work, &mut violations).is_err() {
            let message = format!(
                "The rule was not evaluated to its end: it takes more than {RULE_STEPS_MAX} steps on this document, or all rules take too many. Look at fewer places."
            );
            violations.push(Violation {
                rule: Arc::clone(&self.name),
                severity: self.severity,
                path: String::new(),
                message,
            });
        }
        violations
    }

    fn look(&self, document: &Value, work: &mut Work, violations: &mut Vec<Violation>) -> Result<(), TooCostly> {
        for path in &self.given {
            for found in path.find(document, work)? {
                let value = found.value();
                for (field, function) in &self.then {
                    for (name, seen) in looked_at(&value, field.as_deref()) {
                        let seen = seen.as_deref();
                        work.spend(function.steps(seen))?;
                        let Some(error) = function.fault(seen) else { continue };
                        if violations.len() >= VIOLATIONS_MAX {
                            return Ok(());
                        }
                        work.spend(VIOLATION_STEPS)?;
                        violations.push(self.violation(&found, name, &error, seen));
                    }
                }
            }
        }
        Ok(())
    }

    fn violation(&self, found: &Found<'_>, name: Option<&str>, error: &str, seen: Option<&Value>) -> Violation {
        let place = found.place();
        let keys: Vec<&str> = place.iter().map(|key| &**key).chain(name).collect();
        let dotted = keys.iter().enumerate().flat_map(|(number, key)| [if number == 0 { "" } else { "." }, *key]);
        let path = joined(dotted, PATH_CHARS_MAX);
        let value = seen.map(beginning_of).unwrap_or_default();
        let property = keys.last().copied().unwrap_or_default();
        let marks =
            [("{{error}}", error), ("{{path}}", &*path), ("{{property}}", property), ("{{value}}", value.as_str())];
        let message = filled(&self.message, &marks);
        Violation { rule: Arc::clone(&self.name), severity: self.severity, path, message }
    }
}

type LookedAt<'v> = (Option<&'v str>, Option<Cow<'v, Value>>);

/// Returns what a function looks at: the value, each of its keys, or a member.
fn looked_at<'v>(value: &'v Value, field: Option<&'v str>) -> Box<dyn Iterator<Item = LookedAt<'v>> + 'v> {
    match field {
        None => Box::new(std::iter::once((None, Some(Cow::Borrowed(value))))),
        Some("@key") => {
            let keys = value.as_object().into_iter().flatten().map(|(key, _)| key);
            Box::new(keys.map(|key| (Some(key.as_str()), Some(Cow::Owned(Value::String(key.clone()))))))
        }
        Some(field) => {
            let member = field.split('.').try_fold(value, |value, name| value.get(name));
            Box::new(std::iter::once((Some(field), member.map(Cow::Borrowed))))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn judge(rules: &str, document: &Value) -> Vec<Violation> {
        Rules::parse(rules).unwrap().judge(document, &mut Work::default())
    }

    #[test]
    fn a_ruleset_finds_what_does_not_keep_to_it() {
        let violations = judge(
            "aliases:\n  Operation:\n  - $.paths[*][get,post]\nrules:\n  has-summary:\n    message: '{{property}}: {{error}} ({{path}})'\n    severity: error\n    given: '#Operation'\n    then:\n      field: summary\n      function: truthy\n  kebab:\n    given: $.paths\n    then:\n      field: '@key'\n      function: pattern\n      functionOptions:\n        match: ^/[a-z-]+$\n  never:\n    severity: off\n    given: $\n    then:\n      function: falsy\n",
            &json!({"paths": {"/Menu": {"get": {"summary": "x"}, "post": {}}}}),
        );
        let told: Vec<_> = violations.iter().map(|one| (&*one.rule, one.severity, &*one.path)).collect();
        assert_eq!(
            told,
            [("has-summary", Severity::Error, "paths./Menu.post.summary"), ("kebab", Severity::Warn, "paths./Menu")]
        );
        assert!(violations[0].message.starts_with("summary: must be there"), "{}", violations[0].message);
    }

    #[test]
    fn rules_for_other_formats_are_not_evaluated() {
        let rules = "formats: [oas3_1]\nrules:\n  inherits: {given: $, then: {function: falsy}}\n  third: {formats: [oas3], given: $, then: {function: falsy}}\n  second: {formats: [oas2], given: $, then: {function: falsy}}\n";
        for (document, wanted) in [
            (json!({"openapi": "3.1.0"}), &["inherits", "third"][..]),
            (json!({"openapi": "3.0.1"}), &["third"]),
            (json!({"swagger": "2.0"}), &["second"]),
            (json!({"name": "no OpenAPI"}), &[]),
        ] {
            let told: Vec<_> = judge(rules, &document).into_iter().map(|one| one.rule.to_string()).collect();
            assert_eq!(told, wanted, "{document}");
        }
    }

    #[test]
    fn a_rule_that_takes_too_long_is_told_as_not_evaluated_and_the_next_is_evaluated() {
        let given = format!("${}", "[*]^".repeat(20));
        let rules = format!(
            "rules:\n  long: {{given: '{given}', then: {{function: truthy}}}}\n  short: {{given: $, then: {{function: falsy}}}}\n"
        );
        let violations = judge(&rules, &Value::from(vec![0; 100_000]));
        let told: Vec<_> = violations.iter().map(|one| &*one.rule).collect();
        assert_eq!(told, ["long", "short"]);
        assert!(violations[0].message.contains("not evaluated"), "{}", violations[0].message);
    }
}
