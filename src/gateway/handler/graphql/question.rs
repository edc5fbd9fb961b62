//! A query as it comes, is read, and is written anew: so that backends read what was checked, whatever they make of members,
//! headers and charsets that gateways read in another way, or not at all.

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_ENCODING, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use portcullis_graphql::{Asked, CannotRead, OperationKind, Wrong};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::http1::hop::named_by_connection;
use crate::packing;
use crate::refusal::Refusal;
use crate::route::graphql::Graphql;

/// Bytes of a query with its variables once it is unpacked.
const UNPACKED_BYTES_MAX: usize = 1 << 20;
/// Faults of a query that its caller is told.
const WRONGS_TOLD_MAX: usize = 5;
/// What is said of queries that ask to be told of what happens.
const NO_SUBSCRIPTIONS: &str =
    "Subscriptions are asked for over a WebSocket (graphql-transport-ws): send queries and mutations by POST";
/// What a query is made of.
const MEMBERS: [&str; 4] = ["query", "operationName", "variables", "extensions"];
/// By which extension a query is named that the backend keeps.
const PERSISTED: &str = "persistedQuery";
/// Headers that are true of the body as it came.
const DIGESTS: [&str; 4] = ["content-md5", "digest", "content-digest", "repr-digest"];

/// A query as it was sent. Members that are not named here are not passed on: backends may know more of them than gateways.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Question {
    query: Option<String>,
    #[serde(rename = "operationName")]
    operation: Option<String>,
    variables: Option<Map<String, Value>>,
    extensions: Option<Map<String, Value>>,
}

impl Question {
    /// Finds it in a call: in the query of a GET, in the body of a POST.
    ///
    /// # Errors
    /// Where it cannot be read, or might be read in another way elsewhere.
    pub(super) fn of(request: &Parts, body: &Bytes) -> Result<Self, Refusal> {
        let pairs = request.uri.query().unwrap_or_default();
        let found = if request.method == Method::GET {
            Self::of_pairs(pairs)?
        } else {
            check_pairs_of_post(pairs)?;
            Self::of_body(&request.headers, body)?
        };
        found.checked()
    }

    /// Finds it in the payload of a message.
    ///
    /// # Errors
    /// As above.
    pub(super) fn of_members(members: Map<String, Value>) -> Result<Self, Refusal> {
        let read: Result<Self, _> = serde_json::from_value(Value::Object(members));
        read.map_err(|error| Refusal::invalid_query(format!("The payload is no query: {error}")))?.checked()
    }

    fn checked(self) -> Result<Self, Refusal> {
        let names = self.extensions.iter().flat_map(Map::keys);
        // The query that is executed would be one that nobody sees here.
        if names.into_iter().any(|name| name.eq_ignore_ascii_case(PERSISTED)) {
            return Err(Refusal::invalid_query(
                "Persisted queries (`extensions.persistedQuery`) are not carried: send the whole query without it",
            ));
        }
        Ok(self)
    }

    fn of_body(headers: &HeaderMap, body: &Bytes) -> Result<Self, Refusal> {
        let media_type = media_type(headers)?;
        let plain = match packing::coding(headers).filter(|_| !body.is_empty()) {
            Some(coding) => {
                packing::unpack(&coding, body, UNPACKED_BYTES_MAX).map_err(|error| Refusal::packed(&error))?
            }
            None => body.clone(),
        };
        match media_type.as_str() {
            "" | "application/json" => Self::of_json(&plain),
            "application/graphql" => {
                let query =
                    std::str::from_utf8(&plain).map_err(|_| Refusal::invalid_query("The query is not UTF-8"))?;
                Ok(Self { query: Some(query.to_owned()), ..Self::default() })
            }
            other => Err(Refusal::invalid_query(format!(
                "A query is sent as application/json (with `query`, `operationName`, `variables`) or as application/graphql, not as {other}"
            ))),
        }
    }

    fn of_pairs(pairs: &str) -> Result<Self, Refusal> {
        let mut question = Self::default();
        let mut seen = [false; MEMBERS.len()];
        for (name, value) in url::form_urlencoded::parse(pairs.as_bytes()) {
            let number = MEMBERS.iter().position(|known| *known == name);
            if number.is_some_and(|number| std::mem::replace(&mut seen[number], true)) {
                return Err(Refusal::invalid_query(format!("The query parameter `{name}` is there twice")));
            }
            match &*name {
                "query" => question.query = Some(value.into_owned()),
                "operationName" => question.operation = Some(value.into_owned()),
                "variables" => question.variables = object(&name, &value)?,
                "extensions" => question.extensions = object(&name, &value)?,
                _ => {}
            }
        }
        Ok(question)
    }

    fn of_json(body: &[u8]) -> Result<Self, Refusal> {
        const WANTED: &str = "The body must be one JSON object with the query as a text under `query`";
        // A list would be read as the fields in their order.
        if !body.trim_ascii_start().starts_with(b"{") {
            return Err(Refusal::invalid_query(WANTED));
        }
        serde_json::from_slice(body).map_err(|error| Refusal::invalid_query(format!("{WANTED}: {error}")))
    }

    /// Finds out what it asks for.
    ///
    /// # Errors
    /// Where it is none that the API's schema allows, or larger than is read.
    pub(super) fn read(&self, graphql: &Graphql, verb: &Method) -> Result<Asked, Refusal> {
        let wanted = self.read_any(graphql)?;
        match wanted.kind {
            OperationKind::Subscription => Err(Refusal::invalid_query(NO_SUBSCRIPTIONS)),
            // What is asked for by GET may be asked again without being told.
            OperationKind::Mutation if verb == Method::GET => Err(Refusal::other_verb(&[Method::POST])),
            _ => Ok(wanted),
        }
    }

