//! Definitions at an address that a user gives. They are fetched as a backend would be called: by http or https, without
//! redirects, within bounds, and from no address that is barred ([`portcullis_http::reach`]). What is there besides a
//! definition is not told.

use std::time::Duration;

use portcullis_http::fetch::Service;
use portcullis_http::{ApiError, ClientError};
use portcullis_model::limit::DEFINITION_BYTES_MAX;
use tokio::sync::Semaphore;
use url::Url;

/// Characters of an address.
const URL_CHARS_MAX: usize = 2_048;
/// How long a definition may take to come.
const TIME_MAX: Duration = Duration::from_secs(10);
/// Definitions that are fetched at a time.
const FETCHED_MAX: usize = 4;

static TURNS: Semaphore = Semaphore::const_new(FETCHED_MAX);

/// Refuses what is no address of the web.
///
/// # Errors
/// 400 with the name of the field.
pub(crate) fn check_address(field: &str, url: &str) -> Result<(), ApiError> {
    let is_web = Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if is_web && url.chars().count() <= URL_CHARS_MAX {
        return Ok(());
    }
    let reason = format!("{field}: must be an http or https URL of at most {URL_CHARS_MAX} characters");
    Err(ApiError::bad_request(reason))
}

/// Returns the text at an address, of at most as many bytes as a definition may have, within 10 s.
///
/// # Errors
/// 400 with the name of the field, where there is none.
pub(crate) async fn fetch(field: &str, url: &str) -> Result<String, ApiError> {
    let url = url.trim();
    check_address(field, url)?;
    let refuse = |reason: String| ApiError::bad_request(format!("{field}: {reason}"));
    let Ok(_turn) = TURNS.try_acquire() else {
        return Err(refuse(format!("{FETCHED_MAX} definitions are being fetched already; try again in a moment")));
    };
    let bytes = read(url).await.map_err(|error| refuse(explain(&error)))?;
    String::from_utf8(bytes).map_err(|_| refuse("what is there is no UTF-8 text".to_owned()))
}

async fn read(url: &str) -> Result<Vec<u8>, ClientError> {
    let service = Service::of_user(url).await?;
    service.with_timeout(TIME_MAX).with_reply_bytes_max(DEFINITION_BYTES_MAX).bytes().await.map(Vec::from)
}

/// Says why there is no document, without what the server said: it may not have been meant for this user.
fn explain(error: &ClientError) -> String {
    match error.status() {
        Some(status) if status.is_redirection() => {
            format!(
                "the server answers with status {}; redirects are not followed: give the last address",
                status.as_u16()
            )
        }
        Some(status) => format!("the server answers with status {}", status.as_u16()),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_no_address_of_a_document_is_refused_by_the_name_of_the_field() {
        for (url, said) in [
            ("file:///etc/passwd", "http or https"),
            ("gopher://127.0.0.1/", "http or https"),
            ("http://169.254.169.254/latest/meta-data", "metadata"),
            ("http://[::ffff:169.254.169.254]/", "metadata"),
            ("http://0.0.0.0:9763/metrics", "no single host"),
            ("http://ann:secret@127.0.0.1/", "name or password"),
            ("http://127.0.0.1:1/openapi.yaml", "cannot connect"),
        ] {
            let refused = fetch("url", url).await.unwrap_err();
            assert_eq!(refused.status(), 400, "{url}");
            let text = refused.description();
            assert!(text.starts_with("url: ") && text.contains(said), "{url}: {text}");
        }
    }
}
