//! What a query asks: which operations of its API, how deep and at what cost.

use apollo_compiler::parser::Parser;
use portcullis_model::graphql::FieldCosts;
use serde_json::{Map, Value};

use crate::analysis::Analysis;
use crate::bounds;
use crate::schema::{OperationKind, Schema, Wrong, wrongs};

/// Tokens of a query: as many as the original's parser takes.
const QUERY_TOKENS_MAX: usize = 15_000;
/// How deep a query may be nested before anything else is looked at. What fragments stand for is bounded beside.
const QUERY_DEPTH_MAX: usize = 200;
/// Under which name a query is known in messages; nobody sees it.
const PATH: &str = "query";

/// Fields of the root type that one query may ask for, by whatever names.
pub(crate) const ROOT_FIELDS_MAX: usize = 50;

/// What a query asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// What it does.
    pub kind: OperationKind,
    /// The fields of the root type that it asks for, each once. Those by which schemas are looked at (`__schema`,
    /// `__type`, `__typename`) are no operations of an API and not among them.
    pub fields: Vec<RootField>,
    /// How many fields are within each other at most: 1 for a query of fields that have none.
    pub depth: u64,
    /// What it costs, as the original reckons: a field costs 1 or what its API says, and what is in it; times as many as
    /// its arguments ask for.
    pub complexity: u64,
}

/// A field of the root type that a query asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootField {
    /// The field.
    pub name: String,
    /// How often it is asked for, each time by another name: 1 to 50, with all others of the query.
    pub times: usize,
}

/// Why it is not known what a query asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CannotRead {
    /// It is not what the schema allows.
    Invalid(Vec<Wrong>),
    /// Which of several operations is meant is not said, or there is none of that name.
    WhichOperation,
    /// It stands for more than is read, or what it asks for cannot be reckoned: what, why, and what to do.
    Refused(String),
}

impl Schema {
    /// Reads a query against the schema. `operation` is the name of the one that is meant where there are several;
    /// `variables` are the values of variables.
    ///
    /// # Errors
    /// Where it is not valid, or not one operation is meant, or it is larger than is read: nested deeper than 100 or more
    /// than 20 000 fields with what its fragments stand for, more than 20 operations, more than 50 fields of the root type.
    pub fn read(
        &self,
        query: &str,
        operation: Option<&str>,
        variables: Option<&Map<String, Value>>,
        costs: &FieldCosts,
    ) -> Result<Asked, CannotRead> {
        let mut parser = Parser::new().token_limit(QUERY_TOKENS_MAX).recursion_limit(QUERY_DEPTH_MAX);
        let invalid = |errors: &_| CannotRead::Invalid(wrongs(errors));
        let parsed = parser.parse_ast(query, PATH).map_err(|bad| invalid(&bad.errors))?;
        bounds::check(&parsed).map_err(CannotRead::Refused)?;
        let document = parsed.to_executable(&self.valid).map_err(|bad| invalid(&bad.errors))?;
        bounds::check_meetings(&document, &self.valid).map_err(CannotRead::Refused)?;
        let document = document.validate(&self.valid).map_err(|bad| invalid(&bad.errors))?;
        let meant = document.operations.get(operation).map_err(|_| CannotRead::WhichOperation)?;
        let mut analysis = Analysis::new(self, &document, meant, variables, costs);
        let fields = analysis.root_fields(&meant.selection_set).map_err(CannotRead::Refused)?;
        let weight = analysis.weigh(&meant.selection_set).map_err(CannotRead::Refused)?;
        Ok(Asked {
            kind: OperationKind::of(meant.operation_type),
            fields,
            depth: weight.depth,
            complexity: weight.complexity,
        })
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
