//! Calls of REST turned into messages of SOAP: an envelope with places for what the call says, and the answer's body as
//! JSON. What a place stands for is an expression, as the original's payload factory has it.

use super::step::{Kind, Parameter, optional, required};
use super::{BadPolicy, Flow, VERSION};

/// Places of one envelope.
pub const ARGUMENTS_MAX: usize = 200;
/// Names on the way from a body's root to a value.
pub const PATH_NAMES_MAX: usize = 16;
const EXPRESSION_CHARS_MAX: usize = 512;

/// What a call becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SoapCall {
    /// The operation of the service (`SOAPAction`); empty for none.
    pub action: String,
    /// Whether it is SOAP 1.2, which has the action in its media type.
    pub is_12: bool,
    /// The envelope between its places: one text more than there are arguments.
    pub texts: Vec<String>,
    /// What is put in the places.
    pub arguments: Vec<Argument>,
}

/// Where the value for a place comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Argument {
    /// `$.a.b`: from the call's body, by the names on the way.
    Body(Vec<String>),
    /// `$url:name`: from the query.
    Query(String),
    /// `$uri:name`: from the path, by the parameter of the operation's URI template.
    Path(String),
}

impl Argument {
    /// Reads an expression; `None` for one that is not understood.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.chars().count() > EXPRESSION_CHARS_MAX {
            return None;
        }
        let is_name = |name: &str| {
            !name.is_empty() && !name.contains(|one: char| one.is_whitespace() || "[]()'\"*$".contains(one))
        };
        let named = |name: &str| is_name(name).then(|| name.to_owned());
        if let Some(name) = text.strip_prefix("$url:") {
            return named(name).map(Self::Query);
        }
        if let Some(name) = text.strip_prefix("$uri:") {
            return named(name).map(Self::Path);
        }
        let path = text.strip_prefix('$')?;
        if path.is_empty() {
            return Some(Self::Body(Vec::new()));
        }
        let names: Option<Vec<String>> = path.strip_prefix('.')?.split('.').map(named).collect();
        names.filter(|names| names.len() <= PATH_NAMES_MAX).map(Self::Body)
    }
}

impl SoapCall {
    /// Reads an envelope with its places, `$1` and so on, and the expressions for them, one a line.
    ///
    /// # Errors
    /// What is wrong with which of them.
    pub fn parse(action: &str, version: &str, envelope: &str, expressions: &str) -> Result<Self, BadPolicy> {
        let bad = |name: &str, reason: String| BadPolicy { place: format!("parameters.{name}"), reason };
        let known: Vec<&str> = expressions.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        if known.len() > ARGUMENTS_MAX {
            return Err(bad("arguments", format!("has more than {ARGUMENTS_MAX} lines")));
        }
        let (mut texts, mut arguments, mut text, mut left) = (Vec::new(), Vec::new(), String::new(), envelope);
        while let Some((before, after)) = left.split_once('$') {
            text.push_str(before);
            let digits = after.len() - after.trim_start_matches(|one: char| one.is_ascii_digit()).len();
            let (number, rest) = after.split_at(digits);
            left = rest;
            let Ok(number) = number.parse::<usize>() else {
                text.push('$');
                continue;
            };
            let expression = number.checked_sub(1).and_then(|at| known.get(at));
            let expression =
                expression.ok_or_else(|| bad("envelope", format!("has ${number}, for which there is no argument")))?;
            let argument = Argument::parse(expression).ok_or_else(|| {
                bad("arguments", format!("has `{expression}`; $.name.name, $url:name and $uri:name are understood"))
            })?;
            if arguments.len() >= ARGUMENTS_MAX {
                return Err(bad("envelope", format!("has more than {ARGUMENTS_MAX} places")));
            }
            arguments.push(argument);
            texts.push(std::mem::take(&mut text));
        }
        text.push_str(left);
        texts.push(text);
        if !envelope.contains("Envelope") || !envelope.trim_start().starts_with('<') {
            return Err(bad("envelope", "must be an envelope of SOAP".to_owned()));
        }
        Ok(Self { action: action.to_owned(), is_12: version == "1.2", texts, arguments })
    }

    /// Says whether the call's body is looked into.
    #[must_use]
    pub fn reads_body(&self) -> bool {
        self.arguments.iter().any(|argument| matches!(argument, Argument::Body(_)))
    }
}

/// Turns calls into messages of SOAP.
pub(super) const CALL: Kind = Kind {
    name: "jsonToSOAP",
    version: VERSION,
    title: "JSON to SOAP",
    description: "Turns a call into a message of SOAP, which goes to the endpoint itself by POST",
    flows: &[Flow::Request],
    parameters: &[
        optional("soapAction", "SOAP Action", "The action of the operation", ""),
        Parameter {
            allowed: &["1.1", "1.2"],
            ..optional("soapVersion", "SOAP Version", "The version of SOAP that the service speaks", "1.1")
        },
        required("envelope", "Envelope", "The envelope, with $1, $2 and so on where values are put in"),
        optional("arguments", "Arguments", "What the values are, one a line: $.name.name, $url:name, $uri:name", ""),
    ],
};

/// Turns answers of SOAP into JSON.
pub(super) const ANSWER: Kind = Kind {
    name: "soapToJSON",
    version: VERSION,
    title: "SOAP to JSON",
    description: "Turns an answer of SOAP into JSON: what is in the envelope's body",
    flows: &[Flow::Response],
    parameters: &[],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_is_read_with_its_places() {
        let envelope = "<s:Envelope><s:Body><a>$2</a><b>5 $ $1</b></s:Body></s:Envelope>";
        let call = SoapCall::parse("urn:x", "1.1", envelope, "$.op.b\n\n $url:a \n").unwrap();
        assert_eq!(call.texts, ["<s:Envelope><s:Body><a>", "</a><b>5 $ ", "</b></s:Body></s:Envelope>"]);
        let names = vec!["op".to_owned(), "b".to_owned()];
        assert_eq!(call.arguments, [Argument::Query("a".to_owned()), Argument::Body(names)]);
        for (envelope, expressions) in
            [("<s:Envelope>$2</s:Envelope>", "$.a"), ("<s:Envelope>$1</s:Envelope>", "//a"), ("<a/>", "")]
        {
            assert!(SoapCall::parse("", "1.1", envelope, expressions).is_err(), "{envelope} {expressions}");
        }
    }

    #[test]
    fn expressions_are_paths_and_names() {
        assert_eq!(Argument::parse("$"), Some(Argument::Body(Vec::new())));
        assert_eq!(Argument::parse("$uri:id"), Some(Argument::Path("id".to_owned())));
        for bad in ["", "a", "$..a", "$.a[0]", "$url:", "$ctx:x", &format!("$.{}", "a.".repeat(20))] {
            assert_eq!(Argument::parse(bad), None, "{bad}");
        }
    }
}
