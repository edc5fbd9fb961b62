//! Users who sign in at an identity provider: another cluster, by OpenID Connect.

mod harness;

use harness::http::Reply;
use harness::journey::text;
use harness::visitor::hidden;
use harness::{Cluster, Node};
use serde_json::{Value, json};

const FORM: [(&str, &str); 1] = [("content-type", "application/x-www-form-urlencoded")];
const PROVIDERS: &str = "/api/server/v1/identity-providers";
const PASSWORD: &str = "a pass phrase of her own";
const CALLBACK: &str = "https://app.example/cb";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// A browser that keeps its cookies for each node.
#[derive(Default)]
struct Browser {
    cookies: Vec<(String, String, String)>,
}

impl Browser {
    async fn send(&mut self, node: &Node, verb: &str, path: &str, fields: &[(&str, &str)]) -> Reply {
        let host = node.management_url();
        let own = self.cookies.iter().filter(|(of, ..)| *of == host);
        let cookies: Vec<String> = own.map(|(_, name, value)| format!("{name}={value}")).collect();
        let cookies = cookies.join("; ");
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let headers = [FORM[0], ("cookie", cookies.as_str()), ("sec-fetch-site", "same-origin")];
        let reply = node.anonymous().send(verb, path, &headers, body).await.expect("an answer");
        for cookie in reply.headers.get_all("set-cookie") {
            let pair = cookie.to_str().expect("text").split(';').next().expect("a pair");
            let (name, value) = pair.split_once('=').expect("a name");
            self.cookies.retain(|(of, known, _)| *of != host || known != name);
            if !value.is_empty() {
                self.cookies.push((host.clone(), name.to_owned(), value.to_owned()));
            }
        }
        reply
    }

    /// Signs in at the identity provider, allows what is asked, and returns where that leads back to.
    async fn sign_in_there(&mut self, idp: &Node, address: &str, user: &str, password: &str) -> String {
        let path = address.strip_prefix(&idp.management_url()).expect("an address of the identity provider");
        let page = self.send(idp, "GET", path, &[]).await;
        if page.status == 303 {
            // Who is signed in there already, and has allowed it before, is sent back at once.
            return page.header("location").to_owned();
        }
        let page = page.expect(200);
        let fields = [("username", user), ("password", password)];
        let signed_in = self.submit(idp, "/oauth2/sign-in", &page, &fields).await.expect(303);
        let mut next = self.send(idp, "GET", signed_in.header("location"), &[]).await;
        if next.status == 200 {
            next = self.submit(idp, "/oauth2/consent", &next, &[("decision", "allow"), ("remember", "true")]).await;
        }
        next.expect(303).header("location").to_owned()
    }

    async fn submit(&mut self, node: &Node, path: &str, page: &Reply, fields: &[(&str, &str)]) -> Reply {
        let (to, form_token) = (hidden(&page.text(), "to"), hidden(&page.text(), "form_token"));
        let mut all = vec![("to", to.as_str()), ("form_token", form_token.as_str())];
        all.extend(fields);
        self.send(node, "POST", path, &all).await
    }
}

/// Returns the link to sign in elsewhere.
fn link(page: &Reply) -> Option<String> {
    let page = page.text();
    let at = page.find("href=\"/oauth2/sign-in-elsewhere")?;
    Some(page[at..].split('"').nth(1).expect("an address").replace("&#38;", "&"))
}

/// Starts a cluster that trusts the authority of another one.
async fn trusting(other: &Node) -> Cluster {
    let mut cluster = Cluster::empty();
    cluster.bootstrap().await;
    cluster.join().await;
    cluster.wait_for_voters(2).await;
    for node in &cluster.nodes {
        node.terminate().await;
        node.run_with(&[("SSL_CERT_FILE", &other.data_dir.join("tls/ca.pem"))]);
        node.wait_ready().await;
    }
    cluster
}

