//! Calls that lead to no API, as one worker notes them: the first of each time, so that who scans a gateway costs bounded
//! memory and next to nothing beyond. The statistics count all of them.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::net::IpAddr;

use http::request::Parts;
use http::{HeaderName, HeaderValue};
use portcullis_model::Timestamp;
use portcullis_model::stray_call::{
    STRAY_HEADERS_BYTES_MAX, STRAY_PATH_BYTES_MAX, STRAY_VERB_BYTES_MAX, StrayCall, beginning,
};

/// Calls that are noted between two times at which they are handed on.
const NOTED_MAX: usize = 32;
/// Fields whose values are noted. Any other may prove something, whatever API it was meant for.
const SHOWN: [&str; 12] = [
    "host",
    "user-agent",
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "content-type",
    "content-length",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
];
/// What is noted instead of any other value.
const HIDDEN: &str = "***";

/// What was noted.
#[derive(Default)]
pub(crate) struct StrayCalls(RefCell<Vec<StrayCall>>);

impl StrayCalls {
    /// Says whether there is room for one more.
    pub(crate) fn has_room(&self) -> bool {
        self.0.borrow().len() < NOTED_MAX
    }

    /// Notes a call.
    pub(crate) fn note(&self, request: &Parts, request_id: &str, from: IpAddr, at: Timestamp) {
        let call = StrayCall {
            at,
            from,
            request_id: request_id.to_owned(),
            verb: beginning(request.method.as_str(), STRAY_VERB_BYTES_MAX).to_owned(),
            path: beginning(request.uri.path(), STRAY_PATH_BYTES_MAX).to_owned(),
            headers: fields(request),
        };
        self.0.borrow_mut().push(call);
    }

    /// Takes out what was noted.
    pub(crate) fn take(&self) -> Vec<StrayCall> {
        std::mem::take(&mut *self.0.borrow_mut())
    }
}

/// Returns the header fields as the original's analytics have them: `[host=localhost, user-agent=curl]`.
fn fields(request: &Parts) -> String {
    let mut text = "[".to_owned();
    for (name, value) in &request.headers {
        let shown = shown(name, value);
        if text.len() + name.as_str().len() + shown.len() + 4 > STRAY_HEADERS_BYTES_MAX {
            text.push('…');
            break;
        }
        // To write into a text does not fail.
        let _ = write!(text, "{}{name}={shown}", if text.len() == 1 { "" } else { ", " });
    }
    text.push(']');
    text
}

/// Returns what is noted of a value; of where a caller came from, no query, and nothing that names a user.
fn shown<'a>(name: &HeaderName, value: &'a HeaderValue) -> &'a str {
    let text = value.to_str().unwrap_or("(not text)");
    if SHOWN.contains(&name.as_str()) {
        return text;
    }
    let before = text.split(['?', '#']).next().unwrap_or_default();
    if name.as_str() == "referer" && !before.contains('@') { before } else { HIDDEN }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn only_values_that_prove_nothing_are_noted() {
        let request = Request::get("/")
            .header("host", "a.example")
            .header("user-agent", "scan/1")
            .header("accept-language", "de")
            .header("x-forwarded-for", "192.0.2.7")
            .header("referer", "https://b.example/page?code=s3cret#s3cret")
            .header("x-custom", "s3cret")
            .header("x-forwarded-access-token", "s3cret")
            .header("authorization", "s3cret")
            .body(())
            .unwrap();
        let wanted = "[host=a.example, user-agent=scan/1, accept-language=de, x-forwarded-for=192.0.2.7, \
                      referer=https://b.example/page, x-custom=***, x-forwarded-access-token=***, authorization=***]";
        assert_eq!(fields(&request.into_parts().0), wanted);
        let named = HeaderValue::from_static("https://ann:s3cret@b.example/");
        assert_eq!(shown(&HeaderName::from_static("referer"), &named), HIDDEN);
    }

    #[test]
    fn what_is_noted_is_bounded_and_has_no_secret_in_it() {
        let strays = StrayCalls::default();
        let from = "192.0.2.1".parse().unwrap();
        let request = Request::get(format!("/{}?key=s3cret", "ü".repeat(400)).replace('ü', "%C3%BC"))
            .header("host", "a.example")
            .header("x-api-key", "s3cret")
            .header("cookie", "s3cret")
            .header("user-agent", "l".repeat(3_000))
            .header("accept", "s3cret")
            .body(())
            .unwrap();
        let (head, ()) = request.into_parts();
        strays.note(&head, "id", from, Timestamp(1));
        let noted = strays.take();
        assert_eq!(noted[0].headers, "[host=a.example, x-api-key=***, cookie=***…]");
        assert_eq!(noted[0].path.len(), STRAY_PATH_BYTES_MAX);
        assert!(!format!("{noted:?}").contains("s3cret"));
        (0..NOTED_MAX).for_each(|_| strays.note(&head, "id", from, Timestamp(1)));
        assert!(!strays.has_room());
        assert_eq!(strays.take().len(), NOTED_MAX);
        assert!(strays.has_room());
    }
}
