//! Sessions of SOAP (`sessionManagement` `soap`): a client that was given an id of a session by a backend stays with it.
//! The id is Axis2's `ServiceGroupId`: backends give it in the reference parameters of an answer's `wsa:ReplyTo`, and
//! clients send it back in the headers of their calls, as WS-Addressing has them do with every reference parameter.
//!
//! The gateway writes behind the id which backend gave it, and takes that away again before the call goes on. So it is good
//! on every gateway and after every restart, and nothing is remembered. Why: `docs/decisions/0097-soap-sessions.md`.

use std::ops::Range;
use std::rc::Rc;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG};
use http::{HeaderMap, HeaderValue, Response};
use http_body::Body as _;
use quick_xml::NsReader;
use quick_xml::events::Event;
use quick_xml::name::ResolveResult;

use crate::body::ReplyBody;
use crate::forward::{self, CallBody, Passage};
use crate::mediation;
use crate::packing;
use crate::refusal::Refusal;
use crate::route::endpoint::EndpointGroup;
use crate::route::session::tags;
use crate::worker::Worker;

/// What stands between the backend's id and its tag.
const MARK: &str = ".portcullis-";
/// Elements that are looked at before the body of an envelope.
const ELEMENTS_MAX: usize = 1_000;

/// The namespaces of envelopes.
const ENVELOPES: [&str; 2] = ["http://schemas.xmlsoap.org/soap/envelope/", "http://www.w3.org/2003/05/soap-envelope"];
const ADDRESSING: [&str; 1] = ["http://www.w3.org/2005/08/addressing"];
const AXIS2: [&str; 1] = ["http://ws.apache.org/namespaces/axis2"];