    /// The same, where a subscription may be asked for too.
    ///
    /// # Errors
    /// As above.
    pub(super) fn read_any(&self, graphql: &Graphql) -> Result<Asked, Refusal> {
        let Some(query) = self.query.as_deref().filter(|query| !query.is_empty()) else {
            return Err(Refusal::invalid_query("Invalid query parameter: there is no query"));
        };
        let schema = graphql.schema.as_ref().ok_or_else(Refusal::no_resource)?;
        let operation = self.operation.as_deref().filter(|name| !name.is_empty());
        let read = schema.read(query, operation, self.variables.as_ref(), &graphql.costs);
        read.map_err(|why| Refusal::invalid_query(explain(&why)))
    }

    /// Returns what was read, and nothing else.
    pub(super) fn into_members(self) -> Map<String, Value> {
        let mut members = Map::new();
        members.extend(self.query.map(|query| ("query".to_owned(), query.into())));
        let operation = self.operation.filter(|name| !name.is_empty());
        members.extend(operation.map(|name| ("operationName".to_owned(), name.into())));
        members.extend(self.variables.map(|variables| ("variables".to_owned(), variables.into())));
        members.extend(self.extensions.map(|extensions| ("extensions".to_owned(), extensions.into())));
        members
    }

    /// Writes what was read, and nothing else, as it goes to the backend: head, query and body.
    pub(super) fn write(self, request: &Parts) -> (Parts, Option<String>, Bytes) {
        let members = self.into_members();
        let mut head = head_of(request);
        if request.method == Method::GET {
            return (head, Some(pairs_of(&members)), Bytes::new());
        }
        head.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        (head, None, Value::Object(members).to_string().into())
    }
}

/// Returns a head without what is about the body as it came.
fn head_of(request: &Parts) -> Parts {
    let (mut head, ()) = Request::new(()).into_parts();
    head.method = request.method.clone();
    head.uri = request.uri.clone();
    head.version = request.version;
    head.headers = request.headers.clone();
    // Who sends it cannot bind to this hop what is written here.
    let mut named = named_by_connection(&head.headers);
    named.retain(|name| name != CONTENT_TYPE.as_str());
    head.headers.remove(CONNECTION);
    if let Ok(named) = HeaderValue::from_str(&named.join(", ")) {
        head.headers.insert(CONNECTION, named);
    }
    for name in [CONTENT_TYPE.as_str(), CONTENT_ENCODING.as_str()].iter().chain(&DIGESTS) {
        head.headers.remove(*name);
    }
    head
}

/// Returns members as pairs of a query.
fn pairs_of(members: &Map<String, Value>) -> String {
    let pairs = members.iter().map(|(name, value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        format!("{name}={}", utf8_percent_encode(&value, NON_ALPHANUMERIC))
    });
    pairs.collect::<Vec<_>>().join("&")
}

/// Refuses a POST with a query in its target. Some servers look there first: what is checked would not be what is done.
fn check_pairs_of_post(pairs: &str) -> Result<(), Refusal> {
    let mut names = url::form_urlencoded::parse(pairs.as_bytes()).map(|(name, _)| name);
    if names.any(|name| MEMBERS.iter().any(|known| known.eq_ignore_ascii_case(&name))) {
        return Err(Refusal::invalid_query("The query of a POST is in its body alone, not in its target"));
    }
    Ok(())
}

/// Reads an object from a pair; `None` where nothing is said.
fn object(name: &str, value: &str) -> Result<Option<Map<String, Value>>, Refusal> {
    if value.is_empty() {
        return Ok(None);
    }
    serde_json::from_str(value)
        .map_err(|error| Refusal::invalid_query(format!("The query parameter `{name}` is no JSON object: {error}")))
}

/// Returns the media type of a body in small letters, without parameters; nothing where none is said.
///
/// # Errors
/// Where several are said, one that cannot be read, or another charset than UTF-8.
fn media_type(headers: &HeaderMap) -> Result<String, Refusal> {
    let mut all = headers.get_all(CONTENT_TYPE).iter();
    let Some(value) = all.next() else { return Ok(String::new()) };
    if all.next().is_some() {
        return Err(Refusal::invalid_query("`Content-Type` is there more than once: send one"));
    }
    let text = value.to_str().map_err(|_| {
        Refusal::invalid_query("`Content-Type` cannot be read: send application/json or application/graphql")
    })?;
    let mut parts = text.split(';');
    let kind = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
    for (name, value) in parts.filter_map(|part| part.split_once('=')) {
        let value = value.trim().trim_matches('"');
        if name.trim().eq_ignore_ascii_case("charset") && !value.eq_ignore_ascii_case("utf-8") {
            return Err(Refusal::invalid_query("A query is sent in the charset utf-8, and in no other"));
        }
    }
    Ok(kind)
}

fn explain(why: &CannotRead) -> String {
    match why {
        CannotRead::Invalid(wrongs) => {
            let told: Vec<String> = wrongs.iter().take(WRONGS_TOLD_MAX).map(Wrong::to_string).collect();
            told.join(", ")
        }
        CannotRead::Refused(why) => why.clone(),
        CannotRead::WhichOperation => {
            "`operationName` must name one of the operations in the query, and must be there where there are several"
                .to_owned()
        }
    }
}
