//! A schema, read from its SDL and checked.

use std::collections::HashMap;
use std::fmt;

use apollo_compiler::Name;
use apollo_compiler::parser::Parser;
use apollo_compiler::schema::{ExtendedType, Implementers};
use apollo_compiler::validation::{DiagnosticList, Valid};
use portcullis_model::graphql::FieldCost;

/// Tokens of a schema: more than 20 000 fields have.
const SCHEMA_TOKENS_MAX: usize = 500_000;
/// How deep a schema may be nested, which only values and types are.
const SCHEMA_DEPTH_MAX: usize = 128;
/// What is wrong with a document is told up to here.
const WRONGS_MAX: usize = 20;
/// Under which name a document is known in messages; nobody sees it.
const PATH: &str = "document";

/// A schema that follows the GraphQL specification.
#[derive(Debug)]
pub struct Schema {
    pub(crate) valid: Valid<apollo_compiler::Schema>,
    /// Which types have the fields of each interface.
    pub(crate) implementers: HashMap<Name, Implementers>,
}

/// Something wrong with a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// The line, from 1; 0 where no line is meant.
    pub line: usize,
    /// The column, from 1; 0 where no line is meant.
    pub column: usize,
    /// What is wrong.
    pub reason: String,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.reason),
            line => write!(f, "line {line}, column {}: {}", self.column, self.reason),
        }
    }
}

/// What an operation does, by the root type that its field belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OperationKind {
    /// Reads.
    Query,
    /// Changes something.
    Mutation,
    /// Tells of what happens, as long as the connection is there.
    Subscription,
}

impl OperationKind {
    /// All of them, in the original's order.
    pub const ALL: [Self; 3] = [Self::Query, Self::Mutation, Self::Subscription];

    /// Returns the verb that the REST contracts have for it.
    #[must_use]
    pub fn as_verb(self) -> &'static str {
        match self {
            Self::Query => "QUERY",
            Self::Mutation => "MUTATION",
            Self::Subscription => "SUBSCRIPTION",
        }
    }

    pub(crate) fn of(kind: apollo_compiler::executable::OperationType) -> Self {
        use apollo_compiler::executable::OperationType;
        match kind {
            OperationType::Query => Self::Query,
            OperationType::Mutation => Self::Mutation,
            OperationType::Subscription => Self::Subscription,
        }
    }

    fn root(self) -> apollo_compiler::executable::OperationType {
        use apollo_compiler::executable::OperationType;
        match self {
            Self::Query => OperationType::Query,
            Self::Mutation => OperationType::Mutation,
            Self::Subscription => OperationType::Subscription,
        }
    }
}

impl Schema {
    /// Reads a schema.
    ///
    /// # Errors
    /// What is wrong with it, with line and column: at least one, at most 20.
    pub fn parse(text: &str) -> Result<Self, Vec<Wrong>> {
        let mut parser = Parser::new().token_limit(SCHEMA_TOKENS_MAX).recursion_limit(SCHEMA_DEPTH_MAX);
        let parsed = parser.parse_schema(text, PATH).map_err(|bad| wrongs(&bad.errors))?;
        let valid = parsed.validate().map_err(|bad| wrongs(&bad.errors))?;
        let implementers = valid.implementers_map().into_iter().collect();
        Ok(Self { valid, implementers })
    }

    /// Returns the fields of the root types, which are the operations of an API, in the order of the schema: queries,
    /// mutations, subscriptions.
    pub fn operations(&self) -> impl Iterator<Item = (OperationKind, &str)> {
        OperationKind::ALL.into_iter().flat_map(|kind| {
            let root = self.valid.root_operation(kind.root()).and_then(|name| self.valid.get_object(name));
            root.into_iter().flat_map(|root| root.fields.keys()).map(move |field| (kind, field.as_str()))
        })
    }

    /// Returns the object types with their fields, in the order of the schema, without those of the language itself.
    pub fn types(&self) -> impl Iterator<Item = (&str, Vec<&str>)> {
        self.valid.types.iter().filter_map(|(name, kind)| match kind {
            ExtendedType::Object(object) if !kind.is_built_in() => {
                Some((name.as_str(), object.fields.keys().map(|field| field.as_str()).collect()))
            }
            _ => None,
        })
    }

    /// Says whether a type of the schema has the field that a cost is given to.
    #[must_use]
    pub fn has_field(&self, cost: &FieldCost) -> bool {
        match self.valid.types.get(cost.kind.as_str()) {
            Some(ExtendedType::Object(object)) => object.fields.contains_key(cost.field.as_str()),
            Some(ExtendedType::Interface(interface)) => interface.fields.contains_key(cost.field.as_str()),
            _ => false,
        }
    }
}

/// Returns what is wrong with a document, as its author reads it.
pub(crate) fn wrongs(errors: &DiagnosticList) -> Vec<Wrong> {
    let one = |error: apollo_compiler::diagnostic::Diagnostic<'_, _>| {
        let error = error.to_json();
        let place = error.locations.first();
        Wrong {
            line: place.map_or(0, |place| place.line),
            column: place.map_or(0, |place| place.column),
            reason: error.message,
        }
    };
    errors.iter().take(WRONGS_MAX).map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SDL: &str = "type Query { menu(first: Int): [Dish!]! }\ntype Mutation { order(dish: ID!): Dish }\ntype Dish { id: ID! price: Int }\n";

    #[test]
    fn the_operations_are_the_fields_of_the_root_types() {
        let schema = Schema::parse(SDL).unwrap();
        let operations: Vec<_> = schema.operations().collect();
        assert_eq!(operations, [(OperationKind::Query, "menu"), (OperationKind::Mutation, "order")]);
        let types: Vec<_> = schema.types().collect();
        assert_eq!(types[0], ("Query", vec!["menu"]));
        assert!(types.contains(&("Dish", vec!["id", "price"])), "{types:?}");
        assert!(types.iter().all(|(name, _)| !name.starts_with("__")), "{types:?}");
        let renamed = Schema::parse("schema { query: Reads }\ntype Reads { menu: Int }").unwrap();
        assert_eq!(renamed.operations().collect::<Vec<_>>(), [(OperationKind::Query, "menu")]);
    }

    #[test]
    fn what_is_wrong_with_a_schema_is_told_with_its_line() {
        for (text, line, said) in [
            ("type Query {\n  menu: Dish\n}", 2, "Dish"),
            ("type Query {\n  menu: Int\n", 2, "syntax error"),
            ("type Dish { id: ID }", 0, "quer"),
        ] {
            let wrong = Schema::parse(text).unwrap_err();
            assert!(wrong[0].reason.contains(said), "{text}: {wrong:?}");
            assert!(line == 0 || wrong[0].line >= line, "{text}: {wrong:?}");
        }
        assert!(!Schema::parse("").unwrap_err().is_empty());
        let nested = format!("type Query {{ menu: {}Int{} }}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(!Schema::parse(&nested).unwrap_err().is_empty());
    }
}
