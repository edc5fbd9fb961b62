//! How deep a query goes and what it costs. Fragments are weighed once, wherever they stand, so that the work is bounded
//! by the query's length and not by what it stands for.

use std::collections::HashMap;

use apollo_compiler::ExecutableDocument;
use apollo_compiler::ast::Value as Literal;
use apollo_compiler::executable::{Field, Selection, SelectionSet};
use apollo_compiler::validation::Valid;
use portcullis_model::graphql::FieldCosts;
use serde_json::{Map, Value};

/// The arguments that say how many of a list are asked for, as the original knows them.
const COUNTS: [&str; 3] = ["first", "last", "limit"];

/// What a selection weighs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Weight {
    /// Fields within each other.
    pub(crate) depth: u64,
    /// What it costs.
    pub(crate) complexity: u64,
}

/// A query that is weighed.
pub(crate) struct Analysis<'a> {
    document: &'a Valid<ExecutableDocument>,
    variables: Option<&'a Map<String, Value>>,
    costs: &'a FieldCosts,
    /// Fragments that were weighed.
    fragments: HashMap<&'a str, Weight>,
}

impl<'a> Analysis<'a> {
    /// Begins with a query, which was found valid: its fragments are there, and in no circle.
    pub(crate) fn new(
        document: &'a Valid<ExecutableDocument>,
        variables: Option<&'a Map<String, Value>>,
        costs: &'a FieldCosts,
    ) -> Self {
        Self { document, variables, costs, fragments: HashMap::new() }
    }

    /// Weighs what is selected.
    pub(crate) fn weigh(&mut self, selected: &'a SelectionSet) -> Weight {
        let mut all = Weight::default();
        for selection in &selected.selections {
            let one = match selection {
                Selection::Field(field) => self.weigh_field(selected.ty.as_str(), field),
                Selection::InlineFragment(fragment) => self.weigh(&fragment.selection_set),
                Selection::FragmentSpread(spread) => self.weigh_fragment(spread.fragment_name.as_str()),
            };
            all.depth = all.depth.max(one.depth);
            all.complexity = all.complexity.saturating_add(one.complexity);
        }
        all
    }

    fn weigh_field(&mut self, kind: &str, field: &'a Field) -> Weight {
        let inner = self.weigh(&field.selection_set);
        let own = self.costs.of(kind, field.name.as_str()).saturating_add(inner.complexity);
        Weight { depth: inner.depth + 1, complexity: self.count(field).saturating_mul(own) }
    }

    fn weigh_fragment(&mut self, name: &'a str) -> Weight {
        if let Some(known) = self.fragments.get(name) {
            return *known;
        }
        let Some(fragment) = self.document.fragments.get(name) else { return Weight::default() };
        let weight = self.weigh(&fragment.selection_set);
        self.fragments.insert(name, weight);
        weight
    }

    /// Returns how many are asked for: what the arguments that count say together, and 1 where there is none.
    fn count(&self, field: &Field) -> u64 {
        let counts = field.arguments.iter().filter(|argument| COUNTS.contains(&argument.name.as_str()));
        let asked = counts.fold(0_u64, |sum, argument| {
            let value = match &*argument.value {
                Literal::Int(number) => number.try_to_i32().ok().map(i64::from),
                Literal::Variable(name) => self.variable(name.as_str()),
                _ => None,
            };
            sum.saturating_add(value.map_or(0, |value| value.unsigned_abs()))
        });
        asked.max(1)
    }

    /// Returns the number that a variable stands for: as it was sent, or its default.
    fn variable(&self, name: &str) -> Option<i64> {
        if let Some(sent) = self.variables.and_then(|variables| variables.get(name)) {
            return sent.as_i64();
        }
        let all = self.document.operations.iter().flat_map(|operation| &operation.variables);
        let defaults =
            all.filter(|variable| variable.name == name).filter_map(|variable| variable.default_value.as_ref());
        let numbers = defaults.filter_map(|value| match &**value {
            Literal::Int(number) => number.try_to_i32().ok().map(i64::from),
            _ => None,
        });
        numbers.max()
    }

    /// Returns the fields of the root type that are selected, each once, in their order.
    pub(crate) fn root_fields(&self, selected: &'a SelectionSet) -> Vec<String> {
        let (mut found, mut seen) = (Vec::new(), Vec::new());
        self.collect(selected, &mut found, &mut seen);
        found
    }

    fn collect(&self, selected: &'a SelectionSet, found: &mut Vec<String>, seen: &mut Vec<&'a str>) {
        for selection in &selected.selections {
            match selection {
                Selection::Field(field) => {
                    let name = field.name.as_str();
                    if !name.starts_with("__") && !found.iter().any(|known| known == name) {
                        found.push(name.to_owned());
                    }
                }
                Selection::InlineFragment(fragment) => self.collect(&fragment.selection_set, found, seen),
                Selection::FragmentSpread(spread) if !seen.contains(&spread.fragment_name.as_str()) => {
                    seen.push(spread.fragment_name.as_str());
                    if let Some(fragment) = self.document.fragments.get(spread.fragment_name.as_str()) {
                        self.collect(&fragment.selection_set, found, seen);
                    }
                }
                Selection::FragmentSpread(_) => {}
            }
        }
    }
}
