//! Where a rule looks: JSONPath as Spectral's rules use it (`given`). A path that has more than is here is refused where
//! the rule is sent.

use regex::Regex;
use serde_json::Value;

use super::filter::Filter;

/// Steps of one path.
const STEPS_MAX: usize = 50;
/// Places that one path may find in one document.
const FOUND_MAX: usize = 100_000;

/// A path that was read.
#[derive(Clone, Debug)]
pub(super) struct Path {
    steps: Vec<Step>,
}

#[derive(Clone, Debug)]
enum Step {
    Names(Vec<String>),
    All,
    Deep,
    Where(Filter),
    /// The key itself in the place of what is under it.
    Keys,
    Parent,
}

/// A place in a document.
#[derive(Clone, Debug)]
pub(super) struct Found<'a> {
    /// The keys and numbers that lead there.
    pub(super) place: Vec<String>,
    /// The value there, and those around it.
    around: Vec<&'a Value>,
    /// Whether the key is meant and not the value.
    is_key: bool,
}

impl Found<'_> {
    /// Returns what is there.
    pub(super) fn value(&self) -> Value {
        if self.is_key {
            return Value::String(self.place.last().cloned().unwrap_or_default());
        }
        self.around.last().map(|value| (*value).clone()).unwrap_or_default()
    }
}

impl Path {
    /// Reads a path.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let wrong = |rest: &str| format!("the path {text} has `{rest}`, which is not understood");
        let mut rest = text.trim().strip_prefix('$').ok_or_else(|| format!("the path {text} does not begin with $"))?;
        let mut steps = Vec::new();
        while !rest.is_empty() {
            if steps.len() >= STEPS_MAX {
                return Err(format!("the path {text} has more than {STEPS_MAX} steps"));
            }
            if let Some(after) = rest.strip_prefix("..") {
                steps.push(Step::Deep);
                // A name may follow at once.
                rest = after;
                if !rest.starts_with(['[', '*']) {
                    let (name, after) = name_in(rest);
                    if name.is_empty() {
                        return Err(wrong(rest));
                    }
                    steps.push(Step::Names(vec![name.to_owned()]));
                    rest = after;
                }
            } else if let Some(after) = rest.strip_prefix('*').or_else(|| rest.strip_prefix(".*")) {
                steps.push(Step::All);
                rest = after;
            } else if let Some(after) = rest.strip_prefix('~') {
                steps.push(Step::Keys);
                rest = after;
            } else if let Some(after) = rest.strip_prefix('^') {
                steps.push(Step::Parent);
                rest = after;
            } else if let Some(after) = rest.strip_prefix('.').filter(|after| !after.starts_with('[')) {
                let (name, after) = name_in(after);
                if name.is_empty() {
                    return Err(wrong(rest));
                }
                steps.push(Step::Names(vec![name.to_owned()]));
                rest = after;
            } else if let Some(after) = rest.strip_prefix('[').or_else(|| rest.strip_prefix(".[")) {
                let end = closing(after).ok_or_else(|| wrong(rest))?;
                steps.push(bracket(&after[..end])?);
                rest = &after[end + 1..];
            } else {
                return Err(wrong(rest));
            }
        }
        Ok(Self { steps })
    }

    /// Returns what is found in a document.
    pub(super) fn find<'a>(&self, document: &'a Value) -> Vec<Found<'a>> {
        let mut found = vec![Found { place: Vec::new(), around: vec![document], is_key: false }];
        for step in &self.steps {
            let mut next = Vec::new();
            for one in found {
                step.take(one, &mut next);
                if next.len() > FOUND_MAX {
                    next.truncate(FOUND_MAX);
                    break;
                }
            }
            found = next;
        }
        found
    }
}

fn name_in(text: &str) -> (&str, &str) {
    let end = text.find(['.', '[', '~', '^', '*']).unwrap_or(text.len());
    text.split_at(end)
}

/// Finds the bracket that closes, beyond brackets and quotes within.
fn closing(text: &str) -> Option<usize> {
    let (mut depth, mut quote) = (0, None);
    for (at, one) in text.char_indices() {
        match (quote, one) {
            (Some(open), one) if one == open => quote = None,
            (None, '\'' | '"') => quote = Some(one),
            (None, '[' | '(') => depth += 1,
            (None, ')') => depth -= 1,
            (None, ']') if depth == 0 => return Some(at),
            (None, ']') => depth -= 1,
            _ => {}
        }
    }
    None
}

