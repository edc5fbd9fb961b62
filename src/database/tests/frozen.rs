//! What is stored and sent stays readable: numbers of commands and tables never change.

use imbl::OrdMap;
use portcullis_database::State;
use portcullis_database::command::COMMANDS;
use portcullis_database::layout::Layout;
use portcullis_database::table::TableVisitor;
use serde::Serialize;

const FROZEN_COMMANDS: &str = include_str!("frozen/commands.txt");
const FROZEN_TABLES: &str = include_str!("frozen/tables.txt");

#[test]
fn command_numbers_are_frozen() {
    let now: Vec<String> = COMMANDS.iter().map(|(number, name)| format!("{number} {name}")).collect();
    let frozen: Vec<&str> = FROZEN_COMMANDS.lines().collect();
    assert_eq!(
        now, frozen,
        "a command number is for ever: new commands go into tests/frozen/commands.txt, none leaves it"
    );
}

#[test]
fn command_numbers_are_unique_and_in_order() {
    assert!(COMMANDS.is_sorted_by(|one, next| one.0 < next.0), "{COMMANDS:?}");
}

struct Names(Vec<String>);

impl TableVisitor for Names {
    type Error = std::convert::Infallible;

    fn table<L, K, V>(&mut self, number: u16, name: &'static str, _: &OrdMap<K, V>) -> Result<(), Self::Error>
    where
        L: Layout<Row = (K, V)>,
        K: Ord + Clone + Serialize,
        V: Clone + Serialize,
    {
        self.0.push(format!("{number} {name}"));
        Ok(())
    }
}

#[test]
fn table_numbers_are_frozen() {
    let mut names = Names(Vec::new());
    State::default().visit(&mut names).expect("collecting names cannot fail");
    let frozen: Vec<&str> = FROZEN_TABLES.lines().collect();
    assert_eq!(
        names.0, frozen,
        "a table number is for ever: new tables go into tests/frozen/tables.txt with a new format"
    );
}
