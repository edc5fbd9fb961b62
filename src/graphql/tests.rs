//! What queries are found to ask, and which are refused.

use portcullis_model::graphql::FieldCost;
use serde_json::json;

use super::*;

const SDL: &str = "type Query { menu(first: Int, kind: String): [Dish!]! chef: Chef }\n\
    type Mutation { order(dish: ID!): Dish }\n\
    type Dish { id: ID! price: Int by: Chef }\ntype Chef { name: String dishes(last: Int): [Dish!]! }\n";

fn read(query: &str, variables: &Value, costs: &FieldCosts) -> Result<Asked, CannotRead> {
    Schema::parse(SDL).unwrap().read(query, None, variables.as_object(), costs)
}

fn names(asked: &Asked) -> Vec<String> {
    asked.fields.iter().map(|field| field.name.clone()).collect()
}

/// Returns why a query is refused; fails the test where it is not.
fn refused(outcome: Result<Asked, CannotRead>) -> String {
    match outcome {
        Err(CannotRead::Refused(why)) => why,
        other => panic!("not refused: {other:?}"),
    }
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
    let fields = |query: &str| read(query, &json!({}), &FieldCosts::default()).map(|asked| (asked.kind, names(&asked)));
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
    for query in ["", "{", "{ nothing }", "{ menu }", "{ menu { id } } fragment F on Dish { id }", "type T { a: Int }"]
    {
        assert!(matches!(read(query, &json!({}), &none), Err(CannotRead::Invalid(_))), "{query}");
    }
    let two = "query A { chef { name } } query B { menu { id } }";
    assert_eq!(read(two, &json!({}), &none), Err(CannotRead::WhichOperation));
    let schema = Schema::parse(SDL).unwrap();
    assert_eq!(names(&schema.read(two, Some("B"), None, &none).unwrap()), ["menu"]);
    assert_eq!(schema.read(two, Some("C"), None, &none), Err(CannotRead::WhichOperation));
}

/// Layers of fragments, each of which spreads two of the next, so that what meets doubles with each layer.
fn layers(count: usize) -> String {
    let fragment = |layer: usize, number: usize| {
        let next = layer + 1;
        let within = match number {
            _ if layer == count => "p: name q: name".to_owned(),
            0 => format!("p: ofType {{ ...F{next}_0 ...F{next}_1 }} q: ofType {{ ...F{next}_0 }}"),
            number => {
                let number = number + 1;
                format!("p: ofType {{ ...F{next}_{number} }} q: ofType {{ ...F{next}_{number} }}")
            }
        };
        format!(" fragment F{layer}_{number} on __Type {{ {within} }}")
    };
    let all = (0..=count).flat_map(|layer| (0..=layer).map(move |number| fragment(layer, number)));
    format!("{{ __type(name: \"Dish\") {{ ...F0_0 }} }}{}", all.collect::<String>())
}

/// Reads a query where there is as little stack as a worker has.
fn read_on_a_worker(schema: &'static str, query: String) -> Result<Asked, CannotRead> {
    let read = move || Schema::parse(schema).unwrap().read(&query, None, None, &FieldCosts::default());
    std::thread::Builder::new().stack_size(2 << 20).spawn(read).unwrap().join().expect("the stack is enough")
}

#[test]
fn what_a_query_stands_for_is_bounded_before_it_is_validated() {
    let began = std::time::Instant::now();
    let why = refused(read_on_a_worker(SDL, layers(24)));
    assert!(why.contains("20000 fields"), "{why}");
    // Each fragment has the one before twice: what it stands for doubles with each.
    let mut query = String::from("{ chef { ...F20 } } fragment F0 on Chef { name }");
    for level in 1..=20 {
        let before = level - 1;
        query.push_str(&format!(
            " fragment F{level} on Chef {{ dishes {{ by {{ ...F{before} }} }} d: dishes {{ by {{ ...F{before} }} }} }}"
        ));
    }
    let why = refused(read_on_a_worker(SDL, query));
    assert!(why.contains("20000 fields"), "{why}");
    // Several operations count together.
    let wide = format!("{{ chef {{ {} }} }}", (0..10).map(|n| format!("a{n}: dishes {{ ...W }} ")).collect::<String>());
    let fields: String = (0..300).map(|n| format!("f{n}: id ")).collect();
    let fragment = format!(" fragment W on Dish {{ {fields} }}");
    assert!(read_on_a_worker(SDL, format!("{wide}{fragment}")).is_ok());
    let several: String = (0..8).map(|n| format!("query Q{n} {wide} ")).collect();
    assert!(refused(read_on_a_worker(SDL, format!("{several}{fragment}"))).contains("20000 fields"));
    let many: String = (0..21).map(|n| format!("query Q{n} {{ chef {{ name }} }} ")).collect();
    assert!(refused(read_on_a_worker(SDL, many)).contains("21 operations"));
    // The limit is wide because machines are slow.
    assert!(began.elapsed() < std::time::Duration::from_secs(20), "{:?}", began.elapsed());
}

