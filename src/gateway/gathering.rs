//! What a worker gathers about its calls, for statistics: calls that are alike are summed up in one place, so that a call
//! costs a look-up and a few additions, without a lock, a message or, as a rule, an allocation. From time to time, between
//! calls, what was gathered is handed on. It does not know what becomes of it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;
use portcullis_model::Timestamp;
use portcullis_model::agent::AgentFamily;
use portcullis_model::country::Country;
use portcullis_model::port::{CallStatistics, Countries};
use portcullis_model::statistics::{Fact, Gathered, MINUTE_MS, Tally, Times};

use crate::alarm::millis;
use crate::authenticate::Known;
use crate::ended_calls::EndedCalls;
use crate::metrics::CallCounts;
use crate::route::api::CompiledApi;
use crate::seen_networks::SeenNetworks;
use crate::settings::StatisticsSettings;
use crate::stray_calls::StrayCalls;
use crate::told_apart::ToldApart;

/// What one worker gathers.
pub(crate) struct Gathering {
    sink: Arc<dyn CallStatistics>,
    kinds_max: usize,
    interval_ms: u64,
    book: RefCell<Book>,
    /// From where applications call, where that is wanted.
    networks: Option<RefCell<SeenNetworks>>,
    /// Calls that lead to no API, where they are wanted.
    pub(crate) strays: Option<StrayCalls>,
    /// In which countries addresses are, where that is wanted.
    countries: Option<Arc<dyn Countries>>,
    /// Tells of each call, where that is wanted.
    events: Option<EndedCalls>,
    /// What the metrics tell apart, and the worker's number.
    told_apart: (Arc<ToldApart>, usize),
}

#[derive(Default)]
struct Book {
    numbers: HashMap<Kind, usize, RandomState>,
    slots: Vec<Slot>,
    free: Vec<usize>,
    /// The minute that what is in the slots belongs to.
    minute: u32,
    /// When it is handed on at the latest.
    until: Timestamp,
    /// What nobody had room for yet.
    waiting: Option<Gathered>,
}

/// What makes calls alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Kind {
    /// The API's number; 0 for none.
    api: u64,
    /// The operation's number, from 1.
    rule: usize,
    /// The caller's number; 0 for nobody.
    caller: u64,
    /// The backend's number; 0 for none.
    destination: u64,
    agent: AgentFamily,
    country: Option<Country>,
    code: u32,
    is_other: bool,
}

/// Calls that are alike.
struct Slot {
    kind: Kind,
    fact: Fact,
    /// Calls of it whose answers are under way, and WebSockets that are open.
    open: u32,
    /// Where the metrics count them.
    counts: Arc<CallCounts>,
    /// Nothing counts here, and the kind is that of former calls.
    is_free: bool,
}

/// A call whose answer begins, as it is told apart from others.
#[derive(Default)]
pub(crate) struct Begun<'a> {
    pub(crate) api: Option<&'a CompiledApi>,
    /// The operation's number.
    pub(crate) rule: Option<usize>,
    pub(crate) known: Option<&'a Known>,
    /// The backend's number; 0 for none.
    pub(crate) destination: u64,
    /// The backend's address, where a policy named it.
    pub(crate) address: Option<&'a Arc<str>>,
    pub(crate) agent: AgentFamily,
    /// The code of the fault; 0 for none.
    pub(crate) code: u32,
    /// Where it comes from, where that [is wanted](Gathering::wants_addresses).
    pub(crate) from: Option<IpAddr>,
    /// Where the call before on the same connection counted: this one does too, as a rule.
    pub(crate) likely: Option<usize>,
}

/// A call that has ended.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ended {
    pub(crate) status: u16,
    /// How long it took until the head of the answer was there.
    pub(crate) total: Duration,
    /// How long it took until the end of the answer.
    pub(crate) took: Duration,
    /// How much of it the backend took; `None` where none was asked.
    pub(crate) upstream: Option<Duration>,
    pub(crate) request_bytes: u64,
    pub(crate) response_bytes: u64,
    pub(crate) is_from_cache: bool,
}

/// A frame with data of a WebSocket that went on its way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PassedFrame {
    pub(crate) is_from_client: bool,
    /// Whether it is the first of its message.
    pub(crate) begins_message: bool,
    /// Bytes of its payload.
    pub(crate) bytes: u64,
}

impl Gathering {
    pub(crate) fn new(settings: &StatisticsSettings, told_apart: (Arc<ToldApart>, usize)) -> Self {
        Self {
            sink: Arc::clone(&settings.sink),
            kinds_max: settings.kinds_max,
            interval_ms: millis(settings.interval),
            book: RefCell::default(),
            networks: settings.notes_networks.then(RefCell::default),
            strays: settings.notes_strays.then(StrayCalls::default),
            countries: settings.countries.clone(),
            events: settings.events.as_ref().map(EndedCalls::new),
            told_apart,
        }
    }

