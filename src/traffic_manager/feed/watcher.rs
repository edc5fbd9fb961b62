//! Finds what is to be told: compares the newest state with the one that was told of last. Pure; it reads no clock.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use imbl::ordmap::DiffItem;
use portcullis_database::State;
use portcullis_database::counters::Counter;
use portcullis_model::counter::CounterSubject;
use portcullis_model::{ApiId, CounterKey, Timestamp};

use super::event::{Decision, Event, Usage, texts};
use super::lists::Lists;

/// What was told so far.
#[derive(Default)]
pub(crate) struct Watcher {
    last: Option<State>,
    /// Counters that were said to be used up, and until when.
    throttled: BTreeMap<CounterKey, Timestamp>,
    /// Counters that will be used up unless something comes back.
    pending: BTreeSet<CounterKey>,
    /// Context and version of the deployed APIs.
    names: HashMap<ApiId, String>,
    lists: Lists,
}

impl Watcher {
    /// Says whether nothing was told yet.
    pub(crate) fn is_new(&self) -> bool {
        self.last.is_none()
    }

    /// Says whether time alone may bring something to tell.
    pub(crate) fn waits_for_time(&self) -> bool {
        !self.throttled.is_empty() || !self.pending.is_empty() || self.lists.wait_for_time()
    }

    /// Returns what is to be told of `new`, as of `now`. Of the first state, the counters that are used up are told.
    pub(crate) fn step(&mut self, new: &State, now: Timestamp) -> Vec<Event> {
        let now = now.max(new.now());
        let mut events = Vec::new();
        let last = self.last.take();
        if last.as_ref().is_none_or(|last| !last.deployed.apis.ptr_eq(&new.deployed.apis)) {
            self.names = names(new);
        }
        match &last {
            None => self.pending = new.counters.counters.keys().cloned().collect(),
            Some(last) => self.compare(last, new, &mut events),
        }
        self.lists.step(last.as_ref(), new, now, &mut events);
        self.decide(new, now, &mut events);
        self.last = Some(new.clone());
        events
    }

    fn compare(&mut self, last: &State, new: &State, events: &mut Vec<Event>) {
        for change in last.counters.counters.diff(&new.counters.counters) {
            match change {
                DiffItem::Add(key, _) | DiffItem::Remove(key, _) | DiffItem::Update { new: (key, _), .. } => {
                    self.pending.insert(key.clone());
                }
            }
        }
        for change in last.counters.usage.diff(&new.counters.usage) {
            let (key, before, after) = match change {
                DiffItem::Add(key, after) => (key, 0, *after),
                DiffItem::Update { old: (_, before), new: (key, after) } => (key, *before, *after),
                DiffItem::Remove(..) => continue,
            };
            let (policy, tenant_domain) = texts(key);
            events.push(Event::Usage(Usage {
                throttle_key: self.throttle_key(key),
                used: after.saturating_sub(before),
                used_in_all: after,
                time_stamp: new.now().0,
                policy,
                tenant_domain,
            }));
        }
    }

    fn decide(&mut self, new: &State, now: Timestamp, events: &mut Vec<Event>) {
        let over: Vec<CounterKey> =
            self.throttled.iter().filter(|(_, until)| **until <= now).map(|(key, _)| key.clone()).collect();
        self.pending.extend(over);
        let mut still_pending = BTreeSet::new();
        for key in std::mem::take(&mut self.pending) {
            let counter = new.counters.counters.get(&key).filter(|counter| counter.window.end() > now);
            let Some(counter) = counter else {
                self.lift(&key, events);
                continue;
            };
            let is_empty = counter.dry.is_some() && new.counters.pool(&key, counter, now) == 0;
            match counter.dry.filter(|_| is_empty) {
                Some(dry) if dry.exhausted_from <= now => self.throttle(&key, counter, events),
                Some(_) => {
                    still_pending.insert(key);
                }
                None => self.lift(&key, events),
            }
        }
        self.pending = still_pending;
    }

    fn throttle(&mut self, key: &CounterKey, counter: &Counter, events: &mut Vec<Event>) {
        let until = counter.window.end();
        if self.throttled.insert(key.clone(), until) != Some(until) {
            events.push(self.decision(key, "true", until));
        }
    }

    fn lift(&mut self, key: &CounterKey, events: &mut Vec<Event>) {
        if let Some(until) = self.throttled.remove(key) {
            events.push(self.decision(key, "false", until));
        }
    }

    fn decision(&self, key: &CounterKey, is_throttled: &'static str, until: Timestamp) -> Event {
        let (policy, tenant_domain) = texts(key);
        let throttle_key = self.throttle_key(key);
        Event::Decision(Decision { throttle_key, is_throttled, expiry_time_stamp: until.0, policy, tenant_domain })
    }

    /// Returns the counter's key in the original's form, where it has one.
    fn throttle_key(&self, key: &CounterKey) -> String {
        if let CounterSubject::Subscription { application, api } = &key.subject
            && let Some(name) = self.names.get(api)
        {
            return format!("{application}:{name}");
        }
        if let CounterSubject::Application { application, user } = &key.subject {
            return format!("{application}:{user}");
        }
        key.to_string()
    }
}

fn names(state: &State) -> HashMap<ApiId, String> {
    let apis = state.deployed.apis.values();
    apis.map(|api| (api.id, format!("{}/{}:{}", api.context, api.version, api.version))).collect()
}
