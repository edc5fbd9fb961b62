//! The document of the access matrix says what the compiler holds.

use std::fmt::Write as _;
use std::path::Path;

use portcullis_database::access::MATRIX;

const DATABASES: [&str; 4] = ["apimgtdb", "userdb", "regdb", "statdb"];
const COMPONENTS: [&str; 7] = ["Publisher", "Store", "Key Manager", "Gateway", "Traffic Manager", "Analytics", "Admin"];

fn rendered() -> String {
    let mut table = String::from("| | apimgtdb | userdb | regdb | statdb | mbstoredb |\n|---|---|---|---|---|---|\n");
    for component in COMPONENTS {
        write!(table, "| {component} |").expect("writing to a string");
        for database in DATABASES {
            let cell = MATRIX.iter().find(|one| one.component == component && one.database == database);
            write!(table, " {} |", cell.map_or("–", |one| one.access)).expect("writing to a string");
        }
        let own = if component == "Traffic Manager" { "read, write (its own)" } else { "–" };
        writeln!(table, " {own} |").expect("writing to a string");
    }
    table
}

#[test]
fn the_document_is_what_the_compiler_holds() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/access-matrix.md");
    let document = std::fs::read_to_string(&path).expect("docs/access-matrix.md must be there");
    assert!(document.contains(&rendered()), "docs/access-matrix.md must hold this table:\n{}", rendered());
}
