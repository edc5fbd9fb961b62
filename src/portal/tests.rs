use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::response::Response;
use axum::routing::{get, post};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, COOKIE, HOST, LOCATION, ORIGIN, SET_COOKIE, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderName, Request, StatusCode};
use portcullis_http::{ApiError, Signed};
use portcullis_model::port::{
    Authentication, AuthenticationRefusal, Credentials, Identity, PortFuture, SIGN_IN_COOKIE,
};
use portcullis_model::{Principal, TenantDomain, Username};
use tower::ServiceExt as _;

use crate::{Addresses, Fields, Frame, Places, Shell, Viewer, say_and_go, session};

/// Knows the cookie `ann`, of a user with a scope, and `ben`, of one without.
struct TwoUsers;

impl Authentication for TwoUsers {
    fn authenticate<'a>(
        &'a self,
        credentials: Credentials<'a>,
    ) -> PortFuture<'a, Result<Identity, AuthenticationRefusal>> {
        let identity = |name: &str, scopes: &[&str]| Identity {
            principal: Principal { tenant: TenantDomain::super_tenant(), username: Username(name.to_owned()) },
            roles: [].into(),
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
            origin: None,
            is_token: false,
        };
        let found = match credentials {
            Credentials::SignIn("ann") => Ok(identity("ann", &["apim:admin"])),
            Credentials::SignIn("ben") => Ok(identity("ben", &[])),
            _ => Err(AuthenticationRefusal::Invalid),
        };
        Box::pin(std::future::ready(found))
    }
}

fn places() -> Places {
    Arc::new(|| Addresses {
        management: "https://localhost:9443".to_owned(),
        gateway_https: "https://localhost:8243".to_owned(),
        gateway_http: "http://localhost:8280".to_owned(),
        publisher: Some("/publisher".to_owned()),
        devportal: Some("https://store:9443/devportal".to_owned()),
        admin: None,
    })
}

#[derive(askama::Template)]
#[template(
    source = "{% extends \"layout.html\" %}{% block content %}{% include \"token.html\" %}{% endblock %}",
    ext = "html"
)]
struct Page {
    frame: Frame,
}

async fn administrators(signed: Signed, viewer: Viewer) -> Result<Response, ApiError> {
    signed.require(&["apim:admin"])?;
    Ok(crate::render(&Page { frame: Frame::new(viewer, Shell::Admin, "/admin", "<script>alert(1)</script>") }))
}

async fn act(signed: Signed, fields: Fields) -> Result<Response, ApiError> {
    signed.require(&["apim:admin"])?;
    Ok(say_and_go(&format!("Did {}; \"so\".", fields.text("what")), "/admin"))
}

async fn sends(viewer: Viewer) -> Response {
    let page = crate::render(&Page { frame: Frame::new(viewer, Shell::Admin, "/admin", "Sends") });
    crate::may_send_to(page, "https://api.example.com:8243/pizza")
}

fn pages() -> Router {
    let pages = Router::new().route("/admin", get(administrators)).route("/admin/act", post(act));
    let pages = pages.route("/admin/sends", get(sends));
    session::around(crate::front(places()).merge(pages), Arc::new(TwoUsers), places()).merge(crate::assets())
}

fn said<'a>(headers: &'a HeaderMap, name: &HeaderName) -> &'a str {
    headers[name].to_str().unwrap()
}

async fn answer(request: Request<Body>) -> (StatusCode, HeaderMap, String) {
    let (parts, body) = pages().oneshot(request).await.unwrap().into_parts();
    let bytes = to_bytes(body, usize::MAX).await.unwrap();
    (parts.status, parts.headers, String::from_utf8(bytes.to_vec()).unwrap())
}

async fn view(path: &str, user: Option<&str>) -> (StatusCode, HeaderMap, String) {
    let mut request = Request::builder().uri(path);
    if let Some(user) = user {
        request = request.header(COOKIE, format!("{SIGN_IN_COOKIE}={user}"));
    }
    answer(request.body(Body::empty()).unwrap()).await
}

async fn send(user: &str, token: &str, headers: &[(&str, &str)]) -> (StatusCode, HeaderMap, String) {
    let mut request = Request::post("/admin/act")
        .header(COOKIE, format!("{SIGN_IN_COOKIE}={user}"))
        .header(HOST, "localhost:9443")
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    answer(request.body(Body::from(format!("form_token={token}&what=it"))).unwrap()).await
}

#[tokio::test]
async fn every_page_is_valid_in_form_and_brings_nothing_from_elsewhere() {
    for (path, user) in [("/", None), ("/", Some("ann")), ("/admin", Some("ann")), ("/admin", Some("ben"))] {
        let (_, headers, text) = view(path, user).await;
        let policy = headers[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'self'; script-src 'self'; "), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{policy}");
        assert_eq!([said(&headers, &CACHE_CONTROL), said(&headers, &X_FRAME_OPTIONS)], ["no-store", "DENY"]);
        assert!(text.starts_with("<!doctype html>\n<html lang=\"en\">"), "{path}");
        assert_eq!(text.matches("<h1>").count(), 1, "{path}");
        assert_eq!(text.matches("<script").count(), 1, "the page's own script alone: {text}");
        for forbidden in ["style=", "onclick", "http-equiv"] {
            assert!(!text.contains(forbidden), "{forbidden} in {path}");
        }
    }
}

