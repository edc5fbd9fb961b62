//! Judges transactions that append to lists and read them, as Elle does: what each read saw tells the order of the
//! appends, the order tells who depends on whom, and a cycle of dependencies is an anomaly with a name.

mod graph;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::Value;

use crate::history::{Kind, Op, Process, Span, spans};
use crate::verdict::Verdict;
use graph::{Graph, Link};

/// What a transaction does to a list.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// It saw these elements.
    Read(u64, Vec<u64>),
    /// It added this element at the end.
    Append(u64, u64),
}

/// A transaction.
struct Transaction<'a> {
    span: Span<'a>,
    steps: Vec<Step>,
}

impl Transaction<'_> {
    fn index(&self) -> usize {
        self.span.end.map_or(self.span.invoke.index, |end| end.index)
    }

    fn appends(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.steps.iter().filter_map(|step| match step {
            Step::Append(key, element) => Some((*key, *element)),
            Step::Read(..) => None,
        })
    }

    /// Returns the reads that tell of others: of a list that the transaction itself did not append to before.
    fn reads(&self) -> impl Iterator<Item = (u64, &Vec<u64>)> + '_ {
        self.steps.iter().enumerate().filter_map(|(place, step)| match step {
            Step::Read(key, list) => {
                let is_own = self.steps[..place].iter().any(|other| matches!(other, Step::Append(at, _) if at == key));
                (!is_own).then_some((*key, list))
            }
            Step::Append(..) => None,
        })
    }
}

/// Judges a history of `txn` with values `[["r", key, [elements]], ["append", key, element], …]`. Elements are unique per
/// key; every list is empty at the beginning; transactions are promised to be strictly serializable.
pub fn check(history: &[Op]) -> Verdict {
    let spans = spans(history);
    let all: Vec<Transaction<'_>> = spans
        .iter()
        .filter(|span| span.invoke.f == "txn")
        .map(|span| Transaction { span: span.clone(), steps: steps(span) })
        .collect();
    match direct(&all).and_then(|known| cycles(&all, &known)) {
        Ok(()) => Verdict::Valid,
        Err(why) => Verdict::Invalid(why),
    }
}

fn steps(span: &Span<'_>) -> Vec<Step> {
    let said = span.end.filter(|end| end.kind == Kind::Ok).unwrap_or(span.invoke);
    let step = |step: &Value| {
        let key = step[1].as_u64()?;
        match step[0].as_str()? {
            "append" => Some(Step::Append(key, step[2].as_u64()?)),
            "r" => Some(Step::Read(key, step[2].as_array()?.iter().filter_map(Value::as_u64).collect())),
            _ => None,
        }
    };
    said.value.as_array().into_iter().flatten().filter_map(step).collect()
}

/// What the reads tell: the order of the elements of each list, and who appended each.
struct Known {
    orders: BTreeMap<u64, Vec<u64>>,
    writers: HashMap<(u64, u64), usize>,
}