/// Makes a user with a role of that cluster.
async fn user_with_role(node: &Node, name: &str, role: &str) -> Value {
    let user = json!({"userName": name, "password": PASSWORD, "emails": [format!("{name}@example.com")]});
    let user = node.admin().json("POST", "/scim2/Users", &user).await.expect("a user").expect(201).json();
    let group = json!({"displayName": role, "members": [{"value": text(&user, "id")}]});
    node.admin().json("POST", "/scim2/Groups", &group).await.expect("a role").expect(201).json()
}

/// Registers the cluster as a client of the identity provider, and the identity provider at the cluster.
async fn introduce(node: &Node, base_url: &str, idp: &Node) -> String {
    let there = idp.management_url();
    let client = json!({
        "client_name": "partner", "grant_types": ["authorization_code"], "redirect_uris": [format!("{base_url}/commonauth")],
    });
    let client = idp.admin().json("POST", "/oauth2/register", &client).await.expect("a client").expect(201).json();
    let property = |key: &str, value: &str| json!({"key": key, "value": value});
    let description = json!({
        "name": "Partner", "idpIssuerName": "https://localhost:9443/oauth2/token",
        "certificate": {"jwksUri": format!("{there}/oauth2/jwks")},
        "claims": {"roleClaim": {"uri": "groups"}},
        "roles": {"mappings": [{"idpRole": "cook", "localRole": "Internal/publisher"}]},
        "provisioning": {"jit": {"isEnabled": true}},
        "federatedAuthenticators": {"authenticators": [{
            "name": "OpenIDConnectAuthenticator", "isEnabled": true,
            "properties": [
                property("ClientId", &text(&client, "client_id")),
                property("ClientSecret", &text(&client, "client_secret")),
                property("OAuth2AuthzEPUrl", &format!("{there}/oauth2/authorize")),
                property("OAuth2TokenEPUrl", &format!("{there}/oauth2/token")),
                property("UserInfoUrl", &format!("{there}/oauth2/userinfo")),
                property("Scopes", "openid profile email groups"),
            ],
        }]},
    });
    let made = node.admin().json("POST", PROVIDERS, &description).await.expect("a provider").expect(201).json();
    text(&made, "id")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_of_another_server_signs_in_for_the_portals_with_the_roles_that_are_mapped() {
    let elsewhere = Cluster::start(1).await;
    let idp = &elsewhere.nodes[0];
    let group = user_with_role(idp, "ann", "cook").await;
    let cluster = trusting(idp).await;
    let [one, two] = &cluster.nodes[..] else { panic!("two nodes") };
    let id = introduce(one, &one.management_url(), idp).await;
    let back = |address: &str| address.strip_prefix(&one.management_url()).expect("this cluster").to_owned();

    // Not signed in, the page says where to; from there to the identity provider and back.
    let mut browser = Browser::default();
    let sent = browser.send(one, "GET", "/publisher", &[]).await.expect(303);
    assert_eq!(sent.header("location"), "/oauth2/portal?page=/publisher");
    let page = browser.send(one, "GET", "/oauth2/portal?page=/publisher", &[]).await.expect(200);
    let departed = browser.send(one, "GET", &link(&page).expect("a link"), &[]).await.expect(303);
    let returned = browser.sign_in_there(idp, departed.header("location"), "ann", PASSWORD).await;
    // A code that somebody else brings along is worth nothing.
    let mut thief = Browser::default();
    thief.send(one, "GET", &back(&returned), &[]).await.expect(400);
    let arrived = browser.send(one, "GET", &back(&returned), &[]).await.expect(303);
    assert_eq!(arrived.header("location"), "/publisher");
    let shown = browser.send(one, "GET", "/publisher", &[]).await.expect(200).text();
    assert!(shown.contains("<span title=\"ann@carbon.super\">ann</span>"), "{shown}");
    browser.send(one, "GET", "/admin", &[]).await.expect(403);
    // The sign-in is good for pages and their forms, and for nothing else.
    browser.send(one, "GET", "/api/am/publisher/v4/apis", &[]).await.expect(401);
    let known = two.admin().get("/scim2/Users?filter=userName%20eq%20ann").await.expect("users").expect(200).json();
    assert_eq!(known["Resources"][0]["emails"][0]["value"], "ann@example.com", "{known:#}");

    // The same for an application, and the role that is lost there is lost here with the next sign-in.
    let remove = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{"op": "remove", "path": "members"}],
    });
    let path = format!("/scim2/Groups/{}", text(&group, "id"));
    idp.admin().json("PATCH", &path, &remove).await.expect("a change").expect(200);
    let mut browser = Browser::default();
    let page = browser.send(one, "GET", "/oauth2/portal?page=/publisher", &[]).await.expect(200);
    let departed = browser.send(one, "GET", &link(&page).expect("a link"), &[]).await.expect(303);
    let returned = browser.sign_in_there(idp, departed.header("location"), "ann", PASSWORD).await;
    browser.send(one, "GET", &back(&returned), &[]).await.expect(303);
    browser.send(one, "GET", "/publisher", &[]).await.expect(403);

    // Nobody becomes a user who was here before by having the name there.
    let mut browser = Browser::default();
    let page = browser.send(one, "GET", "/oauth2/portal?page=/admin", &[]).await.expect(200);
    let departed = browser.send(one, "GET", &link(&page).expect("a link"), &[]).await.expect(303);
    let returned = browser.sign_in_there(idp, departed.header("location"), "admin", harness::PASSWORD).await;
    let refused = browser.send(one, "GET", &back(&returned), &[]).await.expect(403).text();
    assert!(refused.contains("not linked"), "{refused}");
    browser.send(one, "GET", "/admin", &[]).await.expect(303);

    // One that is switched off is offered no more, and who is on the way is not let in.
    let departed = browser.send(one, "GET", &link(&page).expect("a link"), &[]).await.expect(303);
    let off = json!([{"operation": "REPLACE", "path": "/isEnabled", "value": false}]);
    two.admin().json("PATCH", &format!("{PROVIDERS}/{id}"), &off).await.expect("a change").expect(200);
    let mut there = Browser::default();
    let returned = there.sign_in_there(idp, departed.header("location"), "ann", PASSWORD).await;
    browser.send(one, "GET", &back(&returned), &[]).await.expect(400);
    let page = browser.send(one, "GET", "/oauth2/portal?page=/publisher", &[]).await.expect(200);
    assert_eq!(link(&page), None);
}

