//! Takes the slash off the end of a path, so that `/apis/` is `/apis`: the original answers both. What is below the
//! path, and the query, stays as it was sent.

use http::uri::PathAndQuery;
use http::{Request, Uri};

/// Takes one slash off the end of the path of `request`, where it has one and is not the root.
pub(crate) fn take_off<B>(request: &mut Request<B>) {
    if let Some(uri) = without(request.uri()) {
        *request.uri_mut() = uri;
    }
}

fn without(uri: &Uri) -> Option<Uri> {
    let path = uri.path().strip_suffix('/').filter(|path| !path.is_empty() && !path.ends_with('/'))?;
    let target = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(target).ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slash_at_the_end_is_taken_off_and_nothing_else() {
        let cases = [
            ("/apis/", Some("/apis")),
            ("/apis/?query=a/&limit=1", Some("/apis?query=a/&limit=1")),
            ("https://127.0.0.1:9443/a%2Fb/", Some("https://127.0.0.1:9443/a%2Fb")),
            ("/", None),
            ("//", None),
            ("/apis", None),
            ("/apis//", None),
            ("/apis?query=a/", None),
        ];
        for (sent, expected) in cases {
            let taken = without(&sent.parse().unwrap()).map(|uri| uri.to_string());
            assert_eq!(taken.as_deref(), expected, "{sent}");
        }
    }
}
