//! Proposals in groups: while one group is on its way, what is proposed meanwhile waits and makes the next.
//!
//! A group costs each node one write, one sync and one message, however many it holds, and the more are proposed at a time
//! the larger the groups become (group commit: DeWitt et al., "Implementation Techniques for Main Memory Database
//! Systems", 1984). Few who propose never wait for more. Why groups follow each other, and when not, is in
//! `docs/decisions/0117-proposals-go-in-groups.md`.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use openraft::errors::ClientWriteError;
use portcullis_database::Entry;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use crate::transport::ProposeAnswer;
use crate::types::Raft;

/// How long a group waits for the one before it, at most: where the nodes are far apart, several are on their way.
const HOLD: Duration = Duration::from_millis(5);
/// How long a group then waits for as many entries as that one had, at most: who was told of those is likely to propose again, and
/// a cluster that has much to do spends less on each change the more of them go together.
const FOR_MORE: Duration = Duration::from_millis(1);
/// Entries of a group that make it worth the next one's while.
const MANY: usize = 4;
/// Entries of a group, at most.
const ENTRIES_MAX: usize = 1024;
/// Bytes of their payloads after which a group is full.
const BYTES_MAX: usize = 4 << 20;

/// A place among the proposals that wait, and room for its bytes. Free again when nobody holds it any more: neither who proposed
/// nor who still has the entry.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) _one: OwnedSemaphorePermit,
    pub(crate) _kib: OwnedSemaphorePermit,
}

/// An entry, and who waits for what becomes of it.
#[derive(Debug)]
struct Proposal {
    entry: Entry,
    waiting: Waiting,
}

#[derive(Debug)]
struct Waiting {
    answer: oneshot::Sender<ProposeAnswer>,
    _place: Arc<Place>,
}

/// What becomes of the entries of a group, in their order. Those that it does not come to are not known of.
pub(crate) type Answers = BoxStream<'static, ProposeAnswer>;

/// Where groups are proposed.
pub(crate) trait Log: Send + Sync + 'static {
    /// Proposes a group, in order with those before it; `None` where it is not known what becomes of it.
    fn propose(&self, entries: Vec<Entry>) -> impl Future<Output = Option<Answers>> + Send;
}

impl Log for Raft {
    async fn propose(&self, entries: Vec<Entry>) -> Option<Answers> {
        let written = self.client_write_many(entries).await.map_err(|e| unknown(&e)).ok()?;
        let told = written.map(|written| match written {
            Ok(Ok(written)) => written.response.0.map_or(ProposeAnswer::Unknown, ProposeAnswer::Applied),
            Ok(Err(ClientWriteError::ForwardToLeader(_))) => ProposeAnswer::NotLeader,
            Ok(Err(e)) => unknown(&e),
            Err(e) => unknown(&e),
        });
        Some(told.boxed())
    }
}

fn unknown(error: &dyn std::error::Error) -> ProposeAnswer {
    tracing::debug!(%error, "what became of a proposal is not known");
    ProposeAnswer::Unknown
}

/// Where the leader proposes. What waits here is bounded by the places there are ([`crate::propose::WAITING_MAX`]).
#[derive(Debug)]
pub(crate) struct Groups(mpsc::UnboundedSender<Proposal>);

impl Groups {
    /// Begins to gather, on the runtime of whoever calls, until this and all callers are gone.
    pub(crate) fn gather(log: impl Log) -> Self {
        let (proposals, queue) = mpsc::unbounded_channel();
        tokio::spawn(gather(log, queue));
        Self(proposals)
    }

    /// Proposes an entry at this node, and returns what became of it. Where the caller gives up before the entry's group is on its
    /// way, it is not proposed.
    pub(crate) async fn propose(&self, entry: Entry, place: Arc<Place>) -> ProposeAnswer {
        let (answer, answered) = oneshot::channel();
        if self.0.send(Proposal { entry, waiting: Waiting { answer, _place: place } }).is_err() {
            return ProposeAnswer::Unknown;
        }
        answered.await.unwrap_or(ProposeAnswer::Unknown)
    }
}

/// Proposals that go together.
#[derive(Default)]
struct Group {
    entries: Vec<Entry>,
    waiting: Vec<Waiting>,
    bytes: usize,
}

impl Group {
    fn add(&mut self, Proposal { entry, waiting }: Proposal) {
        // Nobody waits for it any more, and it was not proposed.
        if waiting.answer.is_closed() {
            return;
        }
        self.bytes += entry.payload.len();
        self.entries.push(entry);
        self.waiting.push(waiting);
    }

