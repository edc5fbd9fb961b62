//! What a query asks: which operations of its API, how deep and at what cost.

use apollo_compiler::parser::Parser;
use portcullis_model::graphql::FieldCosts;
use serde_json::{Map, Value};

use crate::analysis::Analysis;
use crate::schema::{OperationKind, Schema, Wrong, wrongs};

/// Tokens of a query: as many as the original's parser takes.
const QUERY_TOKENS_MAX: usize = 15_000;
/// How deep a query may be nested before anything else is looked at.
const QUERY_DEPTH_MAX: usize = 200;
/// Under which name a query is known in messages; nobody sees it.
const PATH: &str = "query";

/// What a query asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// What it does.
    pub kind: OperationKind,
    /// The fields of the root type that it asks for, each once. Those by which schemas are looked at (`__schema`,
    /// `__type`, `__typename`) are no operations of an API and not among them.
    pub fields: Vec<String>,
    /// How many fields are within each other at most: 1 for a query of fields that have none.
    pub depth: u64,
    /// What it costs, as the original reckons: a field costs 1 or what its API says, and what is in it; times as many as
    /// its arguments ask for.
    pub complexity: u64,
}

/// Why it is not known what a query asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CannotRead {
    /// It is not what the schema allows.
    Invalid(Vec<Wrong>),
    /// Which of several operations is meant is not said, or there is none of that name.
    WhichOperation,
}

impl Schema {
    /// Reads a query against the schema. `operation` is the name of the one that is meant where there are several;
    /// `variables` are the values of variables.
    ///
    /// # Errors
    /// Where it is not valid, or not one operation is meant.
    pub fn read(
        &self,
        query: &str,
        operation: Option<&str>,
        variables: Option<&Map<String, Value>>,
        costs: &FieldCosts,
    ) -> Result<Asked, CannotRead> {
        let mut parser = Parser::new().token_limit(QUERY_TOKENS_MAX).recursion_limit(QUERY_DEPTH_MAX);
        let invalid = |errors: &_| CannotRead::Invalid(wrongs(errors));
        let parsed = parser.parse_executable(&self.valid, query, PATH).map_err(|bad| invalid(&bad.errors))?;
        let document = parsed.validate(&self.valid).map_err(|bad| invalid(&bad.errors))?;
        let meant = document.operations.get(operation).map_err(|_| CannotRead::WhichOperation)?;
        let mut analysis = Analysis::new(&document, variables, costs);
        let weight = analysis.weigh(&meant.selection_set);
        Ok(Asked {
            kind: OperationKind::of(meant.operation_type),
            fields: analysis.root_fields(&meant.selection_set),
            depth: weight.depth,
            complexity: weight.complexity,
        })
    }
}

#[cfg(test)]
mod tests {
    use portcullis_model::graphql::FieldCost;
    use serde_json::json;

    use super::*;

    const SDL: &str = "type Query { menu(first: Int, kind: String): [Dish!]! chef: Chef }\n\
        type Mutation { order(dish: ID!): Dish }\n\
        type Dish { id: ID! price: Int by: Chef }\ntype Chef { name: String dishes(last: Int): [Dish!]! }\n";

    fn read(query: &str, variables: &Value, costs: &FieldCosts) -> Result<Asked, CannotRead> {
        Schema::parse(SDL).unwrap().read(query, None, variables.as_object(), costs)
    }

    fn weight(query: &str) -> (u64, u64) {
        let asked = read(query, &json!({}), &FieldCosts::default()).unwrap();
        (asked.depth, asked.complexity)
    }

    #[test]
    fn depth_and_cost_are_those_of_what_is_selected_by_fragments_too() {
        assert_eq!(weight("{ menu { id } }"), (2, 2));
        assert_eq!(weight("{ menu { id price } chef { name } }"), (2, 5));
        assert_eq!(weight("{ menu { by { dishes { by { name } } } } }"), (5, 5));
        assert_eq!(weight("{ menu { ...Dish } } fragment Dish on Dish { by { ... on Chef { name } } }"), (3, 3));
    }

