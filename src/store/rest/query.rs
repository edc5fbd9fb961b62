//! Query parameters and path ids, refused as the contract has it.

use std::fmt;
use std::str::FromStr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use portcullis_http::ApiError;
use serde::de::DeserializeOwned;

use crate::messages::Direction;

/// Query parameters. Each is kept as text, so that a wrong one gets a clear answer.
pub(crate) struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        axum::extract::Query::<T>::try_from_uri(&parts.uri).map(|query| Self(query.0)).map_err(|error| {
            ApiError::bad_request(format!("The query parameters are not acceptable: {}.", error.body_text()))
        })
    }
}

/// Reads an id of the path. What is no id names nothing.
pub(crate) fn id<T: FromStr>(noun: &str, text: &str) -> Result<T, ApiError> {
    text.parse().map_err(|_| ApiError::not_found(noun, text))
}

/// Reads a parameter that is one of a few words; the first is meant where nothing is said.
pub(crate) fn word<T: Copy>(name: &str, text: Option<&str>, words: &[(&str, T)]) -> Result<T, ApiError> {
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return words.first().map(|(_, meaning)| *meaning).ok_or_else(|| unknown_word(name, "", words));
    };
    let found = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
    found.map(|(_, meaning)| *meaning).ok_or_else(|| unknown_word(name, text, words))
}

fn unknown_word<T>(name: &str, text: impl fmt::Display, words: &[(&str, T)]) -> ApiError {
    let possible = words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
    ApiError::bad_request(format!("{name}: must be one of {possible}, not `{text}`"))
}

/// Reads `sortOrder`.
pub(crate) fn direction(text: Option<&str>) -> Result<Direction, ApiError> {
    word("sortOrder", text, &[("asc", Direction::Ascending), ("desc", Direction::Descending)])
}
