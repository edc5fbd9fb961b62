//! Where users may be sent back to: exactly what was registered, a list in the original's `regexp=(…)` form, or any port
//! of a loopback address for programs on the user's own machine (RFC 8252, section 7.3).

use portcullis_model::oauth::OauthClient;
use regex::RegexBuilder;
use url::Url;

use crate::client_settings::ClientSettings;

/// The original's mark of a callback that is a regular expression.
pub(crate) const PATTERN: &str = "regexp=";
/// Characters of an address.
pub(crate) const REDIRECT_URI_CHARS_MAX: usize = 2_048;
/// Bytes that a compiled pattern may take.
const PATTERN_BYTES_MAX: usize = 1 << 20;
/// Schemes that browsers run or show as something of this server's.
const DANGEROUS_SCHEMES: [&str; 8] =
    ["javascript", "data", "vbscript", "file", "about", "blob", "filesystem", "view-source"];

/// Says whether users of the client may be sent to `wanted`.
pub(crate) fn is_registered(client: &OauthClient, settings: &ClientSettings, wanted: &str) -> bool {
    if !is_sound(wanted) {
        return false;
    }
    settings.redirect_uris.iter().any(|registered| is_same(registered, wanted))
        || matches_callback(&client.callback_url, wanted)
}

/// Returns the one address that is registered; `None` where there is none or a choice.
pub(crate) fn only_one<'a>(client: &'a OauthClient, settings: &'a ClientSettings) -> Option<&'a str> {
    let callback = Some(client.callback_url.as_str()).filter(|callback| !callback.is_empty());
    match (callback, settings.redirect_uris.as_slice()) {
        (_, [one]) => Some(one.as_str()),
        (Some(callback), []) if !callback.starts_with(PATTERN) => Some(callback),
        _ => None,
    }
    .filter(|one| is_sound(one))
}

/// Says whether an address is one that a browser can be sent to without harm.
pub(crate) fn is_sound(uri: &str) -> bool {
    if uri.len() > REDIRECT_URI_CHARS_MAX || !uri.chars().all(|c| c.is_ascii_graphic()) || uri.contains(['#', '\\']) {
        return false;
    }
    Url::parse(uri).is_ok_and(|url| !DANGEROUS_SCHEMES.contains(&url.scheme()) && !has_user(&url))
}

fn has_user(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

/// Says whether a callback as it is registered is usable: an address, or a pattern that compiles.
pub(crate) fn is_usable_callback(callback: &str) -> bool {
    match callback.strip_prefix(PATTERN) {
        Some(pattern) => compiled(pattern).is_some(),
        None => is_sound(callback),
    }
}

fn matches_callback(callback: &str, wanted: &str) -> bool {
    match callback.strip_prefix(PATTERN) {
        Some(pattern) => compiled(pattern).is_some_and(|pattern| pattern.is_match(wanted)),
        None => !callback.is_empty() && is_same(callback, wanted),
    }
}

/// Compiles a pattern that must match the whole address, as the original's does.
fn compiled(pattern: &str) -> Option<regex::Regex> {
    RegexBuilder::new(&format!("^(?:{pattern})$")).size_limit(PATTERN_BYTES_MAX).build().ok()
}

fn is_same(registered: &str, wanted: &str) -> bool {
    registered == wanted
        || without_loopback_port(registered).is_some_and(|one| without_loopback_port(wanted) == Some(one))
}

/// Returns an address on the user's own machine without its port, which such programs choose when they start.
fn without_loopback_port(uri: &str) -> Option<String> {
    let mut url = Url::parse(uri).ok()?;
    let is_loopback = url.scheme() == "http" && matches!(url.host_str(), Some("127.0.0.1" | "[::1]"));
    if !is_loopback {
        return None;
    }
    url.set_port(None).ok()?;
    Some(url.into())
}

/// Adds parameters to an address: to its query, or as its fragment.
pub(crate) fn with_parameters(uri: &str, parameters: &[(&str, &str)], is_fragment: bool) -> String {
    let mut text = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in parameters {
        text.append_pair(name, value);
    }
    let mark = match (is_fragment, uri.contains('?')) {
        (true, _) => '#',
        (false, true) => '&',
        (false, false) => '?',
    };
    format!("{uri}{mark}{}", text.finish())
}

/// Returns what a page's policy must allow so that a form on it can lead to an address: its origin, or its scheme where
/// that is a program's own.
pub(crate) fn form_target(uri: &str) -> Option<String> {
    let url = Url::parse(uri).ok()?;
    match url.scheme() {
        "http" | "https" => Some(url.origin().ascii_serialization()),
        scheme => Some(format!("{scheme}:")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_callback_matches_as_a_whole_or_not_at_all() {
        let one = "https://a.example/cb";
        assert!(matches_callback(one, one));
        for other in
            ["https://a.example/cb/", "https://a.example/cb?x=1", "https://a.example/CB", "http://a.example/cb"]
        {
            assert!(!matches_callback(one, other), "{other}");
        }
        let several = "regexp=(https://a.example/cb|https://b.example/cb)";
        assert!(matches_callback(several, one) && matches_callback(several, "https://b.example/cb"));
        for other in ["https://a.example/cb2", "x https://a.example/cb", "https://evil.example/?https://a.example/cb"] {
            assert!(!matches_callback(several, other), "{other}");
        }
        // An alternative without brackets must not match a part either.
        assert!(!matches_callback("regexp=https://a.example|https://b.example", "https://a.example.evil"));
        assert!(!is_usable_callback("regexp=((("));
    }

    #[test]
    fn a_program_on_the_users_machine_chooses_its_port() {
        assert!(is_same("http://127.0.0.1/cb", "http://127.0.0.1:51004/cb"));
        assert!(!is_same("http://127.0.0.1/cb", "http://127.0.0.1:51004/other"));
        assert!(!is_same("http://localhost/cb", "http://localhost:51004/cb"), "a name is not an address");
        assert!(!is_same("https://a.example/cb", "https://a.example:8443/cb"));
    }

    #[test]
    fn addresses_that_browsers_run_are_not_sound() {
        for uri in [
            "javascript:alert(1)",
            "data:text/html,x",
            "https://a@b.example",
            "/cb",
            "https://a.example/#x",
            "https://a.example/\\x",
            "https://a.example/ x",
            "https://é.example/",
        ] {
            assert!(!is_sound(uri), "{uri}");
        }
        for uri in ["https://a.example", "com.example.app:/cb", "http://127.0.0.1:1/"] {
            assert!(is_sound(uri), "{uri}");
        }
        assert_eq!(form_target("com.example.app:/cb").unwrap(), "com.example.app:");
        assert_eq!(form_target("https://a.example:8443/x/y").unwrap(), "https://a.example:8443");
    }
}
