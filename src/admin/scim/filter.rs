//! Filters and attribute paths (RFC 7644, sections 3.4.2.2 and 3.10): read from text, and asked of a resource.

use portcullis_http::time::from_rfc3339;
use serde_json::{Map, Value};

use super::schema::{self, Attribute, Kind, Resource};
use super::scim_error::ScimError;

/// Bytes of a filter or path.
const TEXT_BYTES_MAX: usize = 8 << 10;
/// How deep a filter may be nested.
const DEPTH_MAX: usize = 24;
/// Comparisons of one filter.
const TERMS_MAX: usize = 200;

/// An attribute, by the schema where it is named with its URN: `urn:…:User:manager.displayName`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AttributePath {
    /// The extension, as it is written in its definition; `None` for the core schema.
    pub extension: Option<&'static str>,
    /// The attribute, as it came; empty for a whole extension.
    pub name: String,
    /// The part of a complex attribute.
    pub part: Option<String>,
}

/// A condition on a resource, or on one value of a multi-valued attribute.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Filter {
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
    Not(Box<Self>),
    Present(AttributePath),
    Compare(AttributePath, Comparison, Value),
    /// One value of the attribute fulfils all of it.
    OneOf(AttributePath, Box<Self>),
}

/// How a value is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    NotEqual,
    Contains,
    StartsWith,
    EndsWith,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

/// The target of a PATCH operation: `attribute`, `attribute.part`, `attribute[filter]`, `attribute[filter].part`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Target {
    pub path: AttributePath,
    pub filter: Option<Filter>,
}

/// Reads a filter.
pub(crate) fn parse(resource: Resource, text: &str) -> Result<Filter, ScimError> {
    let mut parser = Parser::new(resource, text)?;
    let filter = parser.either(0)?;
    parser.end()?;
    Ok(filter)
}

/// Reads an attribute path.
pub(crate) fn parse_path(resource: Resource, text: &str) -> Result<AttributePath, ScimError> {
    let mut parser = Parser::new(resource, text)?;
    let path = parser.path()?;
    parser.end()?;
    Ok(path)
}

/// Reads the target of a PATCH operation.
pub(crate) fn parse_target(resource: Resource, text: &str) -> Result<Target, ScimError> {
    let as_path = |error: ScimError| ScimError::path(error.detail);
    let mut parser = Parser::new(resource, text).map_err(as_path)?;
    let mut path = parser.path().map_err(as_path)?;
    let filter = if parser.eat("[") {
        let filter = parser.either(0).map_err(as_path)?;
        parser.expect("]").map_err(as_path)?;
        if parser.eat(".") {
            path.part = Some(parser.word().map_err(as_path)?);
        }
        Some(filter)
    } else {
        None
    };
    parser.end().map_err(as_path)?;
    Ok(Target { path, filter })
}

struct Parser<'a> {
    resource: Resource,
    text: &'a str,
    at: usize,
    terms: usize,
}

impl<'a> Parser<'a> {
    fn new(resource: Resource, text: &'a str) -> Result<Self, ScimError> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(ScimError::filter(format!("A filter or path is at most {TEXT_BYTES_MAX} bytes long.")));
        }
        Ok(Self { resource, text, at: 0, terms: 0 })
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip_space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn eat(&mut self, text: &str) -> bool {
        let is_next = self.rest().starts_with(text);
        if is_next {
            self.at += text.len();
        }
        is_next
    }

    /// Takes a keyword, whatever its case, where a word ends behind it.
    fn eat_word(&mut self, word: &str) -> bool {
        let rest = self.rest();
        let is_next = rest.get(..word.len()).is_some_and(|next| next.eq_ignore_ascii_case(word))
            && !rest[word.len()..].starts_with(|next: char| next.is_alphanumeric());
        if is_next {
            self.at += word.len();
        }
        is_next
    }

    fn wrong(&self, wanted: &str) -> ScimError {
        let shown: String = self.rest().chars().take(20).collect();
        ScimError::filter(format!("Expected {wanted} at character {}, found `{shown}`.", self.at + 1))
    }

    fn expect(&mut self, text: &str) -> Result<(), ScimError> {
        self.skip_space();
        if self.eat(text) { Ok(()) } else { Err(self.wrong(&format!("`{text}`"))) }
    }

    fn end(&mut self) -> Result<(), ScimError> {
        self.skip_space();
        if self.rest().is_empty() { Ok(()) } else { Err(self.wrong("the end")) }
    }

    fn either(&mut self, depth: usize) -> Result<Filter, ScimError> {
        let mut left = self.both(depth)?;
        loop {
            self.skip_space();
            if !self.eat_word("or") {
                return Ok(left);
            }
            left = Filter::Or(Box::new(left), Box::new(self.both(depth)?));
        }
    }

