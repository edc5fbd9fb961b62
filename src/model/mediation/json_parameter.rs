//! Parameters that are JSON as text. The original's portal keeps it as it fits into XML: with `'` for `"`, or with its special
//! characters as entities.

use serde_json::Value;

/// What stands for a character; the last is undone last, so that nothing is undone twice.
const ENTITIES: [(&str, &str); 7] =
    [("&quot;", "\""), ("&#34;", "\""), ("&#39;", "'"), ("&apos;", "'"), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")];

/// Reads a parameter.
///
/// # Errors
/// What is wrong with it as it was written, where none of the ways to write it fits.
pub(super) fn read(text: &str) -> Result<Value, serde_json::Error> {
    serde_json::from_str(text).or_else(|error| {
        let plain = ENTITIES.iter().fold(text.to_owned(), |text, (entity, one)| text.replace(entity, one));
        serde_json::from_str(&plain).or_else(|_| serde_json::from_str(&text.replace('\'', "\""))).map_err(|_| error)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_is_read_however_it_was_made_to_fit_into_xml() {
        for (text, said) in [
            (r#"{"a": "&quot;"}"#, json!({"a": "&quot;"})),
            ("{&quot;a&quot;: &quot;&lt;b&gt; &amp;amp;&quot;}", json!({"a": "<b> &amp;"})),
            ("[{'a': 1}]", json!([{"a": 1}])),
        ] {
            assert_eq!(read(text).unwrap(), said, "{text}");
        }
        assert!(read("{a: 1}").is_err() && read("").is_err());
    }
}
