//! How an API is called, by what its definition is written in: as lines for the shell, and by a form from which the
//! browser sends.

/// A query that is good for every schema (GraphQL, "Type Name Introspection").
const QUERY: &str = "{ __typename }";
/// An envelope without content (SOAP 1.1).
const ENVELOPE: &str =
    "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Body></s:Body></s:Envelope>";
/// Channels that are shown.
const CHANNELS_MAX: usize = 100;
/// Operations that a form offers: a page has a bound.
const OPERATIONS_MAX: usize = 200;

/// What an API's definition is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// OpenAPI: verbs and paths.
    Openapi,
    /// A schema of GraphQL: queries are sent to one address.
    Graphql,
    /// AsyncAPI: channels of WebSockets.
    Sockets,
    /// AsyncAPI: channels of server-sent events.
    Events,
    /// AsyncAPI: topics that callbacks are subscribed to.
    Topics,
    /// WSDL: envelopes are sent to one address.
    Soap,
}

/// What can be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// The verb, or what stands for it: `QUERY`, `SUBSCRIBE`.
    pub verb: String,
    /// The path behind the API's address, a channel, or a field of a schema.
    pub target: String,
}

impl Language {
    /// Returns the one of an API's type, as the contracts name it.
    #[must_use]
    pub fn of(kind: &str) -> Self {
        match kind {
            "GRAPHQL" => Self::Graphql,
            "WS" => Self::Sockets,
            "SSE" => Self::Events,
            "WEBSUB" => Self::Topics,
            "SOAP" => Self::Soap,
            _ => Self::Openapi,
        }
    }

    /// Returns what links to the definition are called.
    #[must_use]
    pub fn document(self) -> &'static str {
        match self {
            Self::Openapi => "The OpenAPI document",
            Self::Graphql => "The GraphQL schema",
            Self::Sockets | Self::Events | Self::Topics => "The AsyncAPI document",
            Self::Soap => "The WSDL",
        }
    }

    /// Says whether channels are of WebSockets.
    #[must_use]
    pub fn is_socket(self) -> bool {
        self == Self::Sockets
    }

    /// Says whether calls are answered once, so that a page can send one.
    #[must_use]
    pub fn is_answered(self) -> bool {
        !matches!(self, Self::Sockets | Self::Events | Self::Topics)
    }

    /// Says whether all calls go to one address.
    #[must_use]
    pub fn is_at_one_address(self) -> bool {
        matches!(self, Self::Graphql | Self::Soap)
    }

    /// Returns the verb of a call and what is behind the API's address.
    fn place(self, operation: Option<&Operation>) -> (&str, &str) {
        match (self, operation) {
            (Self::Graphql | Self::Soap, _) => ("POST", ""),
            (Self::Openapi, Some(one)) => (&one.verb, &one.target),
            (_, one) => ("GET", one.map_or("", |one| one.target.as_str())),
        }
    }

    /// Returns what the body of a call begins with.
    fn body(self, operation: Option<&Operation>) -> String {
        match (self, operation) {
            (Self::Graphql, Some(one)) if is_name(&one.target) => {
                format!("{} {{\n  {}\n}}", one.verb.to_ascii_lowercase(), one.target)
            }
            (Self::Graphql, _) => QUERY.to_owned(),
            (Self::Soap, _) => ENVELOPE.to_owned(),
            _ => String::new(),
        }
    }

    /// Returns the headers that go with such a body.
    fn headers(self) -> &'static [&'static str] {
        match self {
            Self::Graphql => &["Content-Type: application/json"],
            Self::Soap => &["Content-Type: text/xml", "SOAPAction: \"\""],
            Self::Openapi | Self::Sockets | Self::Events | Self::Topics => &[],
        }
    }

    /// Returns a body as it is sent.
    fn packed(self, body: &str) -> String {
        if self == Self::Graphql { format!("{{\"query\":{}}}", json_text(body)) } else { body.to_owned() }
    }
}

/// Says whether a text is a name of GraphQL.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|one| one.is_ascii_alphanumeric() || one == '_')
}

/// Writes a query as a text of JSON. It is made of names and of what [`Language::body`] puts around them.
fn json_text(text: &str) -> String {
    format!("\"{}\"", text.replace('\n', "\\n"))
}

