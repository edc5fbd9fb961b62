//! What a gateway's routes take: all compiled, one changed, one found. In this process, with the compiler and the table of
//! the gateway.

use portcullis_gateway::measure::routes;

use crate::{BenchError, table};

/// Looks for operations.
const LOOKS: u32 = 2_000_000;

/// Measures at each number of APIs. `note` hears what goes on.
///
/// # Errors
/// Where an operation was not found.
pub fn run_routes(apis: &[u32], operations: u32, note: &dyn Fn(&str)) -> Result<String, BenchError> {
    let mut rows = Vec::new();
    for &count in apis {
        note(&format!("{count} APIs …"));
        let wrong = |missed| BenchError::Node(format!("{missed} of {LOOKS} looks found no operation, or another one"));
        let times = routes::routes(count, operations, LOOKS).map_err(wrong)?;
        let ms = |took: std::time::Duration| format!("{:.2} ms", took.as_secs_f64() * 1e3);
        rows.push(vec![
            count.to_string(),
            ms(times.compiled),
            ms(times.changed),
            ms(times.changed_at_most),
            format!("{} ns", times.found.as_nanos()),
        ]);
    }
    let heads = ["APIs", "all compiled", "one changed, median", "slowest", "an operation found"];
    Ok(table(&format!("Routes of APIs with {operations} operations each"), &heads, &rows))
}
