//! How often a plan is billed, and when that began. Days are counted from 1970 and end at midnight UTC.

/// How often something is billed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cycle {
    /// Each day.
    Day,
    /// Each week, from Monday on.
    Week,
    /// Each month.
    Month,
    /// Each year.
    Year,
}

impl Cycle {
    const ALL: [Self; 4] = [Self::Day, Self::Week, Self::Month, Self::Year];

    /// Returns its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
        }
    }

    /// Returns the one of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cycle| cycle.name().eq_ignore_ascii_case(name))
    }

    /// Returns the first day of the cycle that a day is in.
    #[must_use]
    pub fn first_day(self, day: u32) -> u32 {
        let place = Place::of(day);
        match self {
            Self::Day => day,
            // 1970 began on a Thursday.
            Self::Week => day.saturating_sub((day + 3) % 7),
            Self::Month => day - place.of_month,
            Self::Year => day - place.of_year,
        }
    }
}

/// Where a day is in the calendar.
struct Place {
    year: u32,
    /// From 1 on.
    month: u32,
    /// Days of the month before it.
    of_month: u32,
    /// Days of the year before it.
    of_year: u32,
}

impl Place {
    fn of(day: u32) -> Self {
        let is_leap = |year: u32| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let (mut year, mut left) = (1970, day);
        loop {
            let days = if is_leap(year) { 366 } else { 365 };
            if left < days {
                break;
            }
            left -= days;
            year += 1;
        }
        let of_year = left;
        let february = if is_leap(year) { 29 } else { 28 };
        let mut month = 1;
        for days in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
            if left < days {
                break;
            }
            left -= days;
            month += 1;
        }
        Self { year, month, of_month: left, of_year }
    }
}

/// Returns a day as it is written: `2026-11-27`.
#[must_use]
pub fn date_of(day: u32) -> String {
    let place = Place::of(day);
    format!("{:04}-{:02}-{:02}", place.year, place.month, place.of_month + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Friday, 27 November 2026.
    const DAY: u32 = 20_784;

    #[test]
    fn cycles_begin_where_people_expect_it() {
        let back = |cycle: Cycle, day: u32| day - cycle.first_day(day);
        assert_eq!(Cycle::ALL.map(|cycle| back(cycle, DAY)), [0, 4, 26, 330]);
        // The last day of a leap year, the first of the next, and 29 February.
        let last = 20_088;
        assert_eq!((back(Cycle::Year, last), back(Cycle::Month, last)), (365, 30));
        assert_eq!((back(Cycle::Year, last + 1), back(Cycle::Month, last + 1)), (0, 0));
        assert_eq!(back(Cycle::Month, 19_782), 28);
        assert_eq!((Cycle::Year.first_day(0), Cycle::Week.first_day(0)), (0, 0));
        let dates = [DAY, last, last + 1, 19_782, 0].map(date_of);
        assert_eq!(dates, ["2026-11-27", "2024-12-31", "2025-01-01", "2024-02-29", "1970-01-01"]);
    }

    #[test]
    fn cycles_are_named_in_any_case() {
        assert_eq!((Cycle::named("MONTH"), Cycle::named("moon")), (Some(Cycle::Month), None));
    }
}
