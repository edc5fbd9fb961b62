//! Users of a directory, asked by LDAP: the server is a small one in the test that speaks the protocol's bytes.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use portcullis_database::people;
use portcullis_model::port::{AuthenticationRefusal, Credentials};
use portcullis_model::{TenantDomain, TokenType, Username};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::world::{Node, World};
use crate::DirectorySettings;

const BASE: &str = "ou=people,dc=example";
const GROUPS: &str = "ou=groups,dc=example";

/// Who is in the directory: name, password, groups.
type Entries = Arc<Mutex<Vec<(&'static str, &'static str, Vec<&'static str>)>>>;

struct Server {
    at: SocketAddr,
    entries: Entries,
    /// Binds that were tried: name and password.
    binds: Arc<Mutex<Vec<(String, String)>>>,
}

/// Returns an element of BER.
fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    match content.len() {
        short @ 0..128 => bytes.push(u8::try_from(short).unwrap()),
        long => {
            bytes.push(0x82);
            bytes.extend(u16::try_from(long).unwrap().to_be_bytes());
        }
    }
    bytes.extend(content);
    bytes
}

/// Takes an element off; `None` where it is not whole.
fn take(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let mut length = usize::from(first);
    if first & 0x80 != 0 {
        let (digits, after) = rest.split_at_checked(usize::from(first & 0x7f))?;
        length = digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit));
        rest = after;
    }
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn result(tag: u8, code: u8) -> Vec<u8> {
    element(tag, &[element(0x0a, &[code]), element(0x04, b""), element(0x04, b"")].concat())
}

fn entry(dn: &str, attribute: &str, value: &str) -> Vec<u8> {
    let values = element(0x31, &element(0x04, value.as_bytes()));
    let attribute = element(0x30, &[element(0x04, attribute.as_bytes()), values].concat());
    element(0x64, &[element(0x04, dn.as_bytes()), element(0x30, &attribute)].concat())
}

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let (entries, binds) = (Entries::default(), Arc::<Mutex<Vec<_>>>::default());
        let (for_all, told) = (Arc::clone(&entries), Arc::clone(&binds));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&for_all), Arc::clone(&told)));
            }
        });
        Self { at, entries, binds }
    }

    fn settings(&self) -> DirectorySettings {
        DirectorySettings {
            url: format!("ldap://{}", self.at),
            has_starttls: false,
            authorities: String::new(),
            bind_dn: "cn=portcullis".to_owned(),
            bind_password: "service".to_owned(),
            user_base: BASE.to_owned(),
            user_filter: "(uid={username})".to_owned(),
            email_attribute: "mail".to_owned(),
            group_base: GROUPS.to_owned(),
            group_filter: "(member={dn})".to_owned(),
            group_attribute: "cn".to_owned(),
            roles: vec![("api-team".to_owned(), "Internal/publisher".to_owned())],
            timeout: Duration::from_secs(5),
        }
    }
}

async fn serve(mut stream: TcpStream, entries: Entries, binds: Arc<Mutex<Vec<(String, String)>>>) {
    let mut buffer = Vec::new();
    loop {
        while let Some((_, message, rest)) = take(&buffer) {
            let (_, id, operation) = take(message).unwrap();
            let answers = answer(operation, &entries, &binds);
            let mut sent = Vec::new();
            for answer in answers {
                sent.extend(element(0x30, &[element(0x02, id), answer].concat()));
            }
            let left = rest.to_vec();
            stream.write_all(&sent).await.unwrap();
            buffer = left;
        }
        if stream.read_buf(&mut buffer).await.unwrap_or(0) == 0 {
            return;
        }
    }
}

