//! The look of the pages: one style sheet, whose name changes with its content, so that browsers keep it for good.

use std::sync::LazyLock;

use axum::response::IntoResponse;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use sha2::{Digest as _, Sha256};

const THEME: &str = include_str!("theme.css");

static PATH: LazyLock<String> = LazyLock::new(|| {
    let digest = Sha256::digest(THEME);
    format!("/assets/theme-{}.css", hex::encode(&digest[..8]))
});

/// Returns the style sheet's path.
pub(crate) fn path() -> &'static str {
    &PATH
}

pub(crate) async fn show() -> impl IntoResponse {
    let headers = [(CONTENT_TYPE, "text/css; charset=utf-8"), (CACHE_CONTROL, "public, max-age=31536000, immutable")];
    (headers, THEME)
}
