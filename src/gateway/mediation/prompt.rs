//! What is put around the prompts of calls, and templates in the places where calls name them.

use std::sync::LazyLock;

use percent_encoding::percent_decode_str;
use portcullis_model::mediation::prompt::{Added, Decoration, Template, Templates};
use regex::{Captures, Regex};
use serde_json::Value;

use super::json_texts::{Scalar, is_json, range_of, replace, written};
use crate::refusal::Refusal;

/// How a call names a template, as in the original.
static NAMED: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"template://([a-zA-Z0-9_-]+)\?([^\s"']*)"#).expect("the expression is valid"));
/// What in a template stands for a parameter.
static PARAMETER: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\[\[([^\[\]]*)\]\]").expect("the expression is valid"));

/// Returns a body with a prompt that is decorated.
///
/// # Errors
/// Where there is no prompt in it.
pub(super) fn decorated(decoration: &Decoration, body: &[u8]) -> Result<String, Refusal> {
    let nothing = || Refusal::bad_request("the body is not JSON with a prompt at the JSON path that is decorated");
    let text = std::str::from_utf8(body).map_err(|_| nothing())?;
    let place = range_of(text, &decoration.place).ok_or_else(nothing)?;
    let prompt = &text[place.clone()];
    let other = match &decoration.added {
        Added::Text(added) => {
            let said: String = serde_json::from_str(prompt).map_err(|_| nothing())?;
            written(&if decoration.is_appended { format!("{said} {added}") } else { format!("{added} {said}") })
        }
        Added::Items(items) => {
            let inside = prompt.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).ok_or_else(nothing)?;
            let added: Vec<String> = items.iter().map(Value::to_string).collect();
            let added = added.join(",");
            let parts = if decoration.is_appended { [inside, &added] } else { [&added, inside] };
            let parts: Vec<&str> = parts.into_iter().filter(|part| !part.trim().is_empty()).collect();
            format!("[{}]", parts.join(","))
        }
    };
    Ok(format!("{}{other}{}", &text[..place.start], &text[place.end..]))
}

/// Returns a body with templates in place of their names; `None` where it names none that there is.
///
/// # Errors
/// Where it becomes longer than `bytes_max`.
pub(super) fn filled(templates: &Templates, body: &[u8], bytes_max: usize) -> Result<Option<String>, Refusal> {
    let text = std::str::from_utf8(body).ok().filter(|text| text.contains("template:") && is_json(text));
    let Some(text) = text else { return Ok(None) };
    let mut left = bytes_max;
    let mut fits = true;
    let changed = replace(text, 0..text.len(), |scalar| match scalar {
        Scalar::Text(said) if fits => match put(templates, said, &mut left) {
            Some(put) => put,
            None => {
                fits = false;
                None
            }
        },
        _ => None,
    });
    if fits && changed.as_ref().is_none_or(|changed| changed.len() <= bytes_max) {
        Ok(changed)
    } else {
        Err(Refusal::body_too_large())
    }
}

/// Puts templates into a text; `Some(None)` where it names none. `None` where they are longer than what is left.
fn put(templates: &Templates, said: &str, left: &mut usize) -> Option<Option<String>> {
    let named = |found: &Captures<'_>| templates.0.iter().find(|template| template.name == found[1]);
    if !NAMED.captures_iter(said).any(|found| named(&found).is_some()) {
        return Some(None);
    }
    let (mut whole, mut at) = (String::new(), 0);
    for found in NAMED.captures_iter(said) {
        let Some(template) = named(&found) else { continue };
        let range = found.get_match().range();
        let prompt = with_parameters(template, &found[2], *left)?;
        *left -= prompt.len();
        whole.push_str(&said[at..range.start]);
        whole.push_str(&prompt);
        at = range.end;
    }
    whole.push_str(&said[at..]);
    Some(Some(whole))
}