    fn both(&mut self, depth: usize) -> Result<Filter, ScimError> {
        let mut left = self.one(depth)?;
        loop {
            self.skip_space();
            if !self.eat_word("and") {
                return Ok(left);
            }
            left = Filter::And(Box::new(left), Box::new(self.one(depth)?));
        }
    }

    fn one(&mut self, depth: usize) -> Result<Filter, ScimError> {
        self.terms += 1;
        if depth > DEPTH_MAX || self.terms > TERMS_MAX {
            return Err(ScimError::filter(format!(
                "A filter has at most {TERMS_MAX} comparisons and is nested at most {DEPTH_MAX} deep."
            )));
        }
        self.skip_space();
        let before = self.at;
        if self.eat_word("not") {
            self.skip_space();
            if self.eat("(") {
                let inner = self.either(depth + 1)?;
                self.expect(")")?;
                return Ok(Filter::Not(Box::new(inner)));
            }
            self.at = before;
        }
        if self.eat("(") {
            let inner = self.either(depth + 1)?;
            self.expect(")")?;
            return Ok(inner);
        }
        let path = self.path()?;
        if self.eat("[") {
            let inner = self.either(depth + 1)?;
            self.expect("]")?;
            return Ok(Filter::OneOf(path, Box::new(inner)));
        }
        self.skip_space();
        if self.eat_word("pr") {
            return Ok(Filter::Present(path));
        }
        let comparison = self.comparison()?;
        self.skip_space();
        let value = self.value()?;
        Ok(Filter::Compare(path, comparison, value))
    }

    fn comparison(&mut self) -> Result<Comparison, ScimError> {
        use Comparison as C;
        let each = [
            ("eq", C::Equal),
            ("ne", C::NotEqual),
            ("co", C::Contains),
            ("sw", C::StartsWith),
            ("ew", C::EndsWith),
            ("gt", C::Greater),
            ("ge", C::GreaterOrEqual),
            ("lt", C::Less),
            ("le", C::LessOrEqual),
        ];
        let found = each.into_iter().find(|(word, _)| self.eat_word(word));
        found.map(|(_, comparison)| comparison).ok_or_else(|| self.wrong("one of eq ne co sw ew gt ge lt le pr"))
    }

    /// Reads a value: JSON; and, as the original's clients write it, a bare word.
    fn value(&mut self) -> Result<Value, ScimError> {
        let mut values = serde_json::Deserializer::from_str(self.rest()).into_iter::<Value>();
        if let Some(Ok(value)) = values.next()
            && !value.is_object()
            && !value.is_array()
        {
            self.at += values.byte_offset();
            return Ok(value);
        }
        let bare: String =
            self.rest().chars().take_while(|one| !one.is_whitespace() && !"()[]\"".contains(*one)).collect();
        if bare.is_empty() {
            return Err(self.wrong("a value, such as \"anna\""));
        }
        self.at += bare.len();
        Ok(Value::String(bare))
    }

    fn word(&mut self) -> Result<String, ScimError> {
        let word: String =
            self.rest().chars().take_while(|one| one.is_alphanumeric() || "_-$".contains(*one)).collect();
        if word.is_empty() {
            return Err(self.wrong("the name of an attribute"));
        }
        self.at += word.len();
        Ok(word)
    }

    fn path(&mut self) -> Result<AttributePath, ScimError> {
        self.skip_space();
        let extension = self.urn()?;
        let is_whole = extension.is_some() && (self.rest().is_empty() || self.rest().starts_with([' ', ']', ')']));
        if is_whole {
            return Ok(AttributePath { extension, name: String::new(), part: None });
        }
        let name = self.word()?;
        let part = if self.eat(".") { Some(self.word()?) } else { None };
        Ok(AttributePath { extension, name, part })
    }

    /// Takes a schema's URN with what follows it, where one is next.
    fn urn(&mut self) -> Result<Option<&'static str>, ScimError> {
        if !self.rest().get(..4).is_some_and(|start| start.eq_ignore_ascii_case("urn:")) {
            return Ok(None);
        }
        let core = self.resource.schema();
        for known in std::iter::once(core).chain(self.resource.extensions().iter().copied()) {
            let rest = self.rest();
            if rest.get(..known.len()).is_some_and(|start| start.eq_ignore_ascii_case(known)) {
                self.at += known.len();
                let _ = self.eat(":") || self.eat(".");
                return Ok((known != core).then_some(known));
            }
        }
        Err(self.wrong("a schema that the resource has"))
    }
}

