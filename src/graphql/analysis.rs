//! How deep a query goes and what it costs. Fragments are weighed once, wherever they stand, so that the work is bounded
//! by the query's length and not by what it stands for.

use std::collections::{HashMap, HashSet};

use apollo_compiler::ExecutableDocument;
use apollo_compiler::ast::{InputValueDefinition, Value as Literal};
use apollo_compiler::executable::{Field, Operation, Selection, SelectionSet};
use apollo_compiler::schema::ExtendedType;
use apollo_compiler::validation::Valid;
use portcullis_model::graphql::FieldCosts;
use serde_json::{Map, Value};

use crate::asked::{ROOT_FIELDS_MAX, RootField};
use crate::schema::Schema;

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
    schema: &'a Schema,
    document: &'a Valid<ExecutableDocument>,
    operation: &'a Operation,
    variables: Option<&'a Map<String, Value>>,
    costs: &'a FieldCosts,
    /// Fragments that were weighed.
    fragments: HashMap<&'a str, Weight>,
    /// What fields of interfaces were found to cost.
    of_interfaces: HashMap<(&'a str, &'a str), u64>,
}

impl<'a> Analysis<'a> {
    /// Begins with an operation of a query, which was found valid: its fragments are there, and in no circle.
    pub(crate) fn new(
        schema: &'a Schema,
        document: &'a Valid<ExecutableDocument>,
        operation: &'a Operation,
        variables: Option<&'a Map<String, Value>>,
        costs: &'a FieldCosts,
    ) -> Self {
        let (fragments, of_interfaces) = (HashMap::new(), HashMap::new());
        Self { schema, document, operation, variables, costs, fragments, of_interfaces }
    }

    /// Weighs what is selected.
    ///
    /// # Errors
    /// What says how many are asked for and is no number.
    pub(crate) fn weigh(&mut self, selected: &'a SelectionSet) -> Result<Weight, String> {
        let mut all = Weight::default();
        for selection in &selected.selections {
            let one = match selection {
                Selection::Field(field) => self.weigh_field(selected.ty.as_str(), field)?,
                Selection::InlineFragment(fragment) => self.weigh(&fragment.selection_set)?,
                Selection::FragmentSpread(spread) => self.weigh_fragment(spread.fragment_name.as_str())?,
            };
            all.depth = all.depth.max(one.depth);
            all.complexity = all.complexity.saturating_add(one.complexity);
        }
        Ok(all)
    }

    fn weigh_field(&mut self, kind: &'a str, field: &'a Field) -> Result<Weight, String> {
        let inner = self.weigh(&field.selection_set)?;
        let own = self.cost(kind, field.name.as_str()).saturating_add(inner.complexity);
        Ok(Weight { depth: inner.depth + 1, complexity: self.count(field)?.saturating_mul(own) })
    }

    fn weigh_fragment(&mut self, name: &'a str) -> Result<Weight, String> {
        if let Some(known) = self.fragments.get(name) {
            return Ok(*known);
        }
        let Some(fragment) = self.document.fragments.get(name) else { return Ok(Weight::default()) };
        let weight = self.weigh(&fragment.selection_set)?;
        self.fragments.insert(name, weight);
        Ok(weight)
    }

    /// Returns what a field costs. Of an interface it may be that of any type which has the interface: the most counts.
    fn cost(&mut self, kind: &'a str, field: &'a str) -> u64 {
        let own = self.costs.of(kind, field);
        let Some(types) = self.schema.implementers.get(kind) else { return own };
        let costs = self.costs;
        *self.of_interfaces.entry((kind, field)).or_insert_with(|| {
            let others = types.objects.iter().chain(&types.interfaces);
            others.map(|name| costs.of(name.as_str(), field)).fold(own, u64::max)
        })
    }

    /// Returns how many are asked for: what the arguments that count say together, and 1 where there is none.
    fn count(&self, field: &Field) -> Result<u64, String> {
        let mut asked = 0_u64;
        for argument in field.definition.arguments.iter().filter(|argument| COUNTS.contains(&argument.name.as_str())) {
            let given = field.arguments.iter().find(|given| given.name == argument.name).map(|given| &*given.value);
            let number = match given {
                Some(Literal::Variable(name)) => self.variable(name.as_str(), argument)?,
                Some(literal) => Some(self.of_literal(literal, argument)?),
                None => None,
            };
            let default = argument.default_value.as_deref().filter(|_| number.is_none());
            let default = default.map(|literal| self.of_literal(literal, argument)).transpose()?;
            asked = asked.saturating_add(number.or(default).unwrap_or(0));
        }
        Ok(asked.max(1))
    }

