//! Backups, recovery and upgrades with running nodes.

use std::fs;
use std::sync::Arc;

use portcullis_database::command::SetNodeCondition;
use portcullis_database::{ProposeError, SubmitError, digest, level};
use portcullis_model::cluster::ClusterRefusal;
use portcullis_model::safekeeping::{BackupWish, Safekeeping as _};
use portcullis_model::{NodeId, Principal};
use tempfile::TempDir;

use crate::backup::{self, BackupKey};
use crate::tests::{Member, SOON, VALID, addresses, first, join, same_state, three, until};
use crate::transport::{Request, Response};
use crate::{CreateCluster, Recovery, RecoveryError, Restoration, RestoreError, create_cluster, restore_cluster};

async fn back_up(member: &Member, key: Option<&BackupKey>, directory: &TempDir) -> std::path::PathBuf {
    let encryption = key.map(|key| key.for_new_backup().unwrap());
    let mut stream = member.node.backup(BackupWish { encryption }).await.unwrap();
    let mut bytes = Vec::new();
    while let Some(piece) = stream.next().await {
        bytes.extend(piece.unwrap());
    }
    let path = directory.path().join(format!("{}.backup", bytes.len()));
    fs::write(&path, bytes).unwrap();
    path
}

fn restoration(file: &std::path::Path, key: Option<&BackupKey>) -> Restoration {
    Restoration {
        backup: backup::unpack(file, key).unwrap(),
        cluster_key: None,
        name: None,
        node_name: "restored".to_owned(),
        addresses: addresses(),
        certificate_valid: VALID,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_of_three_nodes_goes_on_as_a_new_cluster_that_nodes_can_join() {
    let root = TempDir::new().unwrap();
    let members = three(&root).await;
    members[1].put("Kept").await.unwrap();
    let key = BackupKey::from_file(&"ab".repeat(32)).unwrap();
    let path = back_up(&members[2], Some(&key), &root).await;
    members[0].put("Later").await.unwrap();

    let home = root.path().join("restored");
    let restored = restore_cluster(&home, restoration(&path, Some(&key))).unwrap();
    assert_eq!(restored.identity.node, NodeId(4), "ids are never used twice");
    assert_ne!(restored.identity.cluster_id, members[0].node.identity().cluster_id);
    let again = restore_cluster(&home, restoration(&path, Some(&key)));
    assert!(matches!(again, Err(RestoreError::Identity(_))), "only into an empty directory");

    let member = Member::start(&home).await;
    until("ready", || member.node.is_ready()).await;
    assert!(member.has("Kept") && !member.has("Later"));
    assert!(member.cell.applied() > restored.applied_index);
    let state = member.cell.load();
    assert_eq!(state.system.nodes.keys().copied().collect::<Vec<_>>(), [NodeId(4)]);
    assert!(state.system.join_tokens.is_empty());
    let backed_up = backup::unpack(&path, Some(&key)).unwrap().state;
    let mut same = state.as_ref().clone();
    (same.system, same.applied_index) = (backed_up.system.clone(), backed_up.applied_index);
    assert_eq!(
        digest::digest(&same).unwrap(),
        digest::digest(&backed_up).unwrap(),
        "all but the cluster's own records"
    );

    let joined = join(&member, &root.path().join("n5")).await.unwrap();
    until("the second node votes", || member.node.metrics().voters.len() == 2).await;
    assert_eq!(joined.node.identity().node, NodeId(5));
    joined.put("On").await.unwrap();
    same_state(&[&member, &joined]).await;

    // The old cluster does not hear of it, and its nodes are not heard by it.
    let foreign =
        members[0].node.core.peers.call(NodeId(4), restored.identity.addresses.cluster, Request::Status, SOON);
    assert!(!matches!(foreign.await, Ok(Response::Status(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plain_backup_needs_the_cluster_key_and_no_other() {
    let root = TempDir::new().unwrap();
    let member = first(&root).await;
    until("ready", || member.node.is_ready()).await;
    let path = back_up(&member, None, &root).await;
    let home = root.path().join("restored");
    let missing = restore_cluster(&home, restoration(&path, None)).unwrap_err();
    assert!(matches!(missing, RestoreError::NeedsClusterKey));
    let other =
        Restoration { cluster_key: Some(portcullis_database::ClusterKey::new([9; 32])), ..restoration(&path, None) };
    assert!(matches!(restore_cluster(&home, other).unwrap_err(), RestoreError::WrongClusterKey));
    assert!(!home.exists(), "nothing is left behind");
    let text = fs::read_to_string(member.path.join("cluster.key")).unwrap();
    let right = Restoration { cluster_key: Some(crate::parse_cluster_key(&text).unwrap()), ..restoration(&path, None) };
    restore_cluster(&home, right).unwrap();
    let member = Member::start(&home).await;
    until("ready", || member.node.is_ready()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_survivor_of_three_goes_on_alone_and_refuses_the_others() {
    let root = TempDir::new().unwrap();
    let [one, two, three] = three(&root).await;
    for number in 0..30 {
        three.put(&format!("Before {number}")).await.unwrap();
    }
    same_state(&[&one, &two, &three]).await;
    let path = three.path.clone();
    let (old_id, applied) = (three.node.identity().cluster_id, three.cell.applied());
    assert!(matches!(Recovery::prepare(&path).await, Err(RecoveryError::Identity(_))), "the node runs");
    three.node.crash().await;
    one.node.crash().await;
    drop((one, three));

    let recovery = Recovery::prepare(&path).await.unwrap();
    let report = recovery.report().clone();
    assert_eq!((report.node, report.lost), (NodeId(3), vec![NodeId(1), NodeId(2)]));
    assert!(report.last_index >= applied && report.cluster_name == "test");
    let identity = recovery.apply(VALID).unwrap();
    assert_eq!(identity.node, NodeId(3));
    assert_ne!(identity.cluster_id, old_id);
    assert!(
        fs::read_dir(&path)
            .unwrap()
            .any(|item| { item.unwrap().file_name().to_string_lossy().starts_with("raft.before-recovery-") })
    );

    let three = Member::start(&path).await;
    until("ready", || three.node.is_ready()).await;
    assert!((0..30).all(|number| three.has(&format!("Before {number}"))));
    assert_eq!(three.node.metrics().voters, [NodeId(3)]);
    three.put("After").await.unwrap();
    // The second node still runs, with the old identity: neither hears the other.
    let at = identity.addresses.cluster;
    assert!(two.node.core.peers.call(NodeId(3), at, Request::Status, SOON).await.is_err());
    let four = join(&three, &root.path().join("n4")).await.unwrap();
    until("the new node votes", || three.node.metrics().voters.len() == 2).await;
    assert_eq!(four.node.identity().node, NodeId(4));
    same_state(&[&three, &four]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recovery_that_is_cut_short_anywhere_keeps_the_node_from_starting_until_it_is_finished() {
    let root = TempDir::new().unwrap();
    let member = first(&root).await;
    until("ready", || member.node.is_ready()).await;
    member.put("Kept").await.unwrap();
    let path = member.path.clone();
    member.node.crash().await;
    drop(member);
    // What was there before stands in for the state just after the note was written.
    let before = root.path().join("before");
    copy(&path, &before);
    let identity = Recovery::prepare(&path).await.unwrap().apply(VALID).unwrap();
    for step in 0..3 {
        let cut = root.path().join(format!("cut{step}"));
        copy(&before, &cut);
        let aside = fs::read_dir(&path).unwrap().map(|item| item.unwrap().file_name().to_string_lossy().into_owned());
        let aside = aside.into_iter().find(|name| name.starts_with("raft.before")).unwrap();
        copy(&path.join("raft"), &cut.join("raft.recovered"));
        fs::copy(path.join("identity.json"), cut.join("identity.json.recovered")).unwrap();
        fs::copy(path.join("tls/node.pem"), cut.join("tls/node.pem.recovered")).unwrap();
        fs::write(cut.join("recovery.unfinished"), &aside).unwrap();
        if step > 0 {
            fs::rename(cut.join("raft"), cut.join(&aside)).unwrap();
        }
        if step > 1 {
            fs::rename(cut.join("raft.recovered"), cut.join("raft")).unwrap();
        }
        let refused = Member::try_start(&cut).await.err().unwrap().to_string();
        assert!(refused.contains("portcullis cluster recover"), "{refused}");
        let finished = Recovery::finish_begun(&cut).unwrap().unwrap();
        assert_eq!(finished, identity);
        let member = Member::start(&cut).await;
        until("ready", || member.node.is_ready()).await;
        assert!(member.has("Kept"));
        member.node.crash().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_log_was_deleted_does_not_start_as_if_it_were_new() {
    let root = TempDir::new().unwrap();
    let member = first(&root).await;
    until("ready", || member.node.is_ready()).await;
    member.put("Kept").await.unwrap();
    let path = member.path.clone();
    member.node.crash().await;
    drop(member);
    let aside = root.path().join("aside");
    fs::rename(path.join("raft"), &aside).unwrap();
    for _ in 0..2 {
        let refused = Member::try_start(&path).await.err().unwrap().to_string();
        assert!(refused.contains("this node had a log") && refused.contains("node remove"), "{refused}");
    }
    fs::remove_dir_all(path.join("raft")).unwrap();
    fs::rename(&aside, path.join("raft")).unwrap();
    let member = Member::start(&path).await;
    until("ready", || member.node.is_ready()).await;
    assert!(member.has("Kept"));
    member.node.crash().await;
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    fs::create_dir_all(to).unwrap();
    for item in fs::read_dir(from).unwrap() {
        let item = item.unwrap();
        let target = to.join(item.file_name());
        if item.file_type().unwrap().is_dir() {
            copy(&item.path(), &target);
        } else {
            fs::copy(item.path(), target).unwrap();
        }
    }
}

/// Has the node behave as a program of the first feature level.
fn pretend_first_level(path: &std::path::Path, is_old: bool) {
    let file = path.join("pretend-feature-level");
    if is_old { fs::write(file, "1").unwrap() } else { fs::remove_file(file).unwrap() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_of_two_versions_run_together_until_the_last_is_upgraded_and_the_level_raised() {
    let root = TempDir::new().unwrap();
    let path = root.path().join("n1");
    let wish = CreateCluster {
        name: "test".to_owned(),
        node_name: "one".to_owned(),
        addresses: addresses(),
        admin_password_hash: "$argon2id$x".to_owned(),
        certificate_valid: VALID,
    };
    create_cluster(&path, &wish).unwrap();
    pretend_first_level(&path, true);
    let old = Member::start(&path).await;
    until("ready", || old.node.is_ready()).await;
    assert_eq!(old.cell.load().feature_level(), level::FIRST);
    // The second node is of the new version.
    let new = join(&old, &root.path().join("n2")).await.unwrap();
    until("the second node votes", || old.node.metrics().voters.len() == 2).await;

    let newer = SetNodeCondition {
        node: NodeId(1),
        condition: portcullis_database::command::NodeCondition::StalenessBound(Some(2000)),
    };
    let refused = new.admin.submit(newer.clone(), &portcullis_database::Caller::new(Principal::system())).await;
    match refused {
        Err(SubmitError::Propose(ProposeError::LevelTooLow { needed: 2, level: 1, .. })) => {}
        other => panic!("a command of the new version reached the old one: {other:?}"),
    }
    let check = new.node.check_upgrade().await;
    assert_eq!((check.feature_level, check.possible_level), (1, Some(1)));
    assert_eq!(check.nodes.iter().map(|node| node.feature_level).collect::<Vec<_>>(), [Some(1), Some(2)]);
    assert_eq!(new.node.finalise_upgrade().await.unwrap().feature_level, 1, "one node does not know it");
    new.put("Meanwhile").await.unwrap();
    same_state(&[&old, &new]).await;
    // What the new node writes while it is so, the old one reads.
    let taken = new.node.create_snapshot().await.unwrap();
    assert_eq!(taken.format, 1);

    old.node.crash().await;
    drop(old);
    match new.node.finalise_upgrade().await {
        Err(ClusterRefusal::Unavailable(_) | ClusterRefusal::Protected { .. }) => {}
        other => panic!("raised without the other node: {other:?}"),
    }
    pretend_first_level(&path, false);
    let upgraded = Member::start(&path).await;
    until("ready again", || upgraded.node.is_ready() && new.node.is_ready()).await;
    let raised = upgraded.node.finalise_upgrade().await.unwrap();
    assert_eq!(raised.feature_level, level::HIGHEST);
    let plans = &upgraded.cell.load().apimgt.policies;
    assert!(plans.keys().any(|(_, _, name)| name == "AsyncGold"), "the plans that came with the level are seeded");
    let done = new.admin.submit(newer, &portcullis_database::Caller::new(Principal::system())).await;
    assert!(!matches!(done, Err(SubmitError::Propose(ProposeError::LevelTooLow { .. }))), "{done:?}");
    assert_eq!(new.node.create_snapshot().await.unwrap().format, 2);
    same_state(&[&upgraded, &new]).await;

    // Back to the old version is too late now, and the node says so.
    upgraded.node.crash().await;
    drop(upgraded);
    pretend_first_level(&path, true);
    let refused = match Member::try_start(&path).await {
        Err(e) => e.to_string(),
        Ok(member) => {
            until("the node stops", || member.node.core.fatal.reason().is_some()).await;
            member.node.core.fatal.reason().unwrap()
        }
    };
    assert!(refused.contains("feature level 2") && refused.contains("run the version"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_that_is_damaged_on_the_leaders_disk_is_replaced_and_never_given_to_a_learner() {
    let root = TempDir::new().unwrap();
    let member = first(&root).await;
    until("ready", || member.node.is_ready()).await;
    for number in 0..20 {
        member.put(&format!("Policy {number}")).await.unwrap();
    }
    let taken = member.node.create_snapshot().await.unwrap();
    let file = member.path.join("raft/snapshots").join(&taken.file);
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x40;
    fs::write(&file, &bytes).unwrap();
    // Without the entries before it, a learner can only come by the snapshot.
    let purge = member.node.core.raft.trigger().purge_log(taken.index).await;
    assert!(purge.is_ok());
    let learner = join(&member, &root.path().join("n2")).await.unwrap();
    until("the second node votes", || member.node.metrics().voters.len() == 2).await;
    same_state(&[&member, &learner]).await;
    assert!(learner.has("Policy 7"));
    assert!(member.node.core.fatal.reason().is_none() && learner.node.core.fatal.reason().is_none());
    let listed = member.node.list_snapshots().await.unwrap();
    let whole = member.path.join("raft/snapshots").join(&listed.last().unwrap().file);
    assert!(crate::inspect_snapshot(&whole).is_ok());
    drop(Arc::clone(&member.node));
}