fn answer(operation: &[u8], entries: &Entries, binds: &Mutex<Vec<(String, String)>>) -> Vec<Vec<u8>> {
    let (tag, content, _) = take(operation).unwrap();
    let entries = entries.lock().unwrap();
    match tag {
        0x60 => {
            let (_, _, rest) = take(content).unwrap();
            let (_, dn, rest) = take(rest).unwrap();
            let (dn, password) = (text(dn), text(take(rest).unwrap().1));
            let is_user = entries.iter().any(|(name, own, _)| dn == format!("uid={name},{BASE}") && password == *own);
            let is_service = (dn.as_str(), password.as_str()) == ("cn=portcullis", "service");
            binds.lock().unwrap().push((dn, password));
            vec![result(0x61, if is_user || is_service { 0 } else { 49 })]
        }
        0x63 => {
            let (_, base, mut rest) = take(content).unwrap();
            for _ in 0..5 {
                rest = take(rest).unwrap().2;
            }
            // Equality alone is understood.
            let (kind, filter, _) = take(rest).unwrap();
            assert_eq!(kind, 0xa3, "the filter is an equality");
            let (_, attribute, rest) = take(filter).unwrap();
            let value = text(take(rest).unwrap().1);
            let mut found = Vec::new();
            for (name, _, groups) in entries.iter() {
                let dn = format!("uid={name},{BASE}");
                if base == BASE.as_bytes() && attribute == b"uid" && value == *name {
                    found.push(entry(&dn, "mail", &format!("{name}@example.com")));
                }
                if base == GROUPS.as_bytes() && attribute == b"member" && value == dn {
                    found.extend(groups.iter().map(|group| entry(&format!("cn={group},{GROUPS}"), "cn", group)));
                }
            }
            found.push(result(0x65, 0));
            found
        }
        _ => Vec::new(),
    }
}

async fn sign_in(node: &Node, username: &str, password: &str) -> Result<Vec<String>, AuthenticationRefusal> {
    let identity = node.faces.authentication.authenticate(Credentials::Basic { username, password }).await?;
    Ok(identity.roles.iter().map(|role| role.0.clone()).collect())
}

#[tokio::test]
async fn users_of_the_directory_sign_in_with_the_roles_of_their_groups() {
    let server = Server::start().await;
    server.entries.lock().unwrap().push(("ann", "ann's word", vec!["api-team", "others"]));
    let world = World::new(TokenType::Opaque);
    let node = world.node_with(|settings| settings.directory = Some(server.settings()));
    assert_eq!(sign_in(&node, "ann", "ann's word").await.unwrap(), ["Internal/publisher"]);
    let view = node.view();
    let ann = people::user(view.read(), &TenantDomain::super_tenant(), &Username("ann".to_owned())).unwrap();
    assert_eq!(ann.email, "ann@example.com");
    assert_eq!(sign_in(&node, "ann", "wrong").await, Err(AuthenticationRefusal::Invalid));
    assert_eq!(sign_in(&node, "bob", "any").await, Err(AuthenticationRefusal::Invalid));
    // A bind without a password would succeed as nobody, so it is not tried.
    assert_eq!(sign_in(&node, "ann", "").await, Err(AuthenticationRefusal::Invalid));
    assert!(server.binds.lock().unwrap().iter().all(|(_, password)| !password.is_empty()));
    // What is asked for cannot be written into the name.
    assert_eq!(sign_in(&node, "a*n", "ann's word").await, Err(AuthenticationRefusal::Invalid));

    // The password grant and another node go by the same user, and a group that is left takes its role along.
    let form = "grant_type=password&username=ann&password=ann%27s+word&scope=default";
    assert_eq!(node.post("/oauth2/token", form).await.0, 200);
    server.entries.lock().unwrap()[0].2.clear();
    let other = world.node_with(|settings| settings.directory = Some(server.settings()));
    assert_eq!(sign_in(&other, "ann", "ann's word").await.unwrap(), Vec::<String>::new());
    // Users who are this cluster's own are not asked about.
    let before = server.binds.lock().unwrap().len();
    assert!(sign_in(&node, "admin", super::world::PASSWORD).await.is_ok());
    assert_eq!(sign_in(&node, "admin", "wrong").await, Err(AuthenticationRefusal::Invalid));
    assert_eq!(server.binds.lock().unwrap().len(), before);
}

#[tokio::test]
async fn a_directory_that_is_gone_is_not_a_wrong_password_and_guessing_is_slowed_down() {
    let server = Server::start().await;
    server.entries.lock().unwrap().push(("ann", "right", Vec::new()));
    let world = World::new(TokenType::Opaque);
    let node = world.node_with(|settings| settings.directory = Some(server.settings()));
    for _ in 0..10 {
        assert_eq!(sign_in(&node, "ann", "wrong").await, Err(AuthenticationRefusal::Invalid));
    }
    assert_eq!(sign_in(&node, "ann", "wrong").await, Err(AuthenticationRefusal::Unavailable));
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let gone = DirectorySettings { url: format!("ldap://{closed}"), ..server.settings() };
    let node = world.node_with(|settings| settings.directory = Some(gone));
    assert_eq!(sign_in(&node, "ann", "right").await, Err(AuthenticationRefusal::Unavailable));
    assert!(sign_in(&node, "admin", super::world::PASSWORD).await.is_ok());
}
