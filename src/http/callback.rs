//! Callbacks that subscribers name (W3C WebSub): asked whether they are meant, and sent signed events. An address is called
//! as that of any user's service is: nothing that is barred, no redirects, bounded in time and size; and nothing in private
//! networks, unless they may be there. It keeps nothing.

use std::time::Duration;

use aws_lc_rs::hmac;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, LINK};
use http::{HeaderName, HeaderValue, StatusCode};
use tokio::sync::Semaphore;
use url::Url;

use crate::client_error::ClientError;
use crate::fetch::Service;
use crate::percent::encoded;

/// The header of signatures (W3C WebSub, 7.1).
const SIGNATURE: HeaderName = HeaderName::from_static("x-hub-signature");
/// Characters of a callback's address.
const URL_CHARS_MAX: usize = 2_048;
/// Bytes of the answer to the question whether a callback is meant.
const ECHO_BYTES_MAX: usize = 4 << 10;
/// How often an event is tried at one callback.
const TRIES: u32 = 5;
/// The pause before the second try; it doubles with each: together 15 s.
const PAUSE: Duration = Duration::from_secs(1);

/// Where callbacks may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Places {
    /// Where anybody can be called: at no address that is [`crate::reach::barred_to_subscribers`].
    Public,
    /// In private networks too: at no address that is [`crate::reach::barred`].
    PrivateToo,
}

impl Places {
    pub(crate) async fn service(self, url: &str) -> Result<Service, ClientError> {
        let service = match self {
            Self::Public => Service::of_subscriber(url).await,
            Self::PrivateToo => Service::of_user(url).await,
        };
        Ok(service?.with_reply_bytes_max(ECHO_BYTES_MAX))
    }
}

/// Refuses an address that cannot be a callback's.
///
/// # Errors
/// What is wrong with it.
pub fn check(url: &str) -> Result<(), String> {
    if url.chars().count() > URL_CHARS_MAX {
        return Err(format!("has more than {URL_CHARS_MAX} characters"));
    }
    let parsed = Url::parse(url).map_err(|error| format!("is not a URL: {error}"))?;
    if !matches!(parsed.scheme(), "http" | "https") || parsed.host_str().is_none() {
        return Err("must be an absolute http or https URL".to_owned());
    }
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err("must not have a name or password in it".to_owned());
    }
    if parsed.fragment().is_some() {
        return Err("must not have a fragment".to_owned());
    }
    Ok(())
}

/// Asks a callback whether a request that names it is meant: it is, where it answers with `challenge` and a status of 2xx
/// (W3C WebSub, 5.3). `parameters` go with it in the query.
///
/// # Errors
/// Where there is no answer, or an error as answer.
pub async fn confirms(
    url: &str,
    parameters: &[(&str, &str)],
    challenge: &str,
    places: Places,
) -> Result<bool, ClientError> {
    let said = [parameters, &[("hub.challenge", challenge)]].concat();
    let service = places.service(&with_parameters(url, &said)?).await?;
    Ok(&*service.bytes().await? == challenge.as_bytes())
}

/// Tells a callback something, by its query alone (W3C WebSub, 5.2). What it answers does not matter.
///
/// # Errors
/// Where there is no answer, or an error as answer.
pub async fn tell(url: &str, parameters: &[(&str, &str)], places: Places) -> Result<(), ClientError> {
    places.service(&with_parameters(url, parameters)?).await?.bytes().await.map(drop)
}

fn with_parameters(url: &str, parameters: &[(&str, &str)]) -> Result<String, ClientError> {
    let bad = |_| ClientError::BadUrl { url: url.to_owned(), reason: "it is not a URL" };
    let mut parsed = Url::parse(url).map_err(bad)?;
    parsed.query_pairs_mut().extend_pairs(parameters);
    Ok(parsed.into())
}

/// What became of an event at one callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivered {
    /// The callback took it.
    Taken,
    /// It did not, however often it was tried.
    GivenUp,
    /// Nobody is there any more: it says so itself (410).
    Gone,
    /// It is not to get the event any more.
    Dropped,
}

/// An event on its way to callbacks.
#[derive(Clone, Debug)]
pub struct Parcel {
    /// The media type; bytes of any kind where there is none.
    pub content_type: Option<String>,
    /// Where the topic is subscribed to.
    pub hub: String,
    /// The topic.
    pub topic: String,
    /// The event.
    pub body: Bytes,
    /// Where it may be posted to.
    pub places: Places,
}

