//! Both ends against each other: what a node without a key manager gets is what the key manager of the other said.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::body::{Body, to_bytes};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use portcullis_database::ClusterKey;
use portcullis_model::port::{
    ApiKeyOrder, Assertion, Authentication, AuthenticationRefusal, CallTerms, ClientCredentials, Credentials, Identity,
    IssueRefusal, IssuedApiKey, IssuedToken, KeyQuestion, KeyRefusal, KeyValidation, KeyVerdict, NoAnswer, NodeCalls,
    OauthFace, PortFuture, ShownKey, TokenIssuer,
};
use portcullis_model::{
    ApiId, ApiKeyForm, ApiKeyId, ApplicationId, ClientId, Component, KeyRestriction, KeyType, Principal, Refused, Role,
    Sealed, TenantDomain, Timestamp, Username,
};
use tower::ServiceExt as _;

use super::answering::{Ports, routes};
use super::asking::RemoteKeyManager;

/// The other node's key manager: says what it is told to.
struct Said {
    judged: Mutex<Result<KeyVerdict, KeyRefusal>>,
    /// The kind of key that was asked about last.
    asked: Mutex<String>,
}

impl KeyValidation for Said {
    fn validate<'a>(&'a self, question: KeyQuestion<'a>) -> PortFuture<'a, Result<KeyVerdict, KeyRefusal>> {
        assert!(matches!(
            question.shown,
            ShownKey::Token("the token")
                | ShownKey::ApiKey("the token")
                | ShownKey::Password { username: "anna", password: "p:w" }
        ));
        assert!(question.wants_assertion);
        *self.asked.lock().unwrap() = format!("{:?}", question.shown);
        Box::pin(async { self.judged.lock().unwrap().clone() })
    }

    fn spend<'a>(&'a self, token: &'a str, until: Timestamp) -> PortFuture<'a, Result<(), KeyRefusal>> {
        assert_eq!((token, until), ("the token", Timestamp(42)));
        Box::pin(async { self.judged.lock().unwrap().clone().map(|_| ()) })
    }
}

impl Authentication for Said {
    fn authenticate<'a>(
        &'a self,
        credentials: Credentials<'a>,
    ) -> PortFuture<'a, Result<Identity, AuthenticationRefusal>> {
        Box::pin(async move {
            match credentials {
                Credentials::Basic { username: "anna", password: "p:w" } => Ok(identity()),
                Credentials::Bearer("old") => Err(AuthenticationRefusal::Expired),
                _ => Err(AuthenticationRefusal::Invalid),
            }
        })
    }
}

impl TokenIssuer for Said {
    fn issue<'a>(
        &'a self,
        client: &'a ClientId,
        scopes: Vec<String>,
        validity_s: Option<u64>,
    ) -> PortFuture<'a, Result<IssuedToken, IssueRefusal>> {
        Box::pin(async move {
            if client.0 == "nobody" {
                return Err(IssueRefusal::NoSuchClient(client.clone()));
            }
            Ok(IssuedToken { access_token: "new".to_owned(), scopes, expires_in_s: validity_s.unwrap_or(3600) })
        })
    }

    fn issue_api_key(&self, order: ApiKeyOrder) -> PortFuture<'_, Result<IssuedApiKey, IssueRefusal>> {
        Box::pin(async move {
            if order.name == "too many" {
                return Err(Refused::LimitReached { what: "API keys".to_owned(), max: 1 }.into());
            }
            let id = ApiKeyId::from_random([5; 16]);
            Ok(IssuedApiKey { key: format!("key of {}", order.principal), id, index: 7 })
        })
    }

    fn new_client_credentials(&self) -> ClientCredentials {
        unreachable!("a node draws credentials itself")
    }

    fn seal_secret(&self, _secret: &str) -> Sealed {
        unreachable!("a node seals secrets itself")
    }

    fn open_secret(&self, _sealed: &Sealed) -> Result<String, IssueRefusal> {
        unreachable!("a node opens secrets itself")
    }
}

impl OauthFace for Said {
    fn call(&self, request: Request<Bytes>) -> PortFuture<'_, Response<Bytes>> {
        let client = request.extensions().get::<SocketAddr>().map(ToString::to_string).unwrap_or_default();
        let said = format!(
            "{} {} {} from {client}, connection {}",
            request.method(),
            request.uri(),
            String::from_utf8_lossy(request.body()),
            request.headers().contains_key("connection"),
        );
        Box::pin(async move { Response::builder().status(401).header("x-is", "kept").body(said.into()).unwrap() })
    }
}

