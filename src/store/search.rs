//! The search language of the Store: `pizza`, `name:"Pizza Shack"`, `tag:food version:1.*`. It knows APIs, not tables.

use std::cell::OnceCell;

use portcullis_model::{Api, Refused};
use serde_json::Value;

/// Characters of a search text: matching costs at most this times the text it is matched with.
const QUERY_CHARS_MAX: usize = 500;

/// A search: every term must match.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Search(Vec<Term>);

#[derive(Debug, PartialEq, Eq)]
struct Term {
    field: Field,
    pattern: Pattern,
}

#[derive(Debug, PartialEq, Eq)]
enum Field {
    Name,
    Context,
    Version,
    Provider,
    Description,
    Status,
    Tag,
    Category,
    Type,
    Subcontext,
    Content,
    /// Text of documents.
    Document,
    /// Whether it is to be seen here: what is not, nobody finds.
    EnableStore,
    /// Whether it is only advertised here, and served by others.
    ThirdParty,
    /// A custom property.
    Property(String),
}

#[derive(Debug, PartialEq, Eq)]
enum Pattern {
    /// Somewhere within the text.
    Within(String),
    /// The whole text.
    Whole(String),
    /// The whole text, where `*` stands for anything.
    Wild(String),
}

impl Search {
    /// Reads a search text. Terms are separated by white space or `&`; a word without a field is looked for in names.
    ///
    /// # Errors
    /// Where the text is too long.
    pub(crate) fn parse(text: &str) -> Result<Self, Refused> {
        let length = text.chars().count();
        if length > QUERY_CHARS_MAX {
            let reason = format!("may have at most {QUERY_CHARS_MAX} characters, not {length}");
            return Err(Refused::invalid("query", reason));
        }
        Ok(Self(words(text).into_iter().filter_map(|word| Term::parse(&word)).collect()))
    }

    /// Says whether nothing is looked for: every API is found.
    pub(crate) fn is_of_all(&self) -> bool {
        self.0.is_empty()
    }

    /// Says whether documents may be meant: texts are looked for, wherever they are.
    pub(crate) fn is_of_documents(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(|term| matches!(term.field, Field::Content | Field::Document))
    }

    /// Says whether each term is in one of a document's texts.
    pub(crate) fn matches_document(&self, texts: &[&str]) -> bool {
        self.0.iter().all(|term| texts.iter().any(|text| term.pattern.matches(text)))
    }

    /// Says whether an API is among what is looked for.
    pub(crate) fn matches(&self, api: &Api) -> bool {
        let sought = Sought { api, others: OnceCell::new() };
        self.0.iter().all(|term| term.matches(&sought))
    }
}

/// An API that a search looks at. What is kept of it without being understood is read once, for the first term that needs it.
struct Sought<'a> {
    api: &'a Api,
    others: OnceCell<Value>,
}

impl Sought<'_> {
    /// Returns a field that is kept without being understood.
    fn kept(&self, name: &str) -> Option<&Value> {
        // Most APIs have none that searches ask for.
        if !self.api.other_fields.contains(name) {
            return None;
        }
        self.others.get_or_init(|| serde_json::from_str(&self.api.other_fields).unwrap_or_default()).get(name)
    }

    /// Returns the value of a custom property.
    fn property(&self, name: &str) -> Option<&str> {
        let mut all = self.kept("additionalProperties")?.as_array()?.iter();
        let is_meant = |one: &&Value| one["name"].as_str().is_some_and(|text| text.eq_ignore_ascii_case(name));
        all.find(is_meant)?.get("value")?.as_str()
    }
}

