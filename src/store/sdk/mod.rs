//! Clients of APIs, written from their definitions: one file of code for each language, that needs nothing beside the
//! language, with what its package managers want to know.

mod javascript;
mod operations;
mod python;

use std::collections::{BTreeMap, BTreeSet};

use portcullis_http::zip::Files;
use serde_json::Value;

use self::operations::Described;

/// Bytes of a client's code, and of what is read of a definition for it.
const WRITTEN_BYTES_MAX: usize = 16 << 20;
/// Characters of a text that are looked at for a remark.
const REMARK_CHARS_READ: usize = 2_000;

/// A language in which clients are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    /// JavaScript, with types for TypeScript.
    Javascript,
    /// Python.
    Python,
}

impl Language {
    /// All of them, by their names in the contract.
    pub(crate) const ALL: [(&'static str, Self); 2] = [("javascript", Self::Javascript), ("python", Self::Python)];

    /// Returns a language by its name, whatever the case of its letters.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(its, _)| its.eq_ignore_ascii_case(name)).map(|(_, language)| *language)
    }

    /// Returns its name in the contract.
    pub(crate) fn as_contract(self) -> &'static str {
        match self {
            Self::Javascript => "javascript",
            Self::Python => "python",
        }
    }
}

/// Which API a client is of.
pub(crate) struct Subject<'a> {
    pub(crate) name: &'a str,
    pub(crate) version: &'a str,
    /// Where it is called; empty where it is not deployed.
    pub(crate) address: &'a str,
    /// The header that carries access tokens.
    pub(crate) authorization: &'a str,
    /// The header that carries API keys.
    pub(crate) api_key: &'a str,
}

/// Writes a client of an API.
///
/// # Errors
/// Why none can be written, in words: the definition describes more than a client may hold.
pub(crate) fn client(subject: &Subject<'_>, document: &Value, language: Language) -> Result<Files, String> {
    let described = Described::of(document)?;
    match language {
        Language::Javascript => javascript::client(subject, &described),
        Language::Python => python::client(subject, &described),
    }
}

fn check_written(bytes: usize) -> Result<(), String> {
    if bytes <= WRITTEN_BYTES_MAX {
        return Ok(());
    }
    Err(format!("describes so much that its client would have more than {WRITTEN_BYTES_MAX} bytes; divide the API"))
}

/// Writes a text as a literal, which is the same in all of the languages.
fn literal(text: &str) -> String {
    Value::from(text).to_string()
}

/// Makes a text one line of a comment that nothing in it can end.
fn remark(text: &str) -> String {
    let text: String = text.chars().take(REMARK_CHARS_READ).collect();
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let line: String = line.chars().filter(|one| !one.is_control()).collect();
    line.replace(['\\', '"'], "'").replace("*/", "* /").chars().take(500).collect()
}

/// Returns the words of a name: runs of letters and digits, parted also where a capital follows a small letter.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut before = ' ';
    for one in name.chars() {
        if one.is_ascii_alphanumeric() {
            let begins = !before.is_ascii_alphanumeric() || (before.is_ascii_lowercase() && one.is_ascii_uppercase());
            match words.last_mut().filter(|_| !begins) {
                Some(word) => word.push(one.to_ascii_lowercase()),
                None => words.push(one.to_ascii_lowercase().to_string()),
            }
        }
        before = one;
    }
    words
}

/// Returns a name that packages have.
fn package_name(subject: &Subject<'_>) -> String {
    let name = words(subject.name).join("-");
    if name.is_empty() { "api-client".to_owned() } else { format!("{name}-client") }
}

/// Makes names unique by a number behind those that are taken.
#[derive(Default)]
struct Taken {
    names: BTreeSet<String>,
    /// The number to try next, of names that were wanted again.
    next: BTreeMap<String, u64>,
}

impl Taken {
    fn with(names: &[&str]) -> Self {
        Self { names: names.iter().map(|name| (*name).to_owned()).collect(), next: BTreeMap::new() }
    }

