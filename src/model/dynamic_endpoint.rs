//! Dynamic endpoints (`endpoint_type` `default`): the backend of a call is what a policy of its request flow puts into the
//! header `To`, as the original has it. Read here is what the document says about them: which keys they serve, how the
//! backends are treated, and which addresses are allowed.

use percent_encoding::percent_decode_str;
use serde_json::Value;
use url::Url;

use crate::backend_care::{self, BadCare, EndpointCare};

/// The `endpoint_type`.
pub const KIND: &str = "default";
/// What stands for the address that is not known yet.
pub const URL: &str = "default";
/// The field that lists which addresses are allowed.
pub const ALLOWED: &str = "allowed_addresses";
/// Allowed addresses of an API.
pub const ALLOWED_MAX: usize = 64;
/// Characters of an address.
pub const ADDRESS_CHARS_MAX: usize = 2_048;

/// What an API says of its dynamic endpoints.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DynamicEndpoints {
    /// How backends of production keys are treated.
    pub production: EndpointCare,
    /// How backends of sandbox keys are treated.
    pub sandbox: EndpointCare,
    /// Where calls may go; anywhere that a policy says where it is empty, and nowhere that a caller says.
    pub allowed: Vec<AllowedAddress>,
}

/// Addresses below a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedAddress {
    is_https: bool,
    /// The host, in lower case as URLs have it; of those below it where `is_below`.
    host: String,
    is_below: bool,
    port: u16,
    /// The path, without a slash at its end.
    path: String,
}

/// Why an address is not one that calls can go to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAddress {
    /// It is too long.
    #[error("it has more than {ADDRESS_CHARS_MAX} characters")]
    TooLong,
    /// It is none.
    #[error("it is not a URL: {0}")]
    NotUrl(#[from] url::ParseError),
    /// It is of another scheme.
    #[error("it must be an absolute http or https URL")]
    Scheme,
    /// It has something that no backend's address has.
    #[error("it must have neither a user name nor a fragment")]
    Extra,
}

/// Returns a backend's address in its normal form.
///
/// # Errors
/// Where it is not an absolute `http` or `https` URL without user name and fragment.
pub fn address(text: &str) -> Result<Url, BadAddress> {
    if text.chars().count() > ADDRESS_CHARS_MAX {
        return Err(BadAddress::TooLong);
    }
    let url = Url::parse(text.trim())?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err(BadAddress::Scheme);
    }
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err(BadAddress::Extra);
    }
    Ok(url)
}

impl AllowedAddress {
    /// Reads one: a URL, whose host may begin with `*.` for all those below.
    ///
    /// # Errors
    /// Where it is not a URL that calls can go to.
    pub fn parse(text: &str) -> Result<Self, BadAddress> {
        let (is_below, plain) = match text.split_once("://*.") {
            Some((scheme, rest)) => (true, format!("{scheme}://{rest}")),
            None => (false, text.to_owned()),
        };
        let url = address(&plain)?;
        if url.query().is_some() {
            return Err(BadAddress::Extra);
        }
        Ok(Self {
            is_https: url.scheme() == "https",
            host: url.host_str().unwrap_or_default().to_owned(),
            is_below,
            port: url.port_or_known_default().unwrap_or_default(),
            path: url.path().trim_end_matches('/').to_owned(),
        })
    }

    /// Says whether an address is below this one. It must be in its normal form, as [`address`] returns it.
    #[must_use]
    pub fn allows(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default();
        let is_host = if self.is_below {
            host.strip_suffix(&self.host).is_some_and(|before| before.len() > 1 && before.ends_with('.'))
        } else {
            host == self.host
        };
        let is_path = url.path().strip_prefix(&self.path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let is_plain = self.path.is_empty() || !has_way_out(url.path());
        is_host
            && is_path
            && is_plain
            && (url.scheme() == "https") == self.is_https
            && url.port_or_known_default() == Some(self.port)
    }
}

/// Says whether a path has what a backend might read as a way out of it: slashes and backslashes that are encoded, control
/// characters, and segments that are `.` or `..` once they are decoded and their parameters (after `;`) are cut off.
fn has_way_out(path: &str) -> bool {
    path.split('/').any(|segment| {
        let decoded: Vec<u8> = percent_decode_str(segment).collect();
        let name = decoded.split(|byte| *byte == b';').next().unwrap_or_default();
        let is_odd = |byte: &u8| matches!(*byte, b'/' | b'\\') || byte.is_ascii_control();
        matches!(name, b"." | b"..") || decoded.iter().any(is_odd)
    })
}

impl DynamicEndpoints {
    /// Reads an `endpointConfig`, and what is wrong with it; `None` where it is of another type.
    #[must_use]
    pub fn of_document(document: &Value) -> Option<(Self, Vec<BadCare>)> {
        if document.get("endpoint_type").and_then(Value::as_str) != Some(KIND) {
            return None;
        }
        let mut faults = Vec::new();
        let mut side = |name: &str| {
            let (care, mut bad) = backend_care::of_place(document.get(name), name);
            if care.health.is_some() {
                let reason = "a dynamic endpoint has no address whose health could be looked at";
                bad.push(BadCare { place: format!("{name}.config.healthCheck"), reason: reason.to_owned() });
            }
            faults.extend(bad);
            EndpointCare { health: None, ..care }
        };
        let (production, sandbox) = (side("production_endpoints"), side("sandbox_endpoints"));
        let allowed = match document.get(ALLOWED) {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(items)) if items.len() <= ALLOWED_MAX => allowed(items, &mut faults),
            Some(_) => {
                let reason = format!("must be a list of at most {ALLOWED_MAX} URLs");
                faults.push(BadCare { place: ALLOWED.to_owned(), reason });
                Vec::new()
            }
        };
        Some((Self { production, sandbox, allowed }, faults))
    }
}