    #[test]
    fn a_list_costs_as_much_as_is_asked_for_of_it() {
        assert_eq!(weight("{ menu(first: 10) { id price } }"), (2, 30));
        assert_eq!(weight("{ menu(kind: \"soup\") { id } }"), (2, 2));
        assert_eq!(weight("{ menu(first: 10) { by { dishes(last: 10) { id } } } }"), (4, 220));
        let none = FieldCosts::default();
        let query = "query Menu($n: Int = 5) { menu(first: $n) { id } }";
        assert_eq!(read(query, &json!({"n": 100}), &none).unwrap().complexity, 200, "a variable is looked up");
        assert_eq!(read(query, &json!({}), &none).unwrap().complexity, 10, "or has its default");
        let cost = FieldCost { kind: "Dish".to_owned(), field: "price".to_owned(), cost: 7 };
        let costs = FieldCosts::new([cost]);
        assert_eq!(read("{ menu { id price } }", &json!({}), &costs).unwrap().complexity, 9);
    }

    #[test]
    fn the_operations_asked_for_are_the_root_fields_each_once() {
        let fields =
            |query: &str| read(query, &json!({}), &FieldCosts::default()).map(|asked| (asked.kind, asked.fields));
        let both = vec!["menu".to_owned(), "chef".to_owned()];
        assert_eq!(fields("{ a: menu { id } menu { id } chef { name } }"), Ok((OperationKind::Query, both.clone())));
        let hidden = "{ ...All ... { chef { name } } } fragment All on Query { menu { id } }";
        assert_eq!(fields(hidden), Ok((OperationKind::Query, both)));
        assert_eq!(fields("{ __typename __schema { types { name } } }"), Ok((OperationKind::Query, Vec::new())));
        let order = fields("mutation { order(dish: 1) { id } }");
        assert_eq!(order, Ok((OperationKind::Mutation, vec!["order".to_owned()])));
    }

    #[test]
    fn what_is_no_query_of_the_schema_is_refused() {
        let none = FieldCosts::default();
        for query in
            ["", "{", "{ nothing }", "{ menu }", "{ menu { id } } fragment F on Dish { id }", "type T { a: Int }"]
        {
            assert!(matches!(read(query, &json!({}), &none), Err(CannotRead::Invalid(_))), "{query}");
        }
        let two = "query A { chef { name } } query B { menu { id } }";
        assert_eq!(read(two, &json!({}), &none), Err(CannotRead::WhichOperation));
        let schema = Schema::parse(SDL).unwrap();
        assert_eq!(schema.read(two, Some("B"), None, &none).unwrap().fields, ["menu"]);
        assert_eq!(schema.read(two, Some("C"), None, &none), Err(CannotRead::WhichOperation));
    }

    #[test]
    fn a_query_that_grows_without_end_is_read_soon() {
        let began = std::time::Instant::now();
        // Each fragment has the one before twice: what it stands for doubles with each.
        let mut query = String::from("{ chef { ...F60 } } fragment F0 on Chef { name }");
        for level in 1..=60 {
            let before = level - 1;
            query.push_str(&format!(
                " fragment F{level} on Chef {{ dishes {{ by {{ ...F{before} }} }} d: dishes {{ by {{ ...F{before} }} }} }}"
            ));
        }
        let asked = read(&query, &json!({}), &FieldCosts::default());
        if let Ok(asked) = asked {
            assert!(asked.complexity > 1 << 50, "{asked:?}");
        }
        for nested in ["{ chef { dishes { by ".repeat(50_000), "{".repeat(100_000), "[".repeat(100_000)] {
            assert!(read(&nested, &json!({}), &FieldCosts::default()).is_err());
        }
        // The limit is wide because machines are slow.
        assert!(began.elapsed() < std::time::Duration::from_secs(20), "{:?}", began.elapsed());
    }
}
