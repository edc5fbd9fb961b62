//! Where the script of a page may send to, beside this node and its gateway: where the API is that the page is about.

use axum::response::Response;

/// The origin of an address, as an extension of the answer with the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SendsTo(pub(crate) String);

/// Lets the script of a page send to where `url` is. Does nothing where that is no address by HTTP.
pub fn may_send_to(mut page: Response, url: &str) -> Response {
    if let Some(origin) = origin_of(url) {
        page.extensions_mut().insert(SendsTo(origin.to_owned()));
    }
    page
}

/// Returns scheme, host and port of an address. What could mean more in a policy of a page is none.
fn origin_of(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let is_plain = |one: char| one.is_ascii_alphanumeric() || matches!(one, '.' | '-' | ':' | '[' | ']');
    let is_origin = matches!(scheme, "http" | "https") && !authority.is_empty() && authority.chars().all(is_plain);
    is_origin.then(|| &url[..scheme.len() + "://".len() + authority.len()])
}

#[cfg(test)]
mod tests {
    use super::origin_of;

    #[test]
    fn only_an_origin_is_let_into_the_policy_of_a_page() {
        assert_eq!(origin_of("https://api.example.com:8243/pizza/1.0.0"), Some("https://api.example.com:8243"));
        assert_eq!(origin_of("http://[::1]:8280"), Some("http://[::1]:8280"));
        for wrong in ["", "pizza", "ftp://a", "https://", "https://a; script-src *", "https://a b/", "https://*.b"] {
            assert_eq!(origin_of(wrong), None, "{wrong}");
        }
    }
}
