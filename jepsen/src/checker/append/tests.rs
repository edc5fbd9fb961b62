//! One bad history for each anomaly that is named, and good ones that look alike.

use serde_json::{Value, json};

use super::*;

/// A transaction: process, when it began and ended, how, and its steps.
type Entry = (u64, u64, u64, Kind, Value);

/// Returns the verdict on transactions; times are milliseconds.
fn of(entries: &[Entry]) -> Verdict {
    let mut moments = Vec::new();
    for (process, began, ended, kind, steps) in entries {
        moments.push((*began, *process, Kind::Invoke, steps.clone()));
        moments.push((*ended, *process, *kind, steps.clone()));
    }
    moments.sort_by_key(|(time, ..)| *time);
    let op = |(index, (time, process, kind, value)): (usize, (u64, u64, Kind, Value))| Op {
        index,
        time: time * 1_000_000,
        process: Process::Client(process),
        kind,
        f: "txn".to_owned(),
        value,
        extra: serde_json::Map::new(),
    };
    check(&moments.into_iter().enumerate().map(op).collect::<Vec<_>>())
}

fn finds(entries: &[Entry], name: &str) {
    let verdict = of(entries);
    assert!(matches!(&verdict, Verdict::Invalid(why) if why.starts_with(&format!("{name}:"))), "{name}: {verdict}");
}

#[test]
fn a_serial_history_is_good() {
    let good = [
        (0, 0, 1, Kind::Ok, json!([["r", 1, []], ["append", 1, 10]])),
        (1, 2, 3, Kind::Ok, json!([["r", 1, [10]], ["append", 1, 11]])),
        (2, 4, 5, Kind::Fail, json!([["r", 1, null], ["append", 1, 12]])),
        (3, 6, 9, Kind::Info, json!([["r", 1, null], ["append", 1, 13]])),
        (4, 7, 8, Kind::Ok, json!([["r", 1, [10, 11, 13]], ["r", 2, []]])),
        (0, 9, 10, Kind::Ok, json!([["append", 2, 20], ["r", 2, [20]]])),
    ];
    assert_eq!(of(&good), Verdict::Valid);
}

#[test]
fn overlapping_transactions_may_come_in_any_order() {
    let good = [
        (0, 0, 10, Kind::Ok, json!([["append", 1, 10]])),
        (1, 0, 10, Kind::Ok, json!([["append", 1, 11]])),
        (2, 1, 2, Kind::Ok, json!([["r", 1, [11]]])),
        (3, 3, 9, Kind::Ok, json!([["r", 1, [11, 10]]])),
        (4, 1, 4, Kind::Ok, json!([["r", 1, []]])),
    ];
    assert_eq!(of(&good), Verdict::Valid);
}

#[test]
fn g0_write_cycle() {
    finds(
        &[
            (0, 0, 9, Kind::Ok, json!([["append", 1, 10], ["append", 2, 20]])),
            (1, 0, 9, Kind::Ok, json!([["append", 1, 11], ["append", 2, 21]])),
            (2, 10, 11, Kind::Ok, json!([["r", 1, [10, 11]], ["r", 2, [21, 20]]])),
        ],
        "G0",
    );
}

#[test]
fn g1a_aborted_read() {
    finds(&[(0, 0, 1, Kind::Fail, json!([["append", 1, 10]])), (1, 2, 3, Kind::Ok, json!([["r", 1, [10]]]))], "G1a");
}

#[test]
fn g1b_intermediate_read() {
    finds(
        &[
            (0, 0, 9, Kind::Ok, json!([["append", 1, 10], ["append", 1, 11]])),
            (1, 0, 9, Kind::Ok, json!([["r", 1, [10]]])),
        ],
        "G1b",
    );
}

#[test]
fn g1c_circular_information() {
    finds(
        &[
            (0, 0, 9, Kind::Ok, json!([["append", 1, 10], ["r", 2, [20]]])),
            (1, 0, 9, Kind::Ok, json!([["append", 2, 20], ["r", 1, [10]]])),
        ],
        "G1c",
    );
}

#[test]
fn g_single_read_skew() {
    finds(
        &[
            (0, 0, 9, Kind::Ok, json!([["append", 1, 10], ["append", 2, 20]])),
            (1, 0, 9, Kind::Ok, json!([["r", 1, [10]], ["r", 2, []]])),
            (2, 10, 11, Kind::Ok, json!([["r", 1, [10]], ["r", 2, [20]]])),
        ],
        "G-single",
    );
}

