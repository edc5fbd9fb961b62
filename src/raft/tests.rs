//! Several nodes in one process, on loopback addresses, with real files and real TLS.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use portcullis_database::access::Admin;
use portcullis_database::command::{CreateJoinToken, PutPolicy};
use portcullis_database::{
    Caller, Handle, Idempotency, ProposeError, Proposer as _, StateCell, SubmitError, digest, level,
};
use portcullis_model::cluster::{ClusterControl as _, ClusterRefusal, JoinRequest};
use portcullis_model::id::PolicyId;
use portcullis_model::policy::{PolicyLevel, Quota, QuotaPolicy, TimeUnit, Window};
use portcullis_model::{JoinSecret, MembershipChange, NodeAddresses, NodeId, Principal, TenantDomain};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, sleep, timeout};

use crate::StartError;
use crate::fatal::Fatal;
use crate::transport::{self, CallError, Request, Response};
use crate::{CreateCluster, DataDirectory, DialError, RaftNode, Start, create_cluster, prepare_join, save_join};

/// How long certificates are valid where a test says nothing.
pub(crate) const VALID: Duration = Duration::from_secs(86_400);
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// A node and where it lives.
pub(crate) struct Member {
    pub(crate) path: PathBuf,
    pub(crate) node: Arc<RaftNode>,
    pub(crate) cell: Arc<StateCell>,
    pub(crate) admin: Handle<Admin>,
}

impl Member {
    pub(crate) async fn start(path: &Path) -> Self {
        Self::try_start(path).await.unwrap()
    }

    pub(crate) async fn try_start(path: &Path) -> Result<Self, StartError> {
        Self::start_valid(path, VALID).await
    }

    /// Starts a node that signs certificates which are valid for `certificate_valid`.
    async fn start_valid(path: &Path, certificate_valid: Duration) -> Result<Self, StartError> {
        let member = Self::start_without_serving(path, certificate_valid).await?;
        let starting = Arc::downgrade(&member.node);
        tokio::spawn(async move {
            while let Some(node) = starting.upgrade() {
                if node.is_ready() {
                    return node.begin_serving().await;
                }
                drop(node);
                sleep(Duration::from_millis(5)).await;
            }
        });
        Ok(member)
    }

    /// Starts a node that never takes a call.
    pub(crate) async fn start_without_serving(path: &Path, certificate_valid: Duration) -> Result<Self, StartError> {
        let directory = DataDirectory::open(path)?;
        let cell = StateCell::new();
        let addresses = directory.identity().addresses.clone();
        let start = Start {
            directory,
            cell: Arc::clone(&cell),
            listen: None,
            addresses,
            components: Vec::new(),
            certificate_valid,
            snapshot_entries: 100_000,
        };
        let node = RaftNode::start(start).await?;
        let admin = Handle::new(Arc::clone(&cell), Arc::clone(&node) as Arc<dyn portcullis_database::Proposer>);
        Ok(Self { path: path.to_owned(), node, cell, admin })
    }

    pub(crate) async fn put(&self, name: &str) -> Result<Vec<NodeId>, SubmitError> {
        let command = PutPolicy { policy: policy(name), is_new: true };
        self.admin.submit(command, &Caller::new(Principal::system())).await.map(|committed| committed.unreached)
    }

    pub(crate) fn id(&self) -> NodeId {
        self.node.identity().node
    }

    pub(crate) async fn remove(&self, node: NodeId, force: bool) -> Result<(), ClusterRefusal> {
        self.node.change_membership(MembershipChange::Remove { node }, force).await
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        let key = (TenantDomain::super_tenant(), PolicyLevel::Subscription, name.to_owned());
        self.cell.load().apimgt.policies.contains_key(&key)
    }
}

