//! Pages of lists: `limit` and `offset` in, `{count, list, pagination}` out. Sorting and searching are the caller's.

use std::cmp::Ordering;

use portcullis_model::limit::{PAGE_LIMIT_DEFAULT, PAGE_LIMIT_MAX};
use serde::{Deserialize, Serialize};

use crate::error::ApiError;

/// Objects that are kept at least before they are cut down to those that a page may show.
const KEPT_MIN: usize = 64;

/// The query parameters of a list. Kept as text, so that a wrong one gets a clear answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct PageQuery {
    /// How many at most.
    pub limit: Option<String>,
    /// How many to leave out first.
    pub offset: Option<String>,
}

/// A page that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// How many at most, 0 to 1 000.
    pub limit: usize,
    /// How many to leave out first.
    pub offset: usize,
}

impl Page {
    /// Everything there is.
    pub const ALL: Self = Self { limit: usize::MAX, offset: 0 };

    /// Returns what this page shows of all there is, which is in order.
    pub fn of<T>(self, all: &[T]) -> &[T] {
        let begin = self.offset.min(all.len());
        &all[begin..begin.saturating_add(self.limit).min(all.len())]
    }

    /// Returns how many were found, and what this page shows of them, in order. The others are not put in order, only told
    /// from it, while each is at hand: that takes one look at most of them, where sorting takes a dozen. `order` must tell any
    /// two apart, or what is equal may be shown twice and not at all on pages that follow each other.
    pub fn select<T>(self, found: impl IntoIterator<Item = T>, order: impl Fn(&T, &T) -> Ordering) -> (usize, Vec<T>) {
        let end = self.offset.saturating_add(self.limit);
        let kept_max = end.saturating_mul(2).max(KEPT_MIN);
        let (mut total, mut kept) = (0, Vec::new());
        let mut is_cut = false;
        for one in found {
            total += 1;
            // Once cut, the last of what may be shown stands there.
            if end == 0 || (is_cut && order(&one, &kept[end - 1]) != Ordering::Less) {
                continue;
            }
            kept.push(one);
            if kept.len() == kept_max {
                cut(&mut kept, end, &order);
                is_cut = true;
            }
        }
        cut(&mut kept, end, &order);
        if self.offset >= kept.len() {
            return (total, Vec::new());
        }
        if self.offset > 0 {
            kept.select_nth_unstable_by(self.offset, &order);
            kept.drain(..self.offset);
        }
        kept.sort_unstable_by(order);
        (total, kept)
    }
}

/// Leaves the first `end`, the last of them at the end.
fn cut<T>(kept: &mut Vec<T>, end: usize, order: impl Fn(&T, &T) -> Ordering) {
    if (1..kept.len()).contains(&end) {
        kept.select_nth_unstable_by(end - 1, order);
    }
    kept.truncate(end);
}

impl Default for Page {
    fn default() -> Self {
        Self { limit: PAGE_LIMIT_DEFAULT, offset: 0 }
    }
}

impl PageQuery {
    /// Returns the page: 25 from the start where nothing is said, at most 1 000.
    ///
    /// # Errors
    /// 400 where a parameter is not a whole number of 0 or more.
    pub fn page(&self) -> Result<Page, ApiError> {
        let limit = number("limit", self.limit.as_deref())?.unwrap_or(PAGE_LIMIT_DEFAULT);
        let offset = number("offset", self.offset.as_deref())?.unwrap_or(0);
        Ok(Page { limit: limit.min(PAGE_LIMIT_MAX), offset })
    }
}

fn number(name: &str, text: Option<&str>) -> Result<Option<usize>, ApiError> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    text.parse()
        .map(Some)
        .map_err(|_| ApiError::bad_request(format!("{name}: must be a whole number of 0 or more, not `{text}`")))
}

/// A page of a list as the contracts have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct List<T> {
    /// How many are in `list`.
    pub count: usize,
    /// The objects.
    pub list: Vec<T>,
    /// Where this page stands in the whole.
    pub pagination: Pagination,
}

