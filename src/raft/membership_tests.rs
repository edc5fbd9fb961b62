//! Nodes change their roles, take each other's place, are drained and lead, as the operator says.

use std::collections::BTreeSet;
use std::time::Duration;

use portcullis_database::command::{ChangePlan, NodeCondition, PlanStep, SetNodeCondition};
use portcullis_database::{Caller, Proposer as _};
use portcullis_model::cluster::{ClusterControl as _, ClusterRefusal};
use portcullis_model::membership::Rule;
use portcullis_model::{MembershipChange, NodeId, NodeRole};
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};

use crate::tests::{Member, SOON, first, join, three, until};

const LEARNER: NodeRole = NodeRole::Learner;
const VOTER: NodeRole = NodeRole::Voter;

fn voters(member: &Member) -> BTreeSet<u64> {
    member.node.metrics().voters.into_iter().map(|node| node.0).collect()
}

async fn until_voters(member: &Member, wanted: &[u64]) {
    let wanted = BTreeSet::from_iter(wanted.iter().copied());
    until(&format!("voters {wanted:?}"), || voters(member) == wanted).await;
}

async fn set_role(member: &Member, node: NodeId, role: NodeRole) -> Result<(), ClusterRefusal> {
    member.node.change_membership(MembershipChange::SetRole { node, role }, false).await
}

async fn replace(member: &Member, old: u64, new: u64) -> Result<(), ClusterRefusal> {
    let change = MembershipChange::Replace { old: NodeId(old), new: NodeId(new) };
    member.node.change_membership(change, false).await
}

fn rule_of(outcome: Result<(), ClusterRefusal>) -> Rule {
    match outcome {
        Err(ClusterRefusal::Protected { rule, .. }) => rule,
        other => panic!("no rule stood against it: {other:?}"),
    }
}