pub(crate) fn policy(name: &str) -> QuotaPolicy {
    QuotaPolicy {
        id: PolicyId::from_random([1; 16]),
        tenant: TenantDomain::super_tenant(),
        level: PolicyLevel::Subscription,
        name: name.to_owned(),
        display_name: name.to_owned(),
        description: String::new(),
        quota: Quota::Requests(10),
        window: Window { length: 1, unit: TimeUnit::Minute },
        burst: None,
        stops_on_quota_reach: true,
        billing_plan: "FREE".to_owned(),
        other_fields: "{}".to_owned(),
        version: 0,
    }
}

/// Addresses that nothing listens on: a loopback address of its own for each node, free ports.
pub(crate) fn addresses() -> NodeAddresses {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let ip = Ipv4Addr::new(127, 0, 77, NEXT.fetch_add(1, Ordering::Relaxed));
    let free = || TcpListener::bind(SocketAddr::from((ip, 0))).unwrap().local_addr().unwrap();
    NodeAddresses { cluster: free(), management: free(), gateway_http: free(), gateway_https: free() }
}

/// Waits until something holds, and says what where it does not come to hold.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !holds() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

pub(crate) async fn first(root: &TempDir) -> Member {
    first_with(root, VALID).await
}

pub(crate) async fn first_with(root: &TempDir, certificate_valid: Duration) -> Member {
    let path = root.path().join("n1");
    let wish = CreateCluster {
        name: "test".to_owned(),
        node_name: "one".to_owned(),
        addresses: addresses(),
        admin_password_hash: "$argon2id$x".to_owned(),
        certificate_valid,
    };
    create_cluster(&path, &wish).unwrap();
    Member::start_valid(&path, certificate_valid).await.unwrap()
}

/// Has a node join through `through`, as the operator does: token, request, grant, start.
pub(crate) async fn join(through: &Member, path: &Path) -> Result<Member, ClusterRefusal> {
    let secret = JoinSecret([7; 32]);
    let command = CreateJoinToken { digest: secret.digest(), lives_ms: 60_000, uses: 1 };
    through.admin.submit(command, &Caller::system()).await.unwrap();
    join_with(through, path, secret).await
}

async fn join_with(through: &Member, path: &Path, secret: JoinSecret) -> Result<Member, ClusterRefusal> {
    admit(through, path, secret, level::HIGHEST).await?;
    Ok(Member::start(path).await)
}

/// As [`join`], for a node that signs certificates which are valid for `certificate_valid`.
pub(crate) async fn join_valid(through: &Member, path: &Path, certificate_valid: Duration) -> Member {
    let secret = JoinSecret([7; 32]);
    let command = CreateJoinToken { digest: secret.digest(), lives_ms: 60_000, uses: 1 };
    through.admin.submit(command, &Caller::system()).await.unwrap();
    admit(through, path, secret, level::HIGHEST).await.unwrap();
    Member::start_valid(path, certificate_valid).await.unwrap()
}

