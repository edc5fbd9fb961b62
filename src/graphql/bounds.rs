//! What a query may stand for. It is bounded before the query is validated: what validation costs grows with what fragments
//! stand for, and with the types that selections meet in, and not with the query's length.

use std::collections::{HashMap, HashSet};

use apollo_compiler::ast::{Definition, Document, Selection};
use apollo_compiler::executable::{self, SelectionSet};
use apollo_compiler::schema::ExtendedType;
use apollo_compiler::{ExecutableDocument, Schema};

/// How deep selections may be within each other: fields, inline fragments, and what fragments stand for.
pub(crate) const DEPTH_MAX: usize = 100;
/// Fields of all operations of a document, with those that fragments stand for at each place.
pub(crate) const FIELDS_MAX: u64 = 20_000;
/// Operations of a document, of which one is asked for.
pub(crate) const OPERATIONS_MAX: usize = 20;
/// Fields that are looked at to find whether selections of one name agree: again for each type that they meet in.
const MEETINGS_MAX: usize = 100_000;

/// What a selection stands for.
#[derive(Clone, Copy, Default)]
struct Size {
    depth: usize,
    fields: u64,
}

/// Measures what the parts of a document stand for; each fragment once.
struct Measure<'a> {
    fragments: HashMap<&'a str, &'a [Selection]>,
    /// `None` while a fragment is being measured.
    measured: HashMap<&'a str, Option<Size>>,
}

/// Refuses a document that stands for too much.
///
/// # Errors
/// What there is too much of, and what to do about it.
pub(crate) fn check(document: &Document) -> Result<(), String> {
    let mut measure = Measure { fragments: HashMap::new(), measured: HashMap::new() };
    let mut operations = 0;
    for definition in &document.definitions {
        match definition {
            Definition::OperationDefinition(_) => operations += 1,
            Definition::FragmentDefinition(fragment) => {
                // That a name is there twice is found later.
                measure.fragments.entry(fragment.name.as_str()).or_insert(&fragment.selection_set);
            }
            _ => {}
        }
    }
    if operations > OPERATIONS_MAX {
        return Err(format!(
            "The document has {operations} operations, more than {OPERATIONS_MAX}: send the one that is meant, or fewer"
        ));
    }
    let mut fields = 0_u64;
    for definition in &document.definitions {
        match definition {
            Definition::OperationDefinition(operation) => {
                fields = fields.saturating_add(measure.selected(&operation.selection_set, 0)?.fields);
            }
            // Validation goes through those too that nobody uses.
            Definition::FragmentDefinition(fragment) => {
                measure.selected(&fragment.selection_set, 0)?;
            }
            _ => {}
        }
    }
    if fields > FIELDS_MAX {
        return Err(format!(
            "The query stands for more than {FIELDS_MAX} fields once its fragments are put in: ask for fewer fields, or \
             in several queries"
        ));
    }
    Ok(())
}

impl<'a> Measure<'a> {
    /// Measures a selection that is within `around` others. Goes no deeper than it lets selections be.
    fn selected(&mut self, selections: &'a [Selection], around: usize) -> Result<Size, String> {
        let mut all = Size::default();
        for selection in selections {
            if around >= DEPTH_MAX {
                return Err(too_deep());
            }
            let (within, own) = match selection {
                Selection::Field(field) => (self.selected(&field.selection_set, around + 1)?, 1),
                Selection::InlineFragment(fragment) => (self.selected(&fragment.selection_set, around + 1)?, 0),
                Selection::FragmentSpread(spread) => (self.fragment(spread.fragment_name.as_str(), around + 1)?, 0),
            };
            all.depth = all.depth.max(within.depth + 1);
            all.fields = all.fields.saturating_add(within.fields).saturating_add(own);
        }
        Ok(all)
    }