/// Splits at white space and `&` outside of quotes; the quotes stay.
fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut is_quoted = false;
    for letter in text.chars() {
        if letter == '"' {
            is_quoted = !is_quoted;
        }
        let is_gap = !is_quoted && (letter.is_whitespace() || letter == '&');
        match words.last_mut() {
            Some(word) if !is_gap => word.push(letter),
            _ => words.push(String::new()),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

impl Term {
    fn parse(word: &str) -> Option<Self> {
        let (field, value) = match word.split_once(':') {
            Some((field, value)) if !field.is_empty() && !field.contains('"') => (Field::parse(field), value),
            _ => (Field::Name, word),
        };
        let is_exact = matches!(field, Field::Version | Field::Status | Field::Tag | Field::Category | Field::Type);
        let lower = value.trim_matches('"').to_lowercase();
        if lower.is_empty() {
            return None;
        }
        let pattern = if lower.contains('*') {
            Pattern::Wild(lower)
        } else if value.starts_with('"') || is_exact {
            Pattern::Whole(lower)
        } else {
            Pattern::Within(lower)
        };
        Some(Self { field, pattern })
    }

    fn matches(&self, sought: &Sought<'_>) -> bool {
        let (pattern, api) = (&self.pattern, sought.api);
        match &self.field {
            Field::Name => pattern.matches(&api.name),
            Field::Context => pattern.matches(&api.context),
            Field::Version => pattern.matches(&api.version),
            Field::Provider => pattern.matches(&api.provider.0),
            Field::Description => pattern.matches(&api.description),
            Field::Status => pattern.matches(api.lifecycle.as_contract()),
            Field::Tag => api.tags.iter().any(|tag| pattern.matches(tag)),
            Field::Category => api.categories.iter().any(|category| pattern.matches(category)),
            Field::Type => pattern.matches(api.kind.as_contract()),
            Field::Subcontext => api.operations.iter().any(|one| pattern.matches(&one.target)),
            Field::Content => pattern.matches(&api.name) || pattern.matches(&api.description),
            Field::Document => false,
            Field::EnableStore => pattern.matches("true"),
            Field::ThirdParty => {
                let is_one = sought.kept("advertiseInfo").is_some_and(|info| info["advertised"] == true);
                pattern.matches(if is_one { "true" } else { "false" })
            }
            Field::Property(name) => sought.property(name).is_some_and(|value| pattern.matches(value)),
        }
    }
}

impl Field {
    fn parse(word: &str) -> Self {
        match word.to_ascii_lowercase().as_str() {
            "name" => Self::Name,
            "context" | "contexttemplate" => Self::Context,
            "version" => Self::Version,
            "provider" => Self::Provider,
            "description" => Self::Description,
            "status" | "lcstate" => Self::Status,
            "tag" | "tags" => Self::Tag,
            "api-category" | "apicategory" | "category" => Self::Category,
            "type" => Self::Type,
            "subcontext" => Self::Subcontext,
            "content" => Self::Content,
            "doc" => Self::Document,
            "enablestore" => Self::EnableStore,
            "thirdparty" => Self::ThirdParty,
            _ => Self::Property(word.to_owned()),
        }
    }
}

impl Pattern {
    /// Says whether the text matches, whatever the case of its letters.
    pub(crate) fn matches(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        match self {
            Self::Within(part) => text.contains(part.as_str()),
            Self::Whole(whole) => text == *whole,
            Self::Wild(wild) => matches_wild(wild.as_bytes(), text.as_bytes()),
        }
    }
}

/// Matches with `*` for anything: after a mismatch it goes back to the last `*` alone, so the cost is bounded by the
/// product of the lengths.
fn matches_wild(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut read) = (0, 0);
    let mut last_star: Option<(usize, usize)> = None;
    while read < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                last_star = Some((at, read));
                at += 1;
            }
            Some(byte) if *byte == text[read] => {
                at += 1;
                read += 1;
            }
            _ => {
                let Some((star, begun)) = last_star else { return false };
                last_star = Some((star, begun + 1));
                at = star + 1;
                read = begun + 1;
            }
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journeys::nouns::api;

    fn finds(query: &str) -> bool {
        let mut pizza = api(1, "PizzaShack");
        pizza.version = "1.0.0".to_owned();
        pizza.tags = vec!["food".to_owned(), "Italian".to_owned()];
        pizza.description = "Orders pizza by mail".to_owned();
        pizza.other_fields =
            r#"{"additionalProperties": [{"name": "team", "value": "Dough", "display": true}]}"#.to_owned();
        Search::parse(query).unwrap().matches(&pizza)
    }

    #[test]
    fn a_word_is_looked_for_in_names_and_a_field_says_where_else() {
        for query in [
            "",
            "pizza",
            "name:shack",
            "tag:FOOD",
            "tags:ital*",
            "version:1.0.0",
            "version:1.*",
            "provider:adm",
            "context:/pizza",
            "status:published",
            "lcState:PUBLISHED",
            "description:mail pizza",
            "name:\"pizzashack\"",
            "team:dough",
            "contextTemplate:/pizza",
            "enableStore:true&thirdParty:false",
            "*zza*ck",
            "type:http",
        ] {
            assert!(finds(query), "{query}");
        }
        for query in [
            "burger",
            "tag:foo",
            "version:1.0",
            "name:\"pizza\"",
            "pizza tag:burger",
            "status:created",
            "doc:pizza",
            "team:x",
            "*zza",
            "nofield:x",
            "thirdparty:true",
            "enablestore:false",
        ] {
            assert!(!finds(query), "{query}");
        }
    }

    #[test]
    fn a_search_text_has_a_bound() {
        assert!(Search::parse(&"x".repeat(501)).is_err());
    }
}