fn identity() -> Identity {
    Identity {
        principal: Principal { tenant: TenantDomain::super_tenant(), username: Username("anna".to_owned()) },
        roles: [Role("admin".to_owned())].into(),
        scopes: ["apim:admin".to_owned()].into(),
        origin: None,
        is_token: false,
    }
}

fn verdict() -> KeyVerdict {
    KeyVerdict {
        client: ClientId("client".to_owned()),
        application: ApplicationId::from_random([1; 16]),
        application_name: "Weather \"app\"".to_owned(),
        application_owner: Username("anna".to_owned()),
        tenant: TenantDomain::super_tenant(),
        application_policy: "Unlimited".to_owned(),
        key_type: KeyType::Sandbox,
        plan: "Gold".to_owned(),
        end_user: Username("bert".to_owned()),
        is_user_token: true,
        scopes: vec!["read".to_owned(), "write".to_owned()],
        expires_at: Timestamp(42),
        binding: Some(portcullis_model::authorization::TokenBinding::Key("thumbprint".to_owned())),
        claims: vec![("role".to_owned(), "chef".to_owned()), ("role".to_owned(), "waiter".to_owned())],
        good_until: Some(Timestamp(41)),
        assertion: Some(Box::new(Assertion { token: "a.b.c".to_owned(), expires_at: Timestamp(43) })),
        restriction: Some(Box::new(KeyRestriction { networks: vec!["10.0.0.0/8".to_owned()], referrers: Vec::new() })),
    }
}

/// Carries calls to a router in this process, as the node's transport does between processes.
struct Direct(axum::Router);

impl NodeCalls for Direct {
    fn call(
        &self,
        component: Component,
        request: Request<Bytes>,
        _terms: CallTerms,
    ) -> PortFuture<'_, Result<Response<Bytes>, NoAnswer>> {
        assert_eq!(component, Component::KeyManager);
        let router = self.0.clone();
        Box::pin(async move {
            let (parts, body) = router.oneshot(request.map(Body::from)).await.unwrap().into_parts();
            Ok(Response::from_parts(parts, to_bytes(body, 1 << 20).await.unwrap()))
        })
    }
}

/// No node answers.
struct Silent;

impl NodeCalls for Silent {
    fn call(
        &self,
        component: Component,
        _request: Request<Bytes>,
        _terms: CallTerms,
    ) -> PortFuture<'_, Result<Response<Bytes>, NoAnswer>> {
        Box::pin(async move { Err(NoAnswer::Nobody(component)) })
    }
}

fn both() -> (Arc<Said>, RemoteKeyManager) {
    let said = Arc::new(Said { judged: Mutex::new(Ok(verdict())), asked: Mutex::default() });
    let ports = Ports {
        keys: Arc::<Said>::clone(&said),
        authentication: Arc::<Said>::clone(&said),
        issuer: Arc::<Said>::clone(&said),
        oauth: Arc::<Said>::clone(&said),
    };
    let router = axum::Router::new().nest(super::PATH, routes(ports));
    (said, RemoteKeyManager::new(Arc::new(Direct(router)), ClusterKey::new([7; 32])))
}

#[tokio::test]
async fn a_verdict_and_every_refusal_come_over_as_they_were_said() {
    let (said, remote) = both();
    let question = KeyQuestion {
        shown: ShownKey::Token("the token"),
        api: ApiId::from_random([2; 16]),
        wants_assertion: true,
        origin: None,
    };
    for shown in [
        ShownKey::Token("the token"),
        ShownKey::ApiKey("the token"),
        ShownKey::Password { username: "anna", password: "p:w" },
    ] {
        assert_eq!(remote.validate(KeyQuestion { shown, ..question }).await, Ok(verdict()));
        assert_eq!(*said.asked.lock().unwrap(), format!("{shown:?}"), "asked as what it is");
    }
    for refusal in [
        KeyRefusal::Invalid,
        KeyRefusal::Expired,
        KeyRefusal::Blocked,
        KeyRefusal::NotSubscribed,
        KeyRefusal::Inactive,
        KeyRefusal::Unavailable,
    ] {
        *said.judged.lock().unwrap() = Err(refusal);
        assert_eq!(remote.validate(question).await, Err(refusal));
        assert_eq!(remote.spend("the token", Timestamp(42)).await, Err(refusal));
    }
    *said.judged.lock().unwrap() = Ok(verdict());
    assert_eq!(remote.spend("the token", Timestamp(42)).await, Ok(()));
}

