//! What earlier versions wrote can be read: frozen samples, one folder per feature level, in `tests/compatibility/` of
//! the repository. A sample is never changed; a level that is released gets one.

mod sample;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use imbl::OrdMap;
use portcullis_database::command::{COMMANDS, Numbered as _, RaiseFeatureLevel, apply};
use portcullis_database::digest::digest;
use portcullis_database::layout::Layout;
use portcullis_database::level::{HIGHEST, of_command as level_of_command, of_table as level_of_table};
use portcullis_database::table::TableVisitor;
use portcullis_database::{Entry, Outcome, State, codec, snapshot};
use serde::Serialize;

fn folder(level: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../tests/compatibility/level-{level}"))
}

/// Every entry with what applying it gave.
fn read_log(bytes: &[u8]) -> Vec<(Entry, Outcome)> {
    let mut rest = bytes;
    let mut log = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let (record, after) = after.split_at(u32::from_be_bytes(*length) as usize);
        log.push(codec::decode(record).expect("an entry and its outcome"));
        rest = after;
    }
    log
}

fn write_log(log: &[(Entry, Outcome)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for one in log {
        let record = codec::encode(one).expect("a sample can be read and written");
        bytes.extend_from_slice(&u32::try_from(record.len()).expect("a sample can be read and written").to_be_bytes());
        bytes.extend_from_slice(&record);
    }
    bytes
}

fn replay(entries: impl IntoIterator<Item = Entry>) -> (State, Vec<(Entry, Outcome)>) {
    let mut state = State::default();
    let mut log = Vec::new();
    for entry in entries {
        let index = state.applied_index + 1;
        let outcome = apply(&mut state, index, &entry).expect("a sample can be read and written");
        log.push((entry, outcome));
    }
    (state, log)
}

#[derive(Default)]
struct Rows(BTreeMap<u16, (&'static str, usize)>);

impl TableVisitor for Rows {
    type Error = std::convert::Infallible;

    fn table<L, K, V>(&mut self, number: u16, name: &'static str, rows: &OrdMap<K, V>) -> Result<(), Self::Error>
    where
        L: Layout<Row = (K, V)>,
        K: Ord + Clone + Serialize,
        V: Clone + Serialize,
    {
        self.0.insert(number, (name, rows.len()));
        Ok(())
    }
}

fn rows(state: &State) -> String {
    let mut rows = Rows::default();
    state.visit(&mut rows).expect("a sample can be read and written");
    rows.0.iter().map(|(number, (name, rows))| format!("{number} {name} {rows}\n")).collect()
}

/// Writes the sample of this version's level: once, when the level is released.
#[test]
#[ignore = "writes files; run once when a feature level is released"]
fn write_the_sample() {
    let folder = folder(HIGHEST);
    assert!(!folder.exists(), "a sample is never changed");
    let (state, log) = replay(sample::log());
    for (entry, outcome) in &log {
        assert!(outcome.result.is_ok(), "{entry}: {outcome:?}");
    }
    for (number, name) in COMMANDS {
        assert!(log.iter().any(|(entry, _)| entry.command == *number), "no {name} in the sample");
    }
    let rows = rows(&state);
    assert!(!rows.contains(" 0\n"), "a table has no row: {rows}");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("snapshot.bin"), written(&state)).unwrap();
    fs::write(folder.join("log.bin"), write_log(&log)).unwrap();
    fs::write(folder.join("rows.txt"), rows).unwrap();
}

fn written(state: &State) -> Vec<u8> {
    let mut file = Vec::new();
    snapshot::write(state, &mut file).expect("a sample can be read and written");
    file
}

/// The levels that have a sample: all but the open one.
fn levels() -> impl Iterator<Item = u32> {
    1..HIGHEST
}

fn sample_snapshot(level: u32) -> Vec<u8> {
    fs::read(folder(level).join("snapshot.bin")).expect("a sample can be read and written")
}

fn sample_log(level: u32) -> Vec<(Entry, Outcome)> {
    read_log(&fs::read(folder(level).join("log.bin")).expect("a sample can be read and written"))
}

fn raised(mut state: State, level: u32) -> State {
    let entry = Entry {
        command: RaiseFeatureLevel::NUMBER,
        payload: codec::encode(&RaiseFeatureLevel { level }).expect("a sample can be read and written"),
        idempotency: None,
        ..sample_log(1).remove(0).0
    };
    let index = state.applied_index + 1;
    assert!(apply(&mut state, index, &entry).expect("a sample can be read and written").result.is_ok());
    state
}

#[test]
fn a_snapshot_of_every_earlier_level_loads_whole() {
    for level in levels() {
        let state = snapshot::read(sample_snapshot(level).as_slice()).unwrap();
        let now = rows(&state);
        for line in fs::read_to_string(folder(level).join("rows.txt")).unwrap().lines() {
            assert!(now.contains(&format!("{line}\n")), "level {level}: {line} is missing in\n{now}");
        }
    }
}

#[test]
fn a_log_of_every_earlier_level_replays_to_the_same_outcomes_and_the_state_of_the_snapshot() {
    for level in levels() {
        let recorded = sample_log(level);
        let (state, now) = replay(recorded.iter().map(|(entry, _)| entry.clone()));
        for ((entry, then), (_, now)) in recorded.iter().zip(&now) {
            assert_eq!(then, now, "level {level}: {entry}");
        }
        let loaded = snapshot::read(sample_snapshot(level).as_slice()).unwrap();
        assert_eq!(rows(&loaded), rows(&state), "level {level}");
        assert_eq!(digest(&loaded).unwrap(), digest(&state).unwrap(), "level {level}");
    }
}

#[test]
fn while_the_level_is_not_raised_snapshots_are_written_as_the_nodes_of_that_level_read_them() {
    for level in levels() {
        let sample = sample_snapshot(level);
        let state = snapshot::read(sample.as_slice()).unwrap();
        assert!(written(&state) == sample, "level {level}: the snapshot is not byte for byte what that level writes");
    }
}

#[test]
fn the_level_that_is_raised_is_in_the_snapshot_with_all_that_was_there() {
    let old = snapshot::read(sample_snapshot(1).as_slice()).unwrap();
    let state = raised(old.clone(), HIGHEST);
    let file = written(&state);
    let read = snapshot::read(file.as_slice()).unwrap();
    assert_eq!(read.feature_level(), HIGHEST);
    // That the level was raised is the first act that the audit notes.
    let there = rows(&old).replace("520 audit 0\n", "520 audit 1\n");
    // And it brings the index that nodes of the level before do not know.
    let there = there.replace("123 subscriptions_by_time 0\n", "123 subscriptions_by_time 2\n");
    assert_eq!((rows(&read), digest(&read).unwrap()), (there, digest(&state).unwrap()));
}

#[test]
fn what_a_newer_version_wrote_is_refused_with_what_is_too_new() {
    let state = raised(snapshot::read(sample_snapshot(1).as_slice()).unwrap(), HIGHEST);
    let file = written(&state);
    // After the magic: format at 6, feature level at 8, then the first table's number at 12 and row version at 14.
    for (at, change, expected) in [
        (6, 9_u16.to_be_bytes(), "format 9"),
        (10, 77_u16.to_be_bytes(), "feature level 77"),
        (12, 9999_u16.to_be_bytes(), "table 100 (apis)"),
        (14, 8_u16.to_be_bytes(), "table apis of the snapshot has row version 8; this version reads up to 1"),
    ] {
        let mut newer = file.clone();
        newer[at..at + 2].copy_from_slice(&change);
        let message = snapshot::read(newer.as_slice()).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
    let mut with_table = file[..file.len() - 14].to_vec();
    with_table.extend_from_slice(&[0x27, 0x0f, 0, 1, 0, 0, 0, 0, 0xff, 0xff]);
    with_table.extend_from_slice(&state.applied_index.to_be_bytes());
    with_table.extend_from_slice(&crc32fast::hash(&with_table).to_be_bytes());
    let message = snapshot::read(with_table.as_slice()).unwrap_err().to_string();
    assert!(message.contains("table 9999"), "{message}");
    // What cannot be loaded can be looked at.
    let summary = snapshot::inspect(with_table.as_slice()).unwrap();
    assert!(summary.tables.iter().any(|table| table.number == 9999 && table.name.is_none()));
}

#[test]
fn a_node_stops_at_a_feature_level_that_it_does_not_know() {
    let mut state = snapshot::read(sample_snapshot(1).as_slice()).unwrap();
    let entry = Entry {
        command: RaiseFeatureLevel::NUMBER,
        payload: codec::encode(&RaiseFeatureLevel { level: HIGHEST + 1 }).unwrap(),
        idempotency: None,
        ..sample_log(1).remove(0).0
    };
    let stopped = apply(&mut state, 99, &entry).unwrap_err().to_string();
    assert!(stopped.contains(&format!("feature level {}", HIGHEST + 1)), "{stopped}");
}

#[test]
fn a_snapshot_is_summed_up_without_loading_it() {
    let summary = snapshot::inspect(sample_snapshot(1).as_slice()).unwrap();
    assert_eq!((summary.format, summary.feature_level), (1, 1));
    let lines: String = summary
        .tables
        .iter()
        .map(|table| format!("{} {} {}\n", table.number, table.name.unwrap_or("?"), table.rows))
        .collect();
    let mut expected: Vec<_> = lines.lines().collect();
    expected.sort_unstable();
    let frozen = fs::read_to_string(folder(1).join("rows.txt")).unwrap();
    assert_eq!(expected, frozen.lines().collect::<Vec<_>>());
    assert!(summary.tables.iter().all(|table| table.bytes > 0));
}

#[test]
fn the_closed_levels_hold_what_their_samples_hold() {
    for level in levels() {
        for (entry, _) in sample_log(level) {
            assert!(level_of_command(entry.command) <= level, "command {}", entry.command);
        }
        let summary = snapshot::inspect(sample_snapshot(level).as_slice()).unwrap();
        for table in summary.tables {
            assert!(level_of_table(table.number) <= level, "table {}", table.number);
        }
    }
    for (number, name) in COMMANDS {
        assert!((1..=HIGHEST).contains(&level_of_command(*number)), "{name}");
    }
}
