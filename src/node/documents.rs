//! What this program serves, described for programs: an OpenAPI document of each of its REST faces, and Swagger UI at `/docs`
//! to read and try them. Which operations there are comes from docs/reference/api.md, which a test holds to the code; what
//! answers look like from `documents/shapes.json`, which scripts/learn-shapes.py writes from the answers of a node.

mod describe;

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, StatusCode};
use utoipa_swagger_ui::{Config, Url};

use describe::{Face, document};

/// What browsers may do with the page: run its own scripts and ask this node, nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The faces, in the order in which the page has them.
const FACES: &[Face] = &[
    Face { slug: "publisher-v4", part: "Publisher v4", is_absolute: false },
    Face { slug: "devportal-v3", part: "DevPortal v3", is_absolute: false },
    Face { slug: "admin-v4", part: "Admin v4", is_absolute: false },
    Face { slug: "service-catalog-v1", part: "Service Catalog v1", is_absolute: false },
    Face { slug: "governance-v1", part: "Governance v1", is_absolute: false },
    Face { slug: "devops-v0", part: "DevOps v0", is_absolute: false },
    Face { slug: "gateway-v2", part: "Gateway v2", is_absolute: false },
    Face { slug: "internal-data-v1", part: "Internal data", is_absolute: false },
    Face { slug: "server-v1", part: "Server", is_absolute: false },
    Face { slug: "identity", part: "People who cannot sign in", is_absolute: false },
    Face { slug: "client-registration", part: "Dynamic client registration", is_absolute: true },
    Face { slug: "oauth2", part: "OAuth 2", is_absolute: true },
    Face { slug: "portcullis-v1", part: "Portcullis", is_absolute: false },
];

/// The documents as they are sent.
static DOCUMENTS: LazyLock<Vec<(&'static str, String)>> =
    LazyLock::new(|| FACES.iter().map(|face| (face.slug, document(face).to_string())).collect());

/// Where they are, by the names of the faces.
static PLACES: LazyLock<Vec<(&'static str, String)>> =
    LazyLock::new(|| FACES.iter().map(|face| (face.part, format!("/docs/openapi/{}.json", face.slug))).collect());

/// What Swagger UI begins with.
static CONFIG: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| {
    let urls = PLACES.iter().map(|(name, place)| Url::new(name, place.as_str()));
    Arc::new(Config::new(urls).deep_linking(true).try_it_out_enabled(false).validator_url("none"))
});

/// Returns the page and the documents.
pub(crate) fn router() -> Router {
    Router::new()
        .route("/docs", get(|| async { page() }))
        .route("/docs/{file}", get(|Path(file): Path<String>| async move { part(&file) }))
        .route("/docs/openapi/{file}", get(|Path(file): Path<String>| async move { openapi(&file) }))
}

/// Answers with the page, which loads the rest.
fn page() -> Response {
    let media_type = HeaderValue::from_static("text/html; charset=utf-8");
    guarded(([(CONTENT_TYPE, media_type)], include_str!("documents/page.html")).into_response())
}

/// Answers with a part of Swagger UI.
fn part(name: &str) -> Response {
    match utoipa_swagger_ui::serve(name, Arc::clone(&CONFIG)) {
        Ok(Some(file)) => {
            let media_type = HeaderValue::from_str(&file.content_type);
            let media_type = media_type.unwrap_or(HeaderValue::from_static("application/octet-stream"));
            guarded(([(CONTENT_TYPE, media_type)], file.bytes.into_owned()).into_response())
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

fn openapi(name: &str) -> Response {
    let found = DOCUMENTS.iter().find(|(slug, _)| name.strip_suffix(".json") == Some(slug));
    let Some((_, text)) = found else { return StatusCode::NOT_FOUND.into_response() };
    guarded(([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], text.as_str()).into_response())
}

fn guarded(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    #[test]
    fn every_operation_of_the_page_is_in_a_document_once() {
        let (mut operations, mut ids) = (0, BTreeSet::new());
        for face in FACES {
            let document = document(face);
            let paths = document["paths"].as_object().unwrap();
            assert!(!paths.is_empty(), "{}", face.slug);
            for (path, item) in paths {
                for (verb, operation) in item.as_object().unwrap() {
                    operations += 1;
                    let id = format!("{} {}", face.slug, operation["operationId"].as_str().unwrap());
                    assert!(ids.insert(id), "{verb} {path}");
                    let named = operation["parameters"]
                        .as_array()
                        .map_or(0, |all| all.iter().filter(|one| one["in"] == "path").count());
                    assert_eq!(named, path.matches('{').count(), "{verb} {path}");
                    assert!(operation["responses"].as_object().unwrap().contains_key("default"), "{verb} {path}");
                }
            }
        }
        let rows = describe::PAGE.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" | `/"));
        let verbs: usize = rows.map(|(verbs, _)| verbs.split(',').count()).sum();
        assert_eq!(operations, verbs, "left: the documents, right: docs/reference/api.md");
    }

    #[test]
    fn what_was_learnt_and_what_is_limited_is_of_operations_that_there_are() {
        let read = |text: &str| serde_json::from_str::<serde_json::Map<String, Value>>(text).unwrap();
        for (slug, operations) in read(describe::SHAPES).into_iter().chain(read(describe::LIMITS)) {
            let face = FACES.iter().find(|face| face.slug == slug).expect(&slug);
            let document = document(face);
            for name in operations.as_object().unwrap().keys() {
                let (verb, path) = name.split_once(' ').unwrap();
                assert!(document["paths"][path][verb.to_lowercase()].is_object(), "{slug}: {name}");
            }
        }
    }
}