#[tokio::test]
async fn credentials_and_orders_come_over_as_they_were_given() {
    let (_, remote) = both();
    let basic = Credentials::Basic { username: "anna", password: "p:w" };
    assert_eq!(remote.authenticate(basic).await, Ok(identity()));
    assert_eq!(remote.authenticate(Credentials::Bearer("old")).await, Err(AuthenticationRefusal::Expired));
    assert_eq!(remote.authenticate(Credentials::Bearer("x")).await, Err(AuthenticationRefusal::Invalid));

    let issued = remote.issue(&ClientId("c".to_owned()), vec!["s".to_owned()], Some(60)).await.unwrap();
    assert_eq!((issued.access_token.as_str(), issued.expires_in_s), ("new", 60));
    let nobody = ClientId("nobody".to_owned());
    assert_eq!(remote.issue(&nobody, Vec::new(), None).await, Err(IssueRefusal::NoSuchClient(nobody)));

    let order = |name: &str| ApiKeyOrder {
        principal: identity().principal,
        application: ApplicationId::from_random([1; 16]),
        key_type: KeyType::Production,
        form: ApiKeyForm::Opaque,
        name: name.to_owned(),
        validity_s: None,
        restriction: KeyRestriction::default(),
        origin: None,
    };
    assert_eq!(remote.issue_api_key(order("mine")).await.ok().unwrap().key, "key of anna@carbon.super");
    let refused = remote.issue_api_key(order("too many")).await.err().unwrap();
    assert_eq!(refused, IssueRefusal::Refused(Refused::LimitReached { what: "API keys".to_owned(), max: 1 }));

    let drawn = remote.new_client_credentials();
    assert_eq!(remote.open_secret(&drawn.sealed), Ok(drawn.secret));
}

#[tokio::test]
async fn a_call_of_the_oauth_face_keeps_target_body_and_client_and_loses_what_is_of_its_connection() {
    let (_, remote) = both();
    let mut request = Request::post("/token?a=/oauth")
        .header("connection", "close, x-hop")
        .header("x-hop", "1")
        .header("x-portcullis-client", "6.6.6.6:6")
        .body(Bytes::from_static(b"grant_type=client_credentials"))
        .unwrap();
    request.extensions_mut().insert(SocketAddr::from(([10, 0, 0, 9], 5000)));
    let answer = OauthFace::call(&remote, request).await;
    assert_eq!((answer.status(), &answer.headers()["x-is"]), (StatusCode::UNAUTHORIZED, &"kept".parse().unwrap()));
    let told = String::from_utf8_lossy(answer.body()).into_owned();
    assert_eq!(told, "POST /token?a=/oauth grant_type=client_credentials from 10.0.0.9:5000, connection false");

    let forged = Request::post("/revoke").header("x-portcullis-client", "6.6.6.6:6").body(Bytes::new()).unwrap();
    let told = OauthFace::call(&remote, forged).await;
    assert!(String::from_utf8_lossy(told.body()).contains("from , "), "{told:?}");
}

#[tokio::test]
async fn without_a_key_manager_anywhere_every_port_says_that_it_cannot_say() {
    let remote = RemoteKeyManager::new(Arc::new(Silent), ClusterKey::new([7; 32]));
    let question = KeyQuestion {
        shown: ShownKey::Token("the token"),
        api: ApiId::from_random([2; 16]),
        wants_assertion: true,
        origin: None,
    };
    assert_eq!(remote.validate(question).await, Err(KeyRefusal::Unavailable));
    assert_eq!(remote.authenticate(Credentials::Bearer("x")).await, Err(AuthenticationRefusal::Unavailable));
    let issued = remote.issue(&ClientId("c".to_owned()), Vec::new(), None).await;
    assert!(matches!(&issued, Err(IssueRefusal::Unavailable(why)) if why.contains("Key Manager")), "{issued:?}");
    let answer = OauthFace::call(&remote, Request::post("/token").body(Bytes::new()).unwrap()).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
}
