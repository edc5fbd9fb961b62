//! Faults as callers of SOAP read them: an envelope of the version in which they called. Messages pass as they are.

use std::fmt::Write as _;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

/// What a call of SOAP 1.1 is told by.
const SOAP_ACTION: HeaderName = HeaderName::from_static("soapaction");

/// The versions of SOAP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Envelope {
    /// SOAP 1.1: `text/xml` with a `SOAPAction`.
    V1_1,
    /// SOAP 1.2: `application/soap+xml`.
    V1_2,
}

impl Envelope {
    /// Returns the version of a call; `None` where it is none of SOAP.
    pub(crate) fn of(request: &HeaderMap) -> Option<Self> {
        let text = request.get(CONTENT_TYPE)?.to_str().ok()?;
        let media = text.split(';').next().unwrap_or_default().trim();
        if media.eq_ignore_ascii_case("application/soap+xml") {
            return Some(Self::V1_2);
        }
        (media.eq_ignore_ascii_case("text/xml") && request.contains_key(SOAP_ACTION)).then_some(Self::V1_1)
    }

    /// Returns the media type of answers.
    pub(crate) fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::V1_1 => "text/xml; charset=UTF-8",
            Self::V1_2 => "application/soap+xml; charset=UTF-8",
        })
    }

    /// Writes a fault; `detail` is an XML element.
    pub(crate) fn fault(self, status: StatusCode, message: &str, detail: &str) -> String {
        let message = message.trim().replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let is_of_caller = status.is_client_error();
        let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
        // Writing to a string cannot fail.
        let _ = match self {
            Self::V1_1 => {
                let code = if is_of_caller { "Client" } else { "Server" };
                write!(
                    xml,
                    "<soapenv:Envelope xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\"><soapenv:Body>\
                     <soapenv:Fault><faultcode>soapenv:{code}</faultcode><faultstring>{message}</faultstring>\
                     <detail>{detail}</detail></soapenv:Fault></soapenv:Body></soapenv:Envelope>"
                )
            }
            Self::V1_2 => {
                let code = if is_of_caller { "Sender" } else { "Receiver" };
                write!(
                    xml,
                    "<soapenv:Envelope xmlns:soapenv=\"http://www.w3.org/2003/05/soap-envelope\"><soapenv:Body>\
                     <soapenv:Fault><soapenv:Code><soapenv:Value>soapenv:{code}</soapenv:Value></soapenv:Code>\
                     <soapenv:Reason><soapenv:Text xml:lang=\"en\">{message}</soapenv:Text></soapenv:Reason>\
                     <soapenv:Detail>{detail}</soapenv:Detail></soapenv:Fault></soapenv:Body></soapenv:Envelope>"
                )
            }
        };
        xml
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_of_soap_is_known_by_its_head() {
        let head = |fields: &[(&'static str, &'static str)]| {
            let field = |(name, value): &(&'static str, &'static str)| {
                (HeaderName::from_static(name), HeaderValue::from_static(value))
            };
            Envelope::of(&fields.iter().map(field).collect())
        };
        assert_eq!(head(&[("content-type", "text/xml; charset=utf-8"), ("soapaction", "\"\"")]), Some(Envelope::V1_1));
        assert_eq!(head(&[("content-type", "application/soap+xml; action=x")]), Some(Envelope::V1_2));
        assert_eq!(head(&[("content-type", "text/xml")]), None, "plain XML");
        assert_eq!(head(&[("soapaction", "x")]), None);
    }

    #[test]
    fn a_fault_says_who_is_at_fault() {
        let fault = Envelope::V1_1.fault(StatusCode::UNAUTHORIZED, "a < b", "<d/>");
        assert!(fault.contains("<faultcode>soapenv:Client</faultcode><faultstring>a &lt; b</faultstring>"), "{fault}");
        let fault = Envelope::V1_2.fault(StatusCode::SERVICE_UNAVAILABLE, "down", "<d/>");
        assert!(fault.contains("<soapenv:Value>soapenv:Receiver</soapenv:Value>"), "{fault}");
    }
}
