//! Cross-origin rules (the Fetch standard's CORS protocol), compiled to the header values that are sent.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue};
use portcullis_model::api::Cors;

/// Cross-origin rules, ready to be sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct CompiledCors {
    /// Off means that the gateway adds no such headers and answers no preflight.
    pub(crate) is_enabled: bool,
    allows_any_origin: bool,
    origins: Vec<HeaderValue>,
    allows_credentials: bool,
    headers: Option<HeaderValue>,
    methods: Option<HeaderValue>,
}

impl CompiledCors {
    /// Compiles the rules; values that no header can hold are left out.
    pub(crate) fn new(cors: &Cors) -> Self {
        let list = |texts: &[String]| HeaderValue::from_str(&texts.join(",")).ok().filter(|value| !value.is_empty());
        Self {
            is_enabled: cors.is_enabled,
            allows_any_origin: cors.allow_origins.iter().any(|origin| origin == "*"),
            origins: cors.allow_origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()).collect(),
            allows_credentials: cors.allow_credentials,
            headers: list(&cors.allow_headers),
            methods: list(&cors.allow_methods),
        }
    }

    /// Adds to an answer what allows the page at the request's `Origin` to read it; nothing where there is none.
    pub(crate) fn allow_reading(&self, request: &HeaderMap, answer: &mut HeaderMap) {
        let Some(origin) = request.get(ORIGIN) else { return };
        if !self.is_enabled {
            return;
        }
        // Credentials with `*` are refused by browsers, so the origin is named then.
        let allowed = if self.allows_any_origin && !self.allows_credentials {
            HeaderValue::from_static("*")
        } else if self.allows_any_origin || self.origins.contains(origin) {
            answer.append(VARY, HeaderValue::from_static("Origin"));
            origin.clone()
        } else {
            answer.append(VARY, HeaderValue::from_static("Origin"));
            return;
        };
        answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        if self.allows_credentials {
            answer.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
    }

    /// Adds to the answer of a preflight what the page may send.
    pub(crate) fn allow_sending(&self, answer: &mut HeaderMap) {
        if let Some(methods) = &self.methods {
            answer.insert(ACCESS_CONTROL_ALLOW_METHODS, methods.clone());
        }
        if let Some(headers) = &self.headers {
            answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, headers.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, ORIGIN};
    use http::{HeaderMap, HeaderValue};
    use portcullis_model::api::Cors;

    use super::CompiledCors;

    fn allowed(origins: &[&str], allow_credentials: bool, origin: Option<&'static str>) -> Option<String> {
        let cors = CompiledCors::new(&Cors {
            is_enabled: true,
            allow_origins: origins.iter().map(|origin| (*origin).to_owned()).collect(),
            allow_credentials,
            allow_headers: Vec::new(),
            allow_methods: Vec::new(),
        });
        let mut request = HeaderMap::new();
        if let Some(origin) = origin {
            request.insert(ORIGIN, HeaderValue::from_static(origin));
        }
        let mut answer = HeaderMap::new();
        cors.allow_reading(&request, &mut answer);
        answer.get(ACCESS_CONTROL_ALLOW_ORIGIN).map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn only_an_origin_that_is_allowed_is_named() {
        assert_eq!(allowed(&["*"], false, Some("https://a")), Some("*".to_owned()));
        assert_eq!(allowed(&["*"], true, Some("https://a")), Some("https://a".to_owned()));
        assert_eq!(allowed(&["https://a", "https://b"], false, Some("https://b")), Some("https://b".to_owned()));
        assert_eq!(allowed(&["https://a"], false, Some("https://evil")), None);
        assert_eq!(allowed(&["*"], false, None), None);
    }
}
