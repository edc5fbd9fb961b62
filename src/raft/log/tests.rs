use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use openraft::storage::{RaftLogStorage as _, RaftLogStorageExt as _};
use openraft::testing::log::{StoreBuilder, Suite};
use openraft::{EntryPayload, RaftLogReader as _, StorageError};
use portcullis_database::{Entry, StateCell};
use portcullis_model::{Principal, Timestamp};
use tempfile::TempDir;

use super::record::{self, HEADER_BYTES};
use super::{LogError, LogStore};
use crate::fatal::Fatal;
use crate::snapshots::Snapshots;
use crate::state_machine::Machine;
use crate::types::{LogEntry, LogId, Types, Vote};

struct Directories;

impl StoreBuilder<Types, LogStore, Machine, TempDir> for Directories {
    async fn build(&self) -> Result<(TempDir, LogStore, Machine), StorageError<Types>> {
        let directory = TempDir::new().unwrap();
        let (log, _thread) = LogStore::open(directory.path(), Fatal::new()).unwrap();
        let snapshots = Arc::new(Snapshots::open(directory.path()).unwrap());
        Ok((directory, log, Machine::new(StateCell::new(), snapshots, Fatal::new(), 2)))
    }
}

#[tokio::test]
async fn the_log_and_the_state_machine_pass_the_conformance_suite() {
    Suite::test_all(Directories).await.unwrap();
}

fn id(term: u64, index: u64) -> LogId {
    LogId { leader_id: Vote::new(term, 1).leader_id, index }
}

fn entry(term: u64, index: u64, bytes: usize) -> LogEntry {
    let entry = Entry {
        command: 80,
        proposed_at: Timestamp(index),
        random: [7; 32],
        principal: Principal::system(),
        idempotency: None,
        payload: vec![b'x'; bytes],
    };
    LogEntry { log_id: id(term, index), payload: EntryPayload::Normal(entry) }
}

async fn open(directory: &Path) -> LogStore {
    LogStore::open_with(directory, Fatal::new(), 4096).unwrap().0
}

/// Closes the log and waits until its thread has ended, as the end of a process would.
fn close((log, thread): (LogStore, std::thread::JoinHandle<()>)) {
    drop(log);
    thread.join().unwrap();
}

async fn append(log: &mut LogStore, entries: Vec<LogEntry>) {
    log.blocking_append(entries).await.unwrap();
}

