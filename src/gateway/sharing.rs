//! How calls are shared among the endpoints of a group: whose turn it is, which come after it where one fails, and with
//! which a client stays.

use std::cell::RefCell;
use std::collections::HashMap;

use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue};
use portcullis_model::api::EndpointStrategy;
use portcullis_model::backend_care::Turns as Order;

use crate::route::endpoint::{Endpoint, EndpointGroup};
use crate::route::session::Session;
use crate::worker::Worker;

/// Whose turn it is among endpoints that share calls.
#[derive(Default)]
pub(crate) struct Turns(RefCell<HashMap<u64, Turn>>);

#[derive(Default)]
struct Turn {
    last: usize,
    /// What each endpoint is owed, by weight.
    owed: Vec<i64>,
    /// What has come together of a share, in percent.
    share: u32,
}

impl Turns {
    /// Forgets all turns: the groups may be gone.
    pub(crate) fn forget(&self) {
        self.0.borrow_mut().clear();
    }

    /// Says whether one of every so many, in percent, is this one; they are spread evenly.
    pub(crate) fn is_in_share(&self, id: u64, percent: u32) -> bool {
        let mut turns = self.0.borrow_mut();
        let turn = turns.entry(id).or_default();
        turn.share += percent;
        let is_in = turn.share >= 100;
        turn.share -= if is_in { 100 } else { 0 };
        is_in
    }

    fn next(&self, group: &EndpointGroup) -> usize {
        let mut turns = self.0.borrow_mut();
        let turn = turns.entry(group.id).or_default();
        turn.last = turn.last.wrapping_add(1);
        turn.last % group.endpoints.len()
    }

    /// Each is owed its weight with each turn; who is owed most has it, and pays what all were owed. So turns are spread
    /// evenly in time too.
    fn next_by_weight(&self, group: &EndpointGroup, is_fit: impl Fn(&Endpoint) -> bool) -> usize {
        let mut turns = self.0.borrow_mut();
        let owed = &mut turns.entry(group.id).or_default().owed;
        owed.resize(group.endpoints.len(), 0);
        let (mut chosen, mut all) = (None, 0);
        for (number, endpoint) in group.endpoints.iter().enumerate().filter(|(_, endpoint)| is_fit(endpoint)) {
            let weight = i64::from(endpoint.weight);
            owed[number] += weight;
            all += weight;
            if chosen.is_none_or(|chosen: usize| owed[chosen] < owed[number]) {
                chosen = Some(number);
            }
        }
        let chosen = chosen.unwrap_or(0);
        owed[chosen] -= all;
        chosen
    }
}

/// The endpoints to try for one call, best first. It holds no list: most calls take the first.
pub(crate) struct Candidates<'a> {
    worker: &'a Worker,
    group: &'a EndpointGroup,
    start: usize,
    step: usize,
    /// Those that were given out.
    tried: u128,
    /// The second time, those are given out too that could not be connected to a moment ago.
    is_second_time: bool,
    left: usize,
}

impl<'a> Candidates<'a> {
    /// Returns the endpoints to try for a call with these headers; `kept` is the one with which its client stays, where
    /// that is not said by a header.
    pub(crate) fn of(worker: &'a Worker, group: &'a EndpointGroup, headers: &HeaderMap, kept: Option<usize>) -> Self {
        let kept = kept.or_else(|| group.session.as_ref()?.endpoint_of(headers));
        let (start, left) = match (group.strategy, kept) {
            (EndpointStrategy::Single, _) => (0, 1),
            (EndpointStrategy::Failover, _) => (0, group.endpoints.len()),
            (EndpointStrategy::RoundRobin, Some(kept)) => (kept, group.endpoints.len()),
            (EndpointStrategy::RoundRobin, None) => (turn(worker, group), group.endpoints.len()),
        };
        let left = if group.fails_over { left } else { 1 };
        Self { worker, group, start, step: 0, tried: 0, is_second_time: false, left }
    }

