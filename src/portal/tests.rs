//! The pages as a browser gets them.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderMap, Request, StatusCode};
use portcullis_http::page::Page;
use portcullis_model::cluster::{ClusterStatus, NodeStatus};
use portcullis_model::port::{Authentication, AuthenticationRefusal, Credentials, Identity, PortFuture};
use portcullis_model::{Component, Components, NodeAddresses, NodeId, Principal, TenantDomain, Username};
use tower::ServiceExt as _;

use crate::{Addresses, ApiRow, Data, OperationRow, PolicyRow, PublishedApi, Rows, routes};

struct Sample;

impl Data for Sample {
    fn apis(&self, _tenant: &TenantDomain, page: Page) -> Rows<ApiRow> {
        let row = |number: usize| ApiRow {
            id: format!("id-{number}"),
            name: "<script>alert(1)</script>".to_owned(),
            version: "1.0.0".to_owned(),
            path: "/pizza/1.0.0".to_owned(),
            state: "Published".to_owned(),
            is_deployed: true,
            plans: vec!["Gold".to_owned(), "Silver".to_owned()],
            provider: "admin".to_owned(),
        };
        Rows { rows: (0..120).skip(page.offset).take(page.limit).map(row).collect(), total: 120 }
    }

    fn published_apis(&self, _page: Page) -> Rows<PublishedApi> {
        let api = PublishedApi {
            id: "id-1".to_owned(),
            name: "Pizza".to_owned(),
            version: "1.0.0".to_owned(),
            description: "Orders & menus".to_owned(),
            url: "https://localhost:8243/pizza/1.0.0".to_owned(),
            plans: Vec::new(),
            operations: vec![OperationRow { verb: "GET".to_owned(), target: "/menu".to_owned(), needs_token: false }],
            operations_left_out: 0,
            sample: "curl -k 'https://localhost:8243/pizza/1.0.0/menu'".to_owned(),
        };
        Rows { rows: vec![api], total: 1 }
    }

    fn policies(&self, _tenant: &TenantDomain) -> Vec<PolicyRow> {
        let (name, limit) = ("Gold".to_owned(), "5000 requests per min".to_owned());
        vec![PolicyRow { level: "Business plan", name, limit, description: String::new(), stops: true }]
    }

    fn cluster(&self) -> PortFuture<'_, ClusterStatus> {
        let address = ([127, 0, 0, 1], 9443).into();
        let node = NodeStatus {
            id: NodeId(1),
            name: "one".to_owned(),
            role: "leader".to_owned(),
            health: "alive".to_owned(),
            addresses: NodeAddresses {
                cluster: address,
                management: address,
                gateway_http: address,
                gateway_https: address,
            },
            meant_role: "voter".to_owned(),
            is_drained: false,
            replaced_by: None,
            components: Vec::new(),
            version: String::new(),
            last_log_index: Some(7),
            applied_index: Some(7),
            lag: None,
        };
        Box::pin(std::future::ready(ClusterStatus {
            cluster_id: "c".to_owned(),
            cluster_name: "production".to_owned(),
            answered_by: NodeId(1),
            leader: None,
            term: 3,
            has_quorum: false,
            failures_tolerated: 0,
            nodes: vec![node],
            unserved: Vec::new(),
        }))
    }

    fn addresses(&self) -> Addresses {
        Addresses {
            management: "https://localhost:9443".to_owned(),
            gateway_https: "https://localhost:8243".to_owned(),
            gateway_http: "http://localhost:8280".to_owned(),
            publisher: Some("/publisher".to_owned()),
            devportal: Some("https://store:9443/devportal".to_owned()),
            admin: None,
        }
    }
}

/// Knows `ann` with every scope and `ben` with none.
struct TwoUsers;

impl Authentication for TwoUsers {
    fn authenticate<'a>(
        &'a self,
        credentials: Credentials<'a>,
    ) -> PortFuture<'a, Result<Identity, AuthenticationRefusal>> {
        let identity = |name: &str, scopes: &[&str]| Identity {
            principal: Principal { tenant: TenantDomain::super_tenant(), username: Username(name.to_owned()) },
            roles: Vec::new(),
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
            origin: None,
            is_token: false,
        };
        let found = match credentials {
            Credentials::Basic { username: "ann", password: "secret" } => Ok(identity("ann", &["apim:admin"])),
            Credentials::Basic { username: "ben", password: "secret" } => Ok(identity("ben", &[])),
            _ => Err(AuthenticationRefusal::Invalid),
        };
        Box::pin(std::future::ready(found))
    }
}

fn portal() -> Router {
    routes(Arc::new(Sample), Arc::new(TwoUsers), &Components::all())
}

async fn get(path: &str, user: Option<&str>) -> (StatusCode, HeaderMap, String) {
    let mut request = Request::builder().uri(path);
    if let Some(user) = user {
        let pair = STANDARD.encode(format!("{user}:secret"));
        request = request.header(AUTHORIZATION, format!("Basic {pair}"));
    }
    let response = portal().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.unwrap();
    (parts.status, parts.headers, String::from_utf8(bytes.to_vec()).unwrap())
}