#[tokio::test]
async fn the_script_of_a_page_may_send_to_the_gateway_and_to_what_the_page_names_alone() {
    for (path, is_named) in [("/admin", false), ("/admin/sends", true)] {
        let (_, headers, _) = view(path, Some("ann")).await;
        let policy = headers[CONTENT_SECURITY_POLICY].to_str().unwrap();
        let connect = policy.split("; ").find(|part| part.starts_with("connect-src ")).unwrap();
        assert!(connect.starts_with("connect-src 'self' https://"), "{connect}");
        assert_eq!(connect.split(' ').any(|one| one == "https://api.example.com:8243"), is_named, "{connect}");
    }
}

#[tokio::test]
async fn what_is_kept_for_good_has_a_name_of_its_content() {
    let (_, _, text) = view("/", None).await;
    for (kind, media_type, content) in
        [("theme", "text/css; charset=utf-8", "prefers"), ("portal", "text/javascript; charset=utf-8", "fetch(")]
    {
        let from = text.find(&format!("/assets/{kind}-")).unwrap();
        let path = &text[from..from + text[from..].find('"').unwrap()];
        let (status, headers, text) = view(path, None).await;
        assert_eq!((status, said(&headers, &CONTENT_TYPE)), (StatusCode::OK, media_type));
        assert!(headers[CACHE_CONTROL].to_str().unwrap().contains("immutable"));
        assert!(text.contains(content) || text.contains("light-dark("), "{kind}");
    }
}

#[tokio::test]
async fn who_is_not_signed_in_is_sent_to_sign_in_and_who_may_not_is_told() {
    for user in [None, Some("eve")] {
        let (status, headers, _) = view("/admin?q=a%26b", user).await;
        assert_eq!(
            (status, said(&headers, &LOCATION)),
            (StatusCode::SEE_OTHER, "/oauth2/portal?page=/admin%3Fq%3Da%2526b")
        );
    }
    let (status, _, text) = view("/admin", Some("ben")).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(text.contains("ben@carbon.super has none of the scopes"), "{text}");
    let (_, _, text) = view("/admin", Some("ann")).await;
    assert!(text.contains("&#60;script&#62;alert(1)") && !text.contains("<script>alert"), "{text}");
}

#[tokio::test]
async fn a_form_is_taken_from_the_page_of_its_browser_alone() {
    let own = session::form_token("ann");
    let (status, headers, _) = send("ann", &own, &[("sec-fetch-site", "same-origin")]).await;
    assert_eq!((status, said(&headers, &LOCATION)), (StatusCode::SEE_OTHER, "/admin"));
    for (user, token, sent) in [
        ("ann", String::new(), vec![]),
        ("ann", session::form_token("ben"), vec![]),
        ("ann", own.clone(), vec![("sec-fetch-site", "cross-site")]),
        ("ann", own.clone(), vec![("sec-fetch-site", "same-site")]),
        ("ann", own.clone(), vec![(ORIGIN.as_str(), "https://evil.example")]),
        ("ann", own.clone(), vec![(ORIGIN.as_str(), "null")]),
    ] {
        let (status, _, text) = send(user, &token, &sent).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{sent:?}");
        assert!(text.contains("nothing was done"), "{text}");
    }
    let (status, ..) = send("ben", &session::form_token("ben"), &[]).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "the scope is asked for at the action too");
}

#[tokio::test]
async fn what_a_form_did_is_said_once_on_the_next_page() {
    let (_, headers, _) = send("ann", &session::form_token("ann"), &[]).await;
    let cookie = headers[SET_COOKIE].to_str().unwrap();
    assert!(cookie.ends_with("; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=60"), "{cookie}");
    let said = cookie.split(';').next().unwrap();
    let request = Request::get("/admin").header(COOKIE, format!("{SIGN_IN_COOKIE}=ann; {said}"));
    let (_, headers, text) = answer(request.body(Body::empty()).unwrap()).await;
    assert!(text.contains("role=\"status\">Did it; &#34;so&#34;."), "{text}");
    assert!(headers[SET_COOKIE].to_str().unwrap().contains("Max-Age=0"));
}

#[test]
fn a_sign_in_leads_to_pages_of_the_portals_and_nowhere_else() {
    for good in ["/", "/publisher", "/devportal/apis/1/try?operation=GET%20/menu", "/admin/policies"] {
        assert!(session::is_page(good), "{good}");
    }
    for bad in [
        "",
        "//evil.example",
        "/\\evil.example",
        "/publisherx",
        "/admin//evil",
        "/admin/../oauth2",
        "https://x",
        "/oauth2/logout",
        "/admin\r\nx",
    ] {
        assert!(!session::is_page(bad), "{bad}");
    }
}

#[tokio::test]
async fn the_front_page_leads_to_the_portals_wherever_they_are() {
    let (_, _, text) = view("/", None).await;
    assert!(text.contains("<a href=\"https://store:9443/devportal\">"), "{text}");
    assert!(!text.contains("what waits for a decision"), "nobody serves Admin: {text}");
}
