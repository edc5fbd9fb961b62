//! The backends of an API as the gateway uses them: addresses split up once, at deployment.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use portcullis_model::api::EndpointStrategy;
use portcullis_model::backend_care::Turns;
use portcullis_model::client_certificate::CertificateDer;
use portcullis_model::endpoint_trust::EndpointTrust;
use portcullis_model::{Endpoint as DesignedEndpoint, EndpointCare};
use url::Url;

use super::session::Session;
use super::standing::Standing;
use crate::aside::Aside;
use crate::dynamic::Dynamic;
use crate::proof::Proof;
use crate::soap_session::SoapSession;
use crate::upstream::authorities::Authorities;
use crate::upstream::link::Trust;

/// How long an answer may take that may take any time: longer than anybody waits.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// The backends for one key type.
#[derive(Debug)]
pub(crate) struct EndpointGroup {
    /// A number of its own, to take turns by.
    pub(crate) id: u64,
    pub(crate) strategy: EndpointStrategy,
    pub(crate) endpoints: Vec<Endpoint>,
    /// How the gateway proves itself to them.
    pub(crate) proof: Option<Proof>,
    /// Whose turn it is, where they share calls.
    pub(crate) turns: Turns,
    /// Whether another is asked where one fails.
    pub(crate) fails_over: bool,
    /// What keeps clients with one of them.
    pub(crate) session: Option<Session>,
    /// The same, by what is in the messages.
    pub(crate) soap_session: Option<SoapSession>,
    /// Where calls go besides.
    pub(crate) aside: Option<Box<Aside>>,
    /// What is said of its backends, where policies name them call by call; it has no endpoints then.
    pub(crate) dynamic: Option<Box<Dynamic>>,
}

impl EndpointGroup {
    /// Returns a group without endpoints.
    pub(crate) fn none(id: u64) -> Self {
        Self {
            id,
            strategy: EndpointStrategy::Single,
            endpoints: Vec::new(),
            proof: None,
            turns: Turns::Even,
            fails_over: true,
            session: None,
            soap_session: None,
            aside: None,
            dynamic: None,
        }
    }

    /// Says whether no call can go anywhere.
    pub(crate) fn is_none(&self) -> bool {
        self.endpoints.is_empty() && self.dynamic.is_none()
    }

    /// Says whether there is one endpoint that is called and not watched.
    pub(crate) fn is_plain(&self) -> bool {
        let is_single = self.strategy == EndpointStrategy::Single || self.endpoints.len() == 1;
        is_single && self.endpoints[0].standing.is_none()
    }

    /// Returns the one backend that is called over HTTP/1.1 as the call came, where nothing is to be chosen, proved or copied.
    pub(crate) fn direct(&self) -> Option<&Endpoint> {
        let endpoint = self.endpoints.first()?;
        let is_as_it_came = self.proof.is_none()
            && self.soap_session.is_none()
            && self.aside.is_none()
            && self.dynamic.is_none()
            && !endpoint.origin.has_http2;
        (is_as_it_came && self.is_plain()).then_some(endpoint)
    }
}

/// One backend.
#[derive(Debug)]
pub(crate) struct Endpoint {
    /// A number of its own.
    pub(crate) id: u64,
    /// How statistics name it.
    pub(crate) address: Arc<str>,
    pub(crate) origin: Arc<Origin>,
    /// What comes before the part of the path after the context; no slash at its end.
    pub(crate) base_path: Box<str>,
    /// What comes before the query.
    pub(crate) base_query: Option<Box<str>>,
    /// The value of `Host`.
    pub(crate) authority: Box<str>,
    /// How long the head of an answer may take.
    pub(crate) timeout: Option<Duration>,
    /// Its share of the calls.
    pub(crate) weight: u32,
    /// How it does, where that is watched.
    pub(crate) standing: Option<Standing>,
}

/// Where connections go; two endpoints with the same origin share connections.
#[derive(Debug)]
pub(crate) struct Origin {
    /// A number of its own.
    pub(crate) id: u64,
    pub(crate) is_tls: bool,
    /// Whether HTTP/2 is spoken there.
    pub(crate) has_http2: bool,
    pub(crate) host: String,
    pub(crate) port: u16,
    /// By what it is trusted, where that is more than what the system trusts.
    pub(crate) trust: Option<Arc<Trust>>,
}

/// What tells origins apart: TLS, HTTP/2, host, port, and the certificates that were added for it.
type OriginKey = (bool, bool, String, u16, Vec<CertificateDer>);

/// All origins in use.
#[derive(Debug, Default)]
pub(crate) struct Origins {
    known: HashMap<OriginKey, Arc<Origin>>,
    next_id: u64,
    authorities: Arc<Authorities>,
    /// By what the backends are trusted of the tenant whose API is being compiled.
    trusting: Option<Arc<EndpointTrust>>,
}

/// An address that is no backend's.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadEndpoint {
    #[error("it is not a URL: {0}")]
    NotUrl(#[from] url::ParseError),
    #[error("the scheme must be http, https, ws or wss")]
    Scheme,
    #[error("it has no host")]
    NoHost,
}