    fn fragment(&mut self, name: &'a str, around: usize) -> Result<Size, String> {
        match self.measured.get(name) {
            Some(Some(known)) if around + known.depth > DEPTH_MAX => return Err(too_deep()),
            Some(Some(known)) => return Ok(*known),
            Some(None) => {
                return Err(format!("The fragment `{name}` is within itself: take it out of what it is made of"));
            }
            None => {}
        }
        // That there is none of that name is found later.
        let Some(selections) = self.fragments.get(name).copied() else { return Ok(Size::default()) };
        self.measured.insert(name, None);
        let size = self.selected(selections, around)?;
        self.measured.insert(name, Some(size));
        Ok(size)
    }
}

fn too_deep() -> String {
    format!("The query is nested deeper than {DEPTH_MAX}, with what its fragments stand for: ask for less at once")
}

/// Refuses a document whose selections meet in too many ways. What is selected on an interface meets what is selected on
/// each of its types, and what is within it does so again: where that is nested, it doubles with each level.
///
/// # Errors
/// What there is too much of, and what to do about it.
pub(crate) fn check_meetings(document: &ExecutableDocument, schema: &Schema) -> Result<(), String> {
    let mut meetings = Meetings { document, schema, left: MEETINGS_MAX };
    for operation in document.operations.iter() {
        meetings.look_at(&[&operation.selection_set]).ok_or_else(|| {
            format!(
                "The query selects fields of one name on many types that include each other, in more than {MEETINGS_MAX} \
                 ways: nest fewer fragments on types within each other, or give their fields aliases of their own"
            )
        })?;
    }
    Ok(())
}

struct Meetings<'a> {
    document: &'a ExecutableDocument,
    schema: &'a Schema,
    left: usize,
}

impl<'a> Meetings<'a> {
    /// Goes through selections as validation does, and counts; `None` where there is too much. The document was found to
    /// be of bounded depth.
    fn look_at(&mut self, sets: &[&'a SelectionSet]) -> Option<()> {
        let mut by_name: HashMap<&'a str, Vec<(&'a str, &'a SelectionSet)>> = HashMap::new();
        let (mut waiting, mut seen) = (sets.to_vec(), HashSet::new());
        while let Some(set) = waiting.pop() {
            for selection in &set.selections {
                self.left = self.left.checked_sub(1)?;
                match selection {
                    executable::Selection::Field(field) => {
                        let name = field.response_key().as_str();
                        by_name.entry(name).or_default().push((set.ty.as_str(), &field.selection_set));
                    }
                    executable::Selection::InlineFragment(fragment) => waiting.push(&fragment.selection_set),
                    executable::Selection::FragmentSpread(spread) => {
                        let name = spread.fragment_name.as_str();
                        let fragment = self.document.fragments.get(name).filter(|_| seen.insert(name));
                        waiting.extend(fragment.map(|fragment| &fragment.selection_set));
                    }
                }
            }
        }
        for fields in by_name.into_values() {
            self.look_within(&fields)?;
        }
        Some(())
    }

    /// Goes through what is within the fields of one name, for each type that has any of them.
    fn look_within(&mut self, fields: &[(&'a str, &'a SelectionSet)]) -> Option<()> {
        let (mut of_any, mut of_one): (Vec<_>, HashMap<&str, Vec<_>>) = (Vec::new(), HashMap::new());
        for (kind, within) in fields {
            match self.schema.types.get(*kind) {
                Some(ExtendedType::Object(_)) => of_one.entry(kind).or_default().push(*within),
                _ => of_any.push(*within),
            }
        }
        self.left = self.left.checked_sub(of_any.len().saturating_mul(of_one.len()))?;
        if fields.iter().all(|(_, within)| within.selections.is_empty()) {
            return Some(());
        }
        if of_one.is_empty() {
            return self.look_at(&of_any);
        }
        for mut sets in of_one.into_values() {
            sets.extend(&of_any);
            self.look_at(&sets)?;
        }
        Some(())
    }
}
