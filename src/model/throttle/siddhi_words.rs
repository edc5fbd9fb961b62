//! The words of a Siddhi query: names, texts, numbers and symbols, read one after the other.

use std::fmt;

use super::siddhi::UnknownShape;

/// One word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word<'a> {
    /// A keyword or a name, with its namespace: `str:concat`, `#throttler:timeBatch`.
    Name(&'a str),
    /// What stands between quotes.
    Text(&'a str),
    /// A whole number.
    Number(u64),
    /// Anything else.
    Symbol(&'a str),
    /// Nothing more.
    End,
}

impl fmt::Display for Word<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, "`{name}`"),
            Self::Text(text) => write!(f, "the text '{text}'"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Symbol(symbol) => write!(f, "`{symbol}`"),
            Self::End => f.write_str("the end"),
        }
    }
}

/// The words of a query, and how far it has been read.
pub(super) struct Words<'a> {
    words: Vec<Word<'a>>,
    at: usize,
}

impl<'a> Words<'a> {
    /// Divides a query into words.
    pub(super) fn of(query: &'a str, chars_max: usize) -> Result<Self, UnknownShape> {
        if query.chars().count() > chars_max {
            let wanted = format!("at most {chars_max} characters");
            return Err(UnknownShape { wanted, found: "more".to_owned() });
        }
        let mut words = Vec::new();
        let mut rest = query.trim_start();
        while !rest.is_empty() {
            let (word, length) = first_word(rest)?;
            words.push(word);
            rest = rest[length..].trim_start();
        }
        Ok(Self { words, at: 0 })
    }

    fn peek(&self, ahead: usize) -> Word<'a> {
        self.words.get(self.at + ahead).copied().unwrap_or(Word::End)
    }

    /// Returns where reading is.
    pub(super) fn place(&self) -> usize {
        self.at
    }

    /// Goes back to a place.
    pub(super) fn go_back(&mut self, place: usize) {
        self.at = place;
    }

    /// Makes the refusal for what follows.
    pub(super) fn wanted(&self, wanted: &str) -> UnknownShape {
        UnknownShape { wanted: wanted.to_owned(), found: self.peek(0).to_string() }
    }

    /// Reads the next word.
    pub(super) fn next(&mut self) -> Result<Word<'a>, UnknownShape> {
        let word = self.peek(0);
        if word == Word::End {
            return Err(self.wanted("more"));
        }
        self.at += 1;
        Ok(word)
    }

    /// Says whether the next word is that keyword, whatever its case.
    pub(super) fn is_keyword(&self, keyword: &str) -> bool {
        matches!(self.peek(0), Word::Name(name) if name.eq_ignore_ascii_case(keyword))
    }

    /// Says whether the word after the next is that keyword.
    pub(super) fn is_second(&self, keyword: &str) -> bool {
        matches!(self.peek(1), Word::Name(name) if name.eq_ignore_ascii_case(keyword))
    }

    /// Reads keywords, one after the other.
    pub(super) fn keywords(&mut self, keywords: &[&str]) -> Result<(), UnknownShape> {
        for keyword in keywords {
            if !self.is_keyword(keyword) {
                return Err(self.wanted(&format!("`{keyword}`")));
            }
            self.at += 1;
        }
        Ok(())
    }

    /// Says whether the next word is that symbol.
    pub(super) fn is_symbol(&self, symbol: &str) -> bool {
        self.peek(0) == Word::Symbol(symbol)
    }

    /// Reads a symbol.
    pub(super) fn symbol(&mut self, symbol: &str) -> Result<(), UnknownShape> {
        if !self.is_symbol(symbol) {
            return Err(self.wanted(&format!("`{symbol}`")));
        }
        self.at += 1;
        Ok(())
    }

    /// Reads a number.
    pub(super) fn number(&mut self) -> Result<u64, UnknownShape> {
        match self.peek(0) {
            Word::Number(number) => {
                self.at += 1;
                Ok(number)
            }
            _ => Err(self.wanted("a number")),
        }
    }

    /// Reads a name that stands alone in a list.
    pub(super) fn name_alone(&mut self) -> Option<&'a str> {
        let Word::Name(name) = self.peek(0) else { return None };
        let is_last = matches!(self.peek(1), Word::Name(next) if next.eq_ignore_ascii_case("insert"));
        let is_alone = is_last || self.peek(1) == Word::Symbol(",");
        is_alone.then(|| {
            self.at += 1;
            name
        })
    }

    /// Checks that nothing follows.
    pub(super) fn end(&self) -> Result<(), UnknownShape> {
        if self.peek(0) == Word::End { Ok(()) } else { Err(self.wanted("the end")) }
    }
}

/// Returns the first word of a text that does not begin with a space, and its length.
fn first_word(text: &str) -> Result<(Word<'_>, usize), UnknownShape> {
    let mut chars = text.chars();
    let first = chars.next().unwrap_or(' ');
    if matches!(first, '\'' | '"') {
        let inner = &text[1..];
        let end = inner
            .find(first)
            .ok_or_else(|| UnknownShape { wanted: format!("a closing {first}"), found: "the end".to_owned() })?;
        return Ok((Word::Text(&inner[..end]), end + 2));
    }
    if first.is_ascii_digit() {
        let end = text.find(|one: char| !one.is_ascii_digit()).unwrap_or(text.len());
        let number = text[..end].parse().map_err(|_| UnknownShape {
            wanted: "a smaller number".to_owned(),
            found: text[..end.min(40)].to_owned(),
        })?;
        // A long is written with an L.
        let is_long = text[end..].starts_with(['l', 'L']);
        return Ok((Word::Number(number), end + usize::from(is_long)));
    }
    if first.is_ascii_alphabetic() || matches!(first, '_' | '#') {
        let is_part = |one: char| one.is_ascii_alphanumeric() || matches!(one, '_' | ':' | '.');
        let end = text[1..].find(|one| !is_part(one)).map_or(text.len(), |end| end + 1);
        return Ok((Word::Name(&text[..end]), end));
    }
    for symbol in ["==", "!=", ">=", "<="] {
        if text.starts_with(symbol) {
            return Ok((Word::Symbol(&text[..2]), 2));
        }
    }
    let length = first.len_utf8();
    Ok((Word::Symbol(&text[..length]), length))
}