    /// Says whether it is to be told where calls come from.
    pub(crate) fn wants_addresses(&self) -> bool {
        self.networks.is_some() || self.countries.is_some()
    }

    /// Finds where a call counts, and holds the place until it ends.
    pub(crate) fn begin(&self, call: &Begun<'_>) -> usize {
        if let (Some(networks), Some(known), Some(api), Some(from)) = (&self.networks, call.known, call.api, call.from)
        {
            networks.borrow_mut().note(known, api, from);
        }
        let country = self
            .countries
            .as_ref()
            .map(|countries| call.from.map_or(Country::UNKNOWN, |from| countries.country_of(from)));
        let mut book = self.book.borrow_mut();
        let kind = Kind {
            api: call.api.map_or(0, |api| api.number),
            rule: call.rule.map_or(0, |rule| rule + 1),
            caller: call.known.map_or(0, Known::number),
            destination: call.destination,
            agent: call.agent,
            country,
            code: call.code,
            is_other: false,
        };
        let number = match book.find(&kind, call.likely) {
            Some(number) => number,
            None if book.numbers.len() < self.kinds_max => {
                self.open(&mut book, kind, Fact { country, ..fact_of(call) })
            }
            None => self.beyond(&mut book, kind, call),
        };
        book.slots[number].open += 1;
        number
    }

    /// There are as many kinds of calls as may be: the API and the fault are still told apart, while that can be.
    fn beyond(&self, book: &mut Book, kind: Kind, call: &Begun<'_>) -> usize {
        let agent = AgentFamily::default();
        let country = None;
        let of_api = Kind { rule: 0, caller: 0, destination: 0, agent, country, is_other: true, ..kind };
        let is_told_apart = book.numbers.contains_key(&of_api) || book.numbers.len() < self.kinds_max * 2;
        let (kind, begun) = if is_told_apart {
            (of_api, Begun { api: call.api, code: call.code, ..Begun::default() })
        } else {
            (Kind { api: 0, code: 0, ..of_api }, Begun::default())
        };
        match book.numbers.get(&kind) {
            Some(number) => *number,
            None => {
                let country = self.countries.as_ref().map(|_| Country::UNKNOWN);
                self.open(book, kind, Fact { is_other: true, country, ..fact_of(&begun) })
            }
        }
    }

    fn open(&self, book: &mut Book, kind: Kind, fact: Fact) -> usize {
        let (told_apart, worker) = &self.told_apart;
        let counts = told_apart.calls(*worker, &fact);
        book.open(Slot { kind, fact, open: 0, counts, is_free: false })
    }

    /// Counts a call where its place was found.
    pub(crate) fn end(&self, number: usize, call: &Ended, now: Timestamp) {
        let mut book = self.book.borrow_mut();
        let slot = &mut book.slots[number];
        slot.open -= 1;
        slot.counts.answered(call.status, call.took);
        if let Some(events) = &self.events {
            events.push(&slot.fact, call, now);
        }
        let Fact { tally, times, .. } = &mut slot.fact;
        tally.calls += 1;
        if let Some(class) = tally.classes.get_mut(usize::from(call.status / 100)) {
            *class += 1;
        }
        tally.request_bytes += call.request_bytes;
        tally.response_bytes += call.response_bytes;
        tally.cache_hits += u64::from(call.is_from_cache);
        tally.last = now;
        let total = micros(call.total);
        times.total.add(total);
        times.gateway.add(total.saturating_sub(call.upstream.map_or(0, micros)));
        if let Some(upstream) = call.upstream {
            times.upstream.add(micros(upstream));
        }
    }

    /// Counts a frame with data of a WebSocket where its handshake counts.
    pub(crate) fn pass(&self, number: usize, frame: &PassedFrame, now: Timestamp) {
        let mut book = self.book.borrow_mut();
        let tally = &mut book.slots[number].fact.tally;
        tally.messages += u64::from(frame.begins_message);
        let bytes = if frame.is_from_client { &mut tally.request_bytes } else { &mut tally.response_bytes };
        *bytes += frame.bytes;
        tally.last = now;
    }

    /// Gives a place back at which nothing more counts.
    pub(crate) fn leave(&self, number: usize) {
        self.book.borrow_mut().slots[number].open -= 1;
    }