impl Origins {
    /// Makes an empty set of origins that are trusted as the system does.
    pub(crate) fn new(authorities: Arc<Authorities>) -> Self {
        Self { authorities, ..Self::default() }
    }

    /// Makes an empty set for one worker, whose numbers no other origin has.
    pub(crate) fn of_worker(authorities: Arc<Authorities>) -> Self {
        Self { next_id: 1 << 63, ..Self::new(authorities) }
    }

    /// Returns by what the endpoints that come next are trusted.
    pub(crate) fn trusting(&self) -> (Arc<Authorities>, Option<Arc<EndpointTrust>>) {
        (Arc::clone(&self.authorities), self.trusting.clone())
    }

    /// Has the endpoints that come next trusted by what a tenant added.
    pub(crate) fn trust_as(&mut self, trust: Option<&Arc<EndpointTrust>>) {
        self.trusting = trust.cloned();
    }

    /// Returns the next number for a group of endpoints or an origin.
    pub(crate) fn next_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn origin(&mut self, is_tls: bool, has_http2: bool, host: String, port: u16) -> Arc<Origin> {
        let added = self.trusting.as_ref().filter(|_| is_tls).map(|trust| trust.of(&host, port)).unwrap_or_default();
        let key = (is_tls, has_http2, host.clone(), port, added);
        if let Some(known) = self.known.get(&key) {
            return Arc::clone(known);
        }
        let id = self.next_id();
        let trust = if key.4.is_empty() { None } else { self.authorities.trust(&key.4) };
        let origin = Arc::new(Origin { id, is_tls, has_http2, host, port, trust });
        self.known.insert(key, Arc::clone(&origin));
        origin
    }

    /// Forgets origins that no route uses any more.
    pub(crate) fn forget_unused(&mut self) {
        self.known.retain(|_, origin| Arc::strong_count(origin) > 1);
    }

    /// Takes an endpoint's address apart.
    ///
    /// # Errors
    /// Where it is not an absolute `http`, `https`, `ws` or `wss` URL.
    pub(crate) fn endpoint(&mut self, designed: &DesignedEndpoint) -> Result<Endpoint, BadEndpoint> {
        self.endpoint_with(designed, &EndpointCare::default())
    }

    /// The same, treated as its publisher says.
    ///
    /// # Errors
    /// As above.
    pub(crate) fn endpoint_with(
        &mut self,
        designed: &DesignedEndpoint,
        care: &EndpointCare,
    ) -> Result<Endpoint, BadEndpoint> {
        let url = Url::parse(&designed.url)?;
        let is_tls = match url.scheme() {
            "http" | "ws" => false,
            "https" | "wss" => true,
            _ => return Err(BadEndpoint::Scheme),
        };
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(BadEndpoint::NoHost)?;
        let port = url.port_or_known_default().ok_or(BadEndpoint::Scheme)?;
        let authority = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        // A URL writes an IPv6 address in brackets, the resolver does not.
        let plain_host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let scheme = if is_tls { "https" } else { "http" };
        let address = format!("{scheme}://{authority}{}", url.path().trim_end_matches('/'));
        Ok(Endpoint {
            id: self.next_id(),
            address: address.into(),
            origin: self.origin(is_tls, care.has_http2, plain_host, port),
            base_path: url.path().trim_end_matches('/').into(),
            base_query: url.query().filter(|query| !query.is_empty()).map(Into::into),
            authority: authority.into(),
            timeout: if care.never_times_out { Some(NEVER) } else { designed.timeout_ms.map(Duration::from_millis) },
            weight: care.weight,
            standing: Standing::new(care),
        })
    }
}

#[cfg(test)]
mod tests {
    use portcullis_model::Endpoint as DesignedEndpoint;

    use super::{BadEndpoint, Origins};

    #[test]
    fn endpoints_of_one_host_share_an_origin() {
        let mut origins = Origins::default();
        let mut endpoint = |url: &str| origins.endpoint(&DesignedEndpoint { url: url.to_owned(), timeout_ms: Some(5) });
        let first = endpoint("http://backend:8080/v1/").unwrap();
        let second = endpoint("http://backend:8080/v2?key=1").unwrap();
        assert_eq!(first.origin.id, second.origin.id);
        assert_eq!((&*first.base_path, &*second.base_path), ("/v1", "/v2"));
        assert_eq!(second.base_query.as_deref(), Some("key=1"));
        assert_eq!(&*first.authority, "backend:8080");
        let secure = endpoint("https://[::1]").unwrap();
        assert_eq!((secure.origin.host.as_str(), secure.origin.port, secure.origin.is_tls), ("::1", 443, true));
        assert_eq!((&*secure.authority, &*secure.base_path), ("[::1]", ""));
        assert!(matches!(endpoint("ftp://backend"), Err(BadEndpoint::Scheme)));
        assert!(matches!(endpoint("backend"), Err(BadEndpoint::NotUrl(_))));
    }
}
