//! Both ends against each other, and the answering one against a client that knows the original's fields alone.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use portcullis_model::port::{KeyQuestion, KeyRefusal, KeyValidation, PortFuture, ShownKey};
use portcullis_model::{
    ApiId, DeployedApi, EndpointConfig, Lifecycle, NodeId, Operation, OperationAuth, RevisionId, SubscriptionState,
    TokenType,
};
use thrift::protocol::TMessageType;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::watch;

use super::codec::{Field, Fields, Message, decode, encode};
use super::contract::{
    AUTHENTICATE, EXCEPTION_KIND, EXCEPTION_MESSAGE, KEY_MGT_EXCEPTION, SUCCESS, UNKNOWN_METHOD, URI_TEMPLATES,
    VALIDATE_HANDSHAKE, VALIDATE_KEY, info, template,
};
use super::serving::Line;
use super::{Door, Offered, Reach, Stream, ThriftKeyValidation, ThriftService, Visitor};
use crate::behaviour::world::{PASSWORD, World, cluster_key};

const ME: NodeId = NodeId(3);
const CONTEXT: &str = "/pizza/1.0.0";

/// Key managers in this process, some of which are gone or say that another should be asked.
struct KeyManagers {
    services: BTreeMap<NodeId, Arc<ThriftService>>,
    gone: Mutex<BTreeSet<NodeId>>,
    declining: Mutex<BTreeSet<NodeId>>,
    dials: Mutex<Vec<NodeId>>,
    /// Ends the connections that were made.
    stops: Mutex<Vec<watch::Sender<bool>>>,
}

struct KeyManagerDoor(Arc<KeyManagers>, NodeId);

impl Door for KeyManagerDoor {
    fn admit(&self, asker: Option<NodeId>, min_index: Option<u64>) -> PortFuture<'_, Result<(), String>> {
        let declines = self.0.declining.lock().unwrap().contains(&self.1);
        let knows = asker.is_none() == min_index.is_none();
        Box::pin(async move { if declines || !knows { Err("ask another".to_owned()) } else { Ok(()) } })
    }
}

struct Way(Arc<KeyManagers>);

impl Reach for Way {
    fn key_managers(&self) -> Vec<(NodeId, SocketAddr)> {
        self.0.services.keys().map(|node| (*node, SocketAddr::from(([127, 0, 0, 1], 10397)))).collect()
    }

    fn api(&self, _: ApiId) -> Option<(String, String)> {
        Some((CONTEXT.to_owned(), "1.0.0".to_owned()))
    }

    fn applied(&self) -> u64 {
        7
    }

    fn dial(&self, node: NodeId, _: SocketAddr) -> PortFuture<'_, io::Result<Box<dyn Stream>>> {
        self.0.dials.lock().unwrap().push(node);
        let is_gone = self.0.gone.lock().unwrap().contains(&node);
        let stream = if is_gone { Err(io::ErrorKind::ConnectionRefused.into()) } else { Ok(self.0.connect(node)) };
        Box::pin(std::future::ready(stream))
    }
}

impl KeyManagers {
    fn of(services: impl IntoIterator<Item = (NodeId, Arc<ThriftService>)>) -> Arc<Self> {
        let services = services.into_iter().collect();
        let (gone, declining) = (Mutex::default(), Mutex::default());
        Arc::new(Self { services, gone, declining, dials: Mutex::default(), stops: Mutex::default() })
    }

    fn connect(self: &Arc<Self>, node: NodeId) -> Box<dyn Stream> {
        self.connect_to(node, Offered::Validation)
    }

    fn connect_to(self: &Arc<Self>, node: NodeId, offered: Offered) -> Box<dyn Stream> {
        let (here, there) = tokio::io::duplex(64 << 10);
        let (stop, stopped) = watch::channel(false);
        self.stops.lock().unwrap().push(stop);
        let (service, door) = (Arc::clone(&self.services[&node]), KeyManagerDoor(Arc::clone(self), node));
        tokio::spawn(async move {
            service.serve(there, Visitor { offered, origin: None }, &door, stopped).await;
        });
        Box::new(here)
    }

    /// Ends a key manager and its connections.
    fn kill(&self, node: NodeId) {
        self.gone.lock().unwrap().insert(node);
        for stop in self.stops.lock().unwrap().iter() {
            stop.send_replace(true);
        }
    }
}

