//! What pages are made with: rendering, parts of lists, what is said after a form, headers that protect, the page that
//! says no.

use askama::Template;
use axum::response::{Html, IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, LOCATION, REFERRER_POLICY, SET_COOKIE};
use http::header::{X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS};
use http::{HeaderName, HeaderValue, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use portcullis_http::ApiError;
use portcullis_http::page::{Page, PageQuery};
use portcullis_http::time::rfc3339;
use portcullis_model::Timestamp;

use crate::frame::{Frame, Shell};
use crate::viewer::Viewer;

/// Rows of one page.
const ROWS_DEFAULT: usize = 50;
/// Rows of one page, at most: it stays below 100 KB.
const ROWS_MAX: usize = 100;
/// The cookie with what is said on the next page.
pub(crate) const SAID_COOKIE: &str = "__Host-portcullis-said";
/// Characters of what is said.
const SAID_CHARS_MAX: usize = 500;

/// Which part of a list a page shows, and the way to the other parts.
#[derive(Clone, Debug)]
pub struct Part {
    /// The number of the first row; 0 where there is none.
    pub first: usize,
    /// The number of the last row.
    pub last: usize,
    /// How many rows there are.
    pub total: usize,
    /// Where the part before is.
    pub previous: Option<String>,
    /// Where the next part is.
    pub next: Option<String>,
}

impl Part {
    /// Describes the part of `total` rows that `page` shows at `path`, which has the query `query` beside (may be empty).
    #[must_use]
    pub fn of(path: &str, query: &str, page: Page, shown: usize, total: usize) -> Self {
        let tail = if query.is_empty() { String::new() } else { format!("&{query}") };
        let link = |offset: usize| format!("{path}?limit={}&offset={offset}{tail}", page.limit);
        let end = page.offset.saturating_add(shown);
        Self {
            first: if shown == 0 { 0 } else { page.offset + 1 },
            last: if shown == 0 { 0 } else { end },
            total,
            previous: (page.offset > 0).then(|| link(page.offset.saturating_sub(page.limit))),
            next: (shown > 0 && end < total).then(|| link(end)),
        }
    }
}

/// Returns the part of a list that was asked for: 50 rows where nothing is said, 100 at most.
///
/// # Errors
/// 400 where a bound is no number.
pub fn wanted(query: &PageQuery) -> Result<Page, ApiError> {
    let page = query.page()?;
    let limit = if query.limit.is_none() { ROWS_DEFAULT } else { page.limit.clamp(1, ROWS_MAX) };
    Ok(Page { limit, ..page })
}

/// Renders a page.
pub fn render(page: &impl Template) -> Response {
    match page.render() {
        Ok(text) => Html(text).into_response(),
        // Rendering to memory fails only where a template asks for it, and none does.
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Renders the page of a form that was not accepted.
pub fn render_again(page: &impl Template, error: &ApiError) -> Response {
    let mut response = render(page);
    *response.status_mut() = error.status();
    response
}

/// Returns a time as people read it.
#[must_use]
pub fn when(time: Timestamp) -> String {
    let text = rfc3339(time);
    match text.split_once('T') {
        Some((day, rest)) => format!("{day} {}", rest.chars().take(5).collect::<String>()),
        None => text,
    }
}

/// Returns the day of a time as the contracts write it.
#[must_use]
pub fn day(text: &str) -> &str {
    text.get(..10).unwrap_or(text)
}

/// Sends the browser on to a page after a form, which says what was done.
pub fn say_and_go(said: &str, path: &str) -> Response {
    let Ok(location) = HeaderValue::try_from(path) else {
        return ApiError::internal("The address to go on to cannot be written.").into_response();
    };
    let said: String = said.chars().take(SAID_CHARS_MAX).collect();
    let mut response = (StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response();
    set_said(&mut response, &utf8_percent_encode(&said, NON_ALPHANUMERIC).to_string(), 60);
    response
}

pub(crate) fn read_said(value: &str) -> Option<String> {
    let text = percent_decode_str(value).decode_utf8().ok()?;
    Some(text.chars().take(SAID_CHARS_MAX).collect::<String>()).filter(|text| !text.is_empty())
}

pub(crate) fn forget_said(response: &mut Response) {
    set_said(response, "", 0);
}

fn set_said(response: &mut Response, value: &str, seconds: u64) {
    let text = format!("{SAID_COOKIE}={value}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={seconds}");
    if let Ok(text) = HeaderValue::try_from(text) {
        response.headers_mut().append(SET_COOKIE, text);
    }
}

#[derive(Template)]
#[template(path = "refused.html")]
struct RefusedPage {
    frame: Frame,
    reason: String,
    back: &'static str,
}

/// Renders the page that says why there is no other.
pub fn refuse(viewer: Viewer, shell: Shell, error: &ApiError) -> Response {
    let title = match error.status() {
        StatusCode::UNAUTHORIZED => "Sign in",
        StatusCode::FORBIDDEN => "Not allowed",
        StatusCode::NOT_FOUND => "Not found",
        StatusCode::BAD_REQUEST => "Not understood",
        StatusCode::CONFLICT => "Not possible as it is",
        StatusCode::MISDIRECTED_REQUEST => "On another node",
        _ => "Not possible now",
    };
    let frame = Frame::new(viewer, shell, "", title);
    let mut response = render(&RefusedPage { frame, reason: error.description().to_owned(), back: shell.path() });
    *response.status_mut() = error.status();
    response
}

/// Adds the headers that keep a page what it is: nothing from elsewhere, in no frame, in no cache. The script may send to
/// `connect` alone beside this server.
pub fn protect_in_place(response: &mut Response, connect: &str) {
    const HEADERS: [(HeaderName, &str); 3] = [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        // Forms say where they come from.
        (REFERRER_POLICY, "same-origin"),
    ];
    let policy = format!(
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self' {connect}; \
         base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    );
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(policy) = HeaderValue::try_from(policy) {
        headers.entry(CONTENT_SECURITY_POLICY).or_insert(policy);
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}