    fn is_full(&self) -> bool {
        self.entries.len() >= ENTRIES_MAX || self.bytes >= BYTES_MAX
    }
}

async fn gather(log: impl Log, mut queue: mpsc::UnboundedReceiver<Proposal>) {
    let mut before: Option<(Instant, tokio::task::JoinHandle<()>)> = None;
    let mut count_before = 0;
    while let Some(first) = queue.recv().await {
        if let Some((since, under_way)) = before.take() {
            // Either it has come to its end, or it has had its time.
            drop(timeout_at(since + HOLD, under_way).await);
        }
        let Group { entries, waiting, .. } = next_group(&mut queue, first, count_before).await;
        count_before = entries.len();
        if entries.is_empty() {
            continue;
        }
        let since = Instant::now();
        // Sent before the next group is gathered: groups keep their order, and a log that takes nothing stops this.
        if let Some(answers) = log.propose(entries).await {
            before = Some((since, tokio::spawn(tell(answers, waiting))));
        }
    }
}

/// Makes a group of what waits; where the one before had many, of as many, if they come soon.
async fn next_group(queue: &mut mpsc::UnboundedReceiver<Proposal>, first: Proposal, count_before: usize) -> Group {
    let mut group = Group::default();
    let mut next = Some(first);
    let mut until = None;
    while let Some(proposal) = next {
        group.add(proposal);
        next = if group.is_full() { None } else { queue.try_recv().ok() };
        if next.is_none() && !group.is_full() && count_before >= MANY && group.entries.len() < count_before {
            let until = *until.get_or_insert_with(|| Instant::now() + FOR_MORE);
            next = timeout_at(until, queue.recv()).await.ok().flatten();
        }
    }
    group
}

