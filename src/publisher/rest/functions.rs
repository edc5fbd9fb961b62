//! `/apis/{apiId}/amznResourceNames`: the functions of AWS Lambda that the key of an API's endpoint may see.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode};
use portcullis_actor::Address;
use portcullis_http::fetch::Service;
use portcullis_http::{ApiError, ClientError, Stamped, percent};
use portcullis_jose::AwsSigner;
use portcullis_model::lambda::SERVICE;
use serde::Deserialize;
use serde_json::json;
use url::{Position, Url};
use zeroize::Zeroizing;

use super::answer::flat;
use super::request::Request;
use crate::actor::Publisher;
use crate::messages::{FunctionKey, GetFunctionKey};
use crate::openapi::fetch::Turns;

const VIEW: &[&str] = &["apim:api_view", "apim:api_manage"];
/// How long all of it may take.
const TIME_MAX: Duration = Duration::from_secs(10);
/// Pages that are asked for: AWS puts at most 50 functions on one.
const PAGES_MAX: usize = 20;
const FUNCTIONS_MAX: usize = 1_000;
/// Bytes of a page: AWS describes each function with all of its variables.
const PAGE_BYTES_MAX: usize = 8 << 20;

/// Lists that are asked for at a time. They keep nobody from fetching a definition.
static TURNS: Turns = Turns::new();

/// A page of AWS's list.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct FunctionPage {
    #[serde(default)]
    functions: Vec<FunctionEntry>,
    next_marker: Option<String>,
}

#[derive(Deserialize)]
struct FunctionEntry {
    #[serde(rename = "FunctionArn")]
    arn: String,
}

/// Lists them, at most 1000, in AWS's order.
pub async fn list(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let asker = request.asker(VIEW)?;
    let tenant = asker.identity.principal.tenant.clone();
    let seen = flat(publisher.ask(GetFunctionKey { asker, id }).await)?;
    let _turn = TURNS.take_for(&tenant, "amznResourceNames").await?;
    let listed = tokio::time::timeout(TIME_MAX, arns(&seen.value)).await;
    let listed = listed.map_err(|_| failed(&format!("gave no whole list within {TIME_MAX:?}")))?;
    let arns = listed.map_err(|error| explain(&error))?;
    let body = Json(json!({"count": arns.len(), "list": arns}));
    Ok(Stamped { body, index: seen.index, unreached: Vec::new() }.into_response())
}

async fn arns(key: &FunctionKey) -> Result<Vec<String>, ClientError> {
    let lambda = &key.endpoint;
    let secret = Zeroizing::new(key.secret.0.clone());
    let signer = AwsSigner::new(&lambda.access_key, secret, &lambda.region, SERVICE);
    let parsed = Url::parse(&lambda.url);
    let authority = parsed.as_ref().map_or("", |url| &url[Position::BeforeHost..Position::AfterPort]);
    let (mut arns, mut marker) = (Vec::new(), None);
    for _ in 0..PAGES_MAX {
        let next = marker.as_deref().map(|marker| format!("&Marker={}", percent::encoded(marker))).unwrap_or_default();
        let target = format!("/2015-03-31/functions/?MaxItems=50{next}");
        let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let fields = signer.fields("GET", &target, authority, b"", now_s);
        let service = Service::of_user(&format!("{}{target}", lambda.url)).await?;
        let service = service.with_timeout(TIME_MAX).with_reply_bytes_max(PAGE_BYTES_MAX);
        let page: FunctionPage = service.send(Method::GET, &fields, Bytes::new()).await?.json()?;
        arns.extend(page.functions.into_iter().map(|function| function.arn));
        marker = page.next_marker.filter(|marker| !marker.is_empty());
        if marker.is_none() || arns.len() >= FUNCTIONS_MAX {
            break;
        }
    }
    arns.truncate(FUNCTIONS_MAX);
    Ok(arns)
}

/// Says why there is no list. What AWS says of the account is logged, and not told.
fn explain(error: &ClientError) -> ApiError {
    tracing::warn!(%error, "the functions of AWS Lambda could not be listed");
    match error.status() {
        Some(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
            let what = "does not let this key list functions. Look at amznAccessKey, amznSecretKey and amznRegion of \
                        endpointConfig, and at what the key may do (lambda:ListFunctions)";
            failed(what)
        }
        Some(status) => failed(&format!("answered with status {}", status.as_u16())),
        None => failed("gave no answer that could be read. The node's log says why"),
    }
}

fn failed(what: &str) -> ApiError {
    ApiError::new(502, 502, "Bad Gateway", format!("AWS Lambda {what}."))
}
