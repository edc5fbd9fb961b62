//! The original's internal API, `/internal/data/v1`: what its control plane tells gateways when they start. Gateways here
//! have all of it from the replicated state; scripts that read it find it at the usual addresses.

mod limits;
mod rest;
mod written;

use actix::{Context, Handler, Message, MessageResult};
use portcullis_database::access;
use portcullis_database::handle::View;

pub(crate) use rest::routes;

use crate::actor::Admin;

/// Asks for the state as it is.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "View<access::Admin>")]
struct Look;

impl Handler<Look> for Admin {
    type Result = MessageResult<Look>;

    fn handle(&mut self, _message: Look, _context: &mut Context<Self>) -> Self::Result {
        MessageResult(self.handle.view())
    }
}