/// Makes the data directory of a node that joins.
async fn admit(through: &Member, path: &Path, secret: JoinSecret, feature_level: u32) -> Result<(), ClusterRefusal> {
    let (key, addresses) = (prepare_join().unwrap(), addresses());
    let request = JoinRequest {
        secret: secret.to_hex(),
        name: path.file_name().unwrap().to_str().unwrap().to_owned(),
        addresses: addresses.clone(),
        components: Vec::new(),
        is_voter: true,
        certificate_request: key.certificate_request.clone(),
        feature_level,
    };
    let name = request.name.clone();
    let grant = through.node.join(request).await?;
    save_join(path, &grant, &key, &name, &addresses).unwrap();
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_is_too_old_is_refused_before_its_token_is_used_up() {
    let root = TempDir::new().unwrap();
    let one = first(&root).await;
    let secret = JoinSecret([7; 32]);
    let command = CreateJoinToken { digest: secret.digest(), lives_ms: 60_000, uses: 1 };
    one.admin.submit(command, &Caller::system()).await.unwrap();
    let path = root.path().join("n2");
    let refused = admit(&one, &path, secret, level::HIGHEST - 1).await;
    assert!(matches!(&refused, Err(ClusterRefusal::Invalid(why)) if why.contains("feature level")), "{refused:?}");
    admit(&one, &path, secret, level::HIGHEST).await.unwrap();
}

pub(crate) async fn three(root: &TempDir) -> [Member; 3] {
    let one = first(root).await;
    let two = join(&one, &root.path().join("n2")).await.unwrap();
    until("the second node votes", || one.node.metrics().voters.len() == 2).await;
    let three = join(&two, &root.path().join("n3")).await.unwrap();
    for member in [&one, &two, &three] {
        until("all vote", || member.node.metrics().voters.len() == 3 && member.node.is_ready()).await;
    }
    [one, two, three]
}

pub(crate) async fn same_state(members: &[&Member]) {
    // The states that are compared are those that were found alike: another entry may come at any time.
    let mut states = Vec::new();
    let load = || members.iter().map(|member| member.cell.load()).collect::<Vec<_>>();
    until("all applied the same", || {
        states = load();
        states.windows(2).all(|pair| pair[0].applied_index == pair[1].applied_index)
    })
    .await;
    let digests: Vec<_> = states.iter().map(|state| digest::digest(state).unwrap()).collect();
    assert!(digests.windows(2).all(|pair| pair[0] == pair[1]), "the states differ");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_single_node_makes_its_cluster_once_and_keeps_what_it_acknowledged() {
    let root = TempDir::new().unwrap();
    let member = first(&root).await;
    until("ready", || member.node.is_ready()).await;
    member.put("Kept").await.unwrap();
    let path = member.path.clone();
    assert!(!path.join("bootstrap.seed").exists());
    assert!(Member::try_start(&path).await.is_err(), "the directory is in use");
    member.node.take_snapshot().await.unwrap();
    let has_snapshot = || std::fs::read_dir(path.join("raft/snapshots")).unwrap().count() == 1;
    until("a snapshot is there", has_snapshot).await;
    member.put("After the snapshot").await.unwrap();
    let before = digest::digest(&member.cell.load()).unwrap();
    let applied = member.cell.applied();
    member.node.crash().await;

    let member = Member::start(&path).await;
    timeout(SOON, member.cell.wait_applied(applied)).await.unwrap();
    until("ready again", || member.node.is_ready()).await;
    assert!(member.has("Kept") && member.has("After the snapshot"));
    let state = member.cell.load();
    assert_eq!(state.system.nodes.len(), 1);
    if state.applied_index == applied {
        assert_eq!(digest::digest(&state).unwrap(), before);
    }
    member.node.shutdown().await;
    assert!(matches!(member.put("Too late").await, Err(SubmitError::Propose(ProposeError::Stopped))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_starts_again_is_elected_anew() {
    // In its old term it would confirm reads by what it knew to be committed, which may be less than was acknowledged:
    // found by portcullis-jepsen, append × power, seed 1.
    let root = TempDir::new().unwrap();
    let member = first(&root).await;
    let path = member.path.clone();
    member.put("One").await.unwrap();
    let term = member.node.metrics().term;
    member.node.crash().await;
    drop(member);
    let member = Member::start(&path).await;
    until("ready", || member.node.is_ready()).await;
    assert!(member.node.metrics().term > term, "a term of its own");
    assert!(member.has("One"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_snapshot_refuses_the_start_and_says_what_to_do() {
    let root = TempDir::new().unwrap();
    let member = first(&root).await;
    member.node.take_snapshot().await.unwrap();
    let snapshots = member.path.join("raft/snapshots");
    let file = || {
        let mut files = std::fs::read_dir(&snapshots).unwrap().map(|item| item.unwrap().path());
        files.find(|path| path.extension().is_some_and(|extension| extension == "snap"))
    };
    until("a snapshot is there", || file().is_some()).await;
    member.node.shutdown().await;
    let path = file().unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let refused = Member::try_start(&member.path).await.map(drop).unwrap_err().to_string();
    assert!(refused.contains(".snap"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
pub(crate) async fn three_nodes_write_anywhere_survive_a_crash_and_end_with_the_same_state() {
    let root = TempDir::new().unwrap();
    let [one, two, three] = three(&root).await;
    for (number, member) in [&one, &two, &three].into_iter().enumerate() {
        let name = format!("By node {number}");
        assert!(member.put(&name).await.unwrap().is_empty(), "every node confirms");
        for other in [&one, &two, &three] {
            assert!(other.has(&name), "in force everywhere when the answer comes");
        }
    }
    let status = two.node.status().await;
    assert!(status.has_quorum && status.failures_tolerated == 1 && status.nodes.len() == 3, "{status:?}");

    // The leader is lost without a word.
    let leader = one.node.metrics().leader.unwrap();
    let (lost, rest): (Vec<Member>, Vec<Member>) =
        [one, two, three].into_iter().partition(|member| member.node.identity().node == leader);
    let [lost] = <[Member; 1]>::try_from(lost).ok().unwrap();
    lost.node.crash().await;
    let since = Instant::now();
    assert_eq!(rest[0].put("Without the old leader").await.unwrap(), vec![leader]);
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
    rest[1].node.linearize(SOON).await.unwrap();
    assert!(rest[1].has("Without the old leader"));

    let back = Member::start(&lost.path).await;
    until("the lost node is ready again", || back.node.is_ready()).await;
    assert!(back.has("Without the old leader"));
    same_state(&[&rest[0], &rest[1], &back]).await;

    // A node that stops in good order hands over: there is no gap.
    let leader = rest[0].node.metrics().leader.unwrap();
    let all = [&rest[0], &rest[1], &back];
    let leading = all.iter().find(|member| member.node.identity().node == leader).unwrap();
    leading.node.shutdown().await;
    let other = all.iter().find(|member| member.node.identity().node != leader).unwrap();
    let since = Instant::now();
    other.put("After the handover").await.unwrap();
    assert!(since.elapsed() < Duration::from_secs(2), "{:?}", since.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_can_be_recognised_happens_exactly_once_though_the_leader_is_lost() {
    let root = TempDir::new().unwrap();
    let members = three(&root).await;
    let leader = members[0].node.metrics().leader.unwrap();
    let survivor = members.iter().find(|member| member.node.identity().node != leader).unwrap();
    let written = Arc::new(AtomicUsize::new(0));
    let writers = (0..8).map(|writer| {
        let (admin, written) = (survivor.admin.clone(), Arc::clone(&written));
        tokio::spawn(async move {
            for number in 0..40 {
                let name = format!("{writer}-{number}");
                let idempotency = Idempotency { key: name.clone(), request: [0; 32] };
                let caller = Caller::system().with_idempotency(Some(idempotency));
                // A second application would be refused: the policy is there already.
                admin.submit(PutPolicy { policy: policy(&name), is_new: true }, &caller).await.unwrap();
                written.fetch_add(1, Ordering::Relaxed);
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    until("writing is under way", || written.load(Ordering::Relaxed) > 40).await;
    members.iter().find(|member| member.node.identity().node == leader).unwrap().node.crash().await;
    assert!(written.load(Ordering::Relaxed) < 320, "the leader was lost too late to matter");
    for writer in writers {
        timeout(SOON, writer).await.unwrap().unwrap();
    }
    let rest: Vec<&Member> = members.iter().filter(|member| member.node.identity().node != leader).collect();
    same_state(&rest).await;
    assert!((0..8).all(|writer| survivor.has(&format!("{writer}-39"))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_removals_at_a_time_do_not_cost_the_majority_together() {
    let root = TempDir::new().unwrap();
    let [one, two, three] = three(&root).await;
    let four = join(&one, &root.path().join("n4")).await.unwrap();
    until("all vote", || one.node.metrics().voters.len() == 4).await;
    let leader = one.node.transfer_leadership(None).await.unwrap();
    let id = |member: &Member| member.node.identity().node;
    let (leaders, rest): (Vec<_>, Vec<_>) = [one, two, three, four].into_iter().partition(|one| id(one) == leader);
    let leader = &leaders[0];
    rest[0].node.crash().await;
    let remove = |member: &Member| leader.remove(id(member), false);
    let (first, second) = tokio::join!(remove(&rest[1]), remove(&rest[2]));
    assert!(first.is_ok() != second.is_ok(), "{first:?} {second:?}");
    leader.put("after").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_is_removed_for_good_and_the_majority_is_protected() {
    let root = TempDir::new().unwrap();
    let [one, two, three] = three(&root).await;
    assert_eq!(one.remove(NodeId(9), false).await, Err(ClusterRefusal::NoSuchNode(NodeId(9))));
    assert!(matches!(
        join_with(&one, &root.path().join("n4"), JoinSecret([1; 32])).await.map(drop),
        Err(ClusterRefusal::NotAllowed(_))
    ));

    // With one node down, taking out another that is up would leave one of two.
    three.node.crash().await;
    until("a leader is there", || one.node.metrics().leader.is_some_and(|leader| leader != NodeId(3))).await;
    let refused = one.remove(NodeId(2), false).await;
    assert!(matches!(refused, Err(ClusterRefusal::Protected { .. })), "{refused:?}");
    one.remove(NodeId(3), false).await.unwrap();
    assert_eq!(one.node.metrics().voters, vec![NodeId(1), NodeId(2)]);

    // The removed one comes back, is told, and says so.
    let back = Member::start(&three.path).await;
    let mut fatal = back.node.fatal();
    let reason = timeout(SOON, fatal.wait_for(Option::is_some)).await.unwrap().unwrap().clone().unwrap();
    assert!(reason.contains("was removed from the cluster"), "{reason}");
    back.node.shutdown().await;

    // The leader takes itself out.
    let leader = one.node.metrics().leader.unwrap();
    let (gone, stays) = if leader == NodeId(1) { (&one, &two) } else { (&two, &one) };
    gone.remove(leader, false).await.unwrap();
    until("one voter is left", || stays.node.metrics().voters.len() == 1).await;
    let mut fatal = gone.node.fatal();
    timeout(SOON, fatal.wait_for(Option::is_some)).await.unwrap().unwrap();
    stays.put("Alone").await.unwrap();
    let last = stays.node.identity().node;
    assert!(matches!(stays.remove(last, true).await, Err(ClusterRefusal::Protected { .. })));

    // A number is never given out again.
    let next = join(stays, &root.path().join("n5")).await.unwrap();
    assert_eq!(next.node.identity().node, NodeId(4));
    until("the new node votes", || stays.node.metrics().voters.len() == 2).await;
    same_state(&[stays, &next]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newcomer_gets_the_state_as_a_snapshot_when_the_log_is_gone() {
    let root = TempDir::new().unwrap();
    let one = first(&root).await;
    for number in 0..20 {
        one.put(&format!("Policy {number}")).await.unwrap();
    }
    one.node.take_snapshot().await.unwrap();
    let core = Arc::clone(&one.node.core);
    until("a snapshot is there", || core.metrics().snapshot.is_some()).await;
    core.raft.trigger().purge_log(core.metrics().snapshot.unwrap().index).await.unwrap();
    until("the log is gone", || core.metrics().purged.is_some()).await;
    let two = join(&one, &root.path().join("n2")).await.unwrap();
    until("the newcomer votes", || one.node.metrics().voters.len() == 2 && two.node.is_ready()).await;
    assert!(two.has("Policy 19"));
    same_state(&[&one, &two]).await;
}

/// Has whoever owns the data directory at `path` ask the node at `member` how it is.
pub(crate) async fn ask(path: &Path, member: &Member) -> Result<Response, CallError> {
    let directory = DataDirectory::open(path).unwrap();
    let certificates = Arc::new(directory.load_certificates(VALID).unwrap());
    let identity = directory.identity();
    let peers = transport::configure(identity, &certificates, Fatal::new(), tokio::runtime::Handle::current());
    let identity = member.node.identity();
    peers.call(identity.node, identity.addresses.cluster, Request::Status, Duration::from_secs(5)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_nodes_of_the_cluster_are_let_in_and_only_under_their_own_number() {
    let root = TempDir::new().unwrap();
    let one = first(&root).await;
    let two = join(&one, &root.path().join("n2")).await.unwrap();
    until("the second node votes", || one.node.metrics().voters.len() == 2).await;
    two.node.shutdown().await;
    assert!(matches!(ask(&two.path, &one).await, Ok(Response::Status(status)) if status.node == NodeId(1)));

    let identity = two.path.join("identity.json");
    let text = std::fs::read_to_string(&identity).unwrap();
    std::fs::write(&identity, text.replace("\"node\": 2", "\"node\": 3")).unwrap();
    let refused = ask(&two.path, &one).await.map(drop).unwrap_err();
    assert!(matches!(&refused, CallError::NotSent(e) if e.to_string().contains("certificate")), "{refused}");

    let wish = CreateCluster {
        name: "other".to_owned(),
        node_name: "other".to_owned(),
        addresses: addresses(),
        admin_password_hash: String::new(),
        certificate_valid: VALID,
    };
    let stranger = root.path().join("stranger");
    create_cluster(&stranger, &wish).unwrap();
    assert!(matches!(ask(&stranger, &one).await, Err(CallError::NotSent(_))));
}

/// Has whoever owns the data directory at `path` open a connection to the components of the node at `member`.
async fn dial(path: &Path, member: &Member) -> Result<(), DialError> {
    let directory = DataDirectory::open(path).unwrap();
    let certificates = Arc::new(directory.load_certificates(VALID).unwrap());
    let identity = directory.identity();
    let peers = transport::configure(identity, &certificates, Fatal::new(), tokio::runtime::Handle::current());
    let identity = member.node.identity();
    let mut stream = peers.dial(identity.node, identity.addresses.cluster).await?;
    let mut word = [0; 7];
    let read = timeout(SOON, stream.read_exact(&mut word)).await.unwrap();
    read.map(drop).map_err(|cause| DialError::Io(identity.addresses.cluster, cause))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_components_of_a_node_speak_with_nodes_of_the_cluster_alone_and_know_which() {
    let root = TempDir::new().unwrap();
    let one = first(&root).await;
    let two = join(&one, &root.path().join("n2")).await.unwrap();
    let (came, mut who_came) = tokio::sync::mpsc::unbounded_channel();
    one.node.receive_guests(Box::new(move |mut guest| {
        came.send(guest.node).unwrap();
        tokio::spawn(async move { guest.stream.write_all(b"welcome").await });
    }));
    until("the second node votes", || two.node.metrics().voters.len() == 2).await;
    // By the running node, as its components do.
    let mut stream = two.node.dial(one.id()).await.unwrap();
    let mut word = [0; 7];
    stream.read_exact(&mut word).await.unwrap();
    assert_eq!((&word, who_came.recv().await), (b"welcome", Some(NodeId(2))));
    // A node that takes nobody in cuts off whoever comes.
    let mut stream = one.node.dial(two.id()).await.unwrap();
    assert!(stream.read_exact(&mut word).await.is_err());

    let wish = CreateCluster {
        name: "other".to_owned(),
        node_name: "other".to_owned(),
        addresses: addresses(),
        admin_password_hash: String::new(),
        certificate_valid: VALID,
    };
    let stranger = root.path().join("stranger");
    create_cluster(&stranger, &wish).unwrap();
    assert!(matches!(dial(&stranger, &one).await, Err(DialError::Io(..))), "another cluster's node");

    one.remove(NodeId(2), false).await.unwrap();
    two.node.shutdown().await;
    assert!(matches!(dial(&two.path, &one).await, Err(DialError::Io(..))), "a node that was removed");
}
