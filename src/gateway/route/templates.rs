//! The operations of an API as they are gathered, by template and verb: a tree of path segments in which any set of templates
//! fits. When all are there they are laid out anew, for whom they are to be found by.

use http::Method;

use super::operations::{HEAD, LITERAL, Operations, PATTERN, Patterns, VERB, WORD};
use super::path;

/// Operations that are being gathered.
#[derive(Debug, Default)]
pub(crate) struct Templates {
    root: Node,
}

#[derive(Debug, Default)]
struct Node {
    /// Segments that must be as they are, sorted.
    literals: Vec<(Box<[u8]>, Self)>,
    /// Segments of text and parameters: `{id}.json`.
    patterns: Vec<(Pattern, Self)>,
    /// `{param}`.
    parameter: Option<Box<Self>>,
    /// Templates that end here.
    here: Verbs,
    /// Templates that end here in `/*`.
    rest: Verbs,
}

type Verbs = Vec<(Method, usize)>;

/// The literal parts of a segment, between which parameters stand; the first and the last may be empty.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pattern(Vec<Box<[u8]>>);

/// A template that cannot be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadTemplate {
    /// It does not begin with a slash.
    #[error("it must begin with a slash")]
    NotAbsolute,
    /// A brace has no partner.
    #[error("a brace has no partner")]
    Braces,
    /// A literal holds what no path may hold.
    #[error("it holds a character that no path may hold")]
    Character,
}

impl Templates {
    /// Adds an operation. The first of two with the same template and verb counts.
    ///
    /// # Errors
    /// Where the template cannot be understood.
    pub(crate) fn add(&mut self, verb: Method, template: &str, operation: usize) -> Result<(), BadTemplate> {
        let template = template.strip_prefix('/').ok_or(BadTemplate::NotAbsolute)?;
        let template = template.strip_suffix('/').unwrap_or(template);
        let (template, has_rest) = match template.strip_suffix('*') {
            Some("") => ("", true),
            Some(front) if front.ends_with('/') => (&front[..front.len() - 1], true),
            _ => (template, false),
        };
        let mut node = &mut self.root;
        if !template.is_empty() {
            for segment in template.split('/') {
                node = node.child(segment)?;
            }
        }
        let verbs = if has_rest { &mut node.rest } else { &mut node.here };
        if !verbs.iter().any(|(known, _)| *known == verb) {
            verbs.push((verb, operation));
        }
        Ok(())
    }

    /// Lays them out to be found.
    pub(crate) fn into_operations(self) -> Operations {
        let mut layout = Layout::default();
        layout.place(self.root);
        Operations::new(layout.block, layout.methods, layout.patterns)
    }
}

impl Node {
    fn child(&mut self, segment: &str) -> Result<&mut Self, BadTemplate> {
        let pattern = Pattern::parse(segment)?;
        if pattern.0.len() == 1 {
            let literal = pattern.0.into_iter().next().unwrap_or_default();
            let at = match self.literals.binary_search_by(|(known, _)| known.cmp(&literal)) {
                Ok(at) => at,
                Err(at) => {
                    self.literals.insert(at, (literal, Self::default()));
                    at
                }
            };
            return Ok(&mut self.literals[at].1);
        }
        if pattern.is_any() {
            return Ok(self.parameter.get_or_insert_default());
        }
        let at = match self.patterns.iter().position(|(known, _)| *known == pattern) {
            Some(at) => at,
            None => {
                self.patterns.push((pattern, Self::default()));
                self.patterns.len() - 1
            }
        };
        Ok(&mut self.patterns[at].1)
    }
}

/// Operations that are being laid out.
#[derive(Default)]
struct Layout {
    block: Vec<u8>,
    methods: Vec<Method>,
    patterns: Patterns,
}

impl Layout {
    /// Places a node behind what is there, with its texts and then all below it, and returns where it is.
    fn place(&mut self, node: Node) -> usize {
        let Node { literals, patterns, parameter, here, rest } = node;
        let at = self.block.len();
        let counts = [literals.len(), patterns.len(), 0, here.len(), rest.len()];
        let words = HEAD + LITERAL * literals.len() + PATTERN * patterns.len() + VERB * (here.len() + rest.len());
        self.block.resize(at + WORD * words, 0);
        self.write(at, &counts);
        let mut to = at + WORD * HEAD;
        // What is below is placed in this order: a parameter, by which a path most likely goes on, is next to its node.
        let mut below: Vec<_> = parameter.map(|child| (at + WORD * 2, *child)).into_iter().collect();
        for (text, child) in literals {
            let text_at = self.block.len();
            self.write(to, &[text_at, text.len()]);
            self.block.extend_from_slice(&text);
            below.push((to + WORD * 2, child));
            to += WORD * LITERAL;
        }
        for (pattern, child) in patterns {
            self.write(to, &[self.patterns.len()]);
            self.patterns.push(pattern);
            below.push((to + WORD, child));
            to += WORD * PATTERN;
        }
        for (verb, operation) in here.into_iter().chain(rest) {
            let method = self.method(verb);
            self.write(to, &[method, operation]);
            to += WORD * VERB;
        }
        for (to, child) in below {
            let child_at = self.place(child);
            self.write(to, &[child_at]);
        }
        at
    }