/// Tells everybody who waits. Who hears nothing does not know what became of the entry.
async fn tell(mut answers: Answers, waiting: Vec<Waiting>) {
    for one in waiting {
        let Some(answer) = answers.next().await else { return };
        // Who asked may have gone away.
        drop(one.answer.send(answer));
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::{join_all, poll_immediate};
    use portcullis_model::{Principal, Timestamp};
    use tokio::sync::Semaphore;

    use super::*;

    /// Groups as they come, each with the one that says what becomes of its entries.
    struct Recorded(mpsc::UnboundedSender<(Vec<Entry>, mpsc::UnboundedSender<ProposeAnswer>)>);

    impl Log for Recorded {
        async fn propose(&self, entries: Vec<Entry>) -> Option<Answers> {
            let (tell, told) = mpsc::unbounded_channel();
            self.0.send((entries, tell)).unwrap();
            Some(futures_util::stream::unfold(told, async |mut told| Some((told.recv().await?, told))).boxed())
        }
    }

    type Coming = mpsc::UnboundedReceiver<(Vec<Entry>, mpsc::UnboundedSender<ProposeAnswer>)>;

    fn stage() -> (Groups, Coming, Arc<Semaphore>) {
        let (groups, coming) = mpsc::unbounded_channel();
        (Groups::gather(Recorded(groups)), coming, Arc::new(Semaphore::new(10_000)))
    }

    fn place(places: &Arc<Semaphore>) -> Arc<Place> {
        let take = || Arc::clone(places).try_acquire_owned().unwrap();
        Arc::new(Place { _one: take(), _kib: take() })
    }

    fn entry(payload: &[u8]) -> Entry {
        Entry {
            command: 1,
            proposed_at: Timestamp(0),
            random: [0; 32],
            principal: Principal::system(),
            idempotency: None,
            payload: payload.to_vec(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_proposed_while_a_group_is_on_its_way_makes_the_next() {
        let (groups, mut coming, places) = stage();
        let mut first = Box::pin(groups.propose(entry(b"a"), place(&places)));
        assert!(poll_immediate(&mut first).await.is_none());
        let (entries, tell_first) = coming.recv().await.unwrap();
        assert_eq!(entries.len(), 1, "who proposes alone waits for nobody");
        let mut others = Box::pin(join_all((0..3).map(|_| groups.propose(entry(b"b"), place(&places)))));
        assert!(poll_immediate(&mut others).await.is_none());
        tokio::task::yield_now().await;
        assert!(coming.try_recv().is_err(), "the others wait");
        let began = Instant::now();
        tell_first.send(ProposeAnswer::NotLeader).unwrap();
        assert!(matches!(first.await, ProposeAnswer::NotLeader));
        let (entries, tell) = coming.recv().await.unwrap();
        assert_eq!(entries.len(), 3, "they go together");
        assert!(began.elapsed() < HOLD, "as soon as the group before has come to its end");
        // One hears, and of the others nothing is known.
        tell.send(ProposeAnswer::LevelTooLow).unwrap();
        drop(tell);
        let answers = others.await;
        let [ProposeAnswer::LevelTooLow, ProposeAnswer::Unknown, ProposeAnswer::Unknown] = answers.as_slice() else {
            panic!("{answers:?}");
        };
        tokio::task::yield_now().await;
        assert_eq!(places.available_permits(), 10_000, "all places are free again");
    }

    #[tokio::test(start_paused = true)]
    async fn a_group_that_takes_long_holds_the_next_up_for_so_long_and_no_longer() {
        let (groups, mut coming, places) = stage();
        let mut first = Box::pin(groups.propose(entry(b"a"), place(&places)));
        assert!(poll_immediate(&mut first).await.is_none());
        let (_, _silent) = coming.recv().await.unwrap();
        let began = Instant::now();
        let mut second = Box::pin(groups.propose(entry(b"b"), place(&places)));
        assert!(poll_immediate(&mut second).await.is_none());
        coming.recv().await.unwrap();
        assert!((HOLD..HOLD * 2).contains(&began.elapsed()), "{:?}", began.elapsed());
    }

    /// Proposes so many at once; returns how many went together, and how long after.
    async fn together(
        groups: &Groups,
        coming: &mut Coming,
        places: &Arc<Semaphore>,
        count: usize,
    ) -> (usize, Duration) {
        let began = Instant::now();
        let mut all = Box::pin(join_all((0..count).map(|_| groups.propose(entry(b"a"), place(places)))));
        assert!(poll_immediate(&mut all).await.is_none());
        let (entries, _told_nothing) = coming.recv().await.unwrap();
        (entries.len(), began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_group_of_many_the_next_waits_shortly_for_as_many_and_after_few_it_does_not() {
        let (groups, mut coming, places) = stage();
        assert_eq!(together(&groups, &mut coming, &places, 8).await, (8, Duration::ZERO));
        // As many come, or more: nobody waits.
        assert_eq!(together(&groups, &mut coming, &places, 9).await, (9, Duration::ZERO));
        // One comes, and more while it waits.
        let mut first = Box::pin(groups.propose(entry(b"b"), place(&places)));
        assert!(poll_immediate(&mut first).await.is_none());
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        assert!(coming.try_recv().is_err(), "it waits");
        assert_eq!(together(&groups, &mut coming, &places, 8).await, (9, Duration::ZERO));
        // Fewer come: they go after a while, and the next few at once.
        let (count, after) = together(&groups, &mut coming, &places, 3).await;
        assert!(count == 3 && (FOR_MORE..FOR_MORE * 3).contains(&after), "{count} after {after:?}");
        assert_eq!(together(&groups, &mut coming, &places, 2).await, (2, Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn groups_are_bounded_and_what_nobody_waits_for_is_not_proposed() {
        let (groups, mut coming, places) = stage();
        let mut first = Box::pin(groups.propose(entry(b"a"), place(&places)));
        assert!(poll_immediate(&mut first).await.is_none());
        let (_, tell_first) = coming.recv().await.unwrap();
        let mut given_up = Box::pin(groups.propose(entry(b"given up"), place(&places)));
        assert!(poll_immediate(&mut given_up).await.is_none());
        let mut many = Box::pin(join_all((0..=ENTRIES_MAX).map(|_| groups.propose(entry(b"b"), place(&places)))));
        let mut large = Box::pin(join_all((0..2).map(|_| groups.propose(entry(&vec![0; BYTES_MAX]), place(&places)))));
        assert!(poll_immediate(&mut many).await.is_none() && poll_immediate(&mut large).await.is_none());
        drop(given_up);
        tell_first.send(ProposeAnswer::NotLeader).unwrap();
        let mut sizes = Vec::new();
        for _ in 0..3 {
            let (entries, _told_nothing) = coming.recv().await.unwrap();
            assert!(entries.iter().all(|entry| entry.payload != b"given up"));
            sizes.push(entries.len());
        }
        assert_eq!(sizes, [ENTRIES_MAX, 2, 1], "entries, and bytes");
    }
}
