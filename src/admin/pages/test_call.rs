//! `/admin/policies/test`: which limits a call would meet, and what is left of them.

use std::net::{IpAddr, Ipv4Addr};

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use portcullis_actor::Address;
use portcullis_http::{ApiError, Signed};
use portcullis_model::{KeyType, Username};
use portcullis_portal::{Fields, Frame, Viewer, Wrong, render, render_again, when};

use super::policies::tabs;
use super::{asker, frame};
use crate::actor::Admin;
use crate::admin_error::AdminError;
use crate::messages::{LimitStanding, TestCall, TestedCall};

const TEST: &[&str] = &["apim:admin", "apim:admin_tier_manage"];

#[derive(Template)]
#[template(path = "admin_test.html")]
struct TestPage {
    frame: Frame,
    fields: Fields,
    wrong: Wrong,
    tested: Option<TestedCall>,
}

impl TestPage {
    fn new(viewer: Viewer, fields: Fields) -> Self {
        let frame = frame(viewer, "/admin/policies", "Test a call").beside(tabs("/admin/policies/test"));
        Self { frame, fields, wrong: Wrong::default(), tested: None }
    }

    fn resets(&self, limit: &LimitStanding) -> String {
        limit.resets_at.map_or_else(|| "not begun".to_owned(), when)
    }
}

pub(super) async fn show(signed: Signed, viewer: Viewer) -> Result<Response, ApiError> {
    asker(signed, TEST)?;
    Ok(render(&TestPage::new(viewer, Fields::default())))
}

fn call_of(fields: &Fields, signed: Signed) -> Result<TestCall, ApiError> {
    let client = match fields.filled("client") {
        None => IpAddr::V4(Ipv4Addr::LOCALHOST),
        Some(text) => text.parse().map_err(|_| ApiError::bad_request("client: must be an IP address"))?,
    };
    let key_type = if fields.text("key_type") == "SANDBOX" { KeyType::Sandbox } else { KeyType::Production };
    Ok(TestCall {
        tenant: asker(signed, TEST)?.principal.tenant,
        api: fields.text("api").to_owned(),
        environment: "Default".to_owned(),
        verb: fields.filled("verb").unwrap_or("GET").to_ascii_uppercase(),
        path: fields.filled("path").unwrap_or("/").to_owned(),
        application: fields.filled("application").map(str::to_owned),
        user: fields.filled("user").map(|name| Username(name.to_owned())),
        key_type,
        client,
        headers: HeaderMap::new(),
        query: fields.text("query").trim_start_matches('?').to_owned(),
        claims: Vec::new(),
    })
}

pub(super) async fn test(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    viewer: Viewer,
    fields: Fields,
) -> Result<Response, ApiError> {
    signed.require(TEST)?;
    let outcome = match call_of(&fields, signed) {
        Ok(call) => admin.ask(call).await.map_err(AdminError::from)?.map_err(ApiError::from),
        Err(error) => Err(error),
    };
    let mut page = TestPage::new(viewer, fields);
    match outcome {
        Ok(tested) => {
            page.tested = Some(tested);
            Ok(render(&page))
        }
        Err(error) => {
            page.wrong = error.clone().into();
            Ok(render_again(&page, &error))
        }
    }
}
