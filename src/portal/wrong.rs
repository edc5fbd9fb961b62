//! What was wrong with a form that was sent: shown above it and by the fields.

use askama::filters::{Html, escape};
use portcullis_http::ApiError;
use portcullis_http::error::ErrorItem;

/// What was wrong with a form, if anything was.
#[derive(Clone, Debug, Default)]
pub struct Wrong(Option<ApiError>);

impl From<ApiError> for Wrong {
    fn from(error: ApiError) -> Self {
        Self(Some(error))
    }
}

impl Wrong {
    /// Returns what is said above the form.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        self.0.as_ref().map(ApiError::description)
    }

    /// Returns the single faults, where there are several.
    #[must_use]
    pub fn items(&self) -> &[ErrorItem] {
        self.0.as_ref().map_or(&[], ApiError::items)
    }

    /// Returns what is wrong with a field.
    #[must_use]
    pub fn at(&self, field: &str) -> Option<&str> {
        let item = self.items().iter().find(|item| item.code == field).map(|item| item.message.as_str());
        item.or_else(|| self.text()?.strip_prefix(field)?.strip_prefix(": "))
    }

    /// Returns attributes that mark a field with which something is wrong. They are HTML.
    #[must_use]
    pub fn mark(&self, field: &str) -> String {
        match self.at(field) {
            Some(_) => format!(" aria-invalid=\"true\" aria-describedby=\"wrong-{field}\""),
            None => String::new(),
        }
    }

    /// Returns attributes as [`Wrong::mark`] does, for a field that the element with the id `hint` describes already.
    #[must_use]
    pub fn mark_beside(&self, field: &str, hint: &str) -> String {
        match self.at(field) {
            Some(_) => format!(" aria-invalid=\"true\" aria-describedby=\"{hint} wrong-{field}\""),
            None => format!(" aria-describedby=\"{hint}\""),
        }
    }

    /// Returns the line below a field that says what is wrong with it. It is HTML.
    #[must_use]
    pub fn line(&self, field: &str) -> String {
        let Some(text) = self.at(field) else { return String::new() };
        let text = escape(text, Html).map(|text| text.to_string()).unwrap_or_default();
        format!("<p class=\"wrong\" id=\"wrong-{field}\">{text}</p>")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_shown_by_its_field_as_text() {
        let wrong = Wrong::from(ApiError::bad_request("name: must not be <b>").with_item("name", "must not be <b>"));
        assert_eq!(wrong.line("name"), "<p class=\"wrong\" id=\"wrong-name\">must not be &#60;b&#62;</p>");
        assert!(wrong.line("context").is_empty() && wrong.mark("context").is_empty());
        assert_eq!(Wrong::from(ApiError::bad_request("plan: is missing")).at("plan"), Some("is missing"));
    }
}