    fn name(&mut self, wanted: String) -> String {
        if self.names.insert(wanted.clone()) {
            return wanted;
        }
        let next = self.next.entry(wanted.clone()).or_insert(2);
        loop {
            let name = format!("{wanted}{next}");
            *next += 1;
            if self.names.insert(name.clone()) {
                return name;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn written(document: &Value, language: Language) -> String {
        let address = "https://localhost:8243/pizza/1.0.0";
        let (authorization, api_key) = ("Authorization", "ApiKey");
        let subject = Subject { name: "Pizza \"Shack\"", version: "1.0.0", address, authorization, api_key };
        let files = client(&subject, document, language).unwrap();
        files.values().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn what_a_document_says_cannot_leave_its_place() {
        let evil = "a\"\"\" */ ; import os\n";
        let document = json!({"paths": {"/x\"); evil(\"": {"get": {
            "operationId": "class; evil()", "summary": evil, "description": evil,
            "parameters": [{"name": "a\"b", "in": "query", "description": evil, "schema": {"type": "string"}}],
        }}}});
        for (name, language) in Language::ALL {
            let text = written(&document, language);
            assert!(
                !text.contains("\"\"\" *") && !text.contains("a\"\"\"") && !text.contains(" */ ;"),
                "{name}: {text}"
            );
            assert!(text.contains(r#""/x\"); evil(\"""#), "{name}: {text}");
        }
    }

    #[test]
    fn names_are_parted_where_people_part_them() {
        assert_eq!(words("getOrder_by-ID2"), ["get", "order", "by", "id2"]);
        let mut taken = Taken::with(&["a"]);
        assert_eq!([taken.name("a".to_owned()), taken.name("a".to_owned())], ["a2", "a3"]);
    }

    fn refusal(document: &Value, language: Language) -> String {
        let (authorization, api_key) = ("Authorization", "ApiKey");
        let subject = Subject { name: "Pizza", version: "1.0.0", address: "", authorization, api_key };
        client(&subject, document, language).unwrap_err()
    }

    #[test]
    fn a_definition_that_says_little_in_much_is_refused() {
        let parameter = |number: usize| json!({"name": format!("p{number}"), "in": "query"});
        let parameters = |count: usize| (0..count).map(parameter).collect::<Vec<Value>>();
        let one = |count: usize| json!({"paths": {"/menu": {"parameters": parameters(count), "get": {}}}});
        // Each path shares the parameters of one that is referred to.
        let path = |number: usize| (format!("/{number}"), json!({"$ref": "#/x-shared"}));
        let shared = json!({"parameters": parameters(200), "get": {}, "put": {}});
        let paths: serde_json::Map<String, Value> = (0..5_000).map(path).collect();
        let many = json!({"paths": paths, "x-shared": shared});
        for (name, language) in Language::ALL {
            assert!(written(&one(200), language).contains("p199"), "{name}");
            let refused = refusal(&one(201), language);
            assert!(refused.contains("GET /menu has 201 parameters") && refused.contains("200"), "{name}: {refused}");
            let refused = refusal(&many, language);
            assert!(refused.contains("more than 16777216 bytes"), "{name}: {refused}");
        }
        let long = json!({"paths": {"/": {"get": {"parameters": [{"name": "x".repeat(2_000), "in": "query"}]}}}});
        assert!(refusal(&long, Language::Python).contains("at most 1024"));
    }

    #[test]
    fn no_method_has_the_name_of_an_attribute() {
        let ids = ["accessToken", "apiKey", "baseUrl", "timeoutS", "sslContext"];
        let paths: serde_json::Map<String, Value> =
            ids.iter().map(|id| (format!("/{id}"), json!({"get": {"operationId": id}}))).collect();
        let python = written(&json!({ "paths": paths }), Language::Python);
        for name in ["access_token", "api_key", "base_url", "timeout_s", "ssl_context"] {
            assert!(python.contains(&format!("def {name}2(self)")), "{name}: {python}");
            assert!(!python.contains(&format!("def {name}(")), "{name}: {python}");
        }
    }

    #[test]
    fn operations_have_methods_by_their_ids_or_by_verb_and_path() {
        let document = json!({
            "paths": {
                "/order/{orderId}": {
                    "parameters": [{"$ref": "#/components/parameters/order"}],
                    "get": {"operationId": "getOrder"},
                    "delete": {},
                },
                "/menu": {"get": {"parameters": [{"name": "max-price", "in": "query", "schema": {"type": "number"}}]}},
            },
            "components": {"parameters": {"order": {"name": "orderId", "in": "path", "schema": {"type": "integer"}}}},
        });
        let python = written(&document, Language::Python);
        assert!(python.contains("def get_order(self, order_id: int)"), "{python}");
        assert!(python.contains("def delete_order_order_id(self, order_id: int)"), "{python}");
        assert!(python.contains("def get_menu(self, *, max_price: Optional[float] = None)"), "{python}");
        let javascript = written(&document, Language::Javascript);
        assert!(javascript.contains("async getOrder(orderId, options = {})"), "{javascript}");
        assert!(javascript.contains("getMenu(options?: CallOptions & { maxPrice?: number })"), "{javascript}");
    }
}
