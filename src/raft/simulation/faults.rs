//! Makes the faults of a simulated schedule, and heals them.

use std::sync::atomic::Ordering;
use std::time::Duration;

use portcullis_model::NodeRole;

use super::node::Wish;
use super::plan::{self, Event, below, between_ms};
use super::world::{World, host};

/// What there is to be healed.
enum Wound {
    Down(usize),
    Cut(usize, usize),
    OneWay(usize, usize),
    Stalled(usize, Vec<usize>),
    Slow(usize),
}

impl World {
    fn live_places(&self) -> Vec<usize> {
        (0..self.places.len()).filter(|place| self.places[*place].core().is_some()).collect()
    }

    fn others(&self, place: usize) -> Vec<usize> {
        self.live_places().into_iter().filter(|other| *other != place).collect()
    }

    /// Has something happen, and is over when it is healed.
    pub(super) fn happen(&mut self, event: Event) -> Result<(), String> {
        let live = self.live_places();
        if live.len() < 2 {
            return self.pass(between_ms(100, 300));
        }
        let (one, other) = (live[below(live.len())], live[below(live.len())]);
        self.shared.history.note(format!("{event:?} of {one} and {other}"));
        *self.events.entry(event).or_default() += 1;
        let wounds = self.wound(event, one, other)?;
        self.pass(plan::lasts())?;
        for wound in wounds {
            self.heal(wound);
        }
        self.pass(between_ms(50, 900))
    }

    fn wound(&mut self, event: Event, one: usize, other: usize) -> Result<Vec<Wound>, String> {
        let node_of = |place: usize| self.places[place].core().map(|core| core.node());
        let wounds = match event {
            Event::Kill => vec![self.stop(one, false)?],
            Event::PowerCut => vec![self.stop(one, true)?],
            Event::PowerCutOfAll => {
                self.live_places().into_iter().map(|place| self.stop(place, true)).collect::<Result<_, _>>()?
            }
            Event::CutOff => self.others(one).into_iter().map(|other| self.cut(one, other)).collect(),
            Event::CutPair => vec![self.cut(one, other)],
            Event::CutOneWay => {
                self.sim.partition_oneway(host(one), host(other));
                vec![Wound::OneWay(one, other)]
            }
            Event::Stall => {
                let others = self.others(one);
                others.iter().for_each(|other| self.sim.hold(host(one), host(*other)));
                vec![Wound::Stalled(one, others)]
            }
            Event::SlowDisk => {
                self.places[one].disk.set_speed(between_ms(20, 250));
                vec![Wound::Slow(one)]
            }
            Event::Snapshot => self.ask(one, Wish::Snapshot),
            Event::HandOver => self.ask(one, Wish::HandOver),
            Event::ChangeRole => {
                let role = if below(2) == 0 { NodeRole::Learner } else { NodeRole::Voter };
                node_of(other).map_or_else(Vec::new, |node| self.ask(one, Wish::SetRole(node, role)))
            }
            Event::Replace => {
                let node = node_of(other);
                self.admit();
                node.map_or_else(Vec::new, |node| self.ask(one, Wish::Remove(node)))
            }
        };
        Ok(wounds)
    }

    fn ask(&self, place: usize, wish: Wish) -> Vec<Wound> {
        self.places[place].wish(wish);
        Vec::new()
    }

    fn cut(&self, one: usize, other: usize) -> Wound {
        self.sim.partition(host(one), host(other));
        Wound::Cut(one, other)
    }

    fn stop(&mut self, place: usize, loses_power: bool) -> Result<Wound, String> {
        self.sim.crash(host(place));
        if loses_power {
            let part = u8::try_from(below(256)).unwrap_or(0);
            self.places[place].disk.lose_power(part).map_err(|e| e.to_string())?;
        }
        Ok(Wound::Down(place))
    }

    fn heal(&mut self, wound: Wound) {
        match wound {
            // Nobody starts a node again that was removed and has ended.
            Wound::Down(place) if self.places[place].has_left.load(Ordering::Relaxed) => {}
            Wound::Down(place) => self.sim.bounce(host(place)),
            Wound::Cut(one, other) => self.sim.repair(host(one), host(other)),
            Wound::OneWay(one, other) => self.sim.repair_oneway(host(one), host(other)),
            Wound::Stalled(one, others) => {
                others.iter().for_each(|other| self.sim.release(host(one), host(*other)));
            }
            Wound::Slow(place) => self.places[place].disk.set_speed(Duration::ZERO),
        }
    }
}