#[test]
fn nesting_is_bounded_with_what_fragments_stand_for() {
    let began = std::time::Instant::now();
    for nested in ["{ chef { dishes { by ".repeat(50_000), "{".repeat(100_000), "[".repeat(100_000)] {
        assert!(read_on_a_worker(SDL, nested).is_err());
    }
    let mut chain = String::from("{ ...F0 }");
    for number in 0..25 {
        let within = if number == 24 { "__typename".to_owned() } else { format!("...F{}", number + 1) };
        chain.push_str(&format!(
            " fragment F{number} on Query {{ {}{within}{} }}",
            "...{".repeat(190),
            "}".repeat(190)
        ));
    }
    assert!(refused(read_on_a_worker(SDL, chain.clone())).contains("deeper than 100"));
    // Nobody uses the fragments here; validation goes through them all the same.
    let unused = chain.replacen("{ ...F0 }", "{ __typename }", 1);
    assert!(refused(read_on_a_worker(SDL, unused)).contains("deeper than 100"));
    // Each one fragment deep, and each measured before the next spreads it.
    let spread: String = (1..=120).map(|n| format!(" fragment F{n} on Query {{ ...F{} }}", n - 1)).collect();
    let spread = format!("fragment F0 on Query {{ __typename }}{spread} query {{ ...F120 }}");
    assert!(refused(read_on_a_worker(SDL, spread)).contains("deeper than 100"));
    let circle = "{ ...A } fragment A on Query { ...B } fragment B on Query { chef { name } ...A }";
    assert!(refused(read_on_a_worker(SDL, circle.to_owned())).contains("within itself"));
    let deepest = |levels: usize| format!("{{ {}__typename{} }}", "...{".repeat(levels), "}".repeat(levels));
    assert!(read_on_a_worker(SDL, deepest(99)).is_ok());
    assert!(refused(read_on_a_worker(SDL, deepest(100))).contains("deeper than 100"));
    assert!(began.elapsed() < std::time::Duration::from_secs(20), "{:?}", began.elapsed());
}

#[test]
fn fields_of_interfaces_meet_those_of_each_type_a_bounded_number_of_times() {
    const NODES: &str = "type Query { node: Node } interface Node { x: Node id: ID }\n\
        type A implements Node { x: Node id: ID } type B implements Node { x: Node id: ID }";
    let began = std::time::Instant::now();
    // What is selected on the interface meets what is selected on A, and on B; within it, that again.
    let chain = |kind: &str, depth: usize| {
        format!("... on {kind} {{ x {{ {}{kind}{depth}: id{} }} }}", "x { ".repeat(depth), " }".repeat(depth))
    };
    let mut query = String::from("id");
    for depth in 0..40 {
        query = format!("x {{ {query} }} {} {}", chain("A", depth), chain("B", depth));
    }
    let query = format!("{{ node {{ {query} }} }}");
    assert!(refused(read_on_a_worker(NODES, query)).contains("include each other"));
    // So do those that have nothing within.
    let types: String =
        (0..100).map(|number| format!(" type T{number} implements Node {{ x: Node id: ID }}")).collect();
    let on_each: String = (0..100).map(|number| format!("... on T{number} {{ id }} ")).collect();
    let query = format!("{{ node {{ {} {on_each} }} }}", "id ".repeat(2_000));
    let why = Schema::parse(&format!("{NODES}{types}")).unwrap().read(&query, None, None, &FieldCosts::default());
    assert!(refused(why).contains("include each other"));
    let usual = "{ node { id x { id } ... on A { x { x { id } } } ... on B { x { id ... on A { id } } } } }";
    assert!(read_on_a_worker(NODES, usual.to_owned()).is_ok());
    assert!(began.elapsed() < std::time::Duration::from_secs(20), "{:?}", began.elapsed());
}

