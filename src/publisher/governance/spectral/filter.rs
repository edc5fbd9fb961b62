//! Conditions in paths of rules (`[?(…)]`): the key or a member compared with a text, joined by `&&` and `||`.

use regex::Regex;
use serde_json::Value;

use super::expression::Expressions;
use super::work::{TooCostly, Work};

/// A condition: it holds where all of one of its groups does.
#[derive(Clone, Debug)]
pub(super) struct Filter {
    any: Vec<Vec<Term>>,
}

#[derive(Clone, Debug)]
struct Term {
    is_not: bool,
    /// The members that lead to what is looked at; `None` for the key.
    of: Option<Vec<String>>,
    test: Test,
}

#[derive(Clone, Debug)]
enum Test {
    IsThere,
    Is(Value),
    Matches(Regex),
}

impl Filter {
    pub(super) fn parse(text: &str, expressions: &mut Expressions) -> Result<Self, String> {
        let mut any = Vec::new();
        for group in text.split("||") {
            let terms: Result<Vec<Term>, String> =
                group.split("&&").map(|term| Term::parse(term, expressions)).collect();
            any.push(terms?);
        }
        Ok(Self { any })
    }

    /// Says whether it holds for a value under a key.
    pub(super) fn holds(&self, key: &str, value: &Value, work: &mut Work) -> Result<bool, TooCostly> {
        for all in &self.any {
            let mut holds = true;
            for term in all {
                holds = holds && term.holds(key, value, work)?;
            }
            if holds {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Term {
    fn parse(text: &str, expressions: &mut Expressions) -> Result<Self, String> {
        let wrong = || format!("the condition {text} is not understood");
        let mut rest = text.trim();
        let mut is_not = false;
        while let Some(inner) = rest.strip_prefix('!') {
            (is_not, rest) = (!is_not, inner.trim());
        }
        if let Some((of, inner)) = rest.split_once(".match(") {
            let pattern = inner.strip_suffix(')').ok_or_else(wrong)?;
            let of = subject(of).ok_or_else(wrong)?;
            return Ok(Self { is_not, of, test: Test::Matches(expressions.read(pattern)?) });
        }
        for (sign, negates) in [("!==", true), ("===", false), ("!=", true), ("==", false)] {
            if let Some((of, text)) = rest.split_once(sign) {
                let value = literal(text.trim()).ok_or_else(wrong)?;
                return Ok(Self {
                    is_not: is_not != negates,
                    of: subject(of).ok_or_else(wrong)?,
                    test: Test::Is(value),
                });
            }
        }
        Ok(Self { is_not, of: subject(rest).ok_or_else(wrong)?, test: Test::IsThere })
    }

    fn holds(&self, key: &str, value: &Value, work: &mut Work) -> Result<bool, TooCostly> {
        let Some(names) = &self.of else {
            work.spend(Work::of_text(key))?;
            let holds = match &self.test {
                Test::IsThere => true,
                Test::Is(wanted) => wanted.as_str() == Some(key),
                Test::Matches(pattern) => pattern.is_match(key),
            };
            return Ok(holds != self.is_not);
        };
        let seen = names.iter().try_fold(value, |value, name| value.get(name));
        work.spend(seen.and_then(Value::as_str).map_or(1, Work::of_text))?;
        let holds = match &self.test {
            Test::IsThere => seen.is_some_and(|seen| !matches!(seen, Value::Null | Value::Bool(false))),
            Test::Is(wanted) => seen == Some(wanted) || (seen.is_none() && wanted.is_null()),
            Test::Matches(pattern) => seen.and_then(Value::as_str).is_some_and(|text| pattern.is_match(text)),
        };
        Ok(holds != self.is_not)
    }
}

/// Reads what is looked at: `@property`, `@` or `@.name.name`.
#[allow(clippy::option_option, reason = "nothing read, the key, or members")]
fn subject(text: &str) -> Option<Option<Vec<String>>> {
    let rest = text.trim().strip_prefix('@')?;
    if rest == "property" {
        return Some(None);
    }
    let names: Vec<String> = rest.split('.').skip(1).map(str::to_owned).collect();
    let is_name =
        |name: &String| !name.is_empty() && name.chars().all(|one| one.is_alphanumeric() || "-_$".contains(one));
    let is_whole = rest.is_empty() || rest.starts_with('.');
    (is_whole && names.iter().all(is_name)).then_some(Some(names))
}

fn literal(text: &str) -> Option<Value> {
    let quoted = ['\'', '"'].into_iter().find_map(|quote| text.strip_prefix(quote)?.strip_suffix(quote));
    match quoted {
        Some(text) => Some(Value::String(text.to_owned())),
        None if matches!(text, "null" | "undefined" | "void 0") => Some(Value::Null),
        None => serde_json::from_str(text).ok(),
    }
}
