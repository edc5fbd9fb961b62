//! Certificates of running nodes: renewed, moved to another authority, refused.

use std::time::Duration;

use portcullis_model::NodeId;
use portcullis_model::certificate::{CertificateControl, CertificatesStatus, RotationStatus};
use portcullis_model::cluster::{ClusterControl as _, ClusterRefusal};
use tempfile::TempDir;

use super::parsed::Parsed;
use crate::tests::{Member, ask, first, first_with, join, join_valid, same_state, three, until};

fn certificate(member: &Member) -> Parsed {
    member.node.core.certificates.held().parsed.clone()
}

/// Has the next calls of every node make new connections.
fn reconnect(members: &[&Member]) {
    for member in members {
        for other in members {
            member.node.core.peers.forget(other.node.identity().node);
        }
    }
}

async fn talk(members: &[&Member], name: &str) {
    reconnect(members);
    for (number, member) in members.iter().enumerate() {
        let unreached = member.put(&format!("{name} {number}")).await.unwrap();
        assert_eq!(unreached, [], "{name}: every node is heard");
    }
}

fn status(member: &Member) -> CertificatesStatus {
    CertificateControl::certificates(&*member.node).unwrap()
}

fn rotation(member: &Member) -> Option<RotationStatus> {
    status(member).rotation
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_are_renewed_in_time_and_nodes_go_on_talking_past_the_end_of_the_first() {
    let root = TempDir::new().unwrap();
    let valid = Duration::from_secs(6);
    let one = first_with(&root, valid).await;
    let two = join_valid(&one, &root.path().join("n2"), valid).await;
    until("the second node votes", || one.node.metrics().voters.len() == 2 && two.node.is_ready()).await;
    let firsts = [certificate(&one), certificate(&two)];
    let is_over = || portcullis_database::handle::wall_clock() > firsts[0].not_after.max(firsts[1].not_after);
    until("the first certificates end", is_over).await;
    talk(&[&one, &two], "past the first certificates").await;
    for (member, first) in [&one, &two].into_iter().zip(&firsts) {
        assert_ne!(certificate(member).fingerprint, first.fingerprint);
        let known = || member.cell.load().system.node_certificates[&member.node.identity().node].fingerprint;
        until("the cluster knows the new certificate", || known() == certificate(member).fingerprint).await;
        let on_disk = std::fs::read_to_string(member.path.join("tls/node.pem")).unwrap();
        assert_ne!(Parsed::from_pem(&on_disk).unwrap().fingerprint, first.fingerprint);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_waits_for_a_node_that_is_down_survives_its_leader_and_ends_with_one_authority() {
    let root = TempDir::new().unwrap();
    let [one, two, three] = three(&root).await;
    let old = one.node.ca_fingerprint();
    // The third node is away when the rotation begins.
    three.node.shutdown().await;
    two.node.begin_rotation().await.unwrap();
    let again = one.node.begin_rotation().await.unwrap_err();
    assert!(matches!(again, ClusterRefusal::Protected { .. }), "{again}");
    let waits_for = |member: &Member| rotation(member).map(|rotation| rotation.not_trusting);
    until("the others trust the new authority", || waits_for(&one) == Some(vec![NodeId(3)])).await;
    assert_eq!(one.node.ca_fingerprint(), old, "nothing is signed by it while a node does not trust it");
    let early = one.node.retire_authority().await.unwrap_err();
    assert!(early.to_string().contains("nodes 1, 2, 3"), "{early}");

    // The leader goes; whoever follows goes on with the rotation.
    let leader = one.node.metrics().leader.unwrap();
    let (gone, stays) = if leader == NodeId(1) { (one, two) } else { (two, one) };
    let three = Member::start(&three.path).await;
    until("three nodes again", || three.node.is_ready()).await;
    gone.node.shutdown().await;
    let gone_path = gone.path.clone();
    drop(gone);
    let back = Member::start(&gone_path).await;
    let members = [&stays, &back, &three];
    let has_moved = |member: &Member| rotation(member).is_some_and(|rotation| rotation.not_moved.is_empty());
    for member in members {
        until("all nodes moved", || has_moved(member)).await;
    }
    talk(&members, "with both authorities").await;

    // A node that joins now is of the new authority; tokens pin it.
    assert_ne!(stays.node.ca_fingerprint(), old);
    let four = join(&stays, &root.path().join("n4")).await.unwrap();
    until("the fourth node votes", || four.node.metrics().voters.len() == 4 && four.node.is_ready()).await;
    assert!(has_moved(&stays));

    back.node.retire_authority().await.unwrap();
    let members = [&stays, &back, &three, &four];
    for member in members {
        until("the old authority is gone", || {
            let held = member.node.core.certificates.held();
            !held.trusts().contains(&old) && held.certificate.matches("BEGIN").count() == 1
        })
        .await;
        let bundle = std::fs::read_to_string(member.path.join("tls/ca.pem")).unwrap();
        assert_eq!(bundle.matches("BEGIN CERTIFICATE").count(), 1);
    }
    talk(&members, "with the new authority alone").await;
    same_state(&members).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_renews_any_node_from_any_node() {
    let root = TempDir::new().unwrap();
    let one = first(&root).await;
    let two = join(&one, &root.path().join("n2")).await.unwrap();
    until("the second node votes", || one.node.metrics().voters.len() == 2 && two.node.is_ready()).await;
    let before = certificate(&two);
    one.node.renew(NodeId(2)).await.unwrap();
    assert_ne!(certificate(&two).fingerprint, before.fingerprint);
    let missing = one.node.renew(NodeId(9)).await.unwrap_err();
    assert!(matches!(missing, ClusterRefusal::NoSuchNode(NodeId(9))), "{missing}");
    two.node.shutdown().await;
    let silent = one.node.renew(NodeId(2)).await.unwrap_err();
    assert!(silent.to_string().contains("--offline"), "{silent}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_certificate_expired_while_it_was_down_is_renewed_offline() {
    let root = TempDir::new().unwrap();
    let one = first(&root).await;
    let two = join(&one, &root.path().join("n2")).await.unwrap();
    until("the second node votes", || one.node.metrics().voters.len() == 2 && two.node.is_ready()).await;
    let path = two.path.clone();
    assert!(crate::renew_offline(&path, Duration::from_secs(60)).await.is_err(), "not while it runs");
    two.node.shutdown().await;
    drop(two);
    // The certificate of another cluster: nobody lets it in.
    let foreign = TempDir::new().unwrap();
    let other = first(&foreign).await;
    for file in ["ca.pem", "node.pem", "node.key"] {
        std::fs::copy(other.path.join("tls").join(file), path.join("tls").join(file)).unwrap();
    }
    assert!(ask(&path, &one).await.is_err());
    let renewed = crate::renew_offline(&path, Duration::from_secs(3600)).await.unwrap();
    assert_eq!(renewed.node, NodeId(2));
    // What cannot be read, or is not there at all, is made anew too.
    std::fs::write(path.join("tls/node.pem"), "x").unwrap();
    crate::renew_offline(&path, Duration::from_secs(3600)).await.unwrap();
    std::fs::remove_dir_all(path.join("tls")).unwrap();
    crate::renew_offline(&path, Duration::from_secs(3600)).await.unwrap();
    let two = Member::start(&path).await;
    until("the second node is back", || two.node.is_ready()).await;
    talk(&[&one, &two], "after the renewal").await;
    // A key of another cluster is noticed: what it seals, nobody else could open.
    two.node.shutdown().await;
    drop(two);
    std::fs::write(path.join("cluster.key"), format!("{}\n", "07".repeat(32))).unwrap();
    let two = Member::start(&path).await;
    until("the node with another key ends", || two.node.fatal().borrow().is_some()).await;
    assert!(two.node.fatal().borrow().as_ref().unwrap().contains("cluster.key"));
    assert!(!two.node.is_ready());
}
