//! From where applications call, as far as one worker has not told it today: each application and network once. It is
//! bounded; where it forgets, something is told again.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

use foldhash::fast::RandomState;
use portcullis_model::statistics::DAY_MS;
use portcullis_model::{ApplicationId, CallerNetwork, SeenNetwork, Timestamp};

use crate::authenticate::Known;
use crate::route::api::CompiledApi;

/// Applications and networks that are remembered; some 3 MB.
const SEEN_MAX: usize = 65_536;
/// New ones that wait to be handed on; further ones are told with their next call.
const NEW_MAX: usize = 1_024;

/// What was seen today.
#[derive(Default)]
pub(crate) struct SeenNetworks {
    seen: HashSet<(ApplicationId, CallerNetwork), RandomState>,
    /// Counted from 1970.
    day: u64,
    new: Vec<SeenNetwork>,
}

impl SeenNetworks {
    /// Notes where a call comes from. Costs a look-up, where that was seen today.
    pub(crate) fn note(&mut self, known: &Known, api: &CompiledApi, from: IpAddr) {
        let network = CallerNetwork::of(from);
        let key = (known.facts().application.id, network);
        if self.seen.contains(&key) || self.new.len() >= NEW_MAX {
            return;
        }
        if self.seen.len() >= SEEN_MAX {
            self.seen.clear();
        }
        self.seen.insert(key);
        self.new.push(SeenNetwork { caller: Arc::clone(known.facts()), api: Arc::clone(&api.called), network });
    }

    /// Has everything told anew where a day has begun.
    pub(crate) fn tick(&mut self, now: Timestamp) {
        let day = now.0 / DAY_MS;
        if std::mem::replace(&mut self.day, day) != day {
            self.seen.clear();
        }
    }

    /// Takes out what is new.
    pub(crate) fn take(&mut self) -> Vec<SeenNetwork> {
        std::mem::take(&mut self.new)
    }
}
