//! What gateways and the management port are told about tokens.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_database::command::{PutSigningKey, PutUser};
use portcullis_database::{Apimgtdb, Caller, SubmitError, Userdb};
use portcullis_jose::{Algorithm, Signer};
use portcullis_model::port::{AuthenticationRefusal, Credentials, KeyRefusal};
use portcullis_model::{
    Application, ApplicationState, KeyType, Refused, SubscriptionState, TenantDomain, TokenType, User, Username,
};
use serde_json::Value;

use super::world::{Node, PASSWORD, World, cluster_key, sign_in_form, submit};
use crate::{jws, keyring};

const OWN: &str = "grant_type=client_credentials";

#[tokio::test]
async fn a_token_of_either_form_is_good_until_its_time_is_over() {
    for form in [TokenType::Opaque, TokenType::Jwt] {
        let world = World::new(form);
        let node = world.node();
        let (token, refresh) = node.token(OWN).await;
        assert_eq!(refresh, None);
        assert_eq!(token.contains('.'), form == TokenType::Jwt);
        let verdict = node.validate(&token).await.unwrap();
        assert_eq!(verdict.application, world.application);
        assert_eq!((verdict.plan.as_str(), verdict.application_policy.as_str()), ("Gold", "50PerMin"));
        assert_eq!((verdict.key_type, verdict.is_user_token), (KeyType::Production, false));
        assert_eq!(verdict.end_user.0, "admin");
        assert_eq!(verdict.scopes, ["default"]);
        world.wait(Duration::from_secs(3_599));
        assert!(node.validate(&token).await.is_ok());
        world.wait(Duration::from_secs(2));
        assert_eq!(node.validate(&token).await.unwrap_err(), KeyRefusal::Expired);
    }
}

#[tokio::test]
async fn ended_tokens_leave_the_state() {
    let world = World::new(TokenType::Opaque);
    let node = world.node();
    for _ in 0..20 {
        node.token(OWN).await;
    }
    assert_eq!(node.view().read::<Apimgtdb>().tokens.len(), 20);
    world.wait(Duration::from_secs(2 * 3_600 + 1));
    for _ in 0..4 {
        node.token(OWN).await;
    }
    let view = node.view();
    let tables = view.read::<Apimgtdb>();
    assert_eq!(tables.tokens.len(), 4, "each entry drops a few of those that ended");
    assert_eq!((tables.token_ends.len(), tables.tokens_by_client.len()), (4, 4));
    assert_eq!(tables.token_counts.get(&world.client), Some(&4));
}

#[tokio::test]
async fn the_subscription_decides_after_the_token() {
    let world = World::new(TokenType::Jwt);
    let node = world.node();
    let (token, _) = node.token(OWN).await;
    for (state, refusal) in [
        (SubscriptionState::Blocked, KeyRefusal::Blocked),
        (SubscriptionState::ProdOnlyBlocked, KeyRefusal::Blocked),
        (SubscriptionState::OnHold, KeyRefusal::Inactive),
        (SubscriptionState::Rejected, KeyRefusal::Inactive),
    ] {
        world.set_subscription(state);
        assert_eq!(node.validate(&token).await.unwrap_err(), refusal, "{state:?}");
        assert_eq!(node.validate("no-token").await.unwrap_err(), KeyRefusal::Invalid);
    }
    world.change(|state| {
        state.apimgt.subscriptions_by_application.remove(&(world.application, world.api));
    });
    assert_eq!(node.validate(&token).await.unwrap_err(), KeyRefusal::NotSubscribed);
    world.change(|state| {
        let application = state.apimgt.applications[&world.application].as_ref().clone();
        let rejected = Application { state: ApplicationState::Rejected, ..application };
        state.apimgt.applications.insert(world.application, rejected.into());
    });
    assert_eq!(node.validate(&token).await.unwrap_err(), KeyRefusal::Inactive);
}

fn parts(token: &str) -> (Value, Value, Vec<u8>) {
    let mut parts = token.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap());
    let mut json = || serde_json::from_slice(&parts.next().unwrap()).unwrap();
    let (header, claims) = (json(), json());
    (header, claims, parts.next().unwrap())
}