/// A client of the cluster for applications and devices, by its id and secret.
async fn application(node: &Node) -> (String, String) {
    let client = json!({
        "client_name": "phone", "redirect_uris": [CALLBACK],
        "grant_types": ["authorization_code", "urn:ietf:params:oauth:grant-type:device_code"],
    });
    let client = node.admin().json("POST", "/oauth2/register", &client).await.expect("a client").expect(201).json();
    (text(&client, "client_id"), text(&client, "client_secret"))
}

/// Returns whom a grant makes the token for.
async fn bearer(node: &Node, (id, secret): &(String, String), form: &str) -> Value {
    let client = node.anonymous().with_basic(id, secret);
    let granted = client.send("POST", "/oauth2/token", &FORM, form.to_owned()).await.expect("an answer").expect(200);
    let token = text(&granted.json(), "access_token");
    node.anonymous().with_bearer(&token).get("/oauth2/userinfo").await.expect("a user").expect(200).json()
}

#[tokio::test(flavor = "multi_thread")]
async fn applications_and_devices_take_users_of_another_server_and_known_users_are_linked() {
    let elsewhere = Cluster::start(1).await;
    let idp = &elsewhere.nodes[0];
    user_with_role(idp, "ann", "cook").await;
    user_with_role(idp, "bea", "waiter").await;
    let cluster = trusting(idp).await;
    let [one, two] = &cluster.nodes[..] else { panic!("two nodes") };
    let id = introduce(one, &one.management_url(), idp).await;
    // Bea has been here before, with a role of her own.
    user_with_role(one, "bea", "baker").await;
    let client = application(two).await;
    let back = |address: &str| address.strip_prefix(&one.management_url()).expect("this cluster").to_owned();

    // An application sends its user here, who goes on to the identity provider.
    let mut browser = Browser::default();
    let request = format!(
        "/oauth2/authorize?client_id={}&response_type=code&redirect_uri={CALLBACK}&scope=openid&state=s\
         &code_challenge={CHALLENGE}&code_challenge_method=S256",
        client.0
    );
    let page = browser.send(one, "GET", &request, &[]).await.expect(200);
    let departed = browser.send(one, "GET", &link(&page).expect("a link"), &[]).await.expect(303);
    let returned = browser.sign_in_there(idp, departed.header("location"), "ann", PASSWORD).await;
    let arrived = browser.send(one, "GET", &back(&returned), &[]).await.expect(303);
    let asked = browser.send(one, "GET", arrived.header("location"), &[]).await.expect(200);
    let answer = browser.submit(one, "/oauth2/consent", &asked, &[("decision", "allow")]).await.expect(303);
    let address = url::Url::parse(answer.header("location")).expect("an address");
    let code = address.query_pairs().find(|(name, _)| name == "code").expect("a code").1.into_owned();
    let form = format!("grant_type=authorization_code&code={code}&redirect_uri={CALLBACK}&code_verifier={VERIFIER}");
    assert_eq!(bearer(two, &client, &form).await["sub"], "ann@carbon.super");

    // A device shows a code; who comes with it has the name of somebody here, and is nobody's heir by that.
    let login = two.anonymous().with_basic(&client.0, &client.1);
    let started = login.send("POST", "/oauth2/device_authorization", &FORM, "scope=openid".to_owned()).await;
    let started = started.expect("an answer").expect(200).json();
    let visit = format!("/oauth2/device?user_code={}", text(&started, "user_code"));
    let mut browser = Browser::default();
    let page = browser.send(one, "GET", &visit, &[]).await.expect(200);
    let departed = browser.send(one, "GET", &link(&page).expect("a link"), &[]).await.expect(303);
    let returned = browser.sign_in_there(idp, departed.header("location"), "bea", PASSWORD).await;
    browser.send(one, "GET", &back(&returned), &[]).await.expect(403);
    // Where the administrators say that the same name is the same person, she is.
    let linked = json!([{"operation": "REPLACE", "path": "/implicitAssociation", "value": {
        "isEnabled": true, "lookupAttribute": ["http://wso2.org/claims/username"],
    }}]);
    two.admin().json("PATCH", &format!("{PROVIDERS}/{id}"), &linked).await.expect("a change").expect(200);
    let departed = browser.send(one, "GET", &link(&page).expect("a link"), &[]).await.expect(303);
    let returned = browser.sign_in_there(idp, departed.header("location"), "bea", PASSWORD).await;
    let arrived = browser.send(one, "GET", &back(&returned), &[]).await.expect(303);
    let form = browser.send(one, "GET", arrived.header("location"), &[]).await.expect(200);
    let user_code = text(&started, "user_code");
    let asked = browser.submit(one, "/oauth2/device", &form, &[("user_code", &user_code)]).await.expect(200);
    let decision = [("user_code", user_code.as_str()), ("decision", "allow")];
    let done = browser.submit(one, "/oauth2/device", &asked, &decision).await.expect(200).text();
    assert!(done.contains("Connected"), "{done}");
    let form = format!(
        "grant_type=urn:ietf:params:oauth:grant-type:device_code&device_code={}",
        text(&started, "device_code")
    );
    assert_eq!(bearer(two, &client, &form).await["sub"], "bea@carbon.super");
    // She is who she was, with the role that she had.
    let known = two.admin().get("/scim2/Users?filter=userName%20eq%20bea").await.expect("users").expect(200).json();
    let roles = known["Resources"][0]["roles"].to_string() + &known["Resources"][0]["groups"].to_string();
    assert!(roles.contains("baker") && !roles.contains("waiter"), "{known:#}");
}