async fn indexes(log: &mut LogStore) -> Vec<(u64, u64)> {
    let entries = log.get_log_reader().await.try_get_log_entries(..).await.unwrap();
    entries.iter().map(|entry| (entry.log_id.leader_id.term, entry.log_id.index)).collect()
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let all = fs::read_dir(directory).unwrap().map(|item| item.unwrap().path());
    let mut files: Vec<_> = all.filter(|path| path.extension().is_some_and(|extension| extension == "log")).collect();
    files.sort();
    files
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_restart() {
    let directory = TempDir::new().unwrap();
    let (mut log, thread) = LogStore::open_with(directory.path(), Fatal::new(), 4096).unwrap();
    let vote = Vote::new(3, 2);
    log.save_vote(&vote).await.unwrap();
    for index in 0..40 {
        append(&mut log, vec![entry(3, index, 300)]).await;
    }
    log.save_committed(Some(id(3, 30))).await.unwrap();
    close((log, thread));
    assert!(files(directory.path()).len() > 2, "the log spans segments");

    let mut log = open(directory.path()).await;
    assert_eq!(indexes(&mut log).await, (0..40).map(|index| (3, index)).collect::<Vec<_>>());
    assert_eq!(log.get_log_reader().await.read_vote().await.unwrap(), Some(vote));
    assert_eq!(log.read_committed().await.unwrap(), Some(id(3, 30)));
    let all = log.get_log_reader().await.try_get_log_entries(5..6).await.unwrap();
    assert_eq!(all, vec![entry(3, 5, 300)]);
}

#[tokio::test]
async fn truncation_and_purge_hold_across_segments_and_restarts() {
    let directory = TempDir::new().unwrap();
    let (mut log, thread) = LogStore::open_with(directory.path(), Fatal::new(), 4096).unwrap();
    for index in 0..60 {
        append(&mut log, vec![entry(1, index, 300)]).await;
    }
    let oldest = files(directory.path()).remove(0);
    log.truncate_after(Some(id(1, 35))).await.unwrap();
    append(&mut log, (36..50).map(|index| entry(2, index, 300)).collect()).await;
    log.save_vote(&Vote::new(9, 1)).await.unwrap();
    log.purge(id(1, 25)).await.unwrap();
    log.flush().await.unwrap();
    assert!(!oldest.exists(), "purged segments are removed");
    let expected: Vec<_> = (26..36).map(|index| (1, index)).chain((36..50).map(|index| (2, index))).collect();
    assert_eq!(indexes(&mut log).await, expected);
    close((log, thread));

    let (mut log, thread) = LogStore::open_with(directory.path(), Fatal::new(), 4096).unwrap();
    assert_eq!(indexes(&mut log).await, expected);
    assert_eq!(log.get_log_state().await.unwrap().last_purged_log_id, Some(id(1, 25)));
    assert_eq!(log.get_log_reader().await.read_vote().await.unwrap(), Some(Vote::new(9, 1)));
    log.purge(id(5, 200)).await.unwrap();
    append(&mut log, vec![entry(5, 201, 10)]).await;
    close((log, thread));
    assert_eq!(indexes(&mut open(directory.path()).await).await, vec![(5, 201)]);
}

#[tokio::test]
async fn a_torn_end_is_cut_off_wherever_the_write_stopped() {
    let directory = TempDir::new().unwrap();
    let (mut log, thread) = LogStore::open(directory.path(), Fatal::new()).unwrap();
    append(&mut log, vec![entry(1, 0, 50), entry(1, 1, 50)]).await;
    let path = files(directory.path()).pop().unwrap();
    let kept = fs::metadata(&path).unwrap().len();
    append(&mut log, vec![entry(1, 2, 50), entry(1, 3, 50)]).await;
    close((log, thread));
    let whole = fs::read(&path).unwrap();

    for cut in [1, 7, 30, 60, whole.len() - usize::try_from(kept).unwrap() - 1] {
        fs::write(&path, &whole[..whole.len() - cut]).unwrap();
        let opened = LogStore::open(directory.path(), Fatal::new()).unwrap();
        let mut log = opened.0.clone();
        let found = indexes(&mut log).await;
        assert!(found.starts_with(&[(1, 0), (1, 1)]) && found.len() < 4, "cut {cut}: {found:?}");
        let next = found.len() as u64;
        append(&mut log, vec![entry(2, next, 10)]).await;
        drop(log);
        close(opened);
        let mut log = open(directory.path()).await;
        assert_eq!(indexes(&mut log).await.last(), Some(&(2, next)));
    }
    // Pages of one write may reach the disk in any order: a hole before intact records of the same write.
    let mut holed = whole.clone();
    holed[usize::try_from(kept).unwrap()..][..40].fill(0);
    fs::write(&path, &holed).unwrap();
    assert_eq!(indexes(&mut open(directory.path()).await).await, vec![(1, 0), (1, 1)]);
}

#[tokio::test]
async fn a_segment_whose_creation_was_cut_short_does_not_cost_the_vote() {
    for unfinished in [HEADER_BYTES, HEADER_BYTES + 5] {
        let directory = TempDir::new().unwrap();
        let (mut log, thread) = LogStore::open_with(directory.path(), Fatal::new(), 4096).unwrap();
        let vote = Vote::new(3, 2);
        log.save_vote(&vote).await.unwrap();
        append(&mut log, (0..10).map(|index| entry(3, index, 500)).collect()).await;
        close((log, thread));
        let mut begun = record::header(2).to_vec();
        begun.resize(unfinished, 0);
        fs::write(directory.path().join("0000000000000002.log"), begun).unwrap();

        let (mut log, thread) = LogStore::open_with(directory.path(), Fatal::new(), 4096).unwrap();
        append(&mut log, vec![entry(3, 10, 500)]).await;
        log.purge(id(3, 9)).await.unwrap();
        close((log, thread));
        assert_eq!(files(directory.path()).len(), 1, "the segment with the vote is gone");
        let mut log = open(directory.path()).await;
        assert_eq!(log.get_log_reader().await.read_vote().await.unwrap(), Some(vote), "{unfinished} bytes");
    }
}

#[tokio::test]
async fn a_log_whose_newest_segment_is_lost_refuses_the_start() {
    for segments in [1, 3] {
        let directory = TempDir::new().unwrap();
        let (mut log, thread) = LogStore::open_with(directory.path(), Fatal::new(), 4096).unwrap();
        log.save_vote(&Vote::new(3, 2)).await.unwrap();
        append(&mut log, vec![entry(3, 0, 10)]).await;
        for index in 1..segments {
            append(&mut log, vec![entry(3, index, 5000)]).await;
        }
        log.flush().await.unwrap();
        close((log, thread));
        let newest = files(directory.path()).pop().unwrap();
        let whole = fs::read(&newest).unwrap();
        for left in [None, Some(0), Some(HEADER_BYTES), Some(HEADER_BYTES + 5)] {
            fs::remove_file(&newest).unwrap();
            if let Some(bytes) = left {
                fs::write(&newest, &whole[..bytes]).unwrap();
            }
            for _ in 0..2 {
                match LogStore::open_with(directory.path(), Fatal::new(), 4096).unwrap_err() {
                    LogError::Missing { path } => assert!(path == newest && left.unwrap_or(0) == 0, "{left:?}"),
                    LogError::Damaged { path, .. } => assert!(path == newest && left.unwrap_or(0) > 0, "{left:?}"),
                    refused => panic!("{refused}"),
                }
            }
            let kept = fs::read(&newest).ok();
            assert_eq!(kept.as_deref(), left.map(|bytes| &whole[..bytes]), "what is left of it stays");
            fs::write(&newest, &whole).unwrap();
            assert!(!indexes(&mut open(directory.path()).await).await.is_empty());
        }
    }
}

#[tokio::test]
async fn what_was_cut_off_stays_cut_off_whenever_the_node_crashes() {
    let (directory, crashed) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (mut log, _thread) = LogStore::open(directory.path(), Fatal::new()).unwrap();
    append(&mut log, (0..10).map(|index| entry(1, index, 50)).collect()).await;
    log.truncate_after(Some(id(1, 3))).await.unwrap();
    for path in files(directory.path()) {
        fs::write(crashed.path().join(path.file_name().unwrap()), fs::read(&path).unwrap()).unwrap();
    }
    assert_eq!(indexes(&mut open(crashed.path()).await).await.last(), Some(&(1, 3)));
}

#[tokio::test]
async fn a_flipped_bit_in_what_was_acknowledged_refuses_the_start() {
    let directory = TempDir::new().unwrap();
    let (mut log, thread) = LogStore::open_with(directory.path(), Fatal::new(), 4096).unwrap();
    for index in 0..20 {
        append(&mut log, vec![entry(1, index, 300)]).await;
    }
    log.flush().await.unwrap();
    close((log, thread));
    for path in files(directory.path()) {
        let whole = fs::read(&path).unwrap();
        for at in (0..whole.len() - 30).step_by(41) {
            let mut flipped = whole.clone();
            flipped[at] ^= 0x10;
            fs::write(&path, &flipped).unwrap();
            match LogStore::open_with(directory.path(), Fatal::new(), 4096) {
                Err(LogError::Damaged { .. } | LogError::TooNew { .. }) => {}
                other => panic!("byte {at} of {} flipped: {:?}", path.display(), other.map(|_| "opened")),
            }
        }
        fs::write(&path, &whole).unwrap();
    }
    let message = {
        let path = files(directory.path()).remove(0);
        let mut bytes = fs::read(&path).unwrap();
        bytes[200] ^= 1;
        fs::write(&path, &bytes).unwrap();
        LogStore::open(directory.path(), Fatal::new()).unwrap_err().to_string()
    };
    assert!(message.contains("portcullis cluster node remove"), "{message}");
}

#[tokio::test]
async fn a_bit_that_flips_while_the_node_runs_is_noticed_before_the_entry_is_passed_on() {
    let directory = TempDir::new().unwrap();
    let (mut log, thread) = LogStore::open(directory.path(), Fatal::new()).unwrap();
    append(&mut log, (0..5).map(|index| entry(1, index, 400)).collect()).await;
    close((log, thread));
    // What was read back at start is not held in memory.
    let mut log = open(directory.path()).await;
    let path = files(directory.path()).remove(0);
    let whole = fs::read(&path).unwrap();
    let mut reader = log.get_log_reader().await;
    assert_eq!(reader.try_get_log_entries(0..5).await.unwrap().len(), 5);
    let mut noticed = 0;
    for at in (whole.len() - 1800..whole.len()).step_by(50) {
        let mut flipped = whole.clone();
        flipped[at] ^= 2;
        fs::write(&path, &flipped).unwrap();
        noticed += usize::from(reader.try_get_log_entries(0..5).await.is_err());
    }
    assert!(noticed > 30, "only {noticed} of 36 flipped bits were noticed");
}
