//! The order of names in lists.

use std::cmp::Ordering;

/// Returns how one name stands to another, whatever the case of their letters. Nothing is copied: a list of thousands is put
/// in order by this.
#[must_use]
pub fn caseless(one: &str, other: &str) -> Ordering {
    let mut pairs = one.bytes().zip(other.bytes()).enumerate();
    // What is ASCII in both is compared byte by byte; behind it both go on with a whole character.
    let at = loop {
        match pairs.next() {
            Some((at, (left, right))) if !left.is_ascii() || !right.is_ascii() => break at,
            Some((_, (left, right))) => match left.to_ascii_lowercase().cmp(&right.to_ascii_lowercase()) {
                Ordering::Equal => {}
                unequal => return unequal,
            },
            None => return one.len().cmp(&other.len()),
        }
    };
    let lower = |text: &str| text.chars().flat_map(char::to_lowercase).collect::<String>();
    lower(&one[at..]).cmp(&lower(&other[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_the_order_of_their_small_letters() {
        let texts = [
            "",
            "a",
            "A",
            "ab",
            "aB",
            "b",
            "Zürich",
            "zurich",
            "ZÜRICH",
            "zÜrich 2",
            "İ",
            "i̇",
            "é",
            "É",
            "a\u{300}",
            "東京",
            "ß",
            "ẞ",
        ];
        for (one, other) in texts.iter().flat_map(|one| texts.iter().map(move |other| (one, other))) {
            assert_eq!(caseless(one, other), one.to_lowercase().cmp(&other.to_lowercase()), "{one} {other}");
        }
    }
}
