//! Documents that are written as JSON into a form: what is wrong in one is told with its line.

use portcullis_http::ApiError;
use serde_json::Value;

/// Reads the document of a field.
///
/// # Errors
/// 400 with line and column where it is no JSON.
pub(super) fn parse(field: &str, text: &str) -> Result<Value, ApiError> {
    serde_json::from_str(text).map_err(|error| {
        // The message ends with the place, which is told before it.
        let message = error.to_string();
        let reason = message.split(" at line ").next().unwrap_or(&message);
        // What breaks off at the end of a line is noticed before the first column of the next.
        let place = match (error.line(), error.column()) {
            (line, 0) if line > 1 => format!("line {}, at its end", line - 1),
            (line, column) => format!("line {line}, column {column}"),
        };
        ApiError::bad_request(format!("{field}: {place}: not valid JSON: {reason}"))
    })
}

/// Returns what is wrong with a member of a document, with the line of the document where that member stands. `error`
/// begins with the member: `Workflows.API_STATE: must be …`.
pub(super) fn at_line(field: &str, text: &str, error: &ApiError) -> ApiError {
    let said = error.description();
    let member = said.split(": ").next().unwrap_or_default();
    let line = line_of(text, member).map(|line| format!("line {line}: ")).unwrap_or_default();
    ApiError::bad_request(format!("{field}: {line}{said}"))
}

/// Returns the line of a member: of the innermost part of its path that is found, each after the one around it.
fn line_of(text: &str, path: &str) -> Option<usize> {
    let (mut from, mut found) = (0, None);
    for name in path.split('.').map(|part| part.split('[').next().unwrap_or(part)) {
        let Some(at) = text.get(from..)?.find(&format!("\"{name}\"")) else { break };
        from += at;
        found = Some(text.get(..from)?.matches('\n').count() + 1);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let text = "{\n  \"Workflows\": {\n    \"API_STATE\": 1\n  }\n}";
        let refused = at_line("text", text, &ApiError::bad_request("Workflows.API_STATE: must be so"));
        assert_eq!(refused.description(), "text: line 3: Workflows.API_STATE: must be so");
        let refused = at_line("text", text, &ApiError::bad_request("Other: must be there"));
        assert_eq!(refused.description(), "text: Other: must be there");
        let refused = parse("text", "{\n  \"a\": tru\n}").unwrap_err();
        assert!(refused.description().starts_with("text: line 2, "), "{}", refused.description());
    }
}
