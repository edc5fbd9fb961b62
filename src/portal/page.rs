//! What every page has: the frame around it, the headers that protect it, and the page that says no.

use askama::Template;
use axum::response::{Html, IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderName, HeaderValue, StatusCode};
use portcullis_http::ApiError;
use portcullis_http::page::{Page, PageQuery};

use crate::theme;

/// Rows of one page.
const ROWS_DEFAULT: usize = 50;

/// What the frame around a page needs to know.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    /// The page's title.
    pub(crate) title: &'static str,
    /// The path of the portal it belongs to, marked in the menu.
    pub(crate) section: &'static str,
    /// Who is signed in.
    pub(crate) user: Option<String>,
}

impl Frame {
    /// Returns where the theme is.
    pub(crate) fn theme(&self) -> &'static str {
        theme::path()
    }

    /// Returns the portals: path and name.
    pub(crate) fn sections(&self) -> [(&'static str, &'static str); 3] {
        [("/publisher", "Publisher"), ("/devportal", "Developer portal"), ("/admin", "Admin")]
    }
}

/// Which part of a list a page shows, and the way to the other parts.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) first: usize,
    pub(crate) last: usize,
    pub(crate) total: usize,
    pub(crate) previous: Option<String>,
    pub(crate) next: Option<String>,
}

impl Part {
    /// Describes the part of `total` rows that `page` shows at `path`.
    pub(crate) fn of(path: &str, page: Page, shown: usize, total: usize) -> Self {
        let link = |offset: usize| format!("{path}?limit={}&offset={offset}", page.limit);
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

/// Returns the part of a list that was asked for, 50 rows where nothing is said.
pub(crate) fn wanted(query: &PageQuery) -> Result<Page, ApiError> {
    let page = query.page()?;
    let limit = if query.limit.is_none() { ROWS_DEFAULT } else { page.limit.max(1) };
    Ok(Page { limit, ..page })
}

/// Renders a page.
pub(crate) fn render(page: &impl Template) -> Response {
    match page.render() {
        Ok(text) => Html(text).into_response(),
        // Rendering to memory fails only where a template asks for it, and none does.
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[derive(Template)]
#[template(path = "refused.html")]
struct RefusedPage {
    frame: Frame,
    reason: String,
    is_sign_in: bool,
}

/// Renders the page that says why there is no other.
pub(crate) fn refuse(section: &'static str, error: &ApiError) -> Response {
    let title = match error.status() {
        StatusCode::UNAUTHORIZED => "Sign in",
        StatusCode::FORBIDDEN => "Not allowed",
        StatusCode::BAD_REQUEST => "Not understood",
        StatusCode::MISDIRECTED_REQUEST => "On another node",
        _ => "Not possible now",
    };
    let is_sign_in = error.status() == StatusCode::UNAUTHORIZED;
    let frame = Frame { title, section, user: None };
    let mut response = render(&RefusedPage { frame, reason: error.description().to_owned(), is_sign_in });
    *response.status_mut() = error.status();
    if is_sign_in {
        let challenge = HeaderValue::from_static("Basic realm=\"Portcullis\", charset=\"UTF-8\"");
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    response
}

/// Adds the headers that keep a page what it is: nothing from elsewhere, no script, in no frame, in no cache.
pub(crate) async fn protect(mut response: Response) -> Response {
    protect_in_place(&mut response);
    response
}

pub(crate) fn protect_in_place(response: &mut Response) {
    const HEADERS: [(HeaderName, &str); 3] = [
        (
            CONTENT_SECURITY_POLICY,
            "default-src 'self'; script-src 'none'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
        ),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
    ];
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}