    /// Hands on what was gathered, where it is time.
    pub(crate) fn tick(&self, now: Timestamp) {
        let minute = minute_of(now);
        if let Some(networks) = &self.networks {
            networks.borrow_mut().tick(now);
        }
        if let Some(events) = &self.events {
            events.hand_on();
        }
        let is_due = {
            let book = self.book.borrow();
            book.minute != minute || book.until <= now
        };
        if is_due && self.hand_on() {
            let mut book = self.book.borrow_mut();
            book.minute = minute;
            book.until = Timestamp(now.0.saturating_add(self.interval_ms));
        }
    }

    /// Hands on what was gathered; says whether there was room for it.
    pub(crate) fn hand_on(&self) -> bool {
        if let Some(events) = &self.events {
            events.hand_on();
        }
        let mut book = self.book.borrow_mut();
        if let Some(waiting) = book.waiting.take()
            && let Err(waiting) = self.sink.take(waiting)
        {
            book.waiting = Some(waiting);
            return false;
        }
        let mut gathered = book.close();
        if let Some(networks) = &self.networks {
            gathered.networks = networks.borrow_mut().take();
        }
        if let Some(strays) = &self.strays {
            gathered.strays = strays.take();
        }
        if !gathered.facts.is_empty() || !gathered.networks.is_empty() || !gathered.strays.is_empty() {
            book.waiting = self.sink.take(gathered).err();
        }
        book.waiting.is_none()
    }
}

impl Book {
    /// Returns where calls of a kind count; `likely` is looked at first.
    fn find(&self, kind: &Kind, likely: Option<usize>) -> Option<usize> {
        let is_it = |number: &usize| self.slots.get(*number).is_some_and(|slot| slot.kind == *kind && !slot.is_free);
        likely.filter(is_it).or_else(|| self.numbers.get(kind).copied())
    }

    fn open(&mut self, slot: Slot) -> usize {
        let kind = slot.kind;
        let number = match self.free.pop() {
            Some(number) => {
                self.slots[number] = slot;
                number
            }
            None => {
                self.slots.push(slot);
                self.slots.len() - 1
            }
        };
        self.numbers.insert(kind, number);
        number
    }

    /// Takes the sums out. Places of kinds without calls are given free.
    fn close(&mut self) -> Gathered {
        let mut facts = Vec::with_capacity(self.numbers.len());
        let (slots, free) = (&mut self.slots, &mut self.free);
        self.numbers.retain(|_, number| {
            let slot = &mut slots[*number];
            if slot.fact.tally.is_empty() && slot.open == 0 {
                slot.is_free = true;
                free.push(*number);
                return false;
            }
            if !slot.fact.tally.is_empty() {
                let (tally, times) = (std::mem::take(&mut slot.fact.tally), std::mem::take(&mut slot.fact.times));
                facts.push(Fact { tally, times, ..slot.fact.clone() });
            }
            true
        });
        debug_assert!(free.len() + self.numbers.len() == slots.len(), "each place is held or free");
        debug_assert!(
            self.numbers.iter().all(|(kind, number)| slots[*number].kind == *kind),
            "each is found by its kind"
        );
        Gathered { minute: self.minute, facts, ..Gathered::default() }
    }
}

/// Returns how calls like this one are named, with nothing counted.
fn fact_of(call: &Begun<'_>) -> Fact {
    let rule = call.api.zip(call.rule).and_then(|(api, rule)| api.rules.get(rule));
    Fact {
        api: call.api.map(|api| Arc::clone(&api.called)),
        resource: rule.map(|rule| Arc::clone(&rule.resource)),
        caller: call.known.map(|known| Arc::clone(known.facts())),
        destination: call.address.cloned().or_else(|| call.api?.address_of(call.destination)),
        agent: call.agent,
        country: None,
        code: call.code,
        is_other: false,
        tally: Tally::default(),
        times: Times::default(),
    }
}

fn minute_of(now: Timestamp) -> u32 {
    u32::try_from(now.0 / MINUTE_MS).unwrap_or(u32::MAX)
}

