//! The look of the pages and their script: one file each, whose name changes with its content, so that browsers keep it
//! for good.

use std::sync::LazyLock;

use axum::response::IntoResponse;
use http::HeaderName;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use sha2::{Digest as _, Sha256};

const THEME: &str = include_str!("theme.css");
const SCRIPT: &str = include_str!("portal.js");

static PATH: LazyLock<String> = LazyLock::new(|| named("theme", THEME, "css"));
static SCRIPT_PATH: LazyLock<String> = LazyLock::new(|| named("portal", SCRIPT, "js"));

fn named(name: &str, content: &str, ending: &str) -> String {
    let digest = Sha256::digest(content);
    format!("/assets/{name}-{}.{ending}", hex::encode(&digest[..8]))
}

fn headers(media_type: &'static str) -> [(HeaderName, &'static str); 3] {
    let kept = (CACHE_CONTROL, "public, max-age=31536000, immutable");
    [(CONTENT_TYPE, media_type), kept, (X_CONTENT_TYPE_OPTIONS, "nosniff")]
}

/// Returns the style sheet's path.
pub(crate) fn path() -> &'static str {
    &PATH
}

/// Returns the script's path.
pub(crate) fn script_path() -> &'static str {
    &SCRIPT_PATH
}

pub(crate) async fn show() -> impl IntoResponse {
    (headers("text/css; charset=utf-8"), THEME)
}

pub(crate) async fn show_script() -> impl IntoResponse {
    (headers("text/javascript; charset=utf-8"), SCRIPT)
}
