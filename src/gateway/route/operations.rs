//! Finds the operation that a path and a verb mean: a tree of path segments in which any set of templates fits.
//!
//! Where several templates fit, the one wins that is more literal at the first segment where they differ; the verb is
//! looked at first, as in the original.

use http::Method;

use super::path;

/// The operations of one API, by template and verb.
#[derive(Debug, Default)]
pub(crate) struct Operations {
    root: Node,
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

#[derive(Debug, Default)]
struct Node {
    /// Segments that must be as they are, sorted.
    literals: Vec<(Box<[u8]>, Node)>,
    /// Segments of text and parameters: `{id}.json`.
    patterns: Vec<(Pattern, Node)>,
    /// `{param}`.
    parameter: Option<Box<Node>>,
    /// Templates that end here.
    here: Verbs,
    /// Templates that end here in `/*`.
    rest: Verbs,
}

type Verbs = Vec<(Method, usize)>;

/// The literal parts of a segment, between which parameters stand; the first and the last may be empty.
#[derive(Debug, PartialEq, Eq)]
struct Pattern(Vec<Box<[u8]>>);

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

impl Operations {
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

    /// Finds the operation for `path`, which begins with a slash or is empty, and is decoded.
    pub(crate) fn find(&self, verb: &Method, path: &[u8]) -> Found {
        let mut others = Vec::new();
        if let Some(operation) = self.root.find(verb, path, &mut others) {
            return Found::Operation(operation);
        }
        if others.is_empty() {
            return Found::Nothing;
        }
        others.sort_by(|one: &Method, other| one.as_str().cmp(other.as_str()));
        others.dedup();
        Found::OtherVerbs(others)
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

    /// Each node is visited once at most, so the work is bounded by the number of segments in all templates.
    fn find(&self, verb: &Method, path: &[u8], others: &mut Vec<Method>) -> Option<usize> {
        if matches!(path, b"" | b"/") {
            return pick(&self.here, verb, others).or_else(|| pick(&self.rest, verb, others));
        }
        let after_slash = &path[1..];
        let end = after_slash.iter().position(|byte| *byte == b'/').unwrap_or(after_slash.len());
        let (segment, remaining) = after_slash.split_at(end);
        if let Ok(at) = self.literals.binary_search_by(|(known, _)| (**known).cmp(segment))
            && let Some(operation) = self.literals[at].1.find(verb, remaining, others)
        {
            return Some(operation);
        }
        for (pattern, node) in &self.patterns {
            if pattern.fits(segment)
                && let Some(operation) = node.find(verb, remaining, others)
            {
                return Some(operation);
            }
        }
        if let Some(node) = &self.parameter
            && let Some(operation) = node.find(verb, remaining, others)
        {
            return Some(operation);
        }
        pick(&self.rest, verb, others)
    }
}

fn pick(verbs: &Verbs, verb: &Method, others: &mut Vec<Method>) -> Option<usize> {
    let found = verbs.iter().find(|(known, _)| known == verb).map(|(_, operation)| *operation);
    if found.is_none() {
        others.extend(verbs.iter().map(|(known, _)| known.clone()));
    }
    found
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
    fn fits(&self, segment: &[u8]) -> bool {
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

    use super::{BadTemplate, Found, Operations};

    fn operations(templates: &[(&str, &str)]) -> Operations {
        let mut operations = Operations::default();
        for (number, (verb, template)) in templates.iter().enumerate() {
            operations.add(verb.parse().unwrap(), template, number).unwrap();
        }
        operations
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
        let mut operations = Operations::default();
        assert_eq!(operations.add(Method::GET, "menu", 0), Err(BadTemplate::NotAbsolute));
        assert_eq!(operations.add(Method::GET, "/a{b", 0), Err(BadTemplate::Braces));
        assert_eq!(operations.add(Method::GET, "/a}b", 0), Err(BadTemplate::Braces));
        assert_eq!(operations.add(Method::GET, "/a%2fb", 0), Err(BadTemplate::Character));
    }
}
