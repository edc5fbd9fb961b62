//! The parameters of an OAuth request, as they come in a query or a form.

use url::form_urlencoded;

use crate::bound::FORM_FIELDS_MAX;
use crate::oauth_error::OauthError;

/// Parameters that may come several times (RFC 8707, RFC 8693).
const REPEATABLE: [&str; 2] = ["resource", "audience"];

/// Parameters, each at most once but for a few.
#[derive(Clone, Debug, Default)]
pub struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Reads parameters from a query or the body of a form.
    ///
    /// # Errors
    /// Where there are too many, or one is there twice.
    pub fn parse(bytes: &[u8]) -> Result<Self, OauthError> {
        let mut fields: Vec<(String, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(bytes) {
            if fields.len() == FORM_FIELDS_MAX {
                return Err(OauthError::invalid_request(format!("At most {FORM_FIELDS_MAX} parameters are taken.")));
            }
            if !REPEATABLE.contains(&name.as_ref()) && fields.iter().any(|(known, _)| *known == name) {
                return Err(OauthError::invalid_request(format!("The parameter {name} was sent twice.")));
            }
            fields.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self(fields))
    }

    /// Returns a parameter; one without a value counts as left out.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let field = self.0.iter().find(|(known, value)| known == name && !value.is_empty());
        field.map(|(_, value)| value.as_str())
    }

    /// Returns every value of a parameter.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let fields = self.0.iter().filter(move |(known, value)| known == name && !value.is_empty());
        fields.map(|(_, value)| value.as_str())
    }

    /// Returns a parameter that must be there.
    ///
    /// # Errors
    /// Where it is not.
    pub fn need(&self, name: &str) -> Result<&str, OauthError> {
        self.get(name).ok_or_else(|| OauthError::invalid_request(format!("The parameter {name} is missing.")))
    }

    /// Returns them without one.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.0.retain(|(known, _)| known != name);
        self
    }

    /// Returns them with one.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.0.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Writes them as a query.
    #[must_use]
    pub fn to_query(&self) -> String {
        let mut text = form_urlencoded::Serializer::new(String::new());
        for (name, value) in &self.0 {
            text.append_pair(name, value);
        }
        text.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_sent_twice_is_refused_and_an_empty_one_is_left_out() {
        assert!(Parameters::parse(b"scope=a&scope=b").is_err());
        assert_eq!(Parameters::parse(b"scope=&x=1").unwrap().get("scope"), None);
        let several = Parameters::parse(b"resource=a&resource=b").unwrap();
        assert_eq!(several.all("resource").collect::<Vec<_>>(), ["a", "b"]);
    }
}