/// An element: its local name, and the namespaces that it may be of.
type Element = (&'static str, &'static [&'static str]);

/// Where the id is in a call.
const IN_CALL: &[Element] = &[("Envelope", &ENVELOPES), ("Header", &ENVELOPES), ("ServiceGroupId", &AXIS2)];
/// Where it is in an answer.
const IN_ANSWER: &[Element] = &[
    ("Envelope", &ENVELOPES),
    ("Header", &ENVELOPES),
    ("ReplyTo", &ADDRESSING),
    ("ReferenceParameters", &ADDRESSING),
    ("ServiceGroupId", &AXIS2),
];

/// What keeps the clients of an API with one of its backends.
#[derive(Debug)]
pub(crate) struct SoapSession {
    /// What names each endpoint, in their order.
    tags: Vec<String>,
}

/// A call in a group whose clients stay by a session of SOAP.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct InSession {
    /// The endpoint that gave the id, where the call has one.
    pub(crate) endpoint: Option<usize>,
    /// A gateway wrote behind the call's id which backend gave it, whether or not that is still there.
    pub(crate) is_tagged: bool,
}

impl SoapSession {
    /// Makes it for the endpoints of one API and key type, which `scope` names.
    pub(crate) fn new(scope: &str, group: &[crate::route::endpoint::Endpoint]) -> Self {
        Self { tags: tags(scope, group) }
    }

    /// Takes the tag out of a call's id; returns the endpoint that it names, and the call without it.
    fn untag(&self, envelope: &Bytes) -> Option<(usize, Bytes)> {
        let place = id_in(envelope, IN_CALL)?;
        let id = std::str::from_utf8(&envelope[place.clone()]).ok()?.trim_ascii_end();
        let (own, tag) = id.rsplit_once(MARK)?;
        let endpoint = self.tags.iter().position(|one| one == tag);
        let end = place.start + own.len();
        let plain = [&envelope[..end], &envelope[place.start + id.len()..]].concat();
        // A backend that is no longer there gave it: another one must say what becomes of the session.
        Some((endpoint.unwrap_or(usize::MAX), plain.into()))
    }

    /// Writes behind an answer's id which endpoint gave it; `None` where the answer has none.
    fn tag(&self, envelope: &[u8], endpoint: usize) -> Option<Vec<u8>> {
        let place = id_in(envelope, IN_ANSWER)?;
        let end = place.start + envelope[place].trim_ascii_end().len();
        let tag = self.tags.get(endpoint)?;
        Some([&envelope[..end], MARK.as_bytes(), tag.as_bytes(), &envelope[end..]].concat())
    }
}

/// Passes a call on to the backend with which its client stays. What is copied, and what goes to the backend that is tried
/// out, has the id without its tag too.
///
/// # Errors
/// What the caller is told where no backend answers, or a body is too large to be looked into.
pub(crate) async fn forward(
    worker: &Rc<Worker>,
    passage: &Passage<'_>,
    (ordinary, session): (&EndpointGroup, &SoapSession),
    body: CallBody,
) -> Result<Response<ReplyBody>, Refusal> {
    let headers = &passage.request.headers;
    let is_looked_into = is_envelope(headers) && packing::coding(headers).is_none();
    let mut in_session = InSession::default();
    let body = if is_looked_into {
        let held = body.hold(worker, passage).await?;
        match session.untag(&held) {
            Some((endpoint, plain)) => {
                in_session.endpoint = Some(endpoint).filter(|endpoint| *endpoint < ordinary.endpoints.len());
                in_session.is_tagged = true;
                CallBody::Held(plain)
            }
            None => CallBody::Held(held),
        }
    } else {
        body
    };
    // Whether an answer is an envelope is in its headers.
    let mut passage = Passage { in_session: Some(in_session), takes_lines: false, ..*passage };
    let (group, body) = match &ordinary.aside {
        None => (ordinary, body),
        Some(aside) => {
            let body = aside.copy(worker, &passage, body).await?;
            (aside.choose(worker, ordinary, &passage), body)
        }
    };
    if !std::ptr::eq(group, ordinary) {
        // The endpoint is none of this group's.
        passage.in_session = None;
    }
    let response = forward::to_group(worker, &passage, (group, ordinary.proof.as_ref()), body).await?;
    let answered = passage.way.destination.get();
    let Some(endpoint) = ordinary.endpoints.iter().position(|endpoint| endpoint.id == answered) else {
        return Ok(response);
    };
    let is_packed = packing::coding(response.headers()).is_some();
    if !is_envelope(response.headers()) || is_packed || response.body().is_end_stream() {
        return Ok(response);
    }
    let (mut head, held) = mediation::hold_answer(worker, response).await?;
    let Some(tagged) = session.tag(&held, endpoint) else {
        return Ok(Response::from_parts(head, ReplyBody::whole(held)));
    };
    // Of the body as it was.
    for name in [CONTENT_LENGTH, ETAG] {
        head.headers.remove(name);
    }
    Ok(Response::from_parts(head, ReplyBody::whole(tagged.into())))
}

/// Says whether a body is an envelope of SOAP by its media type.
fn is_envelope(headers: &HeaderMap) -> bool {
    let media = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let media = media.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    [&b"text/xml"[..], b"application/soap+xml"].iter().any(|one| media.eq_ignore_ascii_case(one))
}

/// Returns where the text of the element is that is found down `path`; `None` where there is none before the body of the
/// envelope, or what is read is no XML.
fn id_in(envelope: &[u8], path: &[Element]) -> Option<Range<usize>> {
    let mut reader = NsReader::from_str(std::str::from_utf8(envelope).ok()?);
    let (mut depth, mut matched) = (0, 0);
    for _ in 0..ELEMENTS_MAX {
        let (namespace, event) = reader.read_resolved_event().ok()?;
        match event {
            Event::Start(start) => {
                let (name, namespaces) = path[matched];
                let local = start.local_name();
                let is_named = match namespace {
                    ResolveResult::Bound(uri) => local.as_ref() == name && namespaces.contains(&uri.as_ref()),
                    _ => false,
                };
                if depth == 1 && local.as_ref() == "Body" {
                    return None;
                }
                if matched == depth && is_named {
                    matched += 1;
                }
                depth += 1;
                if matched == path.len() {
                    let begin = usize::try_from(reader.buffer_position()).ok()?;
                    let end = begin + envelope.get(begin..)?.iter().position(|byte| *byte == b'<')?;
                    // Anything else within it is no id.
                    let is_text = envelope[end..].starts_with(b"</");
                    return (is_text && !envelope[begin..end].trim_ascii().is_empty()).then_some(begin..end);
                }
            }
            Event::End(_) => {
                depth -= 1;
                matched = matched.min(depth);
                if depth == 0 {
                    return None;
                }
            }
            Event::DocType(_) | Event::Eof => return None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> SoapSession {
        SoapSession { tags: vec!["aaaa".to_owned(), "bbbb".to_owned()] }
    }

    fn answer(id: &str) -> String {
        format!(
            "<?xml version='1.0'?><s:Envelope xmlns:s='http://www.w3.org/2003/05/soap-envelope'><s:Header>\
             <wsa:ReplyTo xmlns:wsa='http://www.w3.org/2005/08/addressing'><wsa:Address>x</wsa:Address>\
             <wsa:ReferenceParameters><a:ServiceGroupId xmlns:a='http://ws.apache.org/namespaces/axis2'>{id}\
             </a:ServiceGroupId></wsa:ReferenceParameters></wsa:ReplyTo></s:Header><s:Body/></s:Envelope>"
        )
    }

    fn call(id: &str) -> String {
        format!(
            "<Envelope xmlns='http://schemas.xmlsoap.org/soap/envelope/'><Header><other>x</other>\
             <ServiceGroupId xmlns='http://ws.apache.org/namespaces/axis2'>{id}</ServiceGroupId></Header>\
             <Body/></Envelope>"
        )
    }

    #[test]
    fn an_id_that_is_given_comes_back_with_the_backend_that_gave_it() {
        let session = session();
        let tagged = session.tag(answer("urn:uuid:1").as_bytes(), 1).unwrap();
        assert_eq!(String::from_utf8(tagged).unwrap(), answer("urn:uuid:1.portcullis-bbbb"));
        let (endpoint, plain) = session.untag(&call(" urn:uuid:1.portcullis-bbbb\n").into()).unwrap();
        assert_eq!((endpoint, &*plain), (1, call(" urn:uuid:1\n").as_bytes()));
        let (endpoint, plain) = session.untag(&call("urn:uuid:1.portcullis-gone").into()).unwrap();
        assert_eq!((endpoint, &*plain), (usize::MAX, call("urn:uuid:1").as_bytes()));
        assert_eq!(session.untag(&call("urn:uuid:1").into()), None, "no gateway gave this one");
    }

    #[test]
    fn what_only_looks_like_an_id_stays_as_it_is() {
        let session = session();
        let id =
            "<a:ServiceGroupId xmlns:a='http://ws.apache.org/namespaces/axis2'>x.portcullis-aaaa</a:ServiceGroupId>";
        let envelope = |inside: &str| {
            format!("<e:Envelope xmlns:e='http://www.w3.org/2003/05/soap-envelope'>{inside}</e:Envelope>")
        };
        for odd in [
            envelope(&format!("<e:Body>{id}</e:Body>")),
            envelope(&format!("<e:Header/><e:Body><e:Header>{id}</e:Header></e:Body>")),
            envelope(&format!("<e:Header><more>{id}</more></e:Header>")),
            envelope(&format!("<Header>{id}</Header>")),
            envelope("<e:Header><ServiceGroupId>x.portcullis-aaaa</ServiceGroupId></e:Header>"),
            envelope(
                "<e:Header><a:ServiceGroupId xmlns:a='http://ws.apache.org/namespaces/axis2'><b/></a:ServiceGroupId></e:Header>",
            ),
            envelope("<e:Header><a:ServiceGroupId xmlns:a='http://ws.apache.org/namespaces/axis2'/></e:Header>"),
            call("x.portcullis-aaaa").replace("<Body", "<!DOCTYPE x><Body").replacen(
                "<Envelope",
                "<!DOCTYPE y><Envelope",
                1,
            ),
            "nonsense".to_owned(),
            "<".repeat(100),
            String::new(),
        ] {
            assert_eq!(session.untag(&odd.clone().into()), None, "{odd}");
            assert_eq!(session.tag(odd.as_bytes(), 0), None, "{odd}");
        }
        assert_eq!(session.tag(call("x").as_bytes(), 0), None, "a call's place is not an answer's");
    }
}