/// Where a page stands in the whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pagination {
    /// How many were left out first.
    pub offset: usize,
    /// How many at most.
    pub limit: usize,
    /// How many there are.
    pub total: usize,
    /// The next page, relative to the request; empty where this is the last.
    pub next: String,
    /// The page before, relative to the request; empty where this is the first.
    pub previous: String,
}

impl<T: Serialize> List<T> {
    /// Cuts a page out of everything there is.
    #[must_use]
    pub fn of(all: Vec<T>, page: Page) -> Self {
        let total = all.len();
        let list = all.into_iter().skip(page.offset).take(page.limit).collect();
        Self::part(list, total, page)
    }

    /// Makes a page of objects that were cut out already, of `total` there are.
    #[must_use]
    pub fn part(items: Vec<T>, total: usize, page: Page) -> Self {
        let Page { limit, offset } = page;
        let link = |offset: usize| format!("?limit={limit}&offset={offset}");
        let has_next = limit > 0 && offset.saturating_add(limit) < total;
        let next = if has_next { link(offset + limit) } else { String::new() };
        let previous = if offset > 0 && limit > 0 { link(offset.saturating_sub(limit)) } else { String::new() };
        let pagination = Pagination { offset, limit, total, next, previous };
        Self { count: items.len(), list: items, pagination }
    }

    /// Makes the links absolute paths with further query parameters: `path` as the contracts show it (`/apis`), `query`
    /// without `limit` and `offset`, encoded (`query=name%3Apizza`), or empty.
    #[must_use]
    pub fn with_links(mut self, path: &str, query: &str) -> Self {
        let tail = if query.is_empty() { String::new() } else { format!("&{query}") };
        for link in [&mut self.pagination.next, &mut self.pagination.previous] {
            if !link.is_empty() {
                *link = format!("{path}{link}{tail}");
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_link_to_their_neighbours_and_the_last_has_no_next() {
        let page = |offset| List::of((0..5).collect(), Page { limit: 2, offset });
        assert_eq!(page(0).list, [0, 1]);
        assert_eq!(page(0).pagination.next, "?limit=2&offset=2");
        assert_eq!(page(0).pagination.previous, "");
        assert_eq!(page(4).list, [4]);
        assert_eq!(page(4).pagination.next, "");
        assert_eq!(page(4).with_links("/apis", "query=x").pagination.previous, "/apis?limit=2&offset=2&query=x");
        assert_eq!(page(usize::MAX).count, 0);
    }

    #[test]
    fn pages_are_cut_out_of_what_is_in_no_order() {
        let found: Vec<u32> = (0..100).map(|number| number * 37 % 101).collect();
        let mut sorted = found.clone();
        sorted.sort_unstable();
        for (limit, offset) in
            [(25, 0), (25, 25), (7, 93), (25, 90), (25, 100), (25, usize::MAX), (0, 5), (100, 0), (1_000, 0)]
        {
            let expected: Vec<u32> = sorted.iter().skip(offset).take(limit).copied().collect();
            assert_eq!(
                Page { limit, offset }.select(found.clone(), u32::cmp),
                (100, expected),
                "{limit} from {offset}"
            );
        }
        assert_eq!(Page::ALL.select(found, u32::cmp), (100, sorted.clone()));
        assert_eq!(Page { limit: 7, offset: 95 }.of(&sorted), &sorted[95..]);
        assert!(Page { limit: usize::MAX, offset: usize::MAX }.of(&sorted).is_empty());
    }

    #[test]
    fn a_limit_that_is_no_number_is_refused_by_name_and_a_large_one_is_cut() {
        let query = |limit: &str| PageQuery { limit: Some(limit.to_owned()), offset: None };
        assert!(query("-1").page().unwrap_err().description().contains("limit: must be a whole number"));
        assert_eq!(query("5000").page().unwrap().limit, PAGE_LIMIT_MAX);
        assert_eq!(query("").page().unwrap().limit, PAGE_LIMIT_DEFAULT);
    }
}