/// Returns a text as one word of a POSIX shell.
#[must_use]
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// Returns a line for the shell that makes a call; `key` is the header with the key, as a word of the shell.
#[must_use]
pub fn line(language: Language, url: &str, operation: Option<&Operation>, key: &str) -> String {
    let (verb, target) = language.place(operation);
    let address = quoted(&format!("{url}{}", target.replace('*', "")));
    match language {
        Language::Sockets => return format!("wscat -H {key} -c {address}"),
        Language::Events => return format!("curl -N -H {key} {address}"),
        Language::Topics => {
            let topic = operation.map_or("TOPIC", |one| one.target.trim_start_matches('/'));
            let topic = quoted(&format!("hub.topic={topic}"));
            let callback = "--data-urlencode hub.callback=https://me.example/hook";
            return format!("curl -H {key} -d hub.mode=subscribe -d {topic} {callback} {}", quoted(url));
        }
        Language::Openapi | Language::Graphql | Language::Soap => {}
    }
    let body = language.body(operation);
    // With a body it is a POST by itself.
    let verb = if verb == "GET" || !body.is_empty() { String::new() } else { format!(" -X {}", quoted(verb)) };
    let headers: String = language.headers().iter().map(|header| format!(" -H {}", quoted(header))).collect();
    let body = if body.is_empty() { body } else { format!(" -d {}", quoted(&language.packed(&body))) };
    format!("curl{verb} -H {key}{headers}{body} {address}")
}

/// How a key is shown to an API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyHeader {
    /// The header. It stands in lines for the shell, so it is a plain word.
    pub name: String,
    /// The word before the key; may be empty.
    pub scheme: &'static str,
}

impl KeyHeader {
    fn with(&self, key: &str) -> String {
        let word = if self.scheme.is_empty() { String::new() } else { format!("{} ", self.scheme) };
        format!("{}: {word}{key}", self.name)
    }

    /// Returns the header as a word of the shell, with the key from the variable `KEY`.
    #[must_use]
    pub fn of_variable(&self) -> String {
        format!("\"{}\"", self.with("$KEY"))
    }
}

/// The form from which calls are tried out: `try_form.html` shows it.
#[derive(Clone, Debug)]
pub struct TryForm {
    /// In what language.
    pub language: Language,
    /// Where the API is; empty where it is nowhere.
    pub url: String,
    /// How the key is shown.
    pub header: KeyHeader,
    /// What can be called.
    pub operations: Vec<Operation>,
    /// The operation that is chosen: `GET /menu`; may be none.
    pub operation: String,
    /// The verb that the form begins with.
    pub verb: String,
    /// What is behind the address.
    pub target: String,
    /// The body.
    pub body: String,
    /// The key.
    pub key: String,
    /// The call as a line for the shell, where no script makes it.
    pub curl: String,
    /// Each channel with its line for the shell.
    pub channels: Vec<(String, String)>,
    /// Where the definition is shown.
    pub definition: String,
}

impl TryForm {
    /// Makes the form of what can be called at `url`. `operation` is chosen, or the first.
    #[must_use]
    pub fn new(
        (language, url): (Language, &str),
        header: KeyHeader,
        mut operations: Vec<Operation>,
        operation: String,
        definition: String,
    ) -> Self {
        if let Some(at) = operations.iter().position(|one| is_meant(one, &operation)).filter(|at| *at >= OPERATIONS_MAX)
        {
            operations.swap(0, at);
        }
        operations.truncate(OPERATIONS_MAX);
        let (verb, target, body) = {
            let chosen = chosen(language, &operations, &operation);
            let (verb, target) = language.place(chosen);
            (verb.to_owned(), target.to_owned(), language.body(chosen))
        };
        let (key, curl, channels) = (String::new(), String::new(), Vec::new());
        let url = url.to_owned();
        let form =
            Self { language, url, header, operations, operation, verb, target, body, key, curl, channels, definition };
        form.with_key(String::new())
    }

    /// Fills in the key, and the lines that show it.
    #[must_use]
    pub fn with_key(mut self, key: String) -> Self {
        let shown = quoted(&self.header.with(if key.is_empty() { "KEY" } else { &key }));
        let of = |one: Option<&Operation>| line(self.language, &self.url, one, &shown);
        self.curl = of(chosen(self.language, &self.operations, &self.operation));
        if !self.language.is_answered() {
            let channels = self.operations.iter().take(CHANNELS_MAX);
            self.channels = channels.map(|one| (format!("{} {}", one.verb, one.target), of(Some(one)))).collect();
        }
        self.key = key;
        self
    }