fn encoded(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

#[tokio::test]
async fn a_forged_json_web_token_is_refused() {
    let world = World::new(TokenType::Jwt);
    let node = world.node();
    let (token, _) = node.token(OWN).await;
    let (mut header, mut claims, signature) = parts(&token);
    let kid = header["kid"].as_str().unwrap().to_owned();
    let kid = kid.as_str();

    let (signer, _) = Signer::generate(Algorithm::Es256).unwrap();
    let of_another_key = signer.sign(jws::ACCESS_TOKEN, kid, &claims).unwrap();
    assert_eq!(node.validate(&of_another_key).await.unwrap_err(), KeyRefusal::Invalid);

    claims["exp"] = 9_999_999_999_u64.into();
    let changed = format!("{}.{}.{}", encoded(&header), encoded(&claims), URL_SAFE_NO_PAD.encode(&signature));
    assert_eq!(node.validate(&changed).await.unwrap_err(), KeyRefusal::Invalid);

    for algorithm in ["none", "None", "HS256", "ES384"] {
        header["alg"] = algorithm.into();
        for signature in ["", "AAAA"] {
            let forged = format!("{}.{}.{signature}", encoded(&header), encoded(&claims));
            assert_eq!(node.validate(&forged).await.unwrap_err(), KeyRefusal::Invalid, "{algorithm}");
        }
    }
    for nonsense in ["", ".", "..", "...", "a.b.c", "é.é.é", &"A.".repeat(9_000)] {
        assert_eq!(node.validate(nonsense).await.unwrap_err(), KeyRefusal::Invalid);
    }
    assert!(node.validate(&token).await.is_ok(), "the real one is still good");
}

#[tokio::test]
async fn an_id_token_is_no_access_token() {
    let world = World::new(TokenType::Opaque);
    let node = world.node();
    let (status, _, body) = node.post("/oauth2/token", &sign_in_form("openid")).await;
    assert_eq!(status, 200);
    let id_token = body["id_token"].as_str().unwrap();
    assert_eq!(parts(id_token).1["sub"], "admin@carbon.super");
    assert_eq!(node.validate(id_token).await.unwrap_err(), KeyRefusal::Invalid);
}

/// Rewrites the signature `(r, s)` of a token into the equally good `(r, n − s)`.
fn with_rewritten_signature(token: &str) -> String {
    const ORDER: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6,
        0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let mut signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let mut borrow = 0;
    for place in (0..32).rev() {
        let difference = i16::from(ORDER[place]) - i16::from(signature[32 + place]) - borrow;
        borrow = i16::from(difference < 0);
        signature[32 + place] = u8::try_from(difference.rem_euclid(256)).unwrap();
    }
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[tokio::test]
async fn a_revoked_token_is_refused_also_with_its_signature_rewritten() {
    for form in [TokenType::Opaque, TokenType::Jwt] {
        let world = World::new(form);
        let node = world.node();
        let (token, _) = node.token(OWN).await;
        let other = node.token(OWN).await.0;
        if form == TokenType::Jwt {
            assert!(node.validate(&with_rewritten_signature(&token)).await.is_ok(), "the test rewrites it rightly");
        }
        let (status, headers, _) = node.post("/oauth2/revoke", &format!("token={token}")).await;
        assert_eq!(status, 200);
        assert!(headers.contains_key("x-raft-index"));
        assert_eq!(node.validate(&token).await.unwrap_err(), KeyRefusal::Invalid);
        if form == TokenType::Jwt {
            let rewritten = with_rewritten_signature(&token);
            assert_eq!(node.validate(&rewritten).await.unwrap_err(), KeyRefusal::Invalid);
        }
        assert!(node.validate(&other).await.is_ok());
    }
}

#[tokio::test]
async fn a_token_is_spent_once_whichever_nodes_spend_it_at_the_same_time() {
    for form in [TokenType::Opaque, TokenType::Jwt] {
        let world = World::new(form);
        let (one, two) = (world.node(), world.node());
        let (token, _) = one.token(OWN).await;
        let until = one.validate(&token).await.unwrap().expires_at;
        assert!(two.validate(&token).await.is_ok());
        let (first, second) = tokio::join!(one.faces.keys.spend(&token, until), two.faces.keys.spend(&token, until));
        assert_eq!([first, second].iter().filter(|spent| spent.is_ok()).count(), 1, "{form:?}");
        assert!([first, second].contains(&Err(KeyRefusal::Invalid)), "{form:?}");
        for node in [&one, &two] {
            assert_eq!(node.validate(&token).await.unwrap_err(), KeyRefusal::Invalid);
            assert_eq!(node.faces.keys.spend(&token, until).await, Err(KeyRefusal::Invalid));
        }
        if form == TokenType::Jwt {
            let rewritten = with_rewritten_signature(&token);
            assert_eq!(two.faces.keys.spend(&rewritten, until).await, Err(KeyRefusal::Invalid));
        }
    }
}

#[tokio::test]
async fn two_nodes_that_need_the_first_signing_key_use_the_same() {
    let world = World::new(TokenType::Jwt);
    let (one, two) = (world.node(), world.lagging_node());
    let ((first, _), (second, _)) = tokio::join!(one.token(OWN), two.token(OWN));
    assert_eq!(parts(&first).0["kid"], parts(&second).0["kid"]);
    assert_eq!(one.view().read::<Apimgtdb>().signing_keys.len(), 1);
    let another = PutSigningKey { key: keyring::make(Algorithm::Es256, &cluster_key()).unwrap() };
    let refused = one.handle.submit(another, &Caller::system()).await.unwrap_err();
    assert!(matches!(refused, SubmitError::Refused(Refused::AlreadyExists { .. })));
}

#[tokio::test]
async fn a_token_is_good_at_once_on_a_node_that_lags_behind_and_a_made_up_one_asks_nobody() {
    for form in [TokenType::Opaque, TokenType::Jwt] {
        let world = World::new(form);
        let (one, two) = (world.node(), world.lagging_node());
        let (token, _) = one.token(OWN).await;
        assert!(two.validate(&token).await.is_ok());
        assert_eq!(two.times_asked(), 1);
        let made_up = "A".repeat(64);
        assert_eq!(two.validate(&made_up).await.unwrap_err(), KeyRefusal::Invalid);
        assert_eq!(two.validate("eyJhbGciOiJFUzI1NiJ9.e30.AAAA").await.unwrap_err(), KeyRefusal::Invalid);
        assert_eq!(two.times_asked(), 1);
    }
}

#[tokio::test]
async fn a_node_that_is_cut_off_issues_what_needs_no_write_and_says_what_it_cannot_know() {
    let world = World::new(TokenType::Jwt);
    let (one, two) = (world.node(), world.node());
    one.token(OWN).await;
    two.cut_off();
    let (token, _) = two.token(OWN).await;
    assert!(one.validate(&token).await.is_ok() && two.validate(&token).await.is_ok());

    let world = World::new(TokenType::Opaque);
    let (one, two) = (world.node(), world.lagging_node());
    let (token, _) = one.token(OWN).await;
    let (_, refresh) = one.token(&sign_in_form("look")).await;
    two.cut_off();
    let spend = format!("grant_type=refresh_token&refresh_token={}", refresh.unwrap());
    assert_eq!(two.post("/oauth2/token", &spend).await.0, 503, "the refresh token is not said to be bad");
    assert_eq!(one.post("/oauth2/token", &spend).await.0, 200);
    assert_eq!(two.validate(&token).await.unwrap_err(), KeyRefusal::Unavailable);
    let (status, headers, body) = two.post("/oauth2/token", OWN).await;
    assert_eq!((status.as_u16(), &body["error"]), (503, &"temporarily_unavailable".into()));
    assert!(headers.contains_key("retry-after"));
    assert_eq!(two.post("/oauth2/revoke", &format!("token={token}")).await.0, 503, "not revoked is not said to be");
}

async fn put_admin(node: &Node, change: impl FnOnce(&mut User)) {
    let key = (TenantDomain::super_tenant(), Username("admin".to_owned()));
    let mut user = node.view().read::<Userdb>().users[&key].as_ref().clone();
    change(&mut user);
    submit(node, PutUser { user, is_new: false }).await;
}

#[tokio::test]
async fn a_user_signs_in_with_or_without_tenant_until_locked() {
    let world = World::new(TokenType::Opaque);
    let node = world.node();
    let sign_in = async |username: &str, password: &str| {
        node.faces.authentication.authenticate(Credentials::Basic { username, password }).await
    };
    for name in ["admin", "admin@carbon.super"] {
        let identity = sign_in(name, PASSWORD).await.unwrap();
        assert_eq!(identity.principal.to_string(), "admin@carbon.super");
        assert!(identity.has_any(&["apim:admin"]) && identity.has_any(&["apim:subscribe"]));
    }
    for (name, password) in [("admin", "wrong"), ("nobody", PASSWORD), ("admin@example.com", PASSWORD), ("", "")] {
        assert_eq!(sign_in(name, password).await.unwrap_err(), AuthenticationRefusal::Invalid, "{name}");
    }
    let (token, _) = node.token(&sign_in_form("look")).await;
    assert!(node.validate(&token).await.unwrap().is_user_token);
    put_admin(&node, |user| user.is_locked = true).await;
    assert_eq!(sign_in("admin", PASSWORD).await.unwrap_err(), AuthenticationRefusal::Invalid);
    assert_eq!(node.validate(&token).await.unwrap_err(), KeyRefusal::Invalid);
}

#[tokio::test]
async fn a_token_loses_the_scopes_of_a_role_that_is_taken_away() {
    let world = World::new(TokenType::Jwt);
    let node = world.node();
    let (token, _) = node.token(&sign_in_form("apim:admin+apim:subscribe")).await;
    let identity = node.faces.authentication.authenticate(Credentials::Bearer(&token)).await.unwrap();
    assert_eq!(*identity.scopes, ["apim:admin", "apim:subscribe"]);
    put_admin(&node, |user| user.roles.retain(|role| role.0 == "Internal/subscriber")).await;
    let identity = node.faces.authentication.authenticate(Credentials::Bearer(&token)).await.unwrap();
    assert_eq!(*identity.scopes, ["apim:subscribe"]);
}

#[tokio::test]
async fn the_store_gets_tokens_and_opens_the_secrets_it_sealed() {
    let world = World::new(TokenType::Opaque);
    let node = world.node();
    let issuer = &node.faces.issuer;
    let issued = issuer.issue(&world.client, vec!["order".to_owned()], Some(60)).await.unwrap();
    assert_eq!((issued.expires_in_s, issued.scopes), (60, vec!["order".to_owned()]));
    assert!(node.validate(&issued.access_token).await.is_ok());
    let forever = issuer.issue(&world.client, Vec::new(), Some(u64::MAX)).await.unwrap();
    assert_eq!(forever.expires_in_s, 2_147_483_647);
    let credentials = issuer.new_client_credentials();
    assert_eq!(issuer.open_secret(&credentials.sealed).unwrap(), credentials.secret);
}