/// Returns a template with what a call gives for its parameters; what is not given stays as it stands there. `None` where it
/// is longer than `bytes_max`.
fn with_parameters(template: &Template, query: &str, bytes_max: usize) -> Option<String> {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let given: Vec<(String, String)> = pairs.map(|(name, value)| (decoded(name), decoded(value))).collect();
    let (mut whole, mut at) = (String::new(), 0);
    for found in PARAMETER.captures_iter(&template.prompt) {
        let range = found.get_match().range();
        whole.push_str(&template.prompt[at..range.start]);
        let value = given.iter().rev().find(|(name, _)| *name == found[1]).map(|(_, value)| value.as_str());
        whole.push_str(value.unwrap_or(&found[0]));
        at = range.end;
        if whole.len() > bytes_max {
            return None;
        }
    }
    whole.push_str(&template.prompt[at..]);
    (whole.len() <= bytes_max).then_some(whole)
}

#[cfg(test)]
mod tests {
    use portcullis_model::ai::parts_of;
    use serde_json::json;

    use super::*;

    fn decorate(path: &str, added: Added, is_appended: bool, body: &str) -> Option<String> {
        let decoration = Decoration { place: parts_of(path).unwrap(), added, is_appended };
        decorated(&decoration, body.as_bytes()).ok()
    }

    #[test]
    fn a_prompt_has_something_before_or_after_it() {
        let body = r#"{"messages": [ {"content": "a \"b\""} ], "n": 1.0}"#;
        let text = || Added::Text("Be brief.".to_owned());
        let path = "$.messages[0].content";
        let before = decorate(path, text(), false, body).unwrap();
        assert_eq!(before, r#"{"messages": [ {"content": "Be brief. a \"b\""} ], "n": 1.0}"#);
        let after = decorate(path, text(), true, body).unwrap();
        assert_eq!(after, r#"{"messages": [ {"content": "a \"b\" Be brief."} ], "n": 1.0}"#);
        let items = || Added::Items(vec![json!({"role": "system"}), json!("x")]);
        let before = decorate("$.messages", items(), false, body).unwrap();
        assert_eq!(before, r#"{"messages": [{"role":"system"},"x", {"content": "a \"b\""} ], "n": 1.0}"#);
        let after = decorate("$.m", items(), true, r#"{"m":[]}"#).unwrap();
        assert_eq!(after, r#"{"m":[{"role":"system"},"x"]}"#);
        for (path, added, body) in
            [("$.other", text(), body), ("$.n", text(), body), ("$.n", items(), body), ("$.n", text(), "x")]
        {
            assert_eq!(decorate(path, added, false, body), None, "{path} of {body}");
        }
    }

    #[test]
    fn a_template_stands_where_it_is_named_with_what_the_call_gives() {
        let template = |name: &str, prompt: &str| Template { name: name.to_owned(), prompt: prompt.to_owned() };
        let templates = Templates(vec![
            template("translate", "From [[from]] to [[to]]: \"[[text]]\""),
            template("twice", "[[a]][[a]]"),
        ]);
        let fill = |body: &str, bytes_max| filled(&templates, body.as_bytes(), bytes_max).ok();
        let body = r#"{"m": ["Please: template://translate?from=en&to=%5B%5Btext%5D%5D&text=a%20%26%20b now"], "template://twice?a=1": 1}"#;
        let filled = fill(body, 1_000).unwrap().unwrap();
        assert_eq!(
            filled, r#"{"m": ["Please: From en to [[text]]: \"a & b\" now"], "template://twice?a=1": 1}"#,
            "what was put in is not looked at again"
        );
        assert_eq!(fill(r#"["template://twice?b=1"]"#, 1_000).unwrap().unwrap(), r#"["[[a]][[a]]"]"#);
        assert_eq!(fill(r#"["template://other?a=1", 7]"#, 1_000), Some(None));
        assert_eq!(fill("template://twice?a=1", 1_000), Some(None), "no JSON");
        let long = format!(r#"["template://twice?a={}"]"#, "x".repeat(600));
        assert_eq!((fill(&long, 1_000), fill(&long, 2_000).is_some()), (None, true));
    }
}
