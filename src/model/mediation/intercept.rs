//! The policy that has a server of the publisher's own look at calls and answers.

use super::step::{Kind, optional, required};
use super::{Flow, VERSION};

/// What an interceptor service is shown (`includes`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "the original's independent words")]
pub struct Includes {
    /// Header fields of the call.
    pub request_headers: bool,
    /// The call's body.
    pub request_body: bool,
    /// Header fields of the answer.
    pub response_headers: bool,
    /// The answer's body.
    pub response_body: bool,
    /// Where the call came from and where it goes.
    pub invocation_context: bool,
}

impl Includes {
    /// Reads the words in a text, with commas or spaces between them.
    ///
    /// # Errors
    /// The first word that is not known.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut includes = Self::default();
        for word in text.split([',', ' ']).filter(|word| !word.is_empty()) {
            match word {
                "request_headers" => includes.request_headers = true,
                "request_body" => includes.request_body = true,
                "response_headers" => includes.response_headers = true,
                "response_body" => includes.response_body = true,
                "invocation_context" => includes.invocation_context = true,
                // Trailers of calls end at the gateway, and those of answers pass as they are: there is nothing to show.
                "request_trailers" | "response_trailers" => {}
                other => return Err(other.to_owned()),
            }
        }
        Ok(includes)
    }
}

/// Says whether a header field says how a message is framed, and so is nobody's but the gateway's.
#[must_use]
pub fn is_framing(name: &str) -> bool {
    super::parameters::RESERVED.contains(&name)
}

/// Shows calls and answers to a service.
pub(super) const INTERCEPT: Kind = Kind {
    name: "callInterceptorService",
    version: VERSION,
    title: "Call Interceptor Service",
    description: "Shows calls or answers to a service, which says what becomes of them",
    flows: &[Flow::Request, Flow::Response],
    parameters: &[
        required("interceptorServiceURL", "Interceptor Service URL", "Where the service is, without /api/v1"),
        optional(
            "includes",
            "Includes",
            "What it is shown: request_headers, request_body, response_headers, response_body, invocation_context",
            "",
        ),
    ],
};