/// Finds what needs no graph: elements from nowhere or twice, reads of what failed or was not finished, lists in different
/// orders, appends that are lost.
fn direct(all: &[Transaction<'_>]) -> Result<Known, String> {
    let mut writers = HashMap::new();
    for (number, transaction) in all.iter().enumerate() {
        for (key, element) in transaction.appends() {
            writers.insert((key, element), number);
        }
    }
    let mut orders: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for transaction in all.iter().filter(|one| one.span.kind() == Kind::Ok) {
        internal(transaction)?;
        for (key, list) in transaction.reads() {
            check_list(all, &writers, transaction, key, list)?;
            let longest = orders.entry(key).or_default();
            let shared = longest.len().min(list.len());
            if longest[..shared] != list[..shared] {
                let place = transaction.index();
                return Err(format!(
                    "incompatible order: history index {place} read list {key} as {list:?}, another as {longest:?}"
                ));
            }
            if list.len() > longest.len() {
                longest.clone_from(list);
            }
        }
    }
    lost(all, &orders)?;
    Ok(Known { orders, writers })
}

/// A transaction must see what it did itself.
fn internal(transaction: &Transaction<'_>) -> Result<(), String> {
    let mut seen: HashMap<u64, (bool, Vec<u64>)> = HashMap::new();
    for step in &transaction.steps {
        match step {
            Step::Append(key, element) => seen.entry(*key).or_default().1.push(*element),
            Step::Read(key, list) => {
                let (is_whole, expected) = seen.entry(*key).or_default();
                let holds = if *is_whole { list == expected } else { list.ends_with(expected) };
                if !holds {
                    let place = transaction.index();
                    return Err(format!(
                        "internal: history index {place} read list {key} as {list:?} after {expected:?}"
                    ));
                }
                (*is_whole, *expected) = (true, list.clone());
            }
        }
    }
    Ok(())
}

fn check_list(
    all: &[Transaction<'_>],
    writers: &HashMap<(u64, u64), usize>,
    reader: &Transaction<'_>,
    key: u64,
    list: &[u64],
) -> Result<(), String> {
    let place = reader.index();
    let mut unique = HashSet::new();
    for (position, element) in list.iter().enumerate() {
        if !unique.insert(element) {
            return Err(format!("duplicate: history index {place} read {element} twice in list {key}"));
        }
        let Some(writer) = writers.get(&(key, *element)).map(|number| &all[*number]) else {
            return Err(format!("garbage: history index {place} read {element} in list {key}, which nobody appended"));
        };
        if writer.span.kind() == Kind::Fail {
            let failed = writer.index();
            return Err(format!(
                "G1a: history index {place} read {element} in list {key}, whose append failed (index {failed})"
            ));
        }
        let is_last = position + 1 == list.len();
        let is_other = writer.index() != place;
        let last_of_writer = writer.appends().filter(|(at, _)| *at == key).last();
        if is_last && is_other && last_of_writer.is_some_and(|(_, last)| last != *element) {
            let within = writer.index();
            return Err(format!(
                "G1b: history index {place} read list {key} in the middle of the transaction at index {within}"
            ));
        }
    }
    Ok(())
}

/// Two transactions that saw the same list and both appended to it, and appends that were acknowledged and are not there.
fn lost(all: &[Transaction<'_>], orders: &BTreeMap<u64, Vec<u64>>) -> Result<(), String> {
    let mut changed: HashMap<(u64, usize), usize> = HashMap::new();
    let acknowledged = || all.iter().filter(|one| one.span.kind() == Kind::Ok);
    for transaction in acknowledged() {
        for (key, list) in transaction.reads() {
            if !transaction.appends().any(|(at, _)| at == key) {
                continue;
            }
            if let Some(other) = changed.insert((key, list.len()), transaction.index()) {
                let place = transaction.index();
                return Err(format!(
                    "lost update: history indexes {other} and {place} both saw list {key} as {list:?} and both appended to it"
                ));
            }
        }
    }
    for writer in acknowledged() {
        for (key, element) in
            writer.appends().filter(|(key, element)| !orders.get(key).is_some_and(|list| list.contains(element)))
        {
            let later = acknowledged()
                .find(|one| one.span.invoke.time > writer.span.ended() && one.reads().any(|(at, _)| at == key));
            if let Some(reader) = later {
                let (place, done) = (reader.index(), writer.index());
                return Err(format!(
                    "lost append: {element} was appended to list {key} (index {done}) and is not in what was read later (index {place})"
                ));
            }
        }
    }
    Ok(())
}

/// Builds the graph of who depends on whom, and looks for cycles.
fn cycles(all: &[Transaction<'_>], known: &Known) -> Result<(), String> {
    let mut graph = Graph::new(all.len());
    let writer = |key: u64, element: u64| known.writers.get(&(key, element)).copied();
    for (key, order) in &known.orders {
        for pair in order.windows(2) {
            if let (Some(before), Some(after)) = (writer(*key, pair[0]), writer(*key, pair[1])) {
                graph.link(before, after, Link::Ww);
            }
        }
    }
    for (number, reader) in all.iter().enumerate().filter(|(_, one)| one.span.kind() == Kind::Ok) {
        for (key, list) in reader.reads() {
            if let Some(before) = list.last().and_then(|last| writer(key, *last)) {
                graph.link(before, number, Link::Wr);
            }
            let next = known.orders.get(&key).and_then(|order| order.get(list.len()));
            if let Some(after) = next.and_then(|next| writer(key, *next)) {
                graph.link(number, after, Link::Rw);
            }
        }
    }
    real_time(all, &mut graph);
    match graph.anomaly() {
        None => Ok(()),
        Some((name, cycle)) => {
            let steps = cycle.iter().map(|(number, link)| format!("index {} -{link}->", all[*number].index()));
            let first = cycle.first().map_or(0, |(number, _)| all[*number].index());
            Err(format!("{name}: {} index {first}", steps.collect::<Vec<_>>().join(" ")))
        }
    }
}

/// Links each transaction that ended to those that began later; not those that follow from others.
fn real_time(all: &[Transaction<'_>], graph: &mut Graph) {
    let mut moments: Vec<(u64, bool, usize)> = Vec::new();
    for (number, one) in all.iter().enumerate().filter(|(_, one)| one.span.kind() != Kind::Fail) {
        debug_assert!(one.span.invoke.process != Process::Nemesis, "spans are of clients");
        moments.push((one.span.invoke.time, false, number));
        if one.span.kind() == Kind::Ok {
            moments.push((one.span.ended(), true, number));
        }
    }
    moments.sort_unstable();
    let mut frontier: Vec<usize> = Vec::new();
    let mut before: HashMap<usize, Vec<usize>> = HashMap::new();
    for (_, is_end, number) in moments {
        if is_end {
            // Whatever comes after this one comes after those as well that ended before it began.
            let implied = before.remove(&number).unwrap_or_default();
            frontier.retain(|other| !implied.contains(other));
            frontier.push(number);
        } else {
            for other in &frontier {
                graph.link(*other, number, Link::RealTime);
            }
            before.insert(number, frontier.clone());
        }
    }
}
