//! Finds APIs by what a search says: `name:pizza context:/x status:PUBLISHED`, quoted for a whole match, or words that
//! names, versions, providers, contexts or tags hold. Case does not matter.

use std::cmp::Ordering;

use portcullis_model::Api;

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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
}

impl Search {
    /// Reads a query.
    ///
    /// # Errors
    /// A field that cannot be searched, or a query that is too long.
    pub fn parse(query: &str) -> Result<Self, PublisherError> {
        if query.chars().count() > QUERY_CHARS_MAX {
            return Err(PublisherError::field("query", format!("has more than {QUERY_CHARS_MAX} characters")));
        }
        let mut terms = Vec::new();
        for word in words(query) {
            terms.push(term(&word)?);
            if terms.len() > TERMS_MAX {
                return Err(PublisherError::field("query", format!("has more than {TERMS_MAX} terms")));
            }
        }
        Ok(Self { terms })
    }

    /// Says whether texts are looked for, wherever they are, so that documents may be meant.
    #[must_use]
    pub fn is_of_texts(&self) -> bool {
        !self.terms.is_empty() && self.terms.iter().all(|term| term.field == Field::Any)
    }

    /// Says whether each term is in one of the texts.
    #[must_use]
    pub fn finds_text(&self, texts: &[&str]) -> bool {
        self.terms.iter().all(|term| texts.iter().any(|text| term.matches(text)))
    }

    /// Says whether an API is meant.
    #[must_use]
    pub fn finds(&self, api: &Api) -> bool {
        self.terms.iter().all(|term| term.finds(api))
    }
}

/// Splits at spaces and commas that are not in quotes.
fn words(query: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut is_quoted = false;
    for one in query.chars() {
        match one {
            '"' => {
                is_quoted = !is_quoted;
                words.last_mut().expect("there is a word from the start").push(one);
            }
            ' ' | ',' | '\t' if !is_quoted => words.push(String::new()),
            _ => words.last_mut().expect("there is a word from the start").push(one),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

fn term(word: &str) -> Result<Term, PublisherError> {
    let (field, text) = match word.split_once(':') {
        None => (Field::Any, word),
        Some((name, text)) => (field_of(name)?, text),
    };
    let is_whole = text.len() >= 2 && text.starts_with('"') && text.ends_with('"');
    let text = text.trim_matches('"').trim_matches('*').to_lowercase();
    Ok(Term { field, text, is_whole })
}

fn field_of(name: &str) -> Result<Field, PublisherError> {
    Ok(match name.to_ascii_lowercase().as_str() {
        "name" => Field::Name,
        "context" => Field::Context,
        "version" => Field::Version,
        "status" | "lifecyclestatus" | "lcstate" => Field::Status,
        "provider" => Field::Provider,
        "description" => Field::Description,
        "tag" | "tags" => Field::Tag,
        "api-category" => Field::Category,
        "type" => Field::Kind,
        "content" => Field::Any,
        other => {
            let reason = format!(
                "`{other}:` cannot be searched; name, context, version, status, provider, description, tags, \
                 api-category and type can"
            );
            return Err(PublisherError::field("query", reason));
        }
    })
}

impl Term {
    fn finds(&self, api: &Api) -> bool {
        match self.field {
            Field::Name => self.matches(&api.name),
            Field::Context => self.matches(&api.context),
            Field::Version => self.matches(&api.version),
            // `published` must not find what is `unpublished`, were there such a state: states are whole words.
            Field::Status => api.lifecycle.as_contract().eq_ignore_ascii_case(&self.text),
            Field::Provider => self.matches(&api.provider.0),
            Field::Description => self.matches(&api.description),
            Field::Tag => api.tags.iter().any(|tag| self.matches(tag)),
            Field::Category => api.categories.iter().any(|category| self.matches(category)),
            Field::Kind => self.matches(api.kind.as_contract()),
            Field::Any => {
                let texts = [&api.name, &api.context, &api.version, &api.provider.0, &api.description];
                texts.into_iter().chain(&api.tags).any(|text| self.matches(text))
            }
        }
    }

    fn matches(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        if self.is_whole { text == self.text } else { text.contains(&self.text) }
    }
}

/// Returns the order that a search asks for: by name and version where it does not say.
///
/// # Errors
/// A field that lists are not sorted by.
pub fn order_of(search: &ApiSearch) -> Result<impl Fn(&Api, &Api) -> Ordering + use<>, PublisherError> {
    let by_name = |one: &Api, other: &Api| {
        one.name.to_lowercase().cmp(&other.name.to_lowercase()).then_with(|| one.version.cmp(&other.version))
    };
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
        let order = by(one, other).then_with(|| by_name(one, other)).then_with(|| one.id.cmp(&other.id));
        if is_descending { order.reverse() } else { order }
    })
}
