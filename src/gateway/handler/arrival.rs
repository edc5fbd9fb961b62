//! A call that has come to an API of which one face takes all calls.

use std::rc::Rc;

use http::request::Parts;

use crate::client::Client;
use crate::clock::Now;
use crate::route::api::CompiledApi;
use crate::worker::{HeldRoutes, Worker};

/// A call that has come to such an API; `K` is what is compiled for its kind.
pub(super) struct Arrival<'c, 'r, K> {
    pub(super) worker: &'c Rc<Worker>,
    pub(super) client: &'c Client,
    pub(super) routes: &'r HeldRoutes,
    pub(super) api: &'r CompiledApi,
    pub(super) kind: &'r K,
    pub(super) request: &'c Parts,
    /// The decoded path below the API's context.
    pub(super) rest: &'c [u8],
    pub(super) now: Now,
}