    fn give(&mut self, number: usize) -> Option<(usize, &'a Endpoint)> {
        let endpoint = &self.group.endpoints[number];
        let bit = 1_u128 << number.min(127);
        let is_alone = self.group.endpoints.len() == 1;
        if self.tried & bit != 0 {
            return None;
        }
        if !self.is_second_time && !is_alone && self.worker.pools.of(&endpoint.origin).is_suspended() {
            return None;
        }
        let now = self.worker.clock.now().instant;
        if endpoint.standing.as_ref().is_some_and(|standing| !standing.may_be_tried(now)) {
            return None;
        }
        self.tried |= bit;
        Some((number, endpoint))
    }
}

impl<'a> Iterator for Candidates<'a> {
    type Item = (usize, &'a Endpoint);

    fn next(&mut self) -> Option<Self::Item> {
        let count = self.group.endpoints.len();
        while self.left > 0 {
            if self.step == count {
                if self.is_second_time {
                    return None;
                }
                (self.is_second_time, self.step) = (true, 0);
            }
            let number = (self.start + self.step) % count;
            self.step += 1;
            if let Some(found) = self.give(number) {
                self.left -= 1;
                return Some(found);
            }
        }
        None
    }
}

fn turn(worker: &Worker, group: &EndpointGroup) -> usize {
    match group.turns {
        Order::Even => worker.turns.next(group),
        Order::ByWeight => {
            let now = worker.clock.now().instant;
            worker.turns.next_by_weight(group, |endpoint| looks_fit(worker, endpoint, now))
        }
        Order::LeastRequests => {
            let (now, first, count) = (worker.clock.now().instant, worker.turns.next(group), group.endpoints.len());
            let in_turn = (0..count).map(|step| (first + step) % count);
            let load = |number: &usize| {
                let endpoint = &group.endpoints[*number];
                let in_use = worker.pools.of(&endpoint.origin).in_use() as u64;
                // By weight, without a division: no bound on connections is near a thousand millionth of the type's.
                (!looks_fit(worker, endpoint, now), (in_use + 1) * 1_000_000 / u64::from(endpoint.weight))
            };
            in_turn.min_by_key(load).unwrap_or(first)
        }
    }
}

fn looks_fit(worker: &Worker, endpoint: &Endpoint, now: std::time::Instant) -> bool {
    endpoint.standing.as_ref().is_none_or(|standing| standing.looks_fit(now))
        && !worker.pools.of(&endpoint.origin).is_suspended()
}

impl Session {
    /// Returns with which endpoint the client of a call stays.
    fn endpoint_of(&self, headers: &HeaderMap) -> Option<usize> {
        let texts = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs = texts.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let (_, value) = pairs.find(|(name, _)| *name == self.name)?;
        self.values.iter().position(|one| one == value)
    }

    /// Has the client stay with the endpoint that answered.
    pub(crate) fn keep(&self, endpoint: usize, request: &HeaderMap, answer: &mut HeaderMap) {
        // One that lasts from the last call is set anew with each.
        if self.endpoint_of(request) == Some(endpoint) && !self.is_renewed {
            return;
        }
        let cookie = format!("{}={}{}", self.name, self.values[endpoint], self.attributes);
        if let Ok(value) = HeaderValue::from_str(&cookie) {
            answer.append(SET_COOKIE, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use portcullis_model::Endpoint as Designed;

    use super::*;
    use crate::route::endpoint::Origins;

    #[test]
    fn turns_by_weight_are_shared_as_the_weights_are_and_spread_out() {
        let mut origins = Origins::default();
        let mut endpoint = |weight| {
            let mut made = origins.endpoint(&Designed { url: format!("http://b{weight}"), timeout_ms: None }).unwrap();
            made.weight = weight;
            made
        };
        let group = EndpointGroup { endpoints: vec![endpoint(5), endpoint(1), endpoint(2)], ..EndpointGroup::none(1) };
        let turns = Turns::default();
        let order: Vec<usize> = (0..8).map(|_| turns.next_by_weight(&group, |_| true)).collect();
        assert_eq!([0, 1, 2].map(|one| order.iter().filter(|number| **number == one).count()), [5, 1, 2]);
        assert!(!order.windows(4).any(|part| part == [0, 0, 0, 0]), "{order:?}");
        let without_first: Vec<usize> = (0..3).map(|_| turns.next_by_weight(&group, |one| one.weight != 5)).collect();
        assert!(!without_first.contains(&0), "{without_first:?}");
    }
}
