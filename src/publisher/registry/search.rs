//! Finds APIs by what a search says: `name:pizza context:/x status:PUBLISHED`, quoted for a whole match, with `*` for anything,
//! or words that names, versions, providers, contexts or tags hold. A field that is none of the original's is a custom
//! property. Case does not matter.

use std::cell::OnceCell;
use std::cmp::Ordering;

use portcullis_model::Api;
use serde_json::{Map, Value};

use crate::dto::api_body::kept_fields;
use crate::fault::PublisherError;
use crate::messages::ApiSearch;

const QUERY_CHARS_MAX: usize = 1_024;
const TERMS_MAX: usize = 32;

/// A search that was understood.
#[derive(Debug, Default)]
pub struct Search {
    terms: Vec<Term>,
}

#[derive(Debug)]
struct Term {
    field: Field,
    text: String,
    is_whole: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Field {
    Any,
    Name,
    Context,
    Version,
    Status,
    Provider,
    Description,
    Tag,
    Category,
    Kind,
    /// The paths, channels and fields that can be called.
    Subcontext,
    /// Texts of documents.
    Document,
    /// Labels that administrators made.
    Label,
    /// Whether it is to be seen in the Store.
    EnableStore,
    /// Whether it is only advertised here, and served by others.
    ThirdParty,
    /// A custom property.
    Property(String),
}

impl Search {
    /// Reads a query.
    ///
    /// # Errors
    /// A query that is too long.
    pub fn parse(query: &str) -> Result<Self, PublisherError> {
        if query.chars().count() > QUERY_CHARS_MAX {
            return Err(PublisherError::field("query", format!("has more than {QUERY_CHARS_MAX} characters")));
        }
        let mut terms = Vec::new();
        for word in words(query) {
            terms.push(term(&word));
            if terms.len() > TERMS_MAX {
                return Err(PublisherError::field("query", format!("has more than {TERMS_MAX} terms")));
            }
        }
        Ok(Self { terms })
    }

    /// Says whether nothing is looked for: every API is found.
    #[must_use]
    pub fn is_of_all(&self) -> bool {
        self.terms.is_empty()
    }

    /// Says whether texts are looked for, wherever they are, so that documents may be meant.
    #[must_use]
    pub fn is_of_texts(&self) -> bool {
        !self.terms.is_empty() && self.terms.iter().all(|term| matches!(term.field, Field::Any | Field::Document))
    }

    /// Says whether each term is in one of the texts.
    #[must_use]
    pub fn finds_text(&self, texts: &[&str]) -> bool {
        self.terms.iter().all(|term| texts.iter().any(|text| term.matches(text)))
    }

    /// Says whether an API is meant; its labels are asked for where a term names one.
    #[must_use]
    pub fn finds(&self, api: &Api, labels: impl Fn() -> Vec<String>) -> bool {
        let sought = Sought { api, others: OnceCell::new(), labels: &labels };
        self.terms.iter().all(|term| term.finds(&sought))
    }
}

/// An API that a search looks at. What is kept of it without being understood is read once, for the first term that needs it.
struct Sought<'a> {
    api: &'a Api,
    others: OnceCell<Map<String, Value>>,
    labels: &'a dyn Fn() -> Vec<String>,
}

impl Sought<'_> {
    /// Returns a field that is kept without being understood.
    fn kept(&self, name: &str) -> Option<&Value> {
        // Most APIs have none that searches ask for.
        if !self.api.other_fields.contains(name) {
            return None;
        }
        self.others.get_or_init(|| kept_fields(self.api)).get(name)
    }

    /// Returns the value of a custom property.
    fn property(&self, name: &str) -> Option<&str> {
        let mut all = self.kept("additionalProperties")?.as_array()?.iter();
        let is_meant = |one: &&Value| one["name"].as_str().is_some_and(|text| text.eq_ignore_ascii_case(name));
        all.find(is_meant)?.get("value")?.as_str()
    }
}

