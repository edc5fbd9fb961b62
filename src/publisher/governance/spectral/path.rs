//! Where a rule looks: JSONPath as Spectral's rules use it (`given`). A path that has more than is here is refused where
//! the rule is sent.

use super::expression::Expressions;
use super::filter::Filter;

/// Steps of one path.
const STEPS_MAX: usize = 50;

/// A path that was read.
#[derive(Clone, Debug)]
pub(super) struct Path {
    pub(super) steps: Vec<Step>,
}

#[derive(Clone, Debug)]
pub(super) enum Step {
    Names(Vec<String>),
    All,
    Deep,
    Where(Filter),
    /// The key itself in the place of what is under it.
    Keys,
    Parent,
}

impl Path {
    /// Reads a path.
    pub(super) fn parse(text: &str, expressions: &mut Expressions) -> Result<Self, String> {
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
                steps.push(bracket(&after[..end], expressions)?);
                rest = &after[end + 1..];
            } else {
                return Err(wrong(rest));
            }
        }
        Ok(Self { steps })
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

fn bracket(text: &str, expressions: &mut Expressions) -> Result<Step, String> {
    let text = text.trim();
    if text == "*" {
        return Ok(Step::All);
    }
    if let Some(inner) = text.strip_prefix('?') {
        let inner = inner.trim();
        let inner = inner.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')).unwrap_or(inner);
        return Filter::parse(inner, expressions).map(Step::Where);
    }
    let names: Vec<String> = text.split(',').map(|name| name.trim().trim_matches(['\'', '"']).to_owned()).collect();
    let is_plain = |name: &String| !name.is_empty() && !name.contains(['\'', '"', '(', '@', ':']);
    if names.iter().all(is_plain) { Ok(Step::Names(names)) } else { Err(format!("[{text}] is not understood")) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::work::Work;
    use super::*;

    #[test]
    fn rules_find_what_they_are_about() {
        let document = json!({
            "info": {"title": "x"},
            "paths": {"/menu": {"get": {"tags": ["a"]}, "post": {}}, "/order": {"get": {"summary": "s"}, "parameters": []}},
        });
        let places = |path: &str| -> Vec<String> {
            let path = Path::parse(path, &mut Expressions::default()).unwrap();
            let found = path.find(&document, &mut Work::default()).unwrap();
            let mut all: Vec<_> = found.iter().map(|one| one.place().join(" ")).collect();
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
        let keys = Path::parse("$.paths[*]~", &mut Expressions::default()).unwrap();
        let keys = keys.find(&document, &mut Work::default()).unwrap();
        assert_eq!(
            keys.iter().map(|one| one.value().into_owned()).collect::<Vec<_>>(),
            [json!("/menu"), json!("/order")]
        );
        for bad in ["paths", "$.a[?(process.exit())]", "$.a[(@.length-1)]", "$.", "$..", "$.a["] {
            assert!(Path::parse(bad, &mut Expressions::default()).is_err(), "{bad}");
        }
    }
}