fn bracket(text: &str) -> Result<Step, String> {
    let text = text.trim();
    if text == "*" {
        return Ok(Step::All);
    }
    if let Some(inner) = text.strip_prefix('?') {
        let inner = inner.trim();
        let inner = inner.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')).unwrap_or(inner);
        return Filter::parse(inner).map(Step::Where);
    }
    let names: Vec<String> = text.split(',').map(|name| name.trim().trim_matches(['\'', '"']).to_owned()).collect();
    let is_plain = |name: &String| !name.is_empty() && !name.contains(['\'', '"', '(', '@', ':']);
    if names.iter().all(is_plain) { Ok(Step::Names(names)) } else { Err(format!("[{text}] is not understood")) }
}

impl Step {
    fn take<'a>(&self, one: Found<'a>, next: &mut Vec<Found<'a>>) {
        match self {
            Self::Keys => next.push(Found { is_key: true, ..one }),
            Self::Parent => {
                let mut up = one;
                if up.around.len() > 1 {
                    up.around.pop();
                    up.place.pop();
                    next.push(Found { is_key: false, ..up });
                }
            }
            Self::Deep => deep(one, next),
            Self::All => next.extend(children(&one)),
            Self::Names(names) => {
                next.extend(children(&one).filter(|child| child.place.last().is_some_and(|key| names.contains(key))));
            }
            Self::Where(filter) => next.extend(children(&one).filter(|child| {
                let key = child.place.last().map(String::as_str).unwrap_or_default();
                child.around.last().is_some_and(|value| filter.holds(key, value))
            })),
        }
    }
}

fn deep<'a>(one: Found<'a>, next: &mut Vec<Found<'a>>) {
    let mut open = vec![one];
    while let Some(one) = open.pop() {
        if next.len() > FOUND_MAX {
            return;
        }
        open.extend(children(&one));
        next.push(one);
    }
}

fn children<'a>(one: &Found<'a>) -> impl Iterator<Item = Found<'a>> + use<'a> {
    let children: Vec<(String, &'a Value)> = match one.around.last() {
        Some(Value::Object(map)) if !one.is_key => map.iter().map(|(key, value)| (key.clone(), value)).collect(),
        Some(Value::Array(items)) if !one.is_key => {
            items.iter().enumerate().map(|(number, value)| (number.to_string(), value)).collect()
        }
        _ => Vec::new(),
    };
    let (place, around) = (one.place.clone(), one.around.clone());
    children.into_iter().map(move |(key, value)| Found {
        place: [place.clone(), vec![key]].concat(),
        around: [around.clone(), vec![value]].concat(),
        is_key: false,
    })
}

/// Reads a regular expression as rules write it: `/…/i`, or without slashes.
pub(super) fn expression(text: &str) -> Result<Regex, String> {
    let slashed = text.strip_prefix('/').and_then(|inner| inner.rsplit_once('/'));
    let (pattern, flags) =
        slashed.filter(|(_, flags)| flags.chars().all(|flag| "gimsuy".contains(flag))).unwrap_or((text, ""));
    let mut builder = regex::RegexBuilder::new(pattern);
    builder.case_insensitive(flags.contains('i')).multi_line(flags.contains('m')).size_limit(1 << 20);
    builder.build().map_err(|error| format!("{text} is not a regular expression that is served: {error}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rules_find_what_they_are_about() {
        let document = json!({
            "info": {"title": "x"},
            "paths": {"/menu": {"get": {"tags": ["a"]}, "post": {}}, "/order": {"get": {"summary": "s"}, "parameters": []}},
        });
        let places = |path: &str| -> Vec<String> {
            let mut all: Vec<_> =
                Path::parse(path).unwrap().find(&document).iter().map(|one| one.place.join(" ")).collect();
            all.sort();
            all
        };
        assert_eq!(places("$.info.title"), ["info title"]);
        assert_eq!(places("$.paths[*][get,post]"), ["paths /menu get", "paths /menu post", "paths /order get"]);
        assert_eq!(places("$.paths['/menu'].get"), ["paths /menu get"]);
        assert_eq!(places("$..get"), ["paths /menu get", "paths /order get"]);
        assert_eq!(
            places("$.paths[*][?(@property === 'get' || @property === 'put')]"),
            ["paths /menu get", "paths /order get"]
        );
        assert_eq!(places("$.paths.*[?(@.summary)]^"), ["paths /order"]);
        let keys = Path::parse("$.paths[*]~").unwrap();
        assert_eq!(
            keys.find(&document).iter().map(Found::value).collect::<Vec<_>>(),
            [json!("/menu"), json!("/order")]
        );
        for bad in ["paths", "$.a[?(process.exit())]", "$.a[(@.length-1)]", "$.", "$..", "$.a["] {
            assert!(Path::parse(bad).is_err(), "{bad}");
        }
    }
}