/// Splits at spaces, commas and `&` that are not in quotes.
fn words(query: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut is_quoted = false;
    for one in query.chars() {
        match one {
            '"' => {
                is_quoted = !is_quoted;
                words.last_mut().expect("there is a word from the start").push(one);
            }
            ' ' | ',' | '&' | '\t' if !is_quoted => words.push(String::new()),
            _ => words.last_mut().expect("there is a word from the start").push(one),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

fn term(word: &str) -> Term {
    let (field, text) = match word.split_once(':') {
        None => (Field::Any, word),
        Some((name, text)) => (field_of(name), text),
    };
    let is_whole = text.len() >= 2 && text.starts_with('"') && text.ends_with('"');
    let text = text.trim_matches('"').trim_matches('*').to_lowercase();
    Term { field, text, is_whole }
}

fn field_of(name: &str) -> Field {
    match name.to_ascii_lowercase().as_str() {
        "name" => Field::Name,
        "context" | "contexttemplate" => Field::Context,
        "version" => Field::Version,
        "status" | "lifecyclestatus" | "lcstate" => Field::Status,
        "provider" => Field::Provider,
        "description" => Field::Description,
        "tag" | "tags" => Field::Tag,
        "api-category" | "apicategory" => Field::Category,
        "type" => Field::Kind,
        "content" => Field::Any,
        "subcontext" => Field::Subcontext,
        "doc" => Field::Document,
        "label" => Field::Label,
        "enablestore" => Field::EnableStore,
        "thirdparty" => Field::ThirdParty,
        _ => Field::Property(name.to_owned()),
    }
}

/// Says whether a text holds parts in their order.
fn holds(text: &str, parts: &str) -> bool {
    let mut left = text;
    parts.split('*').all(|part| match left.split_once(part) {
        Some((_, after)) => {
            left = after;
            true
        }
        None => false,
    })
}

impl Term {
    fn finds(&self, sought: &Sought<'_>) -> bool {
        let api = sought.api;
        match &self.field {
            Field::Name => self.matches(&api.name),
            Field::Context => self.matches(&api.context),
            Field::Version => self.matches(&api.version),
            // `published` must not find what is `unpublished`, were there such a state: states are whole words.
            Field::Status => api.lifecycle.as_contract().eq_ignore_ascii_case(&self.text),
            Field::Provider => self.matches(&api.provider.0),
            Field::Description => self.matches(&api.description),
            Field::Tag => api.tags.iter().any(|tag| self.matches(tag)),
            // As in the original, categories and labels are found by the whole name.
            Field::Category => api.categories.iter().any(|category| category.to_lowercase() == self.text),
            Field::Label => (sought.labels)().iter().any(|label| label.to_lowercase() == self.text),
            Field::EnableStore => self.says(sought.kept("enableStore").is_none_or(|said| *said != false)),
            Field::ThirdParty => self.says(sought.kept("advertiseInfo").is_some_and(|info| info["advertised"] == true)),
            Field::Kind => self.matches(api.kind.as_contract()),
            Field::Subcontext => api.operations.iter().any(|operation| self.matches(&operation.target)),
            Field::Document => false,
            Field::Property(name) => sought.property(name).is_some_and(|value| self.matches(value)),
            Field::Any => {
                let texts = [&api.name, &api.context, &api.version, &api.provider.0, &api.description];
                texts.into_iter().chain(&api.tags).any(|text| self.matches(text))
            }
        }
    }

    /// Says whether a flag is as the term has it.
    fn says(&self, flag: bool) -> bool {
        self.text == if flag { "true" } else { "false" }
    }

    fn matches(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        if self.is_whole { text == self.text } else { holds(&text, &self.text) }
    }
}

/// Returns the order that a search asks for: by name and version where it does not say.
///
/// # Errors
/// A field that lists are not sorted by.
pub fn order_of(search: &ApiSearch) -> Result<impl Fn(&Api, &Api) -> Ordering + use<>, PublisherError> {
    let by: fn(&Api, &Api) -> Ordering = match search.sort_by.as_deref().unwrap_or("name") {
        "name" | "apiName" => |_, _| Ordering::Equal,
        "version" => |one, other| one.version.cmp(&other.version),
        "createdTime" => |one, other| one.created_at.cmp(&other.created_at),
        "updatedTime" | "lastUpdatedTime" => |one, other| one.updated_at.cmp(&other.updated_at),
        "status" => |one, other| one.lifecycle.cmp(&other.lifecycle),
        other => {
            let reason = format!("is {other}; name, version, createdTime, updatedTime and status are possible");
            return Err(PublisherError::field("sortBy", reason));
        }
    };
    let is_descending = search.is_descending;
    Ok(move |one: &Api, other: &Api| {
        let order = by(one, other).then_with(|| one.order_by_name(other));
        if is_descending { order.reverse() } else { order }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_the_original_and_custom_properties_are_searched() {
        let mut pizza = crate::dto::api::blank(
            portcullis_model::ApiId::from_random([1; 16]),
            portcullis_model::TenantDomain::super_tenant(),
            portcullis_model::Username("ann".to_owned()),
        );
        pizza.name = "PizzaShack".to_owned();
        pizza.operations = crate::dto::operations::defaults(portcullis_model::ApiKind::Http);
        pizza.categories = vec!["Fast food".to_owned()];
        pizza.other_fields =
            r#"{"additionalProperties": [{"name": "team", "value": "Dough"}, {"name": "town", "value": "Rome"}],
            "advertiseInfo": {"advertised": true}}"#
                .to_owned();
        let asked = std::cell::Cell::new(0);
        let labels = || {
            asked.set(asked.get() + 1);
            vec!["Gold".to_owned()]
        };
        let finds = |query: &str| Search::parse(query).unwrap().finds(&pizza, labels);
        for query in [
            "",
            "shack",
            "name:pi*sha*",
            "name:\"pizzashack\"",
            "team:dough",
            "Team:*ou*",
            "subcontext:/*",
            "type:http",
            "name:pizza&team:dough&town:rome",
            "api-category:\"fast food\"",
            "label:gold",
            "enableStore:true",
            "thirdParty:true",
        ] {
            assert!(finds(query), "{query}");
        }
        assert_eq!(asked.get(), 1, "labels are asked for where a term names one");
        for query in [
            "name:sha*pi",
            "name:\"pizza\"",
            "team:x",
            "doc:pizza",
            "nothing:pizza",
            "subcontext:/menu",
            "api-category:fast",
            "label:go",
            "enablestore:false",
            "thirdparty:false",
            "name:pizza&team:x",
        ] {
            assert!(!finds(query), "{query}");
        }
    }
}