fn allowed(items: &[Value], faults: &mut Vec<BadCare>) -> Vec<AllowedAddress> {
    let read = items.iter().enumerate().filter_map(|(number, item)| {
        let parsed = item.as_str().map_or(Err(BadAddress::Scheme), AllowedAddress::parse);
        let place = format!("{ALLOWED}[{number}]");
        parsed.map_err(|bad| faults.push(BadCare { place, reason: bad.to_string() })).ok()
    });
    read.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn is_allowed(pattern: &str, url: &str) -> bool {
        AllowedAddress::parse(pattern).unwrap().allows(&address(url).unwrap())
    }

    #[test]
    fn what_is_below_an_allowed_address_is_allowed_and_nothing_beside() {
        for (pattern, url, expected) in [
            ("https://a.example", "https://a.example/any/where?x=1", true),
            ("https://a.example", "https://A.Example:443", true),
            ("https://a.example", "http://a.example", false),
            ("https://a.example", "https://a.example:8443", false),
            ("https://a.example", "https://b.a.example", false),
            ("https://a.example", "https://a.example.evil.example", false),
            ("https://*.a.example", "https://b.a.example/x", true),
            ("https://*.a.example", "https://c.b.a.example/x", true),
            ("https://*.a.example", "https://a.example", false),
            ("https://*.a.example", "https://.a.example", false),
            ("https://*.a.example", "https://evila.example", false),
            ("http://a.example:81/base/", "http://a.example:81/base", true),
            ("http://a.example:81/base", "http://a.example:81/base/more", true),
            ("http://a.example:81/base", "http://a.example:81/based", false),
            ("http://a.example:81/base", "http://a.example:81/base/../other", false),
            ("http://a.example:81/base", "http://a.example:81/base/%2e%2e/other", false),
            ("http://a.example:81/base", "http://a.example:81/base/..%2Fother", false),
            ("http://a.example:81/base", "http://a.example:81/base/..%2fother", false),
            ("http://a.example:81/base", "http://a.example:81/base/..%5Cother", false),
            ("http://a.example:81/base", "http://a.example:81/base/..%5cother", false),
            ("http://a.example:81/base", "http://a.example:81/base\\..\\other", false),
            ("http://a.example:81/base", "http://a.example:81/base/..;/other", false),
            ("http://a.example:81/base", "http://a.example:81/base/..;x=1/other", false),
            ("http://a.example:81/base", "http://a.example:81/base/%2E%2e;x/other", false),
            ("http://a.example:81/base", "http://a.example:81/base/..%3Bx/other", false),
            ("http://a.example:81/base", "http://a.example:81/base/.;/other", false),
            ("http://a.example:81/base", "http://a.example:81/base/%00/other", false),
            ("http://a.example:81/base", "http://a.example:81/base/x%0d%0ay", false),
            ("http://a.example:81/base", "http://a.example:81/base/%7f", false),
            ("http://a.example:81/base", "http://a.example:81/base/a..b/...;x/x;../%20%C3%A9", true),
            ("http://a.example:81", "http://a.example:81/any%2Fwhere/..;/else%5c", true),
            ("http://[::1]/", "http://[::1]:80/x", true),
        ] {
            assert_eq!(is_allowed(pattern, url), expected, "{pattern} {url}");
        }
    }

    #[test]
    fn addresses_that_calls_cannot_go_to_are_refused() {
        for bad in ["", "a.example", "ftp://a", "file:///etc/passwd", "http://", "http://u@a", "http://a/#x", "//a/b"] {
            assert!(address(bad).is_err(), "{bad}");
        }
        assert_eq!(address(&format!("http://a/{}", "x".repeat(ADDRESS_CHARS_MAX))), Err(BadAddress::TooLong));
        assert!(AllowedAddress::parse("https://a.example?x=1").is_err());
    }

    #[test]
    fn a_document_is_read_with_what_is_wrong_in_it() {
        let document = json!({
            "endpoint_type": "default",
            "production_endpoints": {"url": "default", "config": {"actionSelect": "neverTimeout", "healthCheck": {}}},
            "sandbox_endpoints": {"url": "default", "config": null},
            "allowed_addresses": ["https://*.a.example", 7, "ftp://a"],
        });
        let (read, faults) = DynamicEndpoints::of_document(&document).unwrap();
        assert_eq!(
            (read.production.never_times_out, read.sandbox, read.allowed.len()),
            (true, EndpointCare::default(), 1)
        );
        let places: Vec<&str> = faults.iter().map(|fault| fault.place.as_str()).collect();
        assert_eq!(places, ["production_endpoints.config.healthCheck", "allowed_addresses[1]", "allowed_addresses[2]"]);
        assert_eq!(DynamicEndpoints::of_document(&json!({"endpoint_type": "http"})), None);
    }
}