/// A world whose API is deployed with two operations, one of which asks for a scope.
fn world() -> World {
    let world = World::new(TokenType::Jwt);
    world.change(|state| {
        let api = Arc::clone(&state.apimgt.apis[&world.api]);
        state.apimgt.contexts.insert((api.tenant.clone(), CONTEXT.to_owned()), api.id);
        let operation = |verb: &str, target: &str, scopes: &[&str]| Operation {
            verb: verb.to_owned(),
            target: target.to_owned(),
            auth: OperationAuth::Any,
            policy: "Unlimited".to_owned(),
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        };
        let row = DeployedApi {
            id: api.id,
            revision: RevisionId::from_random([5; 16]),
            tenant: api.tenant.clone(),
            provider: api.provider.clone(),
            name: api.name.clone(),
            context: api.context.clone(),
            version: api.version.clone(),
            is_default_version: false,
            kind: api.kind,
            lifecycle: Lifecycle::Published,
            vhost: "localhost".to_owned(),
            operations: vec![operation("GET", "/menu", &[]), operation("POST", "/order", &["order"])],
            endpoints: EndpointConfig::default(),
            api_policy: None,
            has_http: true,
            has_https: true,
            security: api.security,
            authorization_header: None,
            max_tps: api.max_tps,
            cors: None,
        };
        state.deployed.apis.insert(("Default".to_owned(), api.id), Arc::new(row));
    });
    world
}

fn question<'a>(world: &World, shown: ShownKey<'a>) -> KeyQuestion<'a> {
    KeyQuestion { shown, api: world.api, wants_assertion: true, origin: None }
}

#[tokio::test]
async fn a_node_without_a_key_manager_hears_by_thrift_what_a_key_manager_says() {
    let world = world();
    let node = world.node();
    let others = KeyManagers::of([(NodeId(1), Arc::clone(&node.faces.thrift))]);
    let way: Arc<dyn Reach> = Arc::new(Way(Arc::clone(&others)));
    let asking = ThriftKeyValidation::new(ME, cluster_key(), way);
    let (token, _) = node.token("grant_type=client_credentials").await;

    let verdict = asking.validate(question(&world, ShownKey::Token(&token))).await.unwrap();
    let mut own = node.faces.keys.validate(question(&world, ShownKey::Token(&token))).await.unwrap();
    assert!(verdict.assertion.is_some(), "the backend is told who calls");
    // Each is signed for itself.
    own.assertion.clone_from(&verdict.assertion);
    assert_eq!(verdict, own, "all that a verdict says arrives");

    let password = ShownKey::Password { username: "admin", password: PASSWORD };
    assert!(asking.validate(question(&world, password)).await.unwrap().is_user_token);
    let wrong = ShownKey::Password { username: "admin", password: "wrong" };
    assert_eq!(asking.validate(question(&world, wrong)).await, Err(KeyRefusal::Invalid));
    assert_eq!(asking.validate(question(&world, ShownKey::ApiKey("none"))).await, Err(KeyRefusal::Invalid));
    assert_eq!(asking.validate(question(&world, ShownKey::Token("none"))).await, Err(KeyRefusal::Invalid));
    world.set_subscription(SubscriptionState::Blocked);
    assert_eq!(asking.validate(question(&world, ShownKey::Token(&token))).await, Err(KeyRefusal::Blocked));
    assert_eq!(others.dials.lock().unwrap().len(), 1, "one connection carried it all");
}

#[tokio::test(start_paused = true)]
async fn while_one_key_manager_is_gone_or_declines_the_other_is_asked() {
    let world = world();
    let node = world.node();
    let service = &node.faces.thrift;
    let others = KeyManagers::of([(NodeId(1), Arc::clone(service)), (NodeId(2), Arc::clone(service))]);
    let way: Arc<dyn Reach> = Arc::new(Way(Arc::clone(&others)));
    let asking = ThriftKeyValidation::new(ME, cluster_key(), way);
    let (token, _) = node.token("grant_type=client_credentials").await;
    let ask = async || asking.validate(question(&world, ShownKey::Token(&token))).await;

    assert!(ask().await.is_ok());
    others.kill(NodeId(1));
    assert!(ask().await.is_ok(), "the connection that was there is closed, and the other key manager is asked");
    assert!(ask().await.is_ok());
    assert_eq!(*others.dials.lock().unwrap(), [NodeId(1), NodeId(1), NodeId(2)], "who is gone is not dialled again");
    others.declining.lock().unwrap().insert(NodeId(2));
    assert_eq!(ask().await, Err(KeyRefusal::Unavailable));
    others.gone.lock().unwrap().clear();
    assert!(ask().await.is_ok(), "who came back is asked again");
}