#[tokio::test]
async fn every_page_is_valid_in_form_and_brings_nothing_from_elsewhere() {
    for (path, user) in [("/", None), ("/devportal", None), ("/publisher", Some("ann")), ("/admin", Some("ann"))] {
        let (status, headers, text) = get(path, user).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        assert!(
            headers[CONTENT_SECURITY_POLICY].to_str().unwrap().starts_with("default-src 'self'; script-src 'none'")
        );
        assert_eq!(headers[CACHE_CONTROL], "no-store");
        assert!(text.starts_with("<!doctype html>\n<html lang=\"en\">"), "{path}");
        assert_eq!(text.matches("<h1>").count(), 1, "{path}");
        for forbidden in ["<script", "style=", "onclick"] {
            assert!(!text.contains(forbidden), "{forbidden} in {path}");
        }
        for tag in ["main", "header", "table", "tr", "td", "ul", "li", "dl", "pre", "section", "nav", "div", "p"] {
            let opened = text.matches(&format!("<{tag}>")).count() + text.matches(&format!("<{tag} ")).count();
            assert_eq!(opened, text.matches(&format!("</{tag}>")).count(), "{tag} in {path}");
        }
        assert_eq!(text.matches("aria-current=\"page\"").count(), 1, "{path}");
    }
}

#[tokio::test]
async fn the_theme_is_kept_for_good_under_a_name_of_its_content() {
    let (_, _, text) = get("/", None).await;
    let from = text.find("/assets/theme-").unwrap();
    let path = &text[from..from + text[from..].find('"').unwrap()];
    let (status, headers, css) = get(path, None).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(headers[CONTENT_TYPE], "text/css; charset=utf-8");
    assert!(headers[CACHE_CONTROL].to_str().unwrap().contains("immutable"));
    assert!(css.contains("prefers-color-scheme: dark"));
}

#[tokio::test]
async fn publisher_and_admin_ask_who_is_there_and_refuse_who_may_not() {
    for path in ["/publisher", "/admin"] {
        for user in [None, Some("eve")] {
            let (status, headers, text) = get(path, user).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{path}");
            assert!(headers[WWW_AUTHENTICATE].to_str().unwrap().starts_with("Basic realm=\"Portcullis\""));
            assert!(text.contains("<h1>Sign in</h1>"), "{text}");
        }
        let (status, headers, text) = get(path, Some("ben")).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{path}");
        assert!(!headers.contains_key(WWW_AUTHENTICATE));
        assert!(text.contains("ben@carbon.super has none of the scopes"), "{text}");
    }
}

#[tokio::test]
async fn what_users_wrote_is_text_on_the_page_and_lists_come_in_parts() {
    let (_, _, text) = get("/publisher?offset=50", Some("ann")).await;
    assert!(text.contains("&#60;script&#62;alert(1)"), "{text}");
    assert!(text.contains("href=\"/api/am/publisher/v4/apis/id-50\""));
    assert!(text.contains("51 to 100 of 120"));
    assert!(text.contains("href=\"/publisher?limit=50&#38;offset=0\"") && text.contains("limit=50&#38;offset=100\""));
    let (status, _, text) = get("/publisher?offset=x", Some("ann")).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(text.contains("offset: must be a whole number"));
}

#[tokio::test]
async fn the_admin_page_says_when_there_is_no_majority_and_shows_nodes_and_policies() {
    let (_, _, text) = get("/admin", Some("ann")).await;
    assert!(text.contains("role=\"alert\">No majority of the voters answers"));
    for shown in ["production", "127.0.0.1:9443", "5000 requests per min", "Signed in as ann@carbon.super"] {
        assert!(text.contains(shown), "{shown}");
    }
}

#[tokio::test]
async fn the_developer_portal_says_how_to_call_an_api() {
    let (_, _, text) = get("/devportal", None).await;
    for shown in
        ["https://localhost:9443/oauth2/token", "https://localhost:8243/pizza/1.0.0/menu", "Orders &#38; menus"]
    {
        assert!(text.contains(shown), "{shown}");
    }
}

#[tokio::test]
async fn a_node_has_the_pages_of_its_components_alone_and_leads_to_the_others() {
    let served = Components::of([Component::Publisher]);
    let router = routes(Arc::new(Sample), Arc::new(TwoUsers), &served);
    let status = async |path: &str| {
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        router.clone().oneshot(request).await.unwrap().status()
    };
    assert_eq!(status("/publisher").await, StatusCode::UNAUTHORIZED);
    assert_eq!((status("/devportal").await, status("/admin").await), (StatusCode::NOT_FOUND, StatusCode::NOT_FOUND));
    let front = router.oneshot(Request::builder().uri("/").body(Body::empty()).unwrap()).await.unwrap();
    let text = String::from_utf8(to_bytes(front.into_body(), 1 << 20).await.unwrap().to_vec()).unwrap();
    assert!(text.contains("<a href=\"https://store:9443/devportal\">"), "{text}");
    assert!(!text.contains("The nodes of the cluster"), "nobody serves Admin: {text}");
}
