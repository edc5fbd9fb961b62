//! Finds what a path leads to in a document, each place once, and no further than a rule may go.

use std::borrow::Cow;
use std::collections::HashSet;
use std::rc::Rc;

use serde_json::Value;

use super::path::{Path, Step};
use super::work::{TooCostly, Work};

/// Places that one step of a path may find in one document.
const FOUND_MAX: usize = 200_000;

/// A place in a document.
#[derive(Clone, Debug)]
pub(super) struct Found<'a> {
    at: Rc<Node<'a>>,
    /// Whether the key is meant and not the value.
    is_key: bool,
}

/// A value, and those around it, which places share.
#[derive(Debug)]
struct Node<'a> {
    key: Key<'a>,
    value: &'a Value,
    parent: Option<Rc<Node<'a>>>,
}

#[derive(Clone, Copy, Debug)]
enum Key<'a> {
    Root,
    Name(&'a str),
    Number(usize),
}

impl<'a> Key<'a> {
    fn text(self) -> Cow<'a, str> {
        match self {
            Self::Root => Cow::Borrowed(""),
            Self::Name(name) => Cow::Borrowed(name),
            Self::Number(number) => Cow::Owned(number.to_string()),
        }
    }
}

impl<'a> Found<'a> {
    /// Returns what is there.
    pub(super) fn value(&self) -> Cow<'a, Value> {
        if self.is_key {
            return Cow::Owned(Value::String(self.at.key.text().into_owned()));
        }
        Cow::Borrowed(self.at.value)
    }

    /// Returns the keys and numbers that lead there.
    pub(super) fn place(&self) -> Vec<Cow<'a, str>> {
        let mut place = Vec::new();
        let mut at = &self.at;
        while let Some(parent) = &at.parent {
            place.push(at.key.text());
            at = parent;
        }
        place.reverse();
        place
    }

    fn child(&self, (key, value): (Key<'a>, &'a Value)) -> Self {
        Self { at: Rc::new(Node { key, value, parent: Some(Rc::clone(&self.at)) }), is_key: false }
    }

    fn children(&self) -> Box<dyn Iterator<Item = (Key<'a>, &'a Value)> + 'a> {
        match self.at.value {
            Value::Object(map) if !self.is_key => {
                Box::new(map.iter().map(|(key, value)| (Key::Name(key.as_str()), value)))
            }
            Value::Array(items) if !self.is_key => {
                Box::new(items.iter().enumerate().map(|(number, value)| (Key::Number(number), value)))
            }
            _ => Box::new(std::iter::empty()),
        }
    }

    fn named(&self, name: &str) -> Option<(Key<'a>, &'a Value)> {
        match self.at.value {
            Value::Object(map) if !self.is_key => {
                map.get_key_value(name).map(|(key, value)| (Key::Name(key.as_str()), value))
            }
            Value::Array(items) if !self.is_key => {
                let number = name.parse().ok()?;
                items.get(number).map(|value| (Key::Number(number), value))
            }
            _ => None,
        }
    }
}

impl Path {
    /// Returns what is found in a document.
    ///
    /// # Errors
    /// Where that takes more than may be done.
    pub(super) fn find<'a>(&self, document: &'a Value, work: &mut Work) -> Result<Vec<Found<'a>>, TooCostly> {
        let root = Rc::new(Node { key: Key::Root, value: document, parent: None });
        let mut found = vec![Found { at: root, is_key: false }];
        for step in &self.steps {
            let mut next = Next::default();
            for one in found {
                next.take(step, one, work)?;
            }
            found = next.found;
        }
        Ok(found)
    }
}

/// What a step finds, each place once: a place is where its value is kept.
#[derive(Default)]
struct Next<'a> {
    found: Vec<Found<'a>>,
    met: HashSet<(*const Value, bool)>,
}

impl<'a> Next<'a> {
    /// Keeps a place; says whether it is new.
    fn keep(&mut self, one: Found<'a>, work: &mut Work) -> Result<bool, TooCostly> {
        work.spend(1)?;
        if !self.met.insert((std::ptr::from_ref(one.at.value), one.is_key)) {
            return Ok(false);
        }
        if self.found.len() >= FOUND_MAX {
            return Err(TooCostly);
        }
        self.found.push(one);
        Ok(true)
    }

    fn take(&mut self, step: &Step, one: Found<'a>, work: &mut Work) -> Result<(), TooCostly> {
        match step {
            Step::Keys => {
                self.keep(Found { is_key: true, ..one }, work)?;
            }
            Step::Parent => {
                if let Some(parent) = &one.at.parent {
                    self.keep(Found { at: Rc::clone(parent), is_key: false }, work)?;
                }
            }
            Step::Deep => self.take_all_below(one, work)?,
            Step::All => {
                for child in one.children() {
                    self.keep(one.child(child), work)?;
                }
            }
            Step::Names(names) => {
                for name in names {
                    work.spend(1)?;
                    if let Some(child) = one.named(name) {
                        self.keep(one.child(child), work)?;
                    }
                }
            }
            Step::Where(filter) => {
                for (key, value) in one.children() {
                    if filter.holds(&key.text(), value, work)? {
                        self.keep(one.child((key, value)), work)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn take_all_below(&mut self, one: Found<'a>, work: &mut Work) -> Result<(), TooCostly> {
        let mut open = vec![one];
        while let Some(one) = open.pop() {
            // What is below a place that was met was met with it.
            if !self.keep(one.clone(), work)? {
                continue;
            }
            for child in one.children() {
                work.spend(1)?;
                open.push(one.child(child));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::expression::Expressions;
    use super::*;

    fn path(text: &str) -> Path {
        Path::parse(text, &mut Expressions::default()).unwrap()
    }

    #[test]
    fn a_place_that_several_ways_lead_to_is_found_once() {
        let document = json!({"list": [[1, 2], [3], {"a": 4}]});
        for (text, count) in [("$.list[*]^", 1), ("$.list[*]^[*]^[*]", 3), ("$..[*]..a", 1), ("$.list[0,0]", 1)] {
            assert_eq!(path(text).find(&document, &mut Work::default()).unwrap().len(), count, "{text}");
        }
    }

    #[test]
    fn a_path_that_goes_too_far_is_given_up() {
        let wide = Value::from(vec![0; FOUND_MAX + 1]);
        let mut work = Work::default();
        assert!(path("$[*]").find(&wide, &mut work).is_err());
        // To and fro is work too, though it finds one place.
        let list = Value::from(vec![0; 100_000]);
        let to_and_fro = format!("${}", "[*]^".repeat(20));
        assert!(path(&to_and_fro).find(&list, &mut Work::default()).is_err());
        assert_eq!(path("$[*]^").find(&list, &mut Work::default()).unwrap().len(), 1);
    }
}
