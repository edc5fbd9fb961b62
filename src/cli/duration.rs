//! Lengths of time as people write them on a command line: `90s`, `30m`, `24h`, `7d`.

use std::time::Duration;

/// Reads a length of time: a whole number with `s`, `m`, `h` or `d`.
///
/// # Errors
/// What is wrong with it, for clap to show.
pub fn parse(text: &str) -> Result<Duration, String> {
    let explain =
        || format!("{text:?} is no length of time; write a whole number with s, m, h or d, such as 90s or 24h");
    let unit = text.chars().last().ok_or_else(explain)?;
    let seconds_per_unit: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(explain()),
    };
    let count: u64 = text[..text.len() - 1].parse().map_err(|_| explain())?;
    let seconds = count.checked_mul(seconds_per_unit).filter(|seconds| *seconds > 0).ok_or_else(explain)?;
    Ok(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_needs_a_number_and_a_unit() {
        assert_eq!(parse("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse("24h"), Ok(Duration::from_secs(86_400)));
        assert_eq!(parse("7d"), Ok(Duration::from_secs(604_800)));
        for wrong in ["", "h", "10", "-1h", "0s", "1w", "1.5h", "99999999999999999999d", "5µ"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
