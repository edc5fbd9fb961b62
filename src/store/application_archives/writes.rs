//! The writes of an import, and the nodes that may not act on one of them yet.

use portcullis_database::command::SubmittedBy;
use portcullis_database::{Command, access};
use portcullis_http::Stamped;
use portcullis_model::NodeId;

use crate::actor::{Desk, StoreView};
use crate::apis::stamped;
use crate::error::StoreError;
use crate::messages::Subscriber;

/// Writes of one import.
pub(super) struct Writes<'a> {
    pub(super) desk: &'a Desk,
    by: &'a Subscriber,
    unreached: Vec<NodeId>,
}

impl<'a> Writes<'a> {
    /// Begins an import on somebody's behalf.
    pub(super) fn of(desk: &'a Desk, by: &'a Subscriber) -> Self {
        Self { desk, by, unreached: Vec::new() }
    }

    /// Submits a command and returns its reply.
    ///
    /// # Errors
    /// As [`Desk::submit`].
    pub(super) async fn submit<X>(&mut self, command: X) -> Result<X::Reply, StoreError>
    where
        X: Command + SubmittedBy<access::Store>,
    {
        let committed = self.desk.submit(command, self.by).await?;
        self.unreached.extend(committed.unreached);
        self.unreached.sort_unstable();
        self.unreached.dedup();
        Ok(committed.reply)
    }

    /// Answers with what they left behind.
    pub(super) fn answer<T>(self, body: T, view: &StoreView) -> Stamped<T> {
        Stamped { unreached: self.unreached, ..stamped(body, view) }
    }
}
