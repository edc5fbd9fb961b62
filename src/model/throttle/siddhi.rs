//! Reads the original's custom rules: Siddhi queries of the shape "count by a key, per time".
//!
//! The original runs any Siddhi query; here the one shape that its documentation and nearly all of its users have is
//! turned into an expression, a limit and a window. Everything else is refused with what was met.

use super::siddhi_words::{Word, Words};
use crate::policy::{DataUnit, Quota, TimeUnit, Window};

/// Characters of a query.
pub const QUERY_CHARS_MAX: usize = 8_000;

/// What a query says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiddhiRule {
    /// Which calls are counted, as an expression of ours; empty for all.
    pub expression: String,
    /// How much.
    pub quota: Quota,
    /// In which window.
    pub window: Window,
}

/// A query of another shape.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the query is not of the shape that can be imported; expected {wanted}, found {found}. It must be: FROM RequestStream \
     SELECT …, (CONDITION) AS isEligible, KEY AS throttleKey INSERT INTO EligibilityStream; FROM \
     EligibilityStream[isEligible==true]#throttler:timeBatch(N UNIT) SELECT throttleKey, (count(…) >= LIMIT) AS \
     isThrottled, expiryTimeStamp GROUP BY throttleKey INSERT ALL EVENTS INTO ResultStream;"
)]
pub struct UnknownShape {
    /// What would have had to follow.
    pub wanted: String,
    /// What follows.
    pub found: String,
}

impl SiddhiRule {
    /// Reads a query.
    ///
    /// # Errors
    /// Where it is of another shape.
    pub fn read(query: &str) -> Result<Self, UnknownShape> {
        let mut words = Words::of(query, QUERY_CHARS_MAX)?;
        words.keywords(&["from", "requeststream", "select"])?;
        let expression = eligibility(&mut words)?;
        words.keywords(&["insert", "into", "eligibilitystream"])?;
        words.symbol(";")?;
        words.keywords(&["from", "eligibilitystream"])?;
        words.symbol("[")?;
        words.keywords(&["iseligible"])?;
        words.symbol("==")?;
        words.keywords(&["true"])?;
        words.symbol("]")?;
        words.keywords(&["#throttler:timebatch"])?;
        let window = window(&mut words)?;
        words.keywords(&["select", "throttlekey"])?;
        words.symbol(",")?;
        let quota = limit(&mut words)?;
        words.symbol(",")?;
        words.keywords(&["expirytimestamp", "group", "by", "throttlekey", "insert"])?;
        if words.is_keyword("all") {
            words.keywords(&["all", "events"])?;
        }
        words.keywords(&["into", "resultstream"])?;
        if words.is_symbol(";") {
            words.symbol(";")?;
        }
        words.end()?;
        Ok(Self { expression, quota, window })
    }
}

/// Reads the list that the first query selects, and returns the condition in it. Names alone, and the key, which the
/// template says again, are passed over.
fn eligibility(words: &mut Words<'_>) -> Result<String, UnknownShape> {
    let mut condition = None;
    let mut has_key = false;
    loop {
        let start = words.place();
        if let Some(name) = words.name_alone() {
            has_key |= name.eq_ignore_ascii_case("throttleKey");
        } else {
            // A condition if it reads as one and is called so; else it must be the key.
            let is_bracketed = words.is_symbol("(");
            match expression(words, 0) {
                Err(unknown) if is_bracketed => return Err(unknown),
                Ok(text) if words.is_keyword("as") && words.is_second("iseligible") => {
                    words.keywords(&["as", "iseligible"])?;
                    condition = Some(text);
                }
                _ => {
                    words.go_back(start);
                    key(words)?;
                    words.keywords(&["as", "throttlekey"])?;
                    has_key = true;
                }
            }
        }
        if !words.is_symbol(",") {
            break;
        }
        words.symbol(",")?;
    }
    let condition = condition.ok_or_else(|| words.wanted("(CONDITION) AS isEligible"))?;
    if !has_key {
        return Err(words.wanted("KEY AS throttleKey"));
    }
    Ok(if condition == "true" { String::new() } else { condition })
}

/// Reads a key: a name, a text, or `str:concat` of such.
fn key(words: &mut Words<'_>) -> Result<(), UnknownShape> {
    match words.next()? {
        Word::Text(_) => Ok(()),
        Word::Name(name) if name.eq_ignore_ascii_case("str:concat") => {
            words.symbol("(")?;
            loop {
                key(words)?;
                if !words.is_symbol(",") {
                    break;
                }
                words.symbol(",")?;
            }
            words.symbol(")")
        }
        Word::Name(name) if super::expression::Variable::named(name).is_some() => Ok(()),
        other => Err(UnknownShape { wanted: "a key made of names and texts".to_owned(), found: other.to_string() }),
    }
}

/// How deep a condition may be nested.
const DEPTH_MAX: usize = 16;