    /// Returns the number that a variable stands for: as it was sent, or its default; `None` where it has neither, so that
    /// the argument is as if it were not there.
    fn variable(&self, name: &str, argument: &InputValueDefinition) -> Result<Option<u64>, String> {
        if let Some(sent) = self.variables.and_then(|variables| variables.get(name)) {
            let number = match sent {
                Value::Number(number) => number.as_f64(),
                // Large numbers are sent so.
                Value::String(text) if self.is_number(argument) => text.trim().parse().ok(),
                Value::Null => return Ok(Some(0)),
                _ if !self.is_number(argument) => return Ok(Some(0)),
                _ => None,
            };
            let is_good = |number: &f64| number.is_finite() && (number.fract() == 0.0 || is_float(argument));
            return number.filter(is_good).map(|number| Some(rounded_up(number))).ok_or_else(|| {
                let count = argument.name.as_str();
                format!("The variable `{name}` says how many are asked for (`{count}`): send a whole number, or null")
            });
        }
        let variable = self.operation.variables.iter().find(|variable| variable.name == name);
        let default = variable.and_then(|variable| variable.default_value.as_deref());
        default.map(|literal| self.of_literal(literal, argument)).transpose()
    }

    /// Returns the number that stands in a query or a schema.
    fn of_literal(&self, literal: &Literal, argument: &InputValueDefinition) -> Result<u64, String> {
        let number = match literal {
            Literal::Int(number) => number.try_to_f64().ok(),
            Literal::Float(number) => number.try_to_f64().ok(),
            Literal::String(text) if self.is_number(argument) => text.trim().parse().ok(),
            Literal::Null => return Ok(0),
            _ if !self.is_number(argument) => return Ok(0),
            _ => None,
        };
        number
            .filter(|number| number.is_finite())
            .map(rounded_up)
            .ok_or_else(|| format!("`{}` says how many are asked for: give it a number, or null", argument.name))
    }

    /// Says whether an argument takes a number and nothing else, as far as the schema tells: what scalars of its own are
    /// is known to the backend alone.
    fn is_number(&self, argument: &InputValueDefinition) -> bool {
        let kind = argument.ty.inner_named_type().as_str();
        let is_scalar = matches!(self.schema.valid.types.get(kind), Some(ExtendedType::Scalar(_)));
        is_scalar && !argument.ty.is_list() && !matches!(kind, "String" | "ID" | "Boolean")
    }

    /// Returns the fields of the root type that are selected, in their order, and how often each.
    ///
    /// # Errors
    /// Where there are more than one query may ask for.
    pub(crate) fn root_fields(&self, selected: &'a SelectionSet) -> Result<Vec<RootField>, String> {
        let mut roots = Roots::default();
        self.collect(selected, &mut roots)?;
        Ok(roots.found)
    }

    fn collect(&self, selected: &'a SelectionSet, roots: &mut Roots<'a>) -> Result<(), String> {
        for selection in &selected.selections {
            match selection {
                Selection::Field(field) => roots.add(field)?,
                Selection::InlineFragment(fragment) => self.collect(&fragment.selection_set, roots)?,
                Selection::FragmentSpread(spread) if roots.fragments.insert(spread.fragment_name.as_str()) => {
                    if let Some(fragment) = self.document.fragments.get(spread.fragment_name.as_str()) {
                        self.collect(&fragment.selection_set, roots)?;
                    }
                }
                Selection::FragmentSpread(_) => {}
            }
        }
        Ok(())
    }
}

/// The fields of the root type that were found.
#[derive(Default)]
struct Roots<'a> {
    found: Vec<RootField>,
    /// By which names they are answered. Fields of one name are one.
    names: HashSet<&'a str>,
    fragments: HashSet<&'a str>,
}

impl<'a> Roots<'a> {
    fn add(&mut self, field: &'a Field) -> Result<(), String> {
        if !self.names.insert(field.response_key().as_str()) {
            return Ok(());
        }
        if self.names.len() > ROOT_FIELDS_MAX {
            return Err(format!(
                "The query asks for more than {ROOT_FIELDS_MAX} fields of the root type, by aliases or not: send several \
                 queries"
            ));
        }
        let name = field.name.as_str();
        match self.found.iter_mut().find(|known| known.name == name) {
            Some(known) => known.times += 1,
            None if name.starts_with("__") => {}
            None => self.found.push(RootField { name: name.to_owned(), times: 1 }),
        }
        Ok(())
    }
}

fn is_float(argument: &InputValueDefinition) -> bool {
    argument.ty.inner_named_type() == "Float"
}

/// Backends differ in what they make of numbers below zero: they count by their size.
fn rounded_up(number: f64) -> u64 {
    // Ends at the largest number there is.
    number.abs().ceil() as u64
}