#[test]
fn g2_write_skew() {
    finds(
        &[
            (0, 0, 9, Kind::Ok, json!([["r", 1, []], ["append", 2, 20]])),
            (1, 0, 9, Kind::Ok, json!([["r", 2, []], ["append", 1, 10]])),
            (2, 10, 11, Kind::Ok, json!([["r", 1, [10]], ["r", 2, [20]]])),
        ],
        "G2",
    );
}

#[test]
fn lost_update_and_lost_append() {
    finds(
        &[
            (0, 0, 9, Kind::Ok, json!([["r", 1, []], ["append", 1, 10]])),
            (1, 0, 9, Kind::Ok, json!([["r", 1, []], ["append", 1, 11]])),
        ],
        "lost update",
    );
    finds(
        &[(0, 0, 1, Kind::Ok, json!([["append", 1, 10]])), (1, 2, 3, Kind::Ok, json!([["r", 1, []]]))],
        "lost append",
    );
}

#[test]
fn stale_reads_break_real_time_only() {
    finds(
        &[
            (0, 0, 1, Kind::Ok, json!([["append", 1, 10]])),
            (1, 2, 3, Kind::Ok, json!([["r", 1, []]])),
            (2, 4, 5, Kind::Ok, json!([["r", 1, [10]]])),
        ],
        "G-single-realtime",
    );
    finds(
        &[
            (0, 0, 1, Kind::Ok, json!([["append", 1, 10]])),
            (1, 2, 3, Kind::Ok, json!([["append", 1, 11]])),
            (2, 4, 5, Kind::Ok, json!([["r", 1, [11, 10]]])),
        ],
        "G0-realtime",
    );
    finds(
        &[(0, 0, 1, Kind::Ok, json!([["r", 1, [10]]])), (1, 2, 3, Kind::Ok, json!([["append", 1, 10]]))],
        "G1c-realtime",
    );
    finds(
        &[
            (0, 0, 1, Kind::Ok, json!([["append", 1, 10]])),
            (1, 0, 1, Kind::Ok, json!([["append", 2, 20]])),
            (2, 2, 9, Kind::Ok, json!([["r", 1, []]])),
            (3, 2, 9, Kind::Ok, json!([["r", 2, []]])),
            (4, 10, 11, Kind::Ok, json!([["r", 1, [10]], ["r", 2, [20]]])),
        ],
        "G-single-realtime",
    );
}

#[test]
fn g2_realtime_needs_two_reads_that_are_overwritten() {
    finds(
        &[
            (0, 0, 4, Kind::Ok, json!([["r", 1, []], ["append", 3, 30]])),
            (1, 5, 9, Kind::Ok, json!([["r", 2, []], ["append", 4, 40]])),
            (2, 3, 4, Kind::Ok, json!([["append", 2, 20], ["r", 3, []]])),
            (3, 10, 11, Kind::Ok, json!([["r", 2, [20]], ["r", 3, [30]]])),
        ],
        "G-single-realtime",
    );
    finds(
        &[
            (0, 0, 9, Kind::Ok, json!([["r", 1, []], ["append", 2, 20]])),
            (1, 0, 2, Kind::Ok, json!([["append", 1, 10]])),
            (2, 3, 9, Kind::Ok, json!([["r", 2, []], ["r", 3, []]])),
            (3, 10, 11, Kind::Ok, json!([["r", 1, [10]], ["r", 2, [20]]])),
        ],
        "G2-realtime",
    );
}

#[test]
fn garbage_duplicates_orders_and_blindness_to_oneself() {
    finds(&[(0, 0, 1, Kind::Ok, json!([["r", 1, [10]]]))], "garbage");
    finds(
        &[(0, 0, 1, Kind::Ok, json!([["append", 1, 10]])), (1, 2, 3, Kind::Ok, json!([["r", 1, [10, 10]]]))],
        "duplicate",
    );
    finds(
        &[
            (0, 0, 9, Kind::Ok, json!([["append", 1, 10]])),
            (1, 0, 9, Kind::Ok, json!([["append", 1, 11]])),
            (2, 0, 9, Kind::Ok, json!([["r", 1, [10, 11]]])),
            (3, 0, 9, Kind::Ok, json!([["r", 1, [11]]])),
        ],
        "incompatible order",
    );
    finds(&[(0, 0, 1, Kind::Ok, json!([["append", 1, 10], ["r", 1, []]]))], "internal");
}