/// Signs in as the original's gateways do, and returns a line to the validation.
async fn signed_in(others: &Arc<KeyManagers>) -> (Line, String) {
    let mut sign_in = Line::new(others.connect_to(NodeId(1), Offered::Authentication));
    let shown = Fields::default().with_text(1, "admin").with_text(2, PASSWORD);
    let answer = sign_in.ask(AUTHENTICATE, shown).await.unwrap();
    let session = answer.fields.text(SUCCESS).expect("a session id").to_owned();
    (Line::new(others.connect(NodeId(1))), session)
}

fn asked(token: &str, session: &str, level: &str, verb: &str, resource: &str) -> Fields {
    Fields::default()
        .with_text(1, CONTEXT)
        .with_text(2, "1.0.0")
        .with_text(3, token)
        .with_text(4, session)
        .with_text(5, level)
        .with_text(7, resource)
        .with_text(8, verb)
}

#[tokio::test]
async fn a_client_that_knows_the_originals_fields_signs_in_and_is_answered_in_them() {
    let world = world();
    let node = world.node();
    let others = KeyManagers::of([(NodeId(1), Arc::clone(&node.faces.thrift))]);
    let (mut line, session) = signed_in(&others).await;
    let (token, _) = node.token("grant_type=client_credentials").await;

    let answer = line.ask(VALIDATE_KEY, asked(&token, &session, "Any", "GET", "/menu")).await.unwrap();
    let told = answer.fields.fields(SUCCESS).unwrap();
    assert_eq!((told.bool(info::AUTHORIZED), told.int(info::STATUS)), (Some(true), Some(0)));
    let texts = [info::SUBSCRIBER, info::TIER, info::TYPE, info::END_USER, info::APPLICATION_NAME, info::API_NAME]
        .map(|number| told.text(number).unwrap());
    assert_eq!(texts, ["admin", "Gold", "PRODUCTION", "admin@carbon.super", "pizza-app", "pizza"]);
    assert_eq!(told.text(info::CONSUMER_KEY), Some(world.client.0.as_str()));
    assert_eq!(told.long(info::VALIDITY_PERIOD), Some(3_600_000));
    assert!(!told.has(info::VERDICT), "only nodes are told more than the original has");

    let codes = [("Any", "POST", "/order", 900_910), ("Application_User", "GET", "/menu", 900_905)];
    for (level, verb, resource, code) in codes {
        let answer = line.ask(VALIDATE_KEY, asked(&token, &session, level, verb, resource)).await.unwrap();
        let told = answer.fields.fields(SUCCESS).unwrap();
        assert_eq!((told.bool(info::AUTHORIZED), told.int(info::STATUS)), (Some(false), Some(code)));
    }
    let handshake = line.ask(VALIDATE_HANDSHAKE, asked("none", &session, "", "", "")).await.unwrap();
    assert_eq!(handshake.fields.fields(SUCCESS).unwrap().int(info::STATUS), Some(900_901));
    let elsewhere = asked(&token, &session, "Any", "GET", "/menu").with_text(1, "/burger/1.0.0");
    let elsewhere = line.ask(VALIDATE_KEY, elsewhere).await.unwrap();
    assert_eq!(elsewhere.fields.fields(SUCCESS).unwrap().int(info::STATUS), Some(900_908));

    let about = Fields::default().with_text(1, CONTEXT).with_text(2, "_default_1.0.0").with_text(3, &session);
    let answer = line.ask(URI_TEMPLATES, about).await.unwrap();
    let Some(Field::Structs(listed)) = answer.fields.get(SUCCESS) else { panic!("{answer:?}") };
    let listed: Vec<_> =
        listed.iter().map(|one| (one.text(template::HTTP_VERB), one.text(template::URI_TEMPLATE))).collect();
    assert_eq!(listed, [(Some("GET"), Some("/menu")), (Some("POST"), Some("/order"))]);
}