#[test]
fn how_many_are_asked_for_is_known_however_it_is_said() {
    let sdl = "type Query { menu(first: Int = 1000): [Dish] all(limit: Float): [Dish] big(last: Long): [Dish]\n\
        after(last: String): [Dish] } type Dish { id: ID } scalar Long";
    let schema = Schema::parse(sdl).unwrap();
    let none = FieldCosts::default();
    let read = |query: &str, variables: Value| schema.read(query, None, variables.as_object(), &none);
    let costs = |query: &str, variables: Value| read(query, variables).unwrap().complexity;
    assert_eq!(costs("{ menu { id } }", json!({})), 2_000, "the schema has a default");
    assert_eq!(costs("{ menu(first: 5) { id } }", json!({})), 10);
    assert_eq!(costs("{ menu(first: null) { id } }", json!({})), 2);
    let menu = "query M($n: Int) { menu(first: $n) { id } }";
    assert_eq!(costs(menu, json!({})), 2_000, "what has no value is as if it were not there");
    assert_eq!(costs(menu, json!({"n": null})), 2);
    for number in ["1e6", "1000000.0", "1000000"] {
        let variables = serde_json::from_str(&format!("{{\"n\": {number}}}")).unwrap();
        assert_eq!(costs(menu, variables), 2_000_000, "{number}");
    }
    for number in [json!("5"), json!(1.5), json!([5]), json!(true), json!({"n": 5})] {
        let why = read(menu, json!({"n": number})).map_err(|why| matches!(why, CannotRead::Refused(_)));
        assert!(number == json!("5") || why == Err(true), "{number}: {why:?}");
    }
    assert_eq!(costs("{ all(limit: 1e3) { id } }", json!({})), 2_000);
    assert_eq!(costs("query M($n: Float) { all(limit: $n) { id } }", json!({"n": 1.5})), 4);
    assert_eq!(costs("{ big(last: \"1000\") { id } }", json!({})), 2_000);
    assert_eq!(costs("{ big(last: 10000000000000) { id } }", json!({})), 20_000_000_000_000);
    assert_eq!(costs("query M($n: Long) { big(last: $n) { id } }", json!({"n": "1000"})), 2_000);
    assert!(read("query M($n: Long) { big(last: $n) { id } }", json!({"n": "many"})).is_err());
    assert_eq!(costs("query M($n: String) { after(last: $n) { id } }", json!({"n": "x"})), 2);
}

#[test]
fn a_field_of_an_interface_costs_the_most_that_it_may() {
    let sdl = "type Query { node: Node } interface Node { id: ID } type A implements Node { id: ID }\n\
        type B implements Node { id: ID }";
    let cost = |kind: &str, cost| FieldCost { kind: kind.to_owned(), field: "id".to_owned(), cost };
    let read = |query: &str, costs: Vec<FieldCost>| {
        Schema::parse(sdl).unwrap().read(query, None, None, &FieldCosts::new(costs)).unwrap().complexity
    };
    assert_eq!(read("{ node { id } }", vec![cost("A", 7), cost("B", 3)]), 8);
    assert_eq!(read("{ node { id } }", vec![cost("A", 7), cost("Node", 9)]), 10);
    assert_eq!(read("{ node { ... on B { id } } }", vec![cost("A", 7), cost("B", 3)]), 4);
}

#[test]
fn what_is_asked_for_by_several_names_counts_as_often() {
    let read = |query: &str| read(query, &json!({}), &FieldCosts::default());
    let times = |query: &str| -> Vec<_> {
        read(query).unwrap().fields.into_iter().map(|field| (field.name, field.times)).collect()
    };
    let query =
        "{ menu { id } a: menu { id } ...F chef { name } } fragment F on Query { menu { price } b: menu { id } }";
    assert_eq!(times(query), [("menu".to_owned(), 3), ("chef".to_owned(), 1)]);
    let many =
        |count: usize| format!("{{ {} }}", (0..count).map(|n| format!("a{n}: chef {{ name }} ")).collect::<String>());
    assert_eq!(times(&many(50)), [("chef".to_owned(), 50)]);
    assert!(refused(read(&many(51))).contains("more than 50 fields"));
}
