//! The authorization code grant as a browser and a client go through it.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use http::{HeaderMap, Request, StatusCode};
use portcullis_database::Apimgtdb;
use portcullis_model::TokenType;
use portcullis_model::oauth::OauthClient;
use portcullis_model::port::KeyRefusal;
use serde_json::Value;
use tower::ServiceExt as _;
use url::Url;

use super::world::{Node, PASSWORD, World};

const CALLBACK: &str = "https://app.example/cb";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// A browser with its cookies.
pub(super) struct Browser<'a> {
    node: &'a Node,
    cookies: Vec<(String, String)>,
}

pub(super) struct Page {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl Page {
    pub(super) fn location(&self) -> &str {
        self.headers.get("location").map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    pub(super) fn hidden(&self, name: &str) -> String {
        let at =
            self.text.find(&format!("name=\"{name}\" value=\"")).unwrap_or_else(|| panic!("no {name}: {}", self.text));
        let value = self.text[at..].split('"').nth(3).unwrap();
        value.replace("&#38;", "&").replace("&amp;", "&")
    }

    fn parameter(&self, name: &str) -> Option<String> {
        let url = Url::parse(self.location()).unwrap();
        url.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
    }
}

impl<'a> Browser<'a> {
    pub(super) fn new(node: &'a Node) -> Self {
        Self { node, cookies: Vec::new() }
    }

    async fn send(&mut self, request: http::request::Builder, body: String) -> Page {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = request.header("cookie", cookies.join("; ")).body(Body::from(body)).unwrap();
        let response = self.node.faces.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        for cookie in parts.headers.get_all("set-cookie") {
            let text = cookie.to_str().unwrap();
            assert!(text.contains("; Secure; HttpOnly; SameSite=Lax") && text.starts_with("__Host-"), "{text}");
            let (name, value) = text.split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.retain(|(known, _)| known != name);
            self.cookies.push((name.to_owned(), value.to_owned()));
        }
        let text = String::from_utf8(to_bytes(body, 1 << 20).await.unwrap().to_vec()).unwrap();
        Page { status: parts.status, headers: parts.headers, text }
    }

    pub(super) async fn get(&mut self, path: &str) -> Page {
        self.send(Request::get(path), String::new()).await
    }

    pub(super) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(fields);
        let request = Request::post(path).header("content-type", "application/x-www-form-urlencoded");
        self.send(request, form.finish()).await
    }

    /// Fills the page to sign in, and returns what comes next.
    pub(super) async fn sign_in(&mut self, page: &Page, password: &str) -> Page {
        let (to, form_token) = (page.hidden("to"), page.hidden("form_token"));
        let fields = [("to", to.as_str()), ("form_token", &form_token), ("username", "admin"), ("password", password)];
        let answer = self.post("/oauth2/sign-in", &fields).await;
        if answer.status != StatusCode::SEE_OTHER {
            return answer;
        }
        let location = answer.location().to_owned();
        self.get(&location).await
    }

    async fn decide(&mut self, page: &Page, decision: &str, further: &[(&str, &str)]) -> Page {
        let (to, form_token) = (page.hidden("to"), page.hidden("form_token"));
        let mut fields = vec![("to", to.as_str()), ("form_token", &form_token), ("decision", decision)];
        fields.extend(further);
        self.post("/oauth2/consent", &fields).await
    }

    /// Goes the whole way and returns the code.
    async fn code(&mut self, further: &str) -> String {
        let page = self.get(&format!("{}{further}", request())).await;
        let page = if page.text.contains("name=\"password\"") { self.sign_in(&page, PASSWORD).await } else { page };
        let page = if page.status == StatusCode::OK { self.decide(&page, "allow", &[]).await } else { page };
        page.parameter("code").unwrap_or_else(|| panic!("{} {}", page.location(), page.text))
    }
}

fn request() -> String {
    format!(
        "/oauth2/authorize?response_type=code&client_id=client-of-the-application&redirect_uri={CALLBACK}&scope=openid+order\
         &state=s1&nonce=n1&code_challenge={CHALLENGE}&code_challenge_method=S256"
    )
}

fn world(form: TokenType) -> World {
    let world = World::new(form);
    change_client(&world, |client| {
        client.grants.push("authorization_code".to_owned());
        client.callback_url = CALLBACK.to_owned();
    });
    world
}

pub(super) fn change_client(world: &World, change: impl FnOnce(&mut OauthClient)) {
    world.change(|state| {
        let mut client = state.apimgt.clients[&world.client].as_ref().clone();
        change(&mut client);
        state.apimgt.clients.insert(world.client.clone(), client.into());
    });
}

fn redemption(code: &str) -> String {
    format!("grant_type=authorization_code&code={code}&redirect_uri={CALLBACK}&code_verifier={VERIFIER}")
}

async fn redeem(node: &Node, code: &str) -> (StatusCode, Value) {
    let (status, _, body) = node.post("/oauth2/token", &redemption(code)).await;
    (status, body)
}

pub(super) fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&portcullis_jose::from_base64url(payload).unwrap()).unwrap()
}