    /// Says whether an operation is the one that is chosen.
    #[must_use]
    pub fn is_chosen(&self, one: &Operation) -> bool {
        is_meant(one, &self.operation)
    }

    /// Returns what the body begins with where an operation is chosen.
    #[must_use]
    pub fn body_of(&self, one: &Operation) -> String {
        self.language.body(Some(one))
    }

    /// Says whether queries are sent.
    #[must_use]
    pub fn is_graphql(&self) -> bool {
        self.language == Language::Graphql
    }

    /// Says whether envelopes are sent.
    #[must_use]
    pub fn is_soap(&self) -> bool {
        self.language == Language::Soap
    }
}

fn is_meant(one: &Operation, operation: &str) -> bool {
    operation.split_once(' ').is_some_and(|(verb, target)| verb == one.verb && target == one.target)
}

/// Returns the operation that is meant, or the first. Of what has one address alone nothing in particular is asked for.
fn chosen<'a>(language: Language, operations: &'a [Operation], operation: &str) -> Option<&'a Operation> {
    let first = operations.first().filter(|_| !language.is_at_one_address());
    operations.iter().find(|one| is_meant(one, operation)).or(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(verb: &str, target: &str) -> Operation {
        Operation { verb: verb.to_owned(), target: target.to_owned() }
    }

    #[test]
    fn a_text_cannot_leave_its_quotes_in_the_shell() {
        assert_eq!(quoted("/a'; rm -rf ~ '"), r"'/a'\''; rm -rf ~ '\'''");
    }

    #[test]
    fn each_language_is_called_in_its_own_way() {
        let (order, channel) = (one("MUTATION", "order"), one("SUBSCRIBE", "/rooms/{room}"));
        for (language, operation, expected) in [
            (Language::Openapi, Some(&one("GET", "/menu")), "curl -H K 'https://gate/a/menu'"),
            (Language::Openapi, Some(&one("PUT", "/*")), "curl -X 'PUT' -H K 'https://gate/a/'"),
            (
                Language::Graphql,
                Some(&order),
                r#"curl -H K -H 'Content-Type: application/json' -d '{"query":"mutation {\n  order\n}"}' 'https://gate/a'"#,
            ),
            (Language::Sockets, Some(&channel), "wscat -H K -c 'https://gate/a/rooms/{room}'"),
            (Language::Events, None, "curl -N -H K 'https://gate/a'"),
        ] {
            assert_eq!(line(language, "https://gate/a", operation, "K"), expected);
        }
        let topics = line(Language::of("WEBSUB"), "https://gate/a", Some(&one("SUBSCRIBE", "/issues")), "K");
        let callback = "--data-urlencode hub.callback=https://me.example/hook";
        assert_eq!(
            topics,
            format!("curl -H K -d hub.mode=subscribe -d 'hub.topic=issues' {callback} 'https://gate/a'")
        );
        let soap = line(Language::Soap, "https://gate/a", Some(&one("POST", "/*")), "K");
        let begin = "curl -H K -H 'Content-Type: text/xml' -H 'SOAPAction: \"\"' -d '<s:Envelope";
        assert!(soap.starts_with(begin) && soap.ends_with("'https://gate/a'"), "{soap}");
    }

    #[test]
    fn a_form_begins_with_what_is_chosen_and_shows_the_key_in_its_lines() {
        let form = |language, operation: &str| {
            let header = KeyHeader { name: "Authorization".to_owned(), scheme: "Bearer" };
            let all = vec![one("GET", "/menu"), one("GET", "/order")];
            TryForm::new((language, "https://gate/a"), header, all, operation.to_owned(), String::new())
        };
        let second = form(Language::Openapi, "GET /order").with_key("k'ey".to_owned());
        assert_eq!((second.verb.as_str(), second.target.as_str()), ("GET", "/order"));
        assert_eq!(second.curl, r"curl -H 'Authorization: Bearer k'\''ey' 'https://gate/a/order'");
        assert_eq!(form(Language::Openapi, "").target, "/menu");
        assert_eq!(form(Language::Graphql, "").body, QUERY);
        let line = "wscat -H 'Authorization: Bearer KEY' -c 'https://gate/a/order'";
        assert_eq!(form(Language::Sockets, "").channels[1], ("GET /order".to_owned(), line.to_owned()));
    }
}