impl AttributePath {
    /// Returns what the schema says of the attribute, or of its part; `None` for one that it does not know.
    pub(crate) fn definition(&self, resource: Resource) -> Option<&'static Attribute> {
        let attribute = self.whole_definition(resource)?;
        match (&self.part, attribute.kind) {
            (None, _) => Some(attribute),
            (Some(part), Kind::Complex(parts)) => schema::find(parts, part),
            (Some(_), _) => None,
        }
    }

    /// Returns what the schema says of the attribute, whatever part is meant.
    pub(crate) fn whole_definition(&self, resource: Resource) -> Option<&'static Attribute> {
        match self.extension {
            None => resource.attribute(&self.name),
            Some(schema::ENTERPRISE) => schema::find(schema::ENTERPRISE_ATTRIBUTES, &self.name),
            Some(_) => None,
        }
    }

    /// Returns the values of the attribute in a resource: each of a multi-valued one.
    pub(crate) fn values<'a>(&self, resource: &'a Map<String, Value>) -> Vec<&'a Value> {
        let container = match self.extension {
            Some(urn) => get(resource, urn).and_then(Value::as_object),
            None => Some(resource),
        };
        let Some(found) = container.and_then(|object| get(object, &self.name)) else { return Vec::new() };
        let each: Vec<&Value> = match found {
            Value::Array(values) => values.iter().collect(),
            one => vec![one],
        };
        match &self.part {
            Some(part) => each.into_iter().filter_map(|value| get(value.as_object()?, part)).collect(),
            None => each,
        }
    }
}

/// Finds a member, whatever the case of its name.
pub(crate) fn get<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    object.get(name).or_else(|| object.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value))
}

impl Filter {
    /// Says whether a resource fulfils the filter.
    pub(crate) fn is_met(&self, kind: Resource, resource: &Map<String, Value>) -> bool {
        self.holds(resource, &|path| path.definition(kind))
    }

    /// Says whether one value of a multi-valued attribute fulfils the filter.
    pub(crate) fn is_met_by_value(&self, kind: Resource, of: &AttributePath, value: &Value) -> bool {
        let parts = match of.whole_definition(kind).map(|attribute| attribute.kind) {
            Some(Kind::Complex(parts)) => parts,
            _ => &[],
        };
        let plain;
        let object = match value {
            Value::Object(object) => object,
            // A simple value is compared as `value`.
            simple => {
                plain = Map::from_iter([("value".to_owned(), simple.clone())]);
                &plain
            }
        };
        self.holds(object, &|path| schema::find(parts, &path.name))
    }

    fn holds(
        &self,
        object: &Map<String, Value>,
        definition: &dyn Fn(&AttributePath) -> Option<&'static Attribute>,
    ) -> bool {
        match self {
            Self::And(left, right) => left.holds(object, definition) && right.holds(object, definition),
            Self::Or(left, right) => left.holds(object, definition) || right.holds(object, definition),
            Self::Not(inner) => !inner.holds(object, definition),
            Self::Present(path) => path.values(object).iter().any(|value| is_something(value)),
            Self::Compare(path, comparison, wanted) => {
                let definition = definition(path);
                let values = path.values(object);
                if values.is_empty() {
                    // What is not there equals null, and is unequal to everything else.
                    return match comparison {
                        Comparison::Equal => wanted.is_null(),
                        Comparison::NotEqual => !wanted.is_null(),
                        _ => false,
                    };
                }
                values.iter().any(|value| compares(simple_of(value), *comparison, wanted, definition))
            }
            Self::OneOf(path, inner) => {
                let parts = match definition(path).map(|attribute| attribute.kind) {
                    Some(Kind::Complex(parts)) => parts,
                    _ => &[],
                };
                let inner_definition = |path: &AttributePath| schema::find(parts, &path.name);
                path.values(object)
                    .iter()
                    .filter_map(|value| value.as_object())
                    .any(|value| inner.holds(value, &inner_definition))
            }
        }
    }

    /// Returns what an attribute must equal for the filter to hold at all, where that can be told.
    pub(crate) fn demanded(&self, name: &str) -> Option<&str> {
        match self {
            Self::Compare(path, Comparison::Equal, Value::String(value))
                if path.extension.is_none() && path.part.is_none() && path.name.eq_ignore_ascii_case(name) =>
            {
                Some(value)
            }
            Self::And(left, right) => left.demanded(name).or_else(|| right.demanded(name)),
            _ => None,
        }
    }
}

fn is_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Object(object) => object.values().any(is_something),
        Value::Array(values) => values.iter().any(is_something),
        _ => true,
    }
}

/// Returns the value by which a complex value is compared.
fn simple_of(value: &Value) -> &Value {
    value.as_object().and_then(|object| object.get("value")).unwrap_or(value)
}