#[tokio::test]
async fn a_user_signs_in_allows_and_the_client_gets_tokens_on_another_node() {
    for form in [TokenType::Jwt, TokenType::Opaque] {
        let world = world(form);
        let (node, other) = (world.node(), world.lagging_node());
        let mut browser = Browser::new(&node);
        let page = browser.get(&request()).await;
        assert_eq!(page.status, StatusCode::OK);
        let policy = page.headers["content-security-policy"].to_str().unwrap();
        assert!(
            policy.contains("frame-ancestors 'none'") && policy.contains("form-action 'self' https://app.example;")
        );
        assert_eq!(page.headers["cache-control"], "no-store");
        let wrong = browser.sign_in(&page, "wrong").await;
        assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
        assert!(
            wrong.text.contains("not right")
                && wrong.headers["content-security-policy"].to_str().unwrap().contains("app.example")
        );
        let asked = browser.sign_in(&wrong, PASSWORD).await;
        assert!(
            asked.text.contains("<code>order</code>") && asked.text.contains("pizza-app_PRODUCTION"),
            "{}",
            asked.text
        );
        let answer = browser.decide(&asked, "allow", &[]).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER);
        assert!(answer.location().starts_with("https://app.example/cb?code="));
        assert_eq!(answer.parameter("state").as_deref(), Some("s1"));
        assert_eq!(answer.parameter("iss").as_deref(), Some("https://localhost:9443/oauth2/token"));

        let (status, body) = redeem(&other, &answer.parameter("code").unwrap()).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        assert_eq!(body["scope"], "openid order");
        let id = claims(body["id_token"].as_str().unwrap());
        assert_eq!(
            (&id["nonce"], &id["sub"], &id["aud"]),
            (&"n1".into(), &"admin@carbon.super".into(), &world.client.0.as_str().into())
        );
        let token = body["access_token"].as_str().unwrap();
        assert!(other.validate(token).await.unwrap().is_user_token);
        assert!(body["refresh_token"].is_string());
    }
}

#[tokio::test]
async fn a_code_that_comes_twice_takes_back_what_it_gave() {
    for form in [TokenType::Jwt, TokenType::Opaque] {
        for may_refresh in [true, false] {
            let world = world(form);
            if !may_refresh {
                change_client(&world, |client| client.grants.retain(|grant| grant != "refresh_token"));
            }
            let (node, other) = (world.node(), world.lagging_node());
            let code = Browser::new(&node).code("").await;
            let (_, body) = redeem(&node, &code).await;
            let token = body["access_token"].as_str().unwrap().to_owned();
            assert!(node.validate(&token).await.is_ok());
            let mut refresh = body["refresh_token"].as_str().map(str::to_owned);
            if let Some(first) = &refresh {
                let form = format!("grant_type=refresh_token&refresh_token={first}");
                let (_, _, again) = node.post("/oauth2/token", &form).await;
                refresh = again["refresh_token"].as_str().map(str::to_owned);
                assert!(refresh.is_some(), "{again}");
            }
            let (status, body) = redeem(&other, &code).await;
            assert_eq!((status, &body["error"]), (StatusCode::BAD_REQUEST, &"invalid_grant".into()));
            assert_eq!(node.validate(&token).await.unwrap_err(), KeyRefusal::Invalid, "{form:?} {may_refresh}");
            if let Some(refresh) = refresh {
                let form = format!("grant_type=refresh_token&refresh_token={refresh}");
                assert_eq!(node.post("/oauth2/token", &form).await.2["error"], "invalid_grant");
            }
        }
    }
}