#[tokio::test]
async fn who_is_not_signed_in_or_asks_for_what_is_not_there_is_told_so() {
    let world = world();
    let node = world.node();
    let others = KeyManagers::of([(NodeId(1), Arc::clone(&node.faces.thrift))]);
    let mut sign_in = Line::new(others.connect_to(NodeId(1), Offered::Authentication));
    let shown = Fields::default().with_text(1, "admin").with_text(2, "wrong");
    let refused = sign_in.ask(AUTHENTICATE, shown).await.unwrap();
    let thrown = refused.fields.fields(KEY_MGT_EXCEPTION).and_then(|thrown| thrown.text(EXCEPTION_MESSAGE));
    assert!(thrown.unwrap().contains("password is not valid"), "{refused:?}");
    // The port of the sign-in validates nothing.
    let refused = sign_in.ask(VALIDATE_KEY, Fields::default()).await.unwrap();
    assert_eq!((refused.kind, refused.fields.int(EXCEPTION_KIND)), (TMessageType::Exception, Some(UNKNOWN_METHOD)));

    let (mut line, session) = signed_in(&others).await;
    let (token, _) = node.token("grant_type=client_credentials").await;
    for wrong in ["", "made up", &session[1..]] {
        let refused = line.ask(VALIDATE_KEY, asked(&token, wrong, "Any", "GET", "/menu")).await.unwrap();
        let thrown = refused.fields.fields(KEY_MGT_EXCEPTION).and_then(|thrown| thrown.text(EXCEPTION_MESSAGE));
        assert!(thrown.unwrap().contains("sign in again"), "{refused:?}");
    }
    // Who is locked is not signed in any more.
    world.change(|state| {
        let (key, mut admin) =
            state.user.users.iter().map(|(key, user)| (key.clone(), user.as_ref().clone())).next().unwrap();
        admin.is_locked = true;
        state.user.users.insert(key, Arc::new(admin));
    });
    let refused = line.ask(VALIDATE_KEY, asked(&token, &session, "Any", "GET", "/menu")).await.unwrap();
    assert!(refused.fields.has(KEY_MGT_EXCEPTION), "{refused:?}");
}

#[tokio::test]
async fn a_call_may_come_in_pieces_and_what_is_no_call_ends_the_connection() {
    let world = world();
    let node = world.node();
    let others = KeyManagers::of([(NodeId(1), Arc::clone(&node.faces.thrift))]);
    let shown = Fields::default().with_text(1, "admin").with_text(2, "wrong");
    let call = Message { name: AUTHENTICATE.to_owned(), kind: TMessageType::Call, sequence: 9, fields: shown };
    let mut stream = others.connect(NodeId(1));
    for byte in encode(&call).unwrap() {
        stream.write_all(&[byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    let mut answer = vec![0; 4096];
    let length = stream.read(&mut answer).await.unwrap();
    let (answer, _) = decode(&answer[..length], 4096).unwrap().unwrap();
    assert_eq!((answer.name.as_str(), answer.sequence), (AUTHENTICATE, 9));

    let too_long = [&[0x80, 1, 0, 1][..], &(1_u32 << 30).to_be_bytes()].concat();
    for junk in [b"GET / HTTP/1.1\r\n\r\n".to_vec(), too_long, vec![0xff; 64]] {
        let mut stream = others.connect(NodeId(1));
        stream.write_all(&junk).await.unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        let (told, _) = decode(&rest, 4096).unwrap().expect("it is told why");
        assert_eq!(told.kind, TMessageType::Exception);
    }
}

#[test]
fn a_message_is_read_once_it_is_whole_and_not_before() {
    let inner = Fields::default().with_text(1, "ü").with(2, Field::Bool(true)).with(3, Field::Long(-1));
    let fields = Fields::default()
        .with(0, Field::Struct(inner.clone()))
        .with(5, Field::Structs(vec![inner, Fields::default()]))
        .with(6, Field::TextSet(vec!["a".to_owned()]))
        .with(7, Field::Texts(vec!["b".to_owned(), String::new()]))
        .with(8, Field::Int(900_901));
    let message = Message { name: "m".to_owned(), kind: TMessageType::Reply, sequence: -3, fields };
    let mut bytes = encode(&message).unwrap();
    for end in 0..bytes.len() {
        assert!(decode(&bytes[..end], 4096).unwrap().is_none(), "{end} of {} bytes", bytes.len());
    }
    let whole = bytes.len();
    bytes.extend(b"what follows");
    assert_eq!(decode(&bytes, 4096).unwrap(), Some((message, whole)));
    assert!(decode(&bytes[..20], 20).is_err(), "too long");
}
