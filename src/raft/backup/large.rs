//! Makes a backup with as many rows as one likes, from which `scripts/measure-large-state.sh` restores a cluster.

use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordHasher as _};
use portcullis_database::adoption::{self, NewCluster};
use portcullis_database::{ClusterKey, State, snapshot};
use portcullis_model::application::Application;
use portcullis_model::oauth::{KeyMapping, KeyType, OauthClient};
use portcullis_model::{
    ApiId, ApplicationId, ClientId, KeyMappingId, NodeAddresses, NodeId, Subscription, SubscriptionId, Timestamp,
    Username,
};

use super::contents;
use super::head::Head;

fn id(number: u64) -> [u8; 16] {
    let mut id = [0x40; 16];
    // Spread, as random ids are.
    id[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    id
}

/// A state with `count` applications, each with a subscription and a pair of keys, made from the sample's first ones.
fn large(count: u64) -> State {
    let sample = include_bytes!("../../../tests/compatibility/level-1/snapshot.bin");
    let mut state = snapshot::read(sample.as_slice()).unwrap();
    let db = &mut state.apimgt;
    let application: Application = db.applications.values().next().unwrap().as_ref().clone();
    let subscription: Subscription = db.subscriptions.values().next().unwrap().as_ref().clone();
    let client: OauthClient = db.clients.values().find(|client| client.mapping.is_some()).unwrap().as_ref().clone();
    let api: ApiId = subscription.api;
    for number in 0..count {
        let of = ApplicationId::from_random(id(number));
        let owner = Username(format!("developer{}", number % 1000));
        let name = format!("Application {number}");
        let key = (application.tenant.clone(), owner.clone(), name.to_lowercase());
        db.application_names.insert(key, of);
        let one = Application { id: of, name, owner: owner.clone(), ..application.clone() };
        db.applications.insert(of, Arc::new(one));
        let subscribed = SubscriptionId::from_random(id(number + count));
        let one = Subscription { id: subscribed, application: of, subscriber: owner.clone(), ..subscription.clone() };
        db.subscriptions.insert(subscribed, Arc::new(one));
        db.subscriptions_by_application.insert((of, api), subscribed);
        db.subscriptions_by_api.insert((api, of), subscribed);
        db.subscriptions_by_time.insert((api, subscription.created_at, subscribed), ());
        let mapping =
            KeyMapping { id: KeyMappingId::from_random(id(number)), application: of, key_type: KeyType::Production };
        let consumer = ClientId(format!("consumer{number:020}"));
        db.key_mappings.insert((of, KeyType::Production), consumer.clone());
        db.key_mapping_ids.insert(mapping.id, consumer.clone());
        let name = format!("consumer {number}");
        let one = OauthClient { id: consumer.clone(), name, owner, mapping: Some(mapping), ..client.clone() };
        db.clients.insert(consumer, Arc::new(one));
    }
    state
}

#[test]
#[ignore = "makes files of hundreds of megabytes; run by scripts/measure-large-state.sh"]
fn write_a_large_backup() {
    let rows = std::env::var("ROWS").map_or(1_000_000, |text| text.parse().unwrap());
    let directory = PathBuf::from(std::env::var_os("INTO").expect("INTO names a directory"));
    let key = ClusterKey::new([7; 32]);
    let mut state = large(rows);
    let at = std::net::SocketAddr::from(([127, 0, 0, 1], 7443));
    let new = NewCluster {
        id: uuid::Uuid::nil(),
        name: "large".to_owned(),
        ca_certificate: String::new(),
        ca_key: key.seal(b"the restored cluster gets another"),
        node_name: "large".to_owned(),
        node_addresses: NodeAddresses { cluster: at, management: at, gateway_http: at, gateway_https: at },
        at: Timestamp(0),
    };
    adoption::restore(&mut state, new).unwrap();
    let user = Username("admin".to_owned());
    let admin = state.user.users.values().find(|one| one.username == user).unwrap().as_ref().clone();
    let hash: PasswordHash = Argon2::default().hash_password(b"bench-password").unwrap();
    let admin = portcullis_model::User { password_hash: hash.to_string(), ..admin };
    state.user.users.insert((admin.tenant.clone(), user), Arc::new(admin));
    let head = Head {
        cluster_id: uuid::Uuid::nil(),
        cluster_name: "large".to_owned(),
        node: NodeId(1),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        created_at: Timestamp(0),
        applied_index: state.applied_index,
        feature_level: state.feature_level(),
        encryption: None,
    };
    let file = File::create(directory.join("large.backup")).unwrap();
    contents::write(file, &head, None, |out| snapshot::write(&state, out)).unwrap();
    fs::write(directory.join("cluster.key"), hex::encode(key.as_bytes())).unwrap();
}
