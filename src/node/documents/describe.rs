//! Makes an OpenAPI document of a part of docs/reference/api.md.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

/// The page.
pub(super) const PAGE: &str = include_str!("../../../docs/reference/api.md");
/// What answers look like: by document, operation, status and media type.
pub(super) const SHAPES: &str = include_str!("shapes.json");
/// To which limits requests are held, by document and operation. That the code does so is tried by tests/openapi.rs.
pub(super) const LIMITS: &str = include_str!("limits.json");

static LEARNT: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(SHAPES).unwrap_or_default());
static HELD_TO: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(LIMITS).unwrap_or_default());

/// A face of the program: what a part of the page lists.
pub(super) struct Face {
    /// The name of its document.
    pub(super) slug: &'static str,
    /// How its heading begins.
    pub(super) part: &'static str,
    /// Whether its paths are whole, and not below that of the heading.
    pub(super) is_absolute: bool,
}

/// Makes the document of a face.
pub(super) fn document(face: &Face) -> Value {
    let mut parts = PAGE.split("\n## ").filter(|text| text.starts_with(face.part));
    let part = parts.next().unwrap_or_default();
    let (heading, text) = part.split_once('\n').unwrap_or((part, ""));
    let base = heading.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or("/");
    let base = if face.is_absolute { "/" } else { base };
    let mut paths = Map::new();
    for row in text.lines().filter_map(Row::read) {
        for verb in row.verbs.split(',').map(str::trim) {
            let item = paths.entry(row.path.to_owned()).or_insert_with(|| json!({}));
            item[verb.to_ascii_lowercase()] = operation(face, verb, &row);
        }
    }
    let about: Vec<&str> =
        text.lines().take_while(|line| !line.starts_with('|')).filter(|line| !line.is_empty()).collect();
    let is_own = base.starts_with("/api/portcullis/");
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": heading.split('(').next().unwrap_or(face.part).trim(),
            "version": env!("CARGO_PKG_VERSION"),
            "description": plain(&about.join(" ")),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": base}],
        "security": [{"basic": []}, {"bearer": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "basic": {"type": "http", "scheme": "basic", "description": "A user's name and password."},
                "bearer": {"type": "http", "scheme": "bearer", "description": "A token of the key manager."},
            },
            "responses": {"Fault": fault(is_own, face.is_absolute)},
        },
    })
}

/// A row of a table.
struct Row<'a> {
    verbs: &'a str,
    path: &'a str,
    scope: &'a str,
    note: &'a str,
}

impl<'a> Row<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let (verbs, rest) = line.strip_prefix("| ")?.split_once(" | `")?;
        let (path, rest) = rest.split_once("` |")?;
        let (scope, note) = rest.split_once('|').unwrap_or((rest, ""));
        let is_verb = verbs.bytes().all(|byte| byte.is_ascii_uppercase() || matches!(byte, b',' | b' '));
        (is_verb && path.starts_with('/')).then(|| Self {
            verbs,
            path,
            scope: scope.trim(),
            note: note.trim().trim_end_matches('|').trim(),
        })
    }
}

fn operation(face: &Face, verb: &str, row: &Row<'_>) -> Value {
    let words = row.path.split(['/', '{', '}', '-', '.', '_', '*']).filter(|word| !word.is_empty());
    let id: String = words
        .map(|word| {
            word.chars().next().into_iter().flat_map(char::to_uppercase).chain(word.chars().skip(1)).collect::<String>()
        })
        .collect();
    let about =
        [plain(row.note), if row.scope.is_empty() { String::new() } else { format!("Scope: {}.", plain(row.scope)) }];
    let about: Vec<&str> = about.iter().map(String::as_str).filter(|text| !text.is_empty()).collect();
    let parameters: Vec<Value> = row
        .path
        .split('{')
        .skip(1)
        .filter_map(|rest| rest.split_once('}'))
        .map(|(name, _)| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}))
        .collect();
    let tag = row.path.split('/').find(|word| !word.is_empty()).unwrap_or("all");
    let learnt = &LEARNT[face.slug][format!("{verb} {}", row.path)];
    let mut operation = json!({
        "operationId": format!("{}{id}", verb.to_ascii_lowercase()),
        "tags": [tag],
        "description": about.join("\n\n"),
        "parameters": parameters,
        "responses": responses(learnt),
    });
    if let Some(mut body) = request_body(face, verb, row) {
        limit(&mut body, &HELD_TO[face.slug][format!("{verb} {}", row.path)]);
        operation["requestBody"] = body;
    }
    if verb == "HEAD" {
        // Answers to HEAD have no content (RFC 9110, 9.3.2).
        operation["responses"] =
            json!({"2XX": {"description": "it is there"}, "default": {"description": "it is not"}});
    }
    if row.scope == "anybody" || row.scope == "–" {
        operation["security"] = json!([{}, {"basic": []}, {"bearer": []}]);
    }
    operation
}