#[tokio::test]
async fn a_code_is_bound_to_client_address_verifier_and_a_minute() {
    let world = world(TokenType::Jwt);
    let node = world.node();
    let mut browser = Browser::new(&node);
    let code = browser.code("").await;
    let good = redemption(&code);
    for bad in [
        good.replace("/cb", "/other"),
        good.replace(VERIFIER, CHALLENGE),
        good.replace("&code_verifier=", "&x="),
        good.replace("&redirect_uri=", "&x="),
        good.replace(&code, &"A".repeat(64)),
    ] {
        let (status, _, body) = node.post("/oauth2/token", &bad).await;
        assert_eq!((status, &body["error"]), (StatusCode::BAD_REQUEST, &"invalid_grant".into()), "{bad}");
    }
    let (status, _, _) = node.post_as(&world.client.0, "wrong", "/oauth2/token", &good).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    world.wait(Duration::from_secs(61));
    assert_eq!(redeem(&node, &code).await.1["error"], "invalid_grant");
    assert_eq!(redeem(&node, &browser.code("").await).await.0, StatusCode::OK);
}

#[tokio::test]
async fn what_cannot_be_told_to_the_client_is_told_to_the_user_and_sends_him_nowhere() {
    let world = world(TokenType::Jwt);
    let node = world.node();
    let mut browser = Browser::new(&node);
    for bad in [
        request().replace("client-of-the-application", "nobody"),
        request().replace("client_id=", "x="),
        request().replace("/cb", "/evil"),
        request().replace("https://app.example", "https://app.example.evil"),
        format!("{}&client_id=x", request()),
        format!("{}&x={}", request(), "y".repeat(20_000)),
    ] {
        let page = browser.get(&bad).await;
        assert_eq!((page.status, page.location()), (StatusCode::BAD_REQUEST, ""), "{bad}");
        assert!(page.text.contains("This did not work"));
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_told_to_the_client() {
    let world = world(TokenType::Jwt);
    let node = world.node();
    let mut browser = Browser::new(&node);
    for (bad, error) in [
        (request().replace("response_type=code", "response_type=magic"), "unsupported_response_type"),
        (request().replace("response_type=code", "x=1"), "invalid_request"),
        (request().replace("code_challenge_method=S256", "code_challenge_method=plain"), "invalid_request"),
        (request().replace("code_challenge_method=S256", "x=1"), "invalid_request"),
        (request().replace("code_challenge=", "x="), "invalid_request"),
        (request().replace("scope=openid+order", "scope=%22"), "invalid_scope"),
        (format!("{}&prompt=none", request()), "login_required"),
        (format!("{}&prompt=none+login", request()), "invalid_request"),
        (format!("{}&max_age=x", request()), "invalid_request"),
        (format!("{}&request=x", request()), "request_not_supported"),
        (format!("{}&request_uri=https://x.example", request()), "request_uri_not_supported"),
        (format!("{}&resource=nonsense", request()), "invalid_target"),
    ] {
        let page = browser.get(&bad).await;
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{bad} {}", page.text);
        assert!(page.location().starts_with("https://app.example/cb?error="), "{}", page.location());
        assert_eq!(page.parameter("error").as_deref(), Some(error), "{bad}");
        assert_eq!((page.parameter("state").as_deref(), page.parameter("iss").is_some()), (Some("s1"), true));
    }
    let implicit = request().replace("response_type=code", "response_type=token");
    let page = browser.get(&implicit).await;
    assert!(page.location().contains("#error=unsupported_response_type"), "{}", page.location());
    change_client(&world, |client| client.grants.retain(|grant| grant != "authorization_code"));
    assert_eq!(browser.get(&request()).await.parameter("error").as_deref(), Some("unauthorized_client"));
}

#[tokio::test]
async fn a_user_who_says_no_gives_nothing_and_one_who_is_remembered_is_not_asked_again() {
    let world = world(TokenType::Jwt);
    let node = world.node();
    let mut browser = Browser::new(&node);
    let page = browser.get(&request()).await;
    let asked = browser.sign_in(&page, PASSWORD).await;
    let answer = browser.decide(&asked, "deny", &[]).await;
    assert_eq!(answer.parameter("error").as_deref(), Some("access_denied"));
    let asked = browser.get(&request()).await;
    assert!(asked.text.contains("name=\"decision\""), "signed in already, and asked again");
    let quiet = format!("{}&prompt=none", request());
    assert_eq!(browser.get(&quiet).await.parameter("error").as_deref(), Some("consent_required"));
    browser.decide(&asked, "allow", &[("remember", "true")]).await;
    assert!(browser.get(&quiet).await.parameter("code").is_some());
    let asked = browser.get(&format!("{}&prompt=consent", request())).await;
    assert!(asked.text.contains("name=\"decision\""));
    let more = request().replace("openid+order", "openid+order+email");
    assert!(browser.get(&more).await.text.contains("name=\"decision\""), "more than was allowed is asked for");
}

#[tokio::test]
async fn a_new_sign_in_is_asked_for_where_it_is_wanted_or_the_old_one_is_too_old() {
    let world = world(TokenType::Jwt);
    let node = world.node();
    let mut browser = Browser::new(&node);
    browser.code("").await;
    let again = format!("{}&prompt=login", request());
    let page = browser.get(&again).await;
    assert!(page.text.contains("name=\"password\""));
    let asked = browser.sign_in(&page, PASSWORD).await;
    assert!(asked.text.contains("name=\"decision\""), "once is enough: {}", asked.text);
    world.wait(Duration::from_secs(100));
    assert!(browser.get(&format!("{}&max_age=90", request())).await.text.contains("name=\"password\""));
    assert!(browser.get(&format!("{}&max_age=1000", request())).await.text.contains("name=\"decision\""));
}

#[tokio::test]
async fn a_form_of_another_browser_or_page_is_refused() {
    let world = world(TokenType::Jwt);
    let node = world.node();
    let (mut anna, mut eve) = (Browser::new(&node), Browser::new(&node));
    let page = anna.get(&request()).await;
    let asked = anna.sign_in(&page, PASSWORD).await;
    let eves = eve.get(&request()).await;
    let (to, own, foreign) = (asked.hidden("to"), asked.hidden("form_token"), eves.hidden("form_token"));
    for (to, token) in
        [(to.as_str(), foreign.as_str()), (&to, ""), (&to.replace("s1", "s2"), &own), (&to, &page.hidden("form_token"))]
    {
        let fields = [("to", to), ("form_token", token), ("decision", "allow")];
        assert_eq!(anna.post("/oauth2/consent", &fields).await.status, StatusCode::FORBIDDEN, "{to} {token}");
    }
    assert!(node.view().read::<Apimgtdb>().pending_grants.is_empty());
}

#[tokio::test]
async fn a_sign_in_ends_by_signing_out_by_another_password_and_by_time() {
    let world = world(TokenType::Jwt);
    let node = world.node();
    let mut browser = Browser::new(&node);
    let (_, body) = redeem(&node, &browser.code("").await).await;
    let hint = body["id_token"].as_str().unwrap().to_owned();
    let stale = browser.cookies.clone();
    let page = browser.get("/oauth2/logout").await;
    assert!(page.text.contains("Sign out?"), "without a hint the user is asked");
    let bad = format!("/oauth2/logout?id_token_hint={hint}&post_logout_redirect_uri=https://evil.example");
    assert_eq!(browser.get(&bad).await.status, StatusCode::BAD_REQUEST);
    let good = format!("/oauth2/logout?id_token_hint={hint}&post_logout_redirect_uri={CALLBACK}&state=x");
    assert_eq!(browser.get(&good).await.location(), "https://app.example/cb?state=x");
    browser.cookies = stale;
    assert!(browser.get(&request()).await.text.contains("name=\"password\""), "the old cookie is of no use");
    browser.code("").await;
    world.wait(Duration::from_secs(28_801));
    assert!(browser.get(&request()).await.text.contains("name=\"password\""));
}

#[tokio::test]
async fn a_public_client_needs_no_secret_and_always_a_proof_key() {
    let world = world(TokenType::Jwt);
    change_client(&world, |client| {
        client.other_fields = "{\"additionalProperties\":{\"bypassClientCredentials\":\"true\"}}".to_owned();
    });
    let node = world.node();
    let code = Browser::new(&node).code("").await;
    let form = format!("{}&client_id={}", redemption(&code), world.client);
    let request = |form: String| {
        Request::post("/oauth2/token")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::from(form))
            .unwrap()
    };
    let (status, _, body) = node.send(request(form)).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let own = format!("grant_type=client_credentials&client_id={}", world.client);
    assert_eq!(node.send(request(own)).await.2["error"], "unauthorized_client");
    let confidential = World::new(TokenType::Jwt);
    let without = format!("grant_type=client_credentials&client_id={}", confidential.client);
    assert_eq!(confidential.node().send(request(without)).await.0, StatusCode::UNAUTHORIZED);
}
