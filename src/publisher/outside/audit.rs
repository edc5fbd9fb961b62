//! `/apis/{apiId}/auditapi`: what a service says of the security of an API's definition. The definition is registered there
//! with the first report, and brought up to date with each further one; under which id, is remembered.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method};
use portcullis_actor::Address;
use portcullis_database::handle::random_bytes;
use portcullis_http::outside::{OutsideService, not_configured};
use portcullis_http::{ApiError, Stamped, percent};
use portcullis_model::asset::AssetKind;
use serde_json::{Value, json};

use crate::actor::Publisher;
use crate::messages::{Asker, GetApi, ListAssets, PutAsset};
use crate::rest::answer::flat;
use crate::rest::request::Request;

const SCOPES: &[&str] = &["apim:api_view", "apim:api_manage"];
const KIND: AssetKind = AssetKind::AuditRegistration;
/// The one registration of an API.
const NAME: &str = "security audit";
/// Characters of an id that the service gives.
const ID_CHARS_MAX: usize = 255;

/// A service that audits the security of definitions.
#[derive(Clone, Debug)]
pub struct SecurityAudit {
    /// The service.
    pub service: OutsideService,
    /// The id of the collection that APIs are registered in.
    pub collection: String,
}

#[derive(Clone)]
pub(super) struct Audited {
    pub(super) publisher: Address<Publisher>,
    pub(super) audit: Option<SecurityAudit>,
}

pub(super) async fn report(
    State(audited): State<Audited>,
    request: Request,
    Path(api): Path<String>,
) -> Result<Response, ApiError> {
    let asker = Asker { idempotency: None, ..request.asker(SCOPES)? };
    let publisher = &audited.publisher;
    let seen = flat(publisher.ask(GetApi { asker: asker.clone(), id: api }).await)?;
    let audit = audited.audit.as_ref().ok_or_else(|| not_configured("auditor", "security_audit.url"))?;
    let view = seen.value;
    let definition = Arc::clone(&view.definition);
    let api = view.api.id.to_string();
    let kept = ListAssets { asker: asker.clone(), kind: KIND, api: Some(api.clone()) };
    let known = flat(publisher.ask(kept).await)?.value.into_iter().find(|asset| asset.name == NAME);
    let mut index = seen.index;
    let id = match known {
        Some(asset) => {
            let body = json!({"specfile": STANDARD.encode(definition.as_bytes())}).to_string();
            let json = (CONTENT_TYPE, HeaderValue::from_static("application/json"));
            let path = format!("/{}", percent::encoded(&asset.content));
            audit.service.call(Method::PUT, &path, &[json], Bytes::from(body)).await?;
            asset.content.clone()
        }
        None => {
            let id = register(audit, &view.api.name, &definition).await?;
            let put = PutAsset {
                asker,
                kind: KIND,
                id: None,
                api: Some(api),
                name: NAME.to_owned(),
                document: "{}".to_owned(),
                content: id.clone(),
                expected: None,
            };
            index = flat(publisher.ask(put).await)?.index;
            id
        }
    };
    let path = format!("/{}/assessmentreport", percent::encoded(&id));
    let answer = audit.service.call(Method::GET, &path, &[], Bytes::new()).await?;
    let body = Json(written(&id, &answer)?);
    Ok(Stamped { body, index, unreached: Vec::new() }.into_response())
}

/// Registers a definition, and returns the id that it has at the service.
async fn register(audit: &SecurityAudit, name: &str, definition: &str) -> Result<String, ApiError> {
    let boundary = hex::encode(random_bytes::<16>());
    let part = |name: &str, more: &str, content: &str| {
        format!("--{boundary}\r\ncontent-disposition: form-data; name=\"{name}\"{more}\r\n\r\n{content}\r\n")
    };
    let form = [
        part("specfile", "; filename=\"definition.json\"", definition),
        part("cid", "", &audit.collection),
        part("name", "", name),
        format!("--{boundary}--\r\n"),
    ];
    let content_type = HeaderValue::from_str(&format!("multipart/form-data; boundary={boundary}"));
    let content_type = content_type.map_err(|_| ApiError::internal("A form could not be written."))?;
    let body = Bytes::from(form.concat());
    let answer = audit.service.call(Method::POST, "", &[(CONTENT_TYPE, content_type)], body).await?;
    let id = answer.pointer("/desc/id").and_then(Value::as_str).unwrap_or_default();
    if !(1..=ID_CHARS_MAX).contains(&id.chars().count()) {
        return Err(unreadable("gave the API no id"));
    }
    Ok(id.to_owned())
}

fn unreadable(what: &str) -> ApiError {
    ApiError::new(502, 502, "Bad Gateway", format!("The auditor of API definitions {what}."))
}

/// Writes a report as the contract has it.
fn written(id: &str, answer: &Value) -> Result<Value, ApiError> {
    let report = answer.get("data").and_then(Value::as_str).and_then(|data| STANDARD.decode(data).ok());
    let report =
        report.and_then(|report| String::from_utf8(report).ok()).ok_or_else(|| unreadable("gave no report"))?;
    let said = |name: &str| answer.pointer(&format!("/attr/data/{name}"));
    let grade = said("grade").map(|grade| grade.as_str().map_or_else(|| grade.to_string(), str::to_owned));
    Ok(json!({
        "report": report,
        "grade": grade,
        "numErrors": said("numErrors").and_then(Value::as_u64),
        "externalApiId": id,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_what_the_service_packed() {
        let answer =
            json!({"data": STANDARD.encode("{\"score\": 1}"), "attr": {"data": {"grade": 27.95, "numErrors": 20}}});
        let report = written("x", &answer).unwrap();
        assert_eq!((&report["report"], &report["grade"]), (&json!("{\"score\": 1}"), &json!("27.95")));
        assert_eq!((&report["numErrors"], &report["externalApiId"]), (&json!(20), &json!("x")));
        assert!(written("x", &json!({"data": "%"})).is_err());
    }
}