pub(crate) fn micros(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000_000).saturating_add(u64::from(duration.subsec_micros()))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Keeps what it is given while it has room.
    #[derive(Default)]
    struct Sink(Mutex<(usize, Vec<Gathered>)>);

    impl CallStatistics for Sink {
        fn take(&self, gathered: Gathered) -> Result<(), Gathered> {
            let mut inner = self.0.lock().unwrap();
            if inner.0 == 0 {
                return Err(gathered);
            }
            inner.0 -= 1;
            inner.1.push(gathered);
            Ok(())
        }
    }

    fn gathering(kinds_max: usize) -> (Gathering, Arc<Sink>) {
        let sink = Arc::new(Sink::default());
        let taking: Arc<dyn CallStatistics> = Arc::<Sink>::clone(&sink);
        let interval = Duration::from_secs(10);
        let settings = StatisticsSettings {
            sink: taking,
            kinds_max,
            interval,
            notes_networks: false,
            notes_strays: false,
            countries: None,
            events: None,
        };
        let gathering = Gathering::new(&settings, (Arc::new(ToldApart::new(9)), 0));
        sink.0.lock().unwrap().0 = 1;
        gathering.tick(Timestamp(60_000));
        (gathering, sink)
    }

    fn begun(code: u32) -> Begun<'static> {
        Begun { agent: AgentFamily::Curl, code, ..Begun::default() }
    }

    fn call(gathering: &Gathering, code: u32, now: Timestamp) {
        call_likely_at(gathering, code, now, None);
    }

    fn call_likely_at(gathering: &Gathering, code: u32, now: Timestamp, likely: Option<usize>) -> usize {
        let number = gathering.begin(&Begun { likely, ..begun(code) });
        let ended = Ended { status: 404, total: Duration::from_millis(1), response_bytes: 10, ..Ended::default() };
        gathering.end(number, &ended, now);
        number
    }

    #[test]
    fn calls_count_where_they_belong_wherever_they_are_expected() {
        let (gathering, sink) = gathering(100);
        sink.0.lock().unwrap().0 = 100;
        let mut likely = None;
        for (number, code) in [404, 404, 401, 404, 401, 401].into_iter().enumerate() {
            likely = Some(call_likely_at(&gathering, code, Timestamp(61_000), likely));
            call_likely_at(&gathering, code, Timestamp(61_000), Some(number * 7));
        }
        let codes = |sink: &Sink| {
            let handed_on = std::mem::take(&mut sink.0.lock().unwrap().1);
            let facts = handed_on.into_iter().flat_map(|gathered| gathered.facts);
            let mut codes: Vec<_> = facts.map(|fact| (fact.code, fact.tally.calls)).collect();
            codes.sort_unstable();
            codes
        };
        gathering.tick(Timestamp(120_000));
        assert_eq!(codes(&sink), [(401, 6), (404, 6)]);
        // A minute without calls later the places are given free, and one of them to another kind.
        gathering.tick(Timestamp(180_000));
        call(&gathering, 429, Timestamp(181_000));
        for place in 0..3 {
            call_likely_at(&gathering, 401, Timestamp(181_000), Some(place));
        }
        gathering.tick(Timestamp(240_000));
        assert_eq!(codes(&sink), [(401, 3), (429, 1)]);
    }

    #[test]
    fn calls_that_are_alike_are_one_fact_and_are_handed_on_when_the_minute_ends() {
        let (gathering, sink) = gathering(100);
        let late = gathering.begin(&begun(404));
        (0..5).for_each(|_| call(&gathering, 404, Timestamp(61_000)));
        gathering.tick(Timestamp(62_000));
        assert!(sink.0.lock().unwrap().1.is_empty(), "not due yet");
        gathering.tick(Timestamp(120_000));
        // One that began before counts when it ends.
        gathering.end(late, &Ended { status: 404, ..Ended::default() }, Timestamp(121_000));
        sink.0.lock().unwrap().0 = 9;
        gathering.tick(Timestamp(130_000));
        let told: Vec<(u32, u64, u64)> = sink
            .0
            .lock()
            .unwrap()
            .1
            .iter()
            .map(|one| {
                assert_eq!(one.facts.len(), 1);
                (one.minute, one.facts[0].tally.calls, one.facts[0].tally.response_bytes)
            })
            .collect();
        assert_eq!(told, [(1, 5, 50), (2, 1, 0)]);
    }

    #[test]
    fn nothing_is_lost_while_nobody_has_room_nor_beyond_the_bound_of_kinds() {
        let (gathering, sink) = gathering(3);
        sink.0.lock().unwrap().0 = 0;
        for round in 0..10_u32 {
            (0..20).for_each(|code| call(&gathering, code, Timestamp(61_000)));
            gathering.tick(Timestamp(61_000 + u64::from(round) * 20_000));
        }
        assert!(gathering.book.borrow().slots.len() <= 7);
        sink.0.lock().unwrap().0 = 9;
        gathering.hand_on();
        let inner = sink.0.lock().unwrap();
        let calls: u64 = inner.1.iter().flat_map(|one| &one.facts).map(|fact| fact.tally.calls).sum();
        assert_eq!(calls, 200);
        assert!(inner.1.iter().flat_map(|one| &one.facts).any(|fact| fact.is_other));
    }
}