fn responses(learnt: &Value) -> Value {
    let mut responses = Map::new();
    for (status, contents) in learnt["responses"].as_object().into_iter().flatten() {
        let mut response = json!({"description": "done"});
        let contents: Map<String, Value> = contents
            .as_object()
            .into_iter()
            .flatten()
            .map(|(media_type, schema)| (media_type.clone(), json!({"schema": schema})))
            .collect();
        if !contents.is_empty() {
            response["content"] = Value::Object(contents);
        }
        responses.insert(status.clone(), response);
    }
    if responses.is_empty() {
        responses.insert("2XX".to_owned(), json!({"description": "done"}));
    }
    responses.insert("default".to_owned(), json!({"$ref": "#/components/responses/Fault"}));
    Value::Object(responses)
}

/// Says what is sent. What is not known is not said.
fn request_body(face: &Face, verb: &str, row: &Row<'_>) -> Option<Value> {
    if !matches!(verb, "POST" | "PUT" | "PATCH") {
        return None;
    }
    // What is read somewhere can be sent back to there.
    let read = &LEARNT[face.slug][format!("GET {}", row.path)]["responses"]["200"]["application/json"];
    if verb == "PUT" && read["properties"].is_object() {
        return Some(json!({"required": true, "content": {"application/json": {"schema": read}}}));
    }
    let is_form =
        row.note.contains("a form") || row.path.ends_with("/content") || row.path.ends_with("/import-openapi");
    let media_type = if is_form { "multipart/form-data" } else { "application/json" };
    Some(json!({"content": {media_type: {"schema": if is_form { json!({"type": "object"}) } else { json!({}) }}}}))
}

/// Says to which limits a request is held.
fn limit(body: &mut Value, held_to: &Value) {
    let Some(held_to) = held_to.as_object() else { return };
    let schema = &mut body["content"]["application/json"]["schema"];
    schema["type"] = "object".into();
    if let Some(required) = held_to.get("required") {
        schema["required"] = required.clone();
    }
    for (name, bounds) in held_to.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let kind = match bounds {
            bounds if bounds.get("minimum").is_some() => "integer",
            bounds if bounds.get("maxItems").is_some() => "array",
            _ => "string",
        };
        let field = &mut schema["properties"][name];
        if !field.is_object() {
            *field = json!({"type": kind});
        }
        for (bound, value) in bounds.as_object().into_iter().flatten() {
            field[bound] = value.clone();
        }
    }
}

/// What a refusal looks like: problem details (RFC 9457) of this program's own face, the original's elsewhere.
fn fault(is_own: bool, has_pages: bool) -> Value {
    let text = json!({"type": "string"});
    if is_own {
        let properties = json!({
            "type": text, "title": text, "status": {"type": "integer"}, "detail": text, "code": text, "next_step": text,
        });
        let schema = json!({"type": "object", "properties": properties, "required": ["title", "status"]});
        return json!({"description": "It was refused, or failed.", "content": {"application/problem+json": {"schema": schema}}});
    }
    let mut content = json!({"application/json": {"schema": {"type": "object"}}});
    if has_pages {
        content["text/html"] = json!({"schema": {"type": "string"}});
    }
    json!({"description": "It was refused, or failed: docs/reference/errors.md.", "content": content})
}

/// Takes the addresses out of links.
fn plain(text: &str) -> String {
    let mut whole = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("](") {
        let Some((_, left)) = after.split_once(')') else { break };
        match before.rsplit_once('[') {
            Some((begin, name)) => whole.push_str(&format!("{begin}{name}")),
            None => whole.push_str(before),
        }
        rest = left;
    }
    whole + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_become_their_texts() {
        assert_eq!(plain("see [the *page*](a.md#b) and [more](c), `x`"), "see the *page* and more, `x`");
        assert_eq!(plain("none ]( here"), "none ]( here");
    }
}
