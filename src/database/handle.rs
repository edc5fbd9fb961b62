//! A component's handle on the databases: reads what the access matrix lets it read, submits what it lets it write.

use std::fmt;
use std::marker::PhantomData;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use portcullis_model::fault::{AtFault, Fault, Retry};
use portcullis_model::limit::{FENCE_WAIT, MANAGEMENT_DEADLINE};
use portcullis_model::{NodeId, Principal, Refused, RequestId, Timestamp};

use crate::access::{Component, Reads, ReadsInTenancy, Tenancy};
use crate::cell::StateCell;
use crate::codec::{self, CodecError};
use crate::command::{Command, SubmittedBy};
use crate::counters::Counters;
use crate::entry::{Entry, Idempotency};
use crate::level::ORIGINS_SINCE;
use crate::proposer::{ProposeError, Proposer};
use crate::state::{Database, Deployed, State, System};

/// A component's handle on the databases. Cheap to clone.
pub struct Handle<C> {
    cell: Arc<StateCell>,
    proposer: Arc<dyn Proposer>,
    component: PhantomData<fn() -> C>,
}

impl<C> Clone for Handle<C> {
    fn clone(&self) -> Self {
        Self { cell: Arc::clone(&self.cell), proposer: Arc::clone(&self.proposer), component: PhantomData }
    }
}

impl<C: Component> fmt::Debug for Handle<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handle<{}>", C::NAME)
    }
}

/// Who asks, until when, and how a retry is recognised.
#[derive(Clone, Debug)]
pub struct Caller {
    /// On whose behalf.
    pub principal: Principal,
    /// How a retry of the request is recognised, if the caller asked for that.
    pub idempotency: Option<Idempotency>,
    /// How long the caller waits.
    pub within: Duration,
    /// The address that the request came from, for the audit.
    pub origin: Option<IpAddr>,
    /// The id of the request, for the audit and for logs of other nodes.
    pub request: Option<RequestId>,
}

impl Caller {
    /// Returns a caller with the default deadline and no idempotency key. The request is the one that the task works for.
    #[must_use]
    pub fn new(principal: Principal) -> Self {
        Self { principal, idempotency: None, within: MANAGEMENT_DEADLINE, origin: None, request: RequestId::current() }
    }

    /// Returns the system itself as caller.
    #[must_use]
    pub fn system() -> Self {
        Self::new(Principal::system())
    }

    /// Sets how a retry is recognised.
    #[must_use]
    pub fn with_idempotency(mut self, idempotency: Option<Idempotency>) -> Self {
        self.idempotency = idempotency;
        self
    }

    /// Sets the address that the request came from.
    #[must_use]
    pub fn from_address(mut self, origin: Option<IpAddr>) -> Self {
        self.origin = origin;
        self
    }

    /// Sets the id of the request, where it is known and the task does not work for it.
    #[must_use]
    pub fn of_request(mut self, request: Option<RequestId>) -> Self {
        self.request = request.or(self.request);
        self
    }

    /// Sets the deadline.
    #[must_use]
    pub fn within(mut self, within: Duration) -> Self {
        self.within = within;
        self
    }
}

/// A write that was applied.
#[derive(Clone, Debug)]
pub struct Committed<R> {
    /// The command's reply.
    pub reply: R,
    /// Its index in the log (`X-Raft-Index`).
    pub index: u64,
    /// For commands that must be in force everywhere: the nodes that could not be reached in time.
    pub unreached: Vec<NodeId>,
}

/// Why a write did not, or may not have, happened.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// The state machine said no.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The cluster could not say yes.
    #[error(transparent)]
    Propose(#[from] ProposeError),
    /// The command or its reply cannot be encoded.
    #[error(transparent)]
    Codec(#[from] CodecError),
}

impl Fault for SubmitError {
    fn code(&self) -> &'static str {
        match self {
            Self::Refused(refused) => refused.code(),
            Self::Propose(ProposeError::NoLeader) => "PC-1503",
            Self::Propose(ProposeError::TimedOut(_)) => "PC-1504",
            Self::Propose(ProposeError::Unknown) => "PC-1505",
            Self::Propose(ProposeError::Overloaded) => "PC-1429",
            Self::Propose(ProposeError::TooLarge(_)) | Self::Codec(_) => "PC-1414",
            Self::Propose(ProposeError::Stopped) => "PC-1506",
            Self::Propose(ProposeError::LevelTooLow { .. }) => "PC-1507",
        }
    }

    fn status(&self) -> u16 {
        match self {
            Self::Refused(refused) => refused.status(),
            Self::Propose(ProposeError::TimedOut(_)) => 504,
            Self::Propose(ProposeError::TooLarge(_)) | Self::Codec(_) => 413,
            Self::Propose(ProposeError::LevelTooLow { .. }) => 409,
            Self::Propose(_) => 503,
        }
    }

    fn at_fault(&self) -> AtFault {
        match self {
            Self::Refused(_)
            | Self::Propose(ProposeError::TooLarge(_) | ProposeError::LevelTooLow { .. })
            | Self::Codec(_) => AtFault::Client,
            Self::Propose(_) => AtFault::Us,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Refused(_)
            | Self::Propose(ProposeError::TooLarge(_) | ProposeError::LevelTooLow { .. })
            | Self::Codec(_) => Retry::Never,
            Self::Propose(_) => Retry::After(Duration::from_secs(1)),
        }
    }

    fn next_step(&self) -> String {
        match self {
            Self::Refused(refused) => refused.next_step(),
            Self::Propose(ProposeError::NoLeader) => {
                "Wait a second and try again; if it lasts, run `portcullis cluster status`: a majority of the voters must run.".to_owned()
            }
            Self::Propose(ProposeError::TimedOut(_) | ProposeError::Unknown) => {
                "Read the object to see whether the change happened, or send the request again with the same Idempotency-Key.".to_owned()
            }
            Self::Propose(ProposeError::Overloaded | ProposeError::Stopped) => {
                "Try again in a second, on this or another node.".to_owned()
            }
            Self::Propose(ProposeError::TooLarge(_)) | Self::Codec(_) => "Send a smaller document.".to_owned(),
            Self::Propose(ProposeError::LevelTooLow { .. }) => {
                "Run `portcullis cluster upgrade check`; once every node runs the new version, `portcullis cluster upgrade finalise`.".to_owned()
            }
        }
    }
}