    fn method(&mut self, verb: Method) -> usize {
        self.methods.iter().position(|known| *known == verb).unwrap_or_else(|| {
            self.methods.push(verb);
            self.methods.len() - 1
        })
    }

    /// Writes words where there is room for them. What an API is designed by is far smaller than what a word can count.
    fn write(&mut self, at: usize, words: &[usize]) {
        for (place, word) in self.block[at..].chunks_exact_mut(WORD).zip(words) {
            place.copy_from_slice(&u32::try_from(*word).unwrap_or(u32::MAX).to_le_bytes());
        }
    }
}

impl Pattern {
    fn parse(segment: &str) -> Result<Self, BadTemplate> {
        if segment == "*" {
            return Ok(Self(vec![Box::default(), Box::default()]));
        }
        let literal = |text: &str| {
            let is_plain = !text.contains(['{', '}']);
            let decoded = path::decode(text.as_bytes()).map_err(|_| BadTemplate::Character)?;
            is_plain.then(|| decoded.into_boxed_slice()).ok_or(BadTemplate::Braces)
        };
        let mut literals = Vec::new();
        let mut rest = segment;
        while let Some((front, after)) = rest.split_once('{') {
            literals.push(literal(front)?);
            let (_name, back) = after.split_once('}').ok_or(BadTemplate::Braces)?;
            rest = back;
        }
        literals.push(literal(rest)?);
        Ok(Self(literals))
    }

    /// Says whether this is one parameter and nothing else.
    fn is_any(&self) -> bool {
        self.0.len() == 2 && self.0.iter().all(|literal| literal.is_empty())
    }

    /// Says whether `segment` has the literals in order with something, however short, between them.
    pub(super) fn fits(&self, segment: &[u8]) -> bool {
        let [first, middle @ .., last] = self.0.as_slice() else { return false };
        let Some(mut rest) = segment.strip_prefix(&**first).and_then(|rest| rest.strip_suffix(&**last)) else {
            return false;
        };
        for literal in middle {
            let window = literal.len().max(1);
            let Some(at) = rest.windows(window).position(|part| part.starts_with(literal)) else { return false };
            rest = &rest[at + literal.len()..];
        }
        !segment.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::{BadTemplate, Templates};
    use crate::route::operations::{Found, Operations};

    fn operations(templates: &[(&str, &str)]) -> Operations {
        let mut gathered = Templates::default();
        for (number, (verb, template)) in templates.iter().enumerate() {
            gathered.add(verb.parse().unwrap(), template, number).unwrap();
        }
        gathered.into_operations()
    }

    #[test]
    fn the_more_literal_template_wins_and_the_verb_is_looked_at_first() {
        let operations = operations(&[
            ("GET", "/*"),
            ("GET", "/order/{id}"),
            ("GET", "/order/new"),
            ("DELETE", "/order/{id}"),
            ("GET", "/order/{id}/lines/{line}"),
            ("GET", "/file/{name}.json"),
            ("POST", "/menu/*"),
            ("GET", "/{a}/x"),
        ]);
        let find = |verb: Method, path: &str| operations.find(&verb, path.as_bytes());
        assert_eq!(find(Method::GET, "/order/new"), Found::Operation(2));
        assert_eq!(find(Method::GET, "/order/7"), Found::Operation(1));
        assert_eq!(find(Method::GET, "/order/7/"), Found::Operation(1));
        assert_eq!(find(Method::DELETE, "/order/new"), Found::Operation(3));
        assert_eq!(find(Method::GET, "/order/7/lines/3"), Found::Operation(4));
        assert_eq!(find(Method::GET, "/order/x"), Found::Operation(1));
        assert_eq!(find(Method::GET, "/file/a.json"), Found::Operation(5));
        assert_eq!(find(Method::GET, "/file/a.xml"), Found::Operation(0));
        assert_eq!(find(Method::GET, "/file/x"), Found::Operation(7));
        assert_eq!(find(Method::POST, "/menu"), Found::Operation(6));
        assert_eq!(find(Method::POST, "/menu/a/b"), Found::Operation(6));
        assert_eq!(find(Method::GET, ""), Found::Operation(0));
        assert_eq!(find(Method::GET, "/"), Found::Operation(0));
        assert_eq!(find(Method::PUT, "/order/7"), Found::OtherVerbs(vec![Method::DELETE, Method::GET]));
    }

    #[test]
    fn a_path_that_no_template_fits_is_not_found() {
        let operations = operations(&[("GET", "/menu"), ("GET", "/order/{id}")]);
        for path in ["/menus", "/menu/x", "/order", "/order/1/2", "/", ""] {
            assert_eq!(operations.find(&Method::GET, path.as_bytes()), Found::Nothing, "{path}");
        }
    }

    #[test]
    fn templates_that_make_no_sense_are_refused() {
        let mut gathered = Templates::default();
        assert_eq!(gathered.add(Method::GET, "menu", 0), Err(BadTemplate::NotAbsolute));
        assert_eq!(gathered.add(Method::GET, "/a{b", 0), Err(BadTemplate::Braces));
        assert_eq!(gathered.add(Method::GET, "/a}b", 0), Err(BadTemplate::Braces));
        assert_eq!(gathered.add(Method::GET, "/a%2fb", 0), Err(BadTemplate::Character));
    }
}
