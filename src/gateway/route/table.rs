//! The table of all contexts: a hash look-up for each depth at which there are any, deepest first; for each virtual host
//! its own.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use http::HeaderName;
use http::header::HOST;
use http::request::Parts;
use portcullis_model::environment::DEFAULT_VHOST;
use smallvec::SmallVec;

use super::api::CompiledApi;
use super::path;

/// Bytes of a host name (RFC 1035, 2.3.4).
const HOST_BYTES_MAX: usize = 255;
/// Bytes of a short context.
const CONTEXT_BYTES: usize = 32;
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Where all paths lead. It is never changed, only replaced.
#[derive(Debug, Default)]
pub(crate) struct RouteTable {
    apis: Vec<Arc<CompiledApi>>,
    /// What is served at hosts that are no virtual host of an API.
    elsewhere: Contexts,
    /// What is served at a virtual host, by its name in small letters.
    at_host: HashMap<Box<[u8]>, Contexts, RandomState>,
}

/// A context, decoded. Short ones lie where they are found, so that a look need not go elsewhere to compare them.
type Context = SmallVec<[u8; CONTEXT_BYTES]>;

#[derive(Debug, Default)]
struct Contexts {
    /// Where APIs are in the table, by their contexts.
    apis: HashMap<Context, usize, RandomState>,
    /// The numbers of segments that contexts have, the largest first.
    depths: Vec<usize>,
}

/// What is to be served below a context of a virtual host.
pub(crate) struct Place {
    pub(crate) host: String,
    pub(crate) context: String,
    pub(crate) api: Arc<CompiledApi>,
}

/// An API that was found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Route<'a> {
    pub(crate) api: &'a CompiledApi,
    pub(crate) place: PlaceOfApi,
}

/// Where an API is in a table, and its context in a path.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PlaceOfApi {
    number: usize,
    /// How many segments its context has.
    pub(crate) depth: usize,
    /// Where the context ends in the decoded path.
    pub(crate) end: usize,
}

impl RouteTable {
    /// Makes a table. Returns with it the contexts that more than one API claims at a host; the first keeps them.
    pub(crate) fn new(places: impl IntoIterator<Item = Place>) -> (Self, Vec<String>) {
        let mut table = Self::default();
        let mut claimed_twice = Vec::new();
        for Place { host, context, api } in places {
            let host = host.to_ascii_lowercase();
            let contexts = match host.as_str() {
                "" | DEFAULT_VHOST => &mut table.elsewhere,
                _ => table.at_host.entry(host.into_bytes().into_boxed_slice()).or_default(),
            };
            if contexts.add(&context, table.apis.len()) {
                table.apis.push(api);
            } else {
                claimed_twice.push(context);
            }
        }
        table.elsewhere.sort();
        table.at_host.values_mut().for_each(Contexts::sort);
        (table, claimed_twice)
    }

    /// Finds the API with the longest context that `path` (checked and decoded) is below of, at the host that is asked.
    /// A trusted proxy, where the request is from one, says to which host its client spoke.
    pub(crate) fn find(&self, request: &Parts, is_from_proxy: bool, path: &[u8]) -> Option<Route<'_>> {
        self.contexts(request, is_from_proxy).find(path).and_then(|place| self.at(place))
    }

    /// Returns what is at a place that was found in this table.
    pub(crate) fn at(&self, place: PlaceOfApi) -> Option<Route<'_>> {
        let api = self.apis.get(place.number)?;
        Some(Route { api, place })
    }

    fn contexts(&self, request: &Parts, is_from_proxy: bool) -> &Contexts {
        if self.at_host.is_empty() {
            return &self.elsewhere;
        }
        let mut name = [0; HOST_BYTES_MAX];
        let host = host_of(request, is_from_proxy).and_then(|host| in_small_letters(host, &mut name));
        host.and_then(|host| self.at_host.get(host)).unwrap_or(&self.elsewhere)
    }
}

impl Contexts {
    /// Adds an API by its number, and says whether its context was free.
    fn add(&mut self, context: &str, number: usize) -> bool {
        // A context is designed in plain text; a path that encodes some of its letters means the same.
        let decoded = path::decode(context.as_bytes()).unwrap_or_else(|_| context.as_bytes().to_vec());
        let depth = decoded.iter().filter(|byte| **byte == b'/').count();
        if self.apis.contains_key(decoded.as_slice()) {
            return false;
        }
        self.apis.insert(Context::from_slice(&decoded), number);
        if !self.depths.contains(&depth) {
            self.depths.push(depth);
        }
        true
    }

    fn sort(&mut self) {
        self.depths.sort_unstable_by(|one, other| other.cmp(one));
    }

    fn find(&self, path: &[u8]) -> Option<PlaceOfApi> {
        self.depths.iter().find_map(|&depth| {
            let end = path::end_of_segments(path, depth)?;
            let number = *self.apis.get(&path[..end])?;
            Some(PlaceOfApi { number, depth, end })
        })
    }
}

/// Returns the host that a call is for: what a trusted proxy says, the target's own (RFC 9112 §3.2.2), or `Host`.
fn host_of(request: &Parts, is_from_proxy: bool) -> Option<&[u8]> {
    let forwarded = request.headers.get(X_FORWARDED_HOST).filter(|_| is_from_proxy).map(http::HeaderValue::as_bytes);
    let of_target = || request.uri.host().map(str::as_bytes);
    let of_header = || request.headers.get(HOST).map(http::HeaderValue::as_bytes);
    forwarded.or_else(of_target).or_else(of_header)
}

/// Writes a host without its port and without a dot at its end into `name`, in small letters.
fn in_small_letters<'a>(host: &[u8], name: &'a mut [u8; HOST_BYTES_MAX]) -> Option<&'a [u8]> {
    let end = host.iter().position(|byte| *byte == b':').unwrap_or(host.len());
    let host = host[..end].strip_suffix(b".").unwrap_or(&host[..end]);
    let name = name.get_mut(..host.len())?;
    name.copy_from_slice(host);
    name.make_ascii_lowercase();
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(host: &str) -> Option<String> {
        let mut name = [0; HOST_BYTES_MAX];
        in_small_letters(host.as_bytes(), &mut name).map(|name| String::from_utf8(name.to_vec()).unwrap())
    }

    #[test]
    fn a_host_is_compared_without_port_final_dot_and_case() {
        for host in ["API.example.com", "api.example.com:8280", "api.example.com.", "api.example.com.:443"] {
            assert_eq!(name(host).as_deref(), Some("api.example.com"));
        }
        assert_eq!(name(&"x".repeat(256)), None);
    }

    #[test]
    fn a_trusted_proxy_says_which_host_was_asked() {
        let request = |uri: &str| {
            let request = http::Request::builder().uri(uri).header(HOST, "inner");
            request.header(X_FORWARDED_HOST, "api.example.com").body(()).unwrap().into_parts().0
        };
        assert_eq!(host_of(&request("/a"), true), Some(&b"api.example.com"[..]));
        assert_eq!(host_of(&request("/a"), false), Some(&b"inner"[..]));
        assert_eq!(host_of(&request("http://target:80/a"), false), Some(&b"target"[..]));
    }
}
