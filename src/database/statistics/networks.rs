//! From where applications call: each network is known for so many days after the last call from it. One that an
//! application which was known before begins to call from is kept for a day as unseen, for alerts. It knows nothing of
//! who is told.

use std::sync::Arc;

use portcullis_model::statistics::DAY_MS;
use portcullis_model::{ApiId, ApplicationId, CallerNetwork, Timestamp};
use serde::{Deserialize, Serialize};

use super::NAMES_MAX;
use crate::state::Statdb;

/// Networks of one batch.
pub const NETWORK_BATCH_MAX: usize = 256;
/// Networks that are kept as unseen; beyond them the oldest go.
const UNSEEN_MAX: usize = 10_000;

/// A network that an application has called from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownNetwork {
    /// When it was first noted since it was last unknown.
    pub since: Timestamp,
    /// The day of the last call, counted from 1970.
    pub day: u32,
}

/// A network that an application has just begun to call from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnseenNetwork {
    /// The API that it called.
    pub api: ApiId,
    /// The user on whose behalf, with the tenant.
    pub user: Arc<str>,
}

/// How much is kept. It comes with each batch, from the configuration of the node, which is to be the same on all nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkBounds {
    /// For how many days after the last call from it a network is known; 0 has all of them forgotten.
    pub days: u32,
    /// Networks of one application; one that calls from more is of no known place, and further ones are not looked at.
    pub per_application_max: u32,
    /// Networks in all; beyond them those go that were called from the longest ago.
    pub rows_max: u32,
}

/// That an application called from a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotedNetwork {
    /// The application.
    pub application: ApplicationId,
    /// From where.
    pub network: CallerNetwork,
    /// The API that it called.
    pub api: ApiId,
    /// The user on whose behalf, with the tenant.
    pub user: Arc<str>,
}

/// What a node tells at a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkBatch {
    /// How much is kept.
    pub bounds: NetworkBounds,
    /// At most [`NETWORK_BATCH_MAX`]; further ones do not count.
    pub networks: Vec<NotedNetwork>,
}

/// Notes from where applications called.
pub(crate) fn note_networks(stat: &mut Statdb, batch: &NetworkBatch, now: Timestamp) {
    if batch.bounds.days == 0 {
        stat.caller_networks.clear();
        stat.network_days.clear();
        stat.network_counts.clear();
        stat.unseen_networks.clear();
        return;
    }
    let today = u32::try_from(now.0 / DAY_MS).unwrap_or(u32::MAX);
    forget(stat, &batch.bounds, today, batch.networks.len());
    while let Some((key, _)) = stat.unseen_networks.get_min().cloned() {
        if key.0.0.saturating_add(DAY_MS) > now.0 && stat.unseen_networks.len() <= UNSEEN_MAX {
            break;
        }
        stat.unseen_networks.remove(&key);
    }
    for noted in batch.networks.iter().take(NETWORK_BATCH_MAX) {
        note(stat, &batch.bounds, noted, (now, today));
    }
}

fn note(stat: &mut Statdb, bounds: &NetworkBounds, noted: &NotedNetwork, (now, today): (Timestamp, u32)) {
    let (application, network) = (noted.application, noted.network);
    let key = (application, network);
    if let Some(known) = stat.caller_networks.get(&key).copied() {
        if known.day < today {
            stat.network_days.remove(&(known.day, application, network));
            stat.network_days.insert((today, application, network), ());
            stat.caller_networks.insert(key, KnownNetwork { day: today, ..known });
        }
        return;
    }
    let count = stat.network_counts.get(&application).copied();
    if count.unwrap_or(0) >= bounds.per_application_max || (count.is_none() && stat.network_counts.len() >= NAMES_MAX) {
        return;
    }
    let rows_max = usize::try_from(bounds.rows_max).unwrap_or(usize::MAX);
    if stat.caller_networks.len() >= rows_max {
        forget_first(stat);
    }
    stat.caller_networks.insert(key, KnownNetwork { since: now, day: today });
    stat.network_days.insert((today, application, network), ());
    let left = stat.network_counts.get(&application).copied().unwrap_or(0);
    stat.network_counts.insert(application, left.saturating_add(1));
    // Where an application calls for the first time, nothing is unusual yet.
    if count.is_some() {
        let unseen = UnseenNetwork { api: noted.api, user: Arc::clone(&noted.user) };
        stat.unseen_networks.insert((now, application, network), unseen);
    }
}

