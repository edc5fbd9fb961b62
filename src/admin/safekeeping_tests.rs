//! Snapshots, backups and upgrades through their REST face.

use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, to_bytes};
use http::header::CONTENT_TYPE;
use http::{Request, StatusCode};
use portcullis_http::layers;
use portcullis_model::cluster::ClusterRefusal;
use portcullis_model::membership::Rule;
use portcullis_model::port::{Identity, PortFuture};
use portcullis_model::safekeeping::{
    BackupStream, BackupWish, KeyDerivation, NodeLevel, Safekeeping, SnapshotFacts, UpgradeCheck,
};
use portcullis_model::{NodeId, Principal, TenantDomain, Timestamp, Username};
use serde_json::{Value, json};
use tower::ServiceExt as _;

/// A node with one snapshot, whose backups break off where they are not encrypted, in an upgrade that waits for a node.
pub(crate) struct Kept;

struct Pieces(Vec<Result<Vec<u8>, String>>);

impl BackupStream for Pieces {
    fn next(&mut self) -> PortFuture<'_, Option<Result<Vec<u8>, String>>> {
        let next = (!self.0.is_empty()).then(|| self.0.remove(0));
        Box::pin(std::future::ready(next))
    }
}

fn snapshot() -> SnapshotFacts {
    let file = "1.snap".to_owned();
    SnapshotFacts { node: NodeId(1), file, bytes: 9, index: 7, term: 2, format: 2, created_at: Timestamp(0) }
}

fn waiting() -> UpgradeCheck {
    let node = |id: u64, feature_level: Option<u32>| NodeLevel {
        id: NodeId(id),
        name: format!("n{id}"),
        version: String::new(),
        feature_level,
    };
    UpgradeCheck { feature_level: 1, possible_level: None, nodes: vec![node(1, Some(2)), node(2, None)] }
}

impl Safekeeping for Kept {
    fn create_snapshot(&self) -> PortFuture<'_, Result<SnapshotFacts, ClusterRefusal>> {
        Box::pin(std::future::ready(Ok(snapshot())))
    }

    fn list_snapshots(&self) -> PortFuture<'_, Result<Vec<SnapshotFacts>, ClusterRefusal>> {
        Box::pin(std::future::ready(Ok(vec![snapshot()])))
    }

    fn backup(&self, wish: BackupWish) -> PortFuture<'_, Result<Box<dyn BackupStream>, ClusterRefusal>> {
        let last = match wish.encryption {
            Some(encryption) => {
                assert_eq!((encryption.key, encryption.derivation), ([0xab; 32], KeyDerivation::KeyFile));
                Ok(b"end".to_vec())
            }
            None => Err("the disk is gone".to_owned()),
        };
        let pieces: Box<dyn BackupStream> = Box::new(Pieces(vec![Ok(b"begin ".to_vec()), last]));
        Box::pin(std::future::ready(Ok(pieces)))
    }

    fn check_upgrade(&self) -> PortFuture<'_, UpgradeCheck> {
        Box::pin(std::future::ready(waiting()))
    }

    fn finalise_upgrade(&self) -> PortFuture<'_, Result<UpgradeCheck, ClusterRefusal>> {
        let why = "these do not answer: node 2".to_owned();
        Box::pin(std::future::ready(Err(ClusterRefusal::Protected { rule: Rule::FeatureLevel, why })))
    }
}

async fn ask(method: &str, path: &str, body: Value, scope: &str) -> http::Response<Body> {
    let principal = Principal { tenant: TenantDomain::super_tenant(), username: Username("admin".to_owned()) };
    let who =
        Identity { principal, roles: [].into(), scopes: [scope.to_owned()].into(), origin: None, is_token: false };
    let router = layers::finish(crate::safekeeper::start(Arc::new(Kept)).layer(Extension(who)));
    let request = Request::builder().method(method).uri(path).header(CONTENT_TYPE, "application/json");
    router.oneshot(request.body(Body::from(body.to_string())).unwrap()).await.unwrap()
}

#[tokio::test]
async fn a_backup_that_breaks_off_never_ends_like_a_whole_one() {
    let encryption = json!({"encryption": {"key": "ab".repeat(32), "derivation": {"kind": "key-file"}}});
    let answer = ask("POST", "/cluster/backup", encryption, "apim:admin").await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(to_bytes(answer.into_body(), 100).await.unwrap().as_ref(), b"begin end");
    let answer = ask("POST", "/cluster/backup", json!({}), "apim:admin").await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(to_bytes(answer.into_body(), 100).await.is_err(), "the connection is cut");
}

#[tokio::test]
async fn a_key_that_is_none_and_a_caller_who_may_not_are_told_so() {
    let short = json!({"encryption": {"key": "ab", "derivation": {"kind": "key-file"}}});
    assert_eq!(ask("POST", "/cluster/backup", short, "apim:admin").await.status(), StatusCode::BAD_REQUEST);
    assert_eq!(ask("POST", "/cluster/backup", json!({}), "apim:subscribe").await.status(), StatusCode::FORBIDDEN);
    assert_eq!(ask("GET", "/cluster/snapshots", json!({}), "apim:subscribe").await.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn an_upgrade_that_cannot_be_finished_says_which_rule_stands_against_it() {
    let answer = ask("POST", "/cluster/upgrade/finalise", json!({}), "apim:admin").await;
    assert_eq!(answer.status(), StatusCode::CONFLICT);
    let body = to_bytes(answer.into_body(), 10_000).await.unwrap();
    let text = String::from_utf8(body.to_vec()).unwrap();
    assert!(text.contains("node 2") && text.contains("cluster upgrade check"), "{text}");
    let body =
        to_bytes(ask("GET", "/cluster/upgrade", json!({}), "apim:admin").await.into_body(), 10_000).await.unwrap();
    let check: UpgradeCheck = serde_json::from_slice(&body).unwrap();
    assert_eq!(check, waiting());
}
