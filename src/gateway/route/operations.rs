//! Finds the operation that a path and a verb mean.
//!
//! Where several templates fit, the one wins that is more literal at the first segment where they differ; the verb is
//! looked at first, as in the original.
//!
//! Where many APIs are called, what one of them has is in no cache: each place in memory that a look goes to takes a tenth of
//! a microsecond, whatever is read there. So all that is asked lies in one block, in words of four bytes (little-endian), a node
//! with its texts before those below it:
//!
//! ```text
//! node:      literals  patterns  parameter  here  rest      how many; the node of `{param}`, or 0
//! literals:  text      length    node                       sorted by text; texts lie behind the words of their node
//! patterns:  pattern   node                                 by its number
//! verbs:     method    operation                            of templates that end here, then of those that end in `/*`
//! ```

use std::cmp::Ordering;

use http::Method;

use super::templates::Pattern;

/// Bytes of a word.
pub(super) const WORD: usize = 4;
/// Words of a node before its lists.
pub(super) const HEAD: usize = 5;
/// Words of a literal, of a pattern and of a verb.
pub(super) const LITERAL: usize = 3;
pub(super) const PATTERN: usize = 2;
pub(super) const VERB: usize = 2;
/// Where the first node is.
const ROOT: usize = 0;

pub(super) type Patterns = Vec<Pattern>;

/// The operations of one API, by template and verb.
#[derive(Debug, Default)]
pub(crate) struct Operations {
    block: Box<[u8]>,
    /// The verbs that any of them has.
    methods: Box<[Method]>,
    patterns: Box<[Pattern]>,
}

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// The operation's number.
    Operation(usize),
    /// The resource is there, but for these verbs.
    OtherVerbs(Vec<Method>),
    /// No template fits.
    Nothing,
}

/// What is looked for below a node.
struct Look {
    /// The number of the verb among those of the API.
    method: Option<usize>,
    /// The numbers of verbs that fit in its place.
    others: Vec<usize>,
}

impl Operations {
    pub(super) fn new(block: Vec<u8>, methods: Vec<Method>, patterns: Patterns) -> Self {
        Self { block: block.into(), methods: methods.into(), patterns: patterns.into() }
    }

    /// Finds the operation for `path`, which begins with a slash or is empty, and is decoded.
    pub(crate) fn find(&self, verb: &Method, path: &[u8]) -> Found {
        let method = self.methods.iter().position(|known| known == verb);
        let mut look = Look { method, others: Vec::new() };
        if let Some(operation) = self.find_below(ROOT, path, &mut look) {
            return Found::Operation(operation);
        }
        let mut others: Vec<Method> =
            look.others.iter().filter_map(|number| self.methods.get(*number).cloned()).collect();
        if others.is_empty() {
            return Found::Nothing;
        }
        others.sort_by(|one, other| one.as_str().cmp(other.as_str()));
        others.dedup();
        Found::OtherVerbs(others)
    }

    /// Each node is visited once at most, so the work is bounded by the number of segments in all templates.
    fn find_below(&self, at: usize, path: &[u8], look: &mut Look) -> Option<usize> {
        let [literals, patterns, parameter, here, rest] = self.words::<HEAD>(at);
        let literals_at = at + WORD * HEAD;
        let patterns_at = literals_at + WORD * LITERAL * literals;
        let here_at = patterns_at + WORD * PATTERN * patterns;
        let rest_at = here_at + WORD * VERB * here;
        if matches!(path, b"" | b"/") {
            return self.pick(here_at, here, look).or_else(|| self.pick(rest_at, rest, look));
        }
        let after_slash = &path[1..];
        let end = after_slash.iter().position(|byte| *byte == b'/').unwrap_or(after_slash.len());
        let (segment, remaining) = after_slash.split_at(end);
        if let Some(node) = self.literal(literals_at, literals, segment)
            && let Some(operation) = self.find_below(node, remaining, look)
        {
            return Some(operation);
        }
        for number in 0..patterns {
            let [pattern, node] = self.words::<PATTERN>(patterns_at + WORD * PATTERN * number);
            if self.patterns.get(pattern).is_some_and(|pattern| pattern.fits(segment))
                && let Some(operation) = self.find_below(node, remaining, look)
            {
                return Some(operation);
            }
        }
        if parameter != ROOT
            && let Some(operation) = self.find_below(parameter, remaining, look)
        {
            return Some(operation);
        }
        self.pick(rest_at, rest, look)
    }

    /// Finds the node below a segment that is one of the literals.
    fn literal(&self, at: usize, count: usize, segment: &[u8]) -> Option<usize> {
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = usize::midpoint(low, high);
            let [text, length, node] = self.words::<LITERAL>(at + WORD * LITERAL * middle);
            match self.block.get(text..text + length)?.cmp(segment) {
                Ordering::Equal => return Some(node),
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
            }
        }
        None
    }

    /// Finds the operation of the verb, or notes the verbs that there are.
    fn pick(&self, at: usize, count: usize, look: &mut Look) -> Option<usize> {
        let verbs = (0..count).map(|number| self.words::<VERB>(at + WORD * VERB * number));
        let found = verbs.clone().find(|[method, _]| Some(*method) == look.method).map(|[_, operation]| operation);
        if found.is_none() {
            look.others.extend(verbs.map(|[method, _]| method));
        }
        found
    }

    /// Reads words; where there are none, zeros.
    fn words<const COUNT: usize>(&self, at: usize) -> [usize; COUNT] {
        let mut words = [0; COUNT];
        let bytes = self.block.get(at..at + WORD * COUNT).unwrap_or_default();
        for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<WORD>().0) {
            *word = usize::try_from(u32::from_le_bytes(*bytes)).unwrap_or(usize::MAX);
        }
        words
    }
}