/// A consistent view of the state for one component.
#[derive(Debug)]
pub struct View<C> {
    state: Arc<State>,
    component: PhantomData<fn() -> C>,
}

impl<C: Component> View<C> {
    /// Returns a database that the matrix lets `C` read.
    #[must_use]
    pub fn read<D: Database>(&self) -> &D
    where
        C: Reads<D>,
    {
        D::of(&self.state)
    }

    /// Returns a database that the matrix lets `C` read in multi-tenancy.
    #[must_use]
    pub fn read_in_tenancy<D: Database>(&self, _proof: &Tenancy<C>) -> &D
    where
        C: ReadsInTenancy<D>,
    {
        D::of(&self.state)
    }

    /// Returns what gateways serve; open to every component.
    #[must_use]
    pub fn deployed(&self) -> &Deployed {
        &self.state.deployed
    }

    /// Returns the counters; open to every component.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.state.counters
    }

    /// Returns the cluster's own records; open to every component.
    #[must_use]
    pub fn system(&self) -> &System {
        &self.state.system
    }

    /// Returns the state machine's clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.state.now()
    }

    /// Returns the feature level that every node of the cluster understands.
    #[must_use]
    pub fn feature_level(&self) -> u32 {
        self.state.feature_level()
    }

    /// Returns the index of the last entry applied.
    #[must_use]
    pub fn applied_index(&self) -> u64 {
        self.state.applied_index
    }

    /// Returns the digest of the whole state, by which nodes are compared. Takes time in proportion to the state.
    ///
    /// # Errors
    /// Where a row is too large to encode, which no command makes.
    pub fn digest(&self) -> Result<[u8; 32], CodecError> {
        crate::digest::digest(&self.state)
    }
}

impl<C: Component> Handle<C> {
    /// Mints a handle. Only `node` has a cell and a proposer to mint one from.
    #[must_use]
    pub fn new(cell: Arc<StateCell>, proposer: Arc<dyn Proposer>) -> Self {
        Self { cell, proposer, component: PhantomData }
    }

    /// Returns a consistent view of the state as it is on this node now.
    #[must_use]
    pub fn view(&self) -> View<C> {
        View { state: self.cell.load(), component: PhantomData }
    }

    /// Returns a view that holds everything acknowledged anywhere before the call.
    ///
    /// # Errors
    /// Where no majority answers within `within`.
    pub async fn linearizable_view(&self, within: Duration) -> Result<View<C>, SubmitError> {
        self.proposer.linearize(within).await?;
        Ok(self.view())
    }

    /// Waits until this node has applied `index` (read your own writes on another node).
    pub async fn wait_applied(&self, index: u64) {
        self.cell.wait_applied(index).await;
    }

    /// Returns the proof of multi-tenancy where there is more than one tenant.
    #[must_use]
    pub fn tenancy(&self) -> Option<Tenancy<C>> {
        self.cell.tenancy()
    }

    /// Submits a command and waits until it is durable on a majority and applied; where the command must be in force
    /// everywhere, until every live node has applied it too.
    ///
    /// # Errors
    /// The refusal of the state machine, or why the cluster could not decide.
    pub async fn submit<X>(&self, command: X, caller: &Caller) -> Result<Committed<X::Reply>, SubmitError>
    where
        X: Command + SubmittedBy<C>,
    {
        let mut entry = stamp(&command, caller)?;
        if self.view().feature_level() >= ORIGINS_SINCE {
            if let Some(origin) = caller.origin {
                entry.come_from(origin);
            }
            if let Some(request) = &caller.request {
                entry.belong_to(request);
            }
        }
        let applied = self.proposer.propose(entry, caller.within).await?;
        let reply = codec::decode(&applied.outcome.result?)?;
        let index = applied.outcome.index;
        let unreached =
            if X::EVERYWHERE { self.proposer.fence(index, FENCE_WAIT.min(caller.within)).await } else { Vec::new() };
        Ok(Committed { reply, index, unreached })
    }
}

/// Makes an entry: stamps time, random bytes and principal onto the command.
fn stamp<X: Command>(command: &X, caller: &Caller) -> Result<Entry, SubmitError> {
    let payload = codec::encode(command)?;
    Ok(Entry {
        command: X::NUMBER,
        proposed_at: wall_clock(),
        random: random_bytes(),
        principal: caller.principal.clone(),
        idempotency: caller.idempotency.clone(),
        payload,
    })
}

/// Returns the node's wall clock: used by proposers only, never by `apply`.
#[must_use]
#[allow(clippy::disallowed_methods, reason = "a proposer stamps time; apply never calls this")]
pub fn wall_clock() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}

/// Returns random bytes from the operating system: used by proposers only, never by `apply`.
///
/// # Panics
/// Where the operating system has no randomness: nothing secure can be done then.
#[must_use]
#[allow(clippy::disallowed_methods, reason = "a proposer draws random bytes; apply never calls this")]
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system must provide random bytes");
    bytes
}