/// Forgets networks that were not called from for too long; more of them than a batch can add.
fn forget(stat: &mut Statdb, bounds: &NetworkBounds, today: u32, noted: usize) {
    for _ in 0..noted * 2 + 64 {
        let first = stat.network_days.get_min().map(|((day, ..), ())| *day);
        if first.is_none_or(|day| day.saturating_add(bounds.days) >= today) {
            return;
        }
        forget_first(stat);
    }
}

/// Forgets the network that was called from the longest ago. That its application has called is still known.
fn forget_first(stat: &mut Statdb) {
    let Some(((day, application, network), ())) = stat.network_days.get_min().copied() else { return };
    stat.network_days.remove(&(day, application, network));
    stat.caller_networks.remove(&(application, network));
    let left = stat.network_counts.get(&application).copied().unwrap_or(0).saturating_sub(1);
    stat.network_counts.insert(application, left);
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: NetworkBounds = NetworkBounds { days: 30, per_application_max: 4, rows_max: 1_000 };

    fn note_one(stat: &mut Statdb, bounds: NetworkBounds, application: u8, last: u8, day: u64) {
        let noted = NotedNetwork {
            application: ApplicationId::from_random([application; 16]),
            network: CallerNetwork::V4([192, 0, 2, last]),
            api: ApiId::from_random([9; 16]),
            user: Arc::from("ann@carbon.super"),
        };
        note_networks(stat, &NetworkBatch { bounds, networks: vec![noted] }, Timestamp(day * DAY_MS + 1));
    }

    /// Returns the last numbers of the addresses that are unseen.
    fn unseen(stat: &Statdb) -> Vec<String> {
        stat.unseen_networks.keys().map(|(_, _, network)| network.to_string()).collect()
    }

    #[test]
    fn the_first_network_is_usual_and_a_further_one_is_unseen_once() {
        let mut stat = Statdb::default();
        for _ in 0..2 {
            note_one(&mut stat, BOUNDS, 1, 1, 100);
            assert!(unseen(&stat).is_empty());
        }
        for _ in 0..2 {
            note_one(&mut stat, BOUNDS, 1, 2, 100);
            assert_eq!(unseen(&stat), ["192.0.2.2"]);
        }
        // Where another application calls for the first time, nothing is unusual.
        note_one(&mut stat, BOUNDS, 2, 3, 100);
        assert_eq!(unseen(&stat), ["192.0.2.2"]);
    }

    #[test]
    fn a_network_is_unseen_again_after_so_many_days_and_not_before() {
        let mut stat = Statdb::default();
        for (last, day) in [(1, 100), (2, 100), (1, 120)] {
            note_one(&mut stat, BOUNDS, 1, last, day);
        }
        note_one(&mut stat, BOUNDS, 1, 1, 131);
        assert!(unseen(&stat).is_empty(), "it was kept for a day");
        note_one(&mut stat, BOUNDS, 1, 2, 131);
        assert_eq!(unseen(&stat), ["192.0.2.2"], "31 days ago");
        // An application that was silent for long is still one that was known before.
        note_one(&mut stat, BOUNDS, 1, 1, 500);
        assert_eq!(unseen(&stat), ["192.0.2.1"]);
    }

    #[test]
    fn nothing_is_left_once_nothing_is_to_be_kept() {
        let mut stat = Statdb::default();
        note_one(&mut stat, BOUNDS, 1, 1, 100);
        note_one(&mut stat, BOUNDS, 1, 2, 100);
        note_one(&mut stat, NetworkBounds { days: 0, ..BOUNDS }, 1, 3, 100);
        let left = (stat.caller_networks.len(), stat.network_days.len(), stat.network_counts.len());
        assert_eq!((left, unseen(&stat).len()), ((0, 0, 0), 0));
    }

    #[test]
    fn what_is_kept_is_bounded_and_its_parts_agree() {
        let mut stat = Statdb::default();
        let bounds = NetworkBounds { rows_max: 6, ..BOUNDS };
        for (at, (application, last)) in (1..=3).flat_map(|one| (1..=9).map(move |last| (one, last))).enumerate() {
            note_one(&mut stat, bounds, application, last, 100 + u64::try_from(at).unwrap() / 9);
        }
        let (rows, days) = (stat.caller_networks.len(), stat.network_days.len());
        let counted: u32 = stat.network_counts.values().sum();
        assert_eq!((rows, days, counted), (6, 6, 6));
        assert!(stat.network_counts.values().all(|count| *count <= 4), "{:?}", stat.network_counts);
    }
}