fn compares(value: &Value, comparison: Comparison, wanted: &Value, definition: Option<&'static Attribute>) -> bool {
    use Comparison as C;
    match (value, wanted) {
        (Value::String(value), Value::String(wanted)) => {
            let is_date = definition.is_some_and(|one| one.kind == Kind::DateTime);
            let is_exact = definition.is_some_and(|one| one.is_case_exact);
            if is_date && let (Some(value), Some(wanted)) = (from_rfc3339(value), from_rfc3339(wanted)) {
                return ordered(value.cmp(&wanted), comparison);
            }
            let (value, wanted) =
                if is_exact { (value.clone(), wanted.clone()) } else { (value.to_lowercase(), wanted.to_lowercase()) };
            match comparison {
                C::Contains => value.contains(&wanted),
                C::StartsWith => value.starts_with(&wanted),
                C::EndsWith => value.ends_with(&wanted),
                _ => ordered(value.cmp(&wanted), comparison),
            }
        }
        (Value::Number(value), Value::Number(wanted)) => {
            let pair = value.as_f64().zip(wanted.as_f64());
            pair.and_then(|(value, wanted)| value.partial_cmp(&wanted)).is_some_and(|order| ordered(order, comparison))
        }
        // As the original's clients write it: active eq "true".
        (Value::Bool(value), Value::String(wanted)) => match comparison {
            C::Equal => wanted.eq_ignore_ascii_case(&value.to_string()),
            C::NotEqual => !wanted.eq_ignore_ascii_case(&value.to_string()),
            _ => false,
        },
        (value, wanted) => match comparison {
            C::Equal => value == wanted,
            C::NotEqual => value != wanted,
            _ => false,
        },
    }
}

fn ordered(order: std::cmp::Ordering, comparison: Comparison) -> bool {
    match comparison {
        Comparison::Equal => order.is_eq(),
        Comparison::NotEqual => order.is_ne(),
        Comparison::Greater => order.is_gt(),
        Comparison::GreaterOrEqual => order.is_ge(),
        Comparison::Less => order.is_lt(),
        Comparison::LessOrEqual => order.is_le(),
        Comparison::Contains | Comparison::StartsWith | Comparison::EndsWith => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn is_met(filter: &str) -> bool {
        let user = json!({
            "userName": "bjensen", "active": true, "displayName": "Babs",
            "name": {"familyName": "O'Malley"},
            "emails": [{"value": "bjensen@example.com", "type": "work"}, {"value": "babs@home.org", "type": "home"}],
            "meta": {"lastModified": "2026-05-13T04:42:34Z"},
            schema::ENTERPRISE: {"organization": "Acme"},
        });
        let filter = parse(Resource::User, filter).unwrap_or_else(|error| panic!("{filter}: {error}"));
        filter.is_met(Resource::User, user.as_object().unwrap())
    }

    #[test]
    fn the_examples_of_the_rfc_hold() {
        for holds in [
            "userName eq \"bjensen\"",
            "name.familyName co \"O'Malley\"",
            "userName sw \"b\"",
            "urn:ietf:params:scim:schemas:core:2.0:User:userName sw \"b\"",
            "title pr or userType eq \"Intern\" or displayName pr",
            "meta.lastModified gt \"2026-05-13T05:40:00+01:00\"",
            "displayName eq \"BABS\" and (emails co \"example.com\" or emails.value co \"example.org\")",
            "not (displayName eq \"Tom\") and active eq true",
            "emails[type eq \"work\" and value co \"@example.com\"]",
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:organization eq \"acme\"",
            "userName eq bjensen",
            "active EQ \"true\"",
            "title eq null",
        ] {
            assert!(is_met(holds), "{holds}");
        }
        for not in [
            "userName eq \"BJensen\"",
            "emails[type eq \"work\" and value co \"home\"]",
            "displayName eq \"Tom\" or displayName eq \"Tim\" and active eq true",
            "title pr",
            "not (active eq true)",
        ] {
            assert!(!is_met(not), "{not}");
        }
    }

    #[test]
    fn what_is_no_filter_is_refused_with_a_place() {
        for wrong in
            ["", "userName", "userName is \"x\"", "userName eq", "(userName pr", "urn:x:y:z eq \"1\"", "a pr b"]
        {
            let error = parse(Resource::User, wrong).unwrap_err();
            assert_eq!(error.kind, Some("invalidFilter"), "{wrong}");
            assert!(error.detail.contains("at character"), "{}", error.detail);
        }
        assert!(parse(Resource::User, &"(".repeat(2_000)).is_err());
        assert!(parse(Resource::User, &format!("{}a pr", "not ( ".repeat(500))).is_err());
        assert!(parse(Resource::User, &format!("a pr{}", " and a pr".repeat(500))).is_err());
    }
}