async fn stage(member: &Member, change: MembershipChange) -> u64 {
    let command = ChangePlan { step: PlanStep::Stage(change) };
    member.admin.submit(command, &Caller::system()).await.unwrap().reply.version
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_voter_becomes_a_learner_and_a_voter_again_and_the_last_one_stays() {
    let root = TempDir::new().unwrap();
    let one = first(&root).await;
    assert_eq!(rule_of(set_role(&one, NodeId(1), LEARNER).await), Rule::LastVoter);
    let two = join(&one, &root.path().join("n2")).await.unwrap();
    until_voters(&one, &[1, 2]).await;
    // The leader steps back: the other leads first.
    let leader = one.node.metrics().leader.unwrap();
    set_role(&two, leader, LEARNER).await.unwrap();
    let stays = if leader == NodeId(1) { 2 } else { 1 };
    until_voters(&one, &[stays]).await;
    until_voters(&two, &[stays]).await;
    one.put("by a learner or the only voter").await.unwrap();
    assert_eq!(rule_of(set_role(&two, NodeId(stays), LEARNER).await), Rule::LastVoter);
    let learner = one.node.metrics().learners;
    assert_eq!(learner, vec![leader]);
    set_role(&one, leader, VOTER).await.unwrap();
    until_voters(&one, &[1, 2]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn voters_of_which_it_is_decided_that_they_go_do_not_make_another_the_last_but_one() {
    let root = TempDir::new().unwrap();
    let [one, two, three] = three(&root).await;
    // Planned changes are decided at once and made one by one later: until then all three vote.
    stage(&one, MembershipChange::SetRole { node: NodeId(2), role: LEARNER }).await;
    let version = stage(&one, MembershipChange::Remove { node: NodeId(3) }).await;
    one.node.apply_plan(version, false).await.unwrap();
    for member in [&one, &two] {
        let remove = MembershipChange::Remove { node: NodeId(1) };
        assert_eq!(rule_of(member.node.change_membership(remove, false).await), Rule::LastVoter);
    }
    assert_eq!(rule_of(set_role(&three, NodeId(1), LEARNER).await), Rule::LastVoter);
    until_voters(&one, &[1]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_takes_the_place_of_another_which_goes_only_then() {
    let root = TempDir::new().unwrap();
    let [one, two, three] = three(&root).await;
    assert_eq!(replace(&one, 3, 9).await, Err(ClusterRefusal::NoSuchNode(NodeId(9))));
    // The one to be replaced may be dead, and the one that comes may be a learner.
    let four = join(&one, &root.path().join("n4")).await.unwrap();
    until_voters(&one, &[1, 2, 3, 4]).await;
    set_role(&one, NodeId(4), LEARNER).await.unwrap();
    until_voters(&one, &[1, 2, 3]).await;
    four.node.crash().await;
    assert_eq!(rule_of(replace(&one, 3, 4).await), Rule::CaughtUp);
    let four = Member::start(&four.path).await;
    until("the new node follows", || four.node.metrics().leader.is_some()).await;
    // The leader asks a node that was down again after a pause.
    let deadline = Instant::now() + SOON;
    while let Err(refusal) = replace(&two, 3, 4).await {
        assert!(Instant::now() < deadline, "{refusal}");
        sleep(Duration::from_millis(50)).await;
    }
    until_voters(&one, &[1, 2, 4]).await;
    let mut fatal = three.node.fatal();
    let reason = timeout(SOON, fatal.wait_for(Option::is_some)).await.unwrap().unwrap().clone().unwrap();
    assert!(reason.contains("was removed from the cluster"), "{reason}");
    assert!(one.cell.load().system.replacements.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_planned_is_made_together_and_only_as_it_was_shown() {
    let root = TempDir::new().unwrap();
    let [one, two, three] = three(&root).await;
    let seen = stage(&one, MembershipChange::SetRole { node: NodeId(2), role: LEARNER }).await;
    let now = stage(&two, MembershipChange::Remove { node: NodeId(3) }).await;
    let outcome = three.node.apply_plan(seen, false).await;
    assert_eq!(outcome, Err(ClusterRefusal::OtherPlan { given: seen, now }));
    assert_eq!(voters(&one), BTreeSet::from([1, 2, 3]));
    one.node.apply_plan(now, false).await.unwrap();
    until_voters(&one, &[1]).await;
    let mut fatal = three.node.fatal();
    timeout(SOON, fatal.wait_for(Option::is_some)).await.unwrap().unwrap();
    assert!(one.cell.load().system.membership_plan.get(&()).unwrap().changes.is_empty());
    assert!(matches!(one.node.apply_plan(now + 1, false).await, Err(ClusterRefusal::Invalid(_))), "nothing is planned");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drained_leader_hands_over_and_stays_drained_after_a_restart() {
    let root = TempDir::new().unwrap();
    let members = three(&root).await;
    let leader = members[0].node.metrics().leader.unwrap();
    let is_heard = members[0].node.drain_node(leader, Some("ops".to_owned()), false).await;
    assert_eq!(is_heard, Ok(true));
    let follows_another = |member: &Member| member.node.metrics().leader.is_some_and(|now| now != leader);
    until("another leads", || members.iter().all(follows_another)).await;
    let refused = members[0].node.transfer_leadership(Some(leader)).await;
    assert!(matches!(&refused, Err(ClusterRefusal::Invalid(why)) if why.contains("drained")), "{refused:?}");
    let drained = members.iter().find(|member| member.id() == leader).unwrap();
    drained.node.shutdown().await;
    let drained = Member::start(&drained.path).await;
    until("it is back", || drained.node.is_ready()).await;
    assert!(drained.node.status().await.nodes.iter().any(|node| node.id == leader && node.is_drained));

    let others: Vec<NodeId> = members.iter().map(Member::id).filter(|id| *id != leader).collect();
    drained.node.drain_node(others[0], Some("ops".to_owned()), false).await.unwrap();
    let last = drained.node.drain_node(others[1], Some("ops".to_owned()), false).await;
    assert_eq!(rule_of(last.map(drop)), Rule::LastReady);
    drained.node.drain_node(leader, None, false).await.unwrap();
    assert_eq!(drained.node.transfer_leadership(Some(leader)).await, Ok(leader));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_only_drained_voters_are_left_one_of_them_leads_and_goes_on_leading() {
    let root = TempDir::new().unwrap();
    let [one, two, three] = three(&root).await;
    for member in [&one, &two] {
        one.node.drain_node(member.id(), Some("ops".to_owned()), true).await.unwrap();
    }
    three.node.crash().await;
    until("one of the drained leads", || {
        one.node.metrics().leader.is_some_and(|leader| leader != three.id()) && one.node.is_ready()
    })
    .await;
    one.put("written by drained nodes").await.unwrap();
    let term = one.node.metrics().term;
    let end = Instant::now() + Duration::from_secs(2);
    let mut count = 0;
    while Instant::now() < end {
        count += 1;
        two.put(&format!("also written {count}")).await.unwrap();
    }
    assert_eq!(one.node.metrics().term, term, "nobody handed leadership on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leadership_goes_where_the_operator_wants_it_if_that_node_can_lead() {
    let root = TempDir::new().unwrap();
    let [one, two, three] = three(&root).await;
    for (asked, to) in [(&one, 2), (&three, 3), (&three, 1), (&two, 1)] {
        assert_eq!(asked.node.transfer_leadership(Some(NodeId(to))).await, Ok(NodeId(to)));
    }
    assert_ne!(two.node.transfer_leadership(None).await, Ok(NodeId(1)));
    assert_eq!(one.node.transfer_leadership(Some(NodeId(7))).await, Err(ClusterRefusal::NoSuchNode(NodeId(7))));
    one.node.transfer_leadership(Some(NodeId(1))).await.unwrap();
    set_role(&one, NodeId(3), LEARNER).await.unwrap();
    let refused = one.node.transfer_leadership(Some(NodeId(3))).await;
    assert!(matches!(&refused, Err(ClusterRefusal::Invalid(why)) if why.contains("does not vote")), "{refused:?}");
    two.node.crash().await;
    let refused = one.node.transfer_leadership(Some(NodeId(2))).await;
    assert!(matches!(refused, Err(ClusterRefusal::Protected { rule: Rule::CaughtUp, .. })), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_majority_a_change_is_refused_before_anybody_waits_in_vain() {
    let root = TempDir::new().unwrap();
    let [one, two, three] = three(&root).await;
    two.node.crash().await;
    three.node.crash().await;
    // Well below the 30 s that a change may take.
    let refused = timeout(SOON / 2, one.remove(NodeId(2), true)).await.expect("no waiting for what cannot be");
    let why = match refused {
        Err(ClusterRefusal::Unavailable(why)) => why,
        other => panic!("{other:?}"),
    };
    assert!(why.contains("no majority") && why.contains("silent: 2, 3"), "{why}");
    let written = timeout(SOON / 2, one.put("nobody acknowledges this")).await.expect("no waiting for it either");
    written.unwrap_err();
}

async fn promise(member: &Member, node: NodeId, bound_ms: Option<u64>) {
    let command = SetNodeCondition { node, condition: NodeCondition::StalenessBound(bound_ms) };
    member.admin.submit(command, &Caller::system()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_fence_names_a_lost_node_unless_that_has_promised_to_serve_nothing_old() {
    let root = TempDir::new().unwrap();
    let [one, two, three] = three(&root).await;
    let id = three.id();
    assert!(one.put("while all are there").await.unwrap().is_empty());
    three.node.crash().await;
    assert_eq!(one.put("nobody knows what it serves").await.unwrap(), vec![id]);
    // Longer than the fence waits: it cannot be known in time.
    promise(&two, id, Some(600_000)).await;
    assert_eq!(one.put("it may serve for ten minutes").await.unwrap(), vec![id]);
    promise(&two, id, Some(3_000)).await;
    assert_eq!(one.put("it acts on it or serves nothing").await.unwrap(), Vec::new());
    // By then it has been silent for so long that nobody needs to wait again, whoever is asked.
    for (member, name) in [(&one, "at once"), (&two, "at once too")] {
        let unreached = timeout(Duration::from_secs(2), member.put(name)).await.expect("no waiting").unwrap();
        assert_eq!(unreached, Vec::new());
    }
    let three = Member::start(&three.path).await;
    until("it is back", || three.node.is_ready()).await;
    let told_at = Instant::now();
    three.node.linearize(SOON).await.unwrap();
    three.node.crash().await;
    assert_eq!(two.put("it may just have been told").await.unwrap(), Vec::new());
    assert!(told_at.elapsed() >= Duration::from_secs(3), "not before its promise has passed");
    promise(&two, id, None).await;
    assert_eq!(two.put("the promise is taken back").await.unwrap(), vec![id]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_by_index_and_by_lease_see_what_was_acknowledged_on_any_node() {
    let root = TempDir::new().unwrap();
    let members = three(&root).await;
    for (number, writer) in members.iter().enumerate() {
        let name = format!("written {number}");
        writer.put(&name).await.unwrap();
        for reader in &members {
            reader.node.catch_up_with_leader(SOON).await.unwrap();
            assert!(reader.has(&name), "by lease");
            reader.node.linearize(SOON).await.unwrap();
            assert!(reader.has(&name), "by read index");
        }
    }
    let leader = members[0].node.metrics().leader.unwrap();
    for member in members.iter().filter(|member| member.id() != leader) {
        member.node.crash().await;
    }
    let left = members.iter().find(|member| member.id() == leader).unwrap();
    left.node.linearize(Duration::from_secs(5)).await.unwrap_err();
    // The lease ends too.
    until("the leader to know that it is alone", || left.node.metrics().leader.is_none()).await;
    left.node.catch_up_with_leader(Duration::from_secs(5)).await.unwrap_err();
}