/// Reads a condition and returns it as an expression of ours.
fn expression(words: &mut Words<'_>, depth: usize) -> Result<String, UnknownShape> {
    if depth > DEPTH_MAX {
        return Err(words.wanted("fewer parentheses"));
    }
    let mut text = conjunction(words, depth)?;
    while words.is_keyword("or") {
        words.keywords(&["or"])?;
        text = format!("{text} || {}", conjunction(words, depth)?);
    }
    Ok(text)
}

fn conjunction(words: &mut Words<'_>, depth: usize) -> Result<String, UnknownShape> {
    let mut text = term(words, depth)?;
    while words.is_keyword("and") {
        words.keywords(&["and"])?;
        text = format!("{text} && {}", term(words, depth)?);
    }
    Ok(text)
}

fn term(words: &mut Words<'_>, depth: usize) -> Result<String, UnknownShape> {
    if words.is_keyword("not") {
        words.keywords(&["not"])?;
        if depth > DEPTH_MAX {
            return Err(words.wanted("fewer nots"));
        }
        return Ok(format!("!({})", term(words, depth + 1)?));
    }
    if words.is_symbol("(") {
        words.symbol("(")?;
        let inner = expression(words, depth + 1)?;
        words.symbol(")")?;
        // Parentheses around the whole are the query's habit, not part of the condition.
        return Ok(if depth == 0 && words.is_keyword("as") { inner } else { format!("({inner})") });
    }
    if words.is_keyword("true") {
        words.keywords(&["true"])?;
        return Ok("true".to_owned());
    }
    for (function, method) in [("regex:find", "matches"), ("str:contains", "contains")] {
        if words.is_keyword(function) {
            words.keywords(&[function])?;
            words.symbol("(")?;
            let first = operand(words)?;
            words.symbol(",")?;
            let second = operand(words)?;
            words.symbol(")")?;
            let (text, argument) = if method == "matches" { (second, first) } else { (first, second) };
            return Ok(format!("{text}.{method}({argument})"));
        }
    }
    let left = operand(words)?;
    let operator = if words.is_symbol("!=") { "!=" } else { "==" };
    words.symbol(operator)?;
    Ok(format!("{left} {operator} {}", operand(words)?))
}

/// Reads a text or a name that a call has.
fn operand(words: &mut Words<'_>) -> Result<String, UnknownShape> {
    match words.next()? {
        Word::Text(text) => Ok(quoted(text)),
        Word::Name(name) if super::expression::Variable::named(name).is_some() => Ok(name.to_owned()),
        other => Err(UnknownShape {
            wanted: "a text, or one of userId, apiContext, apiVersion, resourceKey, appTenant, apiTenant and appId"
                .to_owned(),
            found: other.to_string(),
        }),
    }
}

fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('\'');
    for one in text.chars() {
        if matches!(one, '\'' | '\\') {
            quoted.push('\\');
        }
        quoted.push(one);
    }
    quoted.push('\'');
    quoted
}

fn window(words: &mut Words<'_>) -> Result<Window, UnknownShape> {
    words.symbol("(")?;
    let length = words.number()?;
    let length = u32::try_from(length).ok().filter(|length| *length >= 1);
    let length = length.ok_or_else(|| words.wanted("a number of units, 1 or more"))?;
    let found = words.next()?;
    let unit = match found {
        Word::Name(name) => TimeUnit::from_contract(name),
        _ => None,
    };
    let wanted = "sec, min, hour, day, week, month or year".to_owned();
    let unit = unit.ok_or(UnknownShape { wanted, found: found.to_string() })?;
    if words.is_symbol(",") {
        words.symbol(",")?;
        // Where windows begin, in milliseconds after the epoch: always 0 in the original's own queries.
        if words.number()? != 0 {
            return Err(words.wanted("windows that begin at 0"));
        }
    }
    words.symbol(")")?;
    Ok(Window { length, unit })
}

/// Reads `(count(…) >= N) as isThrottled`, or `sum(messageSize)` for bytes.
fn limit(words: &mut Words<'_>) -> Result<Quota, UnknownShape> {
    words.symbol("(")?;
    let is_sum = words.is_keyword("sum");
    words.keywords(&[if is_sum { "sum" } else { "count" }])?;
    words.symbol("(")?;
    if is_sum {
        words.keywords(&["messagesize"])?;
    } else if !words.is_symbol(")") {
        words.next()?;
    }
    words.symbol(")")?;
    let is_strict = words.is_symbol(">");
    words.symbol(if is_strict { ">" } else { ">=" })?;
    let number = words.number()?;
    // The event that makes the comparison true is still let through.
    let limit = if is_strict { number.saturating_add(1) } else { number };
    words.symbol(")")?;
    words.keywords(&["as", "isthrottled"])?;
    if limit == 0 {
        return Err(words.wanted("a limit of 1 or more"));
    }
    if !is_sum {
        return Ok(Quota::Requests(limit));
    }
    let unit = DataUnit::Kb;
    Ok(Quota::Bandwidth { amount: limit.div_ceil(unit.bytes()), unit })
}