impl Parcel {
    /// Posts it to a callback until that takes it, signed where there is a secret. `turns` bound how many are posted at a
    /// time, and are waited for one after the other: who waits for another try has none. Before each try `is_wanted` says
    /// whether the callback is still to get it.
    pub async fn deliver(
        &self,
        url: &str,
        secret: Option<&[u8]>,
        turns: [&Semaphore; 2],
        is_wanted: impl Fn() -> bool,
    ) -> Delivered {
        let [own, shared] = turns;
        let headers = self.headers(secret);
        let mut pause = PAUSE;
        for number in 1..=TRIES {
            // Who waits for its own has none of what all share.
            let Ok(own_turn) = own.acquire().await else { return Delivered::GivenUp };
            let Ok(turn) = shared.acquire().await else { return Delivered::GivenUp };
            if !is_wanted() {
                return Delivered::Dropped;
            }
            let posted = self.post(url, &headers).await;
            drop((turn, own_turn));
            match posted {
                Ok(()) => return Delivered::Taken,
                Err(ClientError::Status { status: StatusCode::GONE, .. }) => return Delivered::Gone,
                Err(ClientError::BadUrl { .. }) => return Delivered::GivenUp,
                Err(fault) => tracing::debug!(%fault, number, "an event was not taken by its callback"),
            }
            if number < TRIES {
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
        }
        Delivered::GivenUp
    }

    async fn post(&self, url: &str, headers: &[(HeaderName, HeaderValue)]) -> Result<(), ClientError> {
        let service = self.places.service(url).await?;
        match service.post_bytes(headers, self.body.clone()).await {
            // It said that it took the event; what else it said is not read.
            Err(ClientError::TooLarge(_)) => Ok(()),
            posted => posted,
        }
    }

    fn headers(&self, secret: Option<&[u8]>) -> Vec<(HeaderName, HeaderValue)> {
        let kind = self.content_type.as_deref().unwrap_or("application/octet-stream");
        let links = format!("<{}>; rel=\"hub\", <{}>; rel=\"self\"", target(&self.hub), target(&self.topic));
        let code = secret.map(|secret| {
            let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
            format!("sha256={}", hex::encode(hmac::sign(&key, &self.body)))
        });
        let all = [(CONTENT_TYPE, Some(kind.to_owned())), (LINK, Some(links)), (SIGNATURE, code)];
        all.into_iter().filter_map(|(name, text)| Some((name, HeaderValue::from_str(&text?).ok()?))).collect()
    }
}

/// Returns a text as the target of a link, which ends at `>`.
fn target(text: &str) -> String {
    let one = |one: char| {
        if one.is_ascii_graphic() && !"<>\"".contains(one) { one.to_string() } else { encoded(&one.to_string()) }
    };
    text.chars().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_a_callback_is_told_why() {
        assert_eq!(check("https://example.com/hook?a=b"), Ok(()));
        for bad in ["hook", "ftp://a/b", "http://me:pw@a/", "http://a/#b", &format!("http://a/{}", "x".repeat(2_048))] {
            assert!(check(bad).is_err(), "{bad}");
        }
        let asked = with_parameters("http://a/hook?k=1", &[("hub.topic", "a b")]).unwrap();
        assert_eq!(asked, "http://a/hook?k=1&hub.topic=a+b");
    }

    #[test]
    fn an_event_says_where_it_is_from_and_is_signed() {
        let parcel = Parcel {
            content_type: None,
            hub: "https://gw/repo/1".to_owned(),
            topic: "a>b".to_owned(),
            body: Bytes::from_static(b"Hello, World!"),
            places: Places::Public,
        };
        let headers = parcel.headers(Some(b"It's a Secret to Everybody"));
        let text =
            |name: &HeaderName| headers.iter().find(|(its, _)| its == name).map(|(_, text)| text.to_str().unwrap());
        assert_eq!(text(&LINK), Some("<https://gw/repo/1>; rel=\"hub\", <a%3Eb>; rel=\"self\""));
        // The example of GitHub's documentation on how to validate deliveries.
        let expected = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        assert_eq!(text(&SIGNATURE), Some(expected));
        assert!(!parcel.headers(None).iter().any(|(name, _)| name == SIGNATURE));
    }

    fn parcel(places: Places) -> Parcel {
        let body = Bytes::from_static(b"{}");
        Parcel { content_type: None, hub: String::new(), topic: String::new(), body, places }
    }

    #[tokio::test]
    async fn no_barred_address_is_asked_or_sent_anything() {
        let (link_local, own) = ("http://169.254.169.254/hook", "http://127.0.0.1:1/hook");
        let turns = Semaphore::new(1);
        for (url, places) in [(link_local, Places::PrivateToo), (link_local, Places::Public), (own, Places::Public)] {
            let refused = confirms(url, &[], "c", places).await.unwrap_err();
            assert!(matches!(refused, ClientError::BadUrl { .. }), "{refused}");
            let delivered = parcel(places).deliver(url, None, [&turns, &Semaphore::new(1)], || true).await;
            assert_eq!(delivered, Delivered::GivenUp);
        }
        // Nobody is there; it is tried all the same.
        let tried = confirms(own, &[], "c", Places::PrivateToo).await.unwrap_err();
        assert!(matches!(tried, ClientError::CannotConnect { .. }), "{tried}");
    }

    #[tokio::test]
    async fn what_is_not_wanted_any_more_is_not_posted() {
        let parcel = parcel(Places::PrivateToo);
        let (one, other) = (Semaphore::new(1), Semaphore::new(1));
        let delivered = parcel.deliver("http://127.0.0.1:1/hook", None, [&one, &other], || false).await;
        assert_eq!((delivered, one.available_permits(), other.available_permits()), (Delivered::Dropped, 1, 1));
    }
}
