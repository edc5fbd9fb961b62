//! The Store's actor: takes messages and answers each on a future of its own, so that none waits for another's commit.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Context, Handler, Message, ResponseFuture};
use portcullis_database::command::SubmittedBy;
use portcullis_database::handle::View;
use portcullis_database::ordered_apis::OrderedApis;
use portcullis_database::{Caller, Command, Committed, Handle, access};
use portcullis_model::port::{ForeignClients, TokenIssuer};
use tracing::debug;

use crate::apis::ListKey;
use crate::error::StoreError;
use crate::messages::{Consistency, Subscriber};
use crate::passwords::Passwords;
use crate::settings::Settings;

/// How long a read waits for the newest state before it answers from this node's, where the caller did not insist.
const FRESH_WITHIN: Duration = Duration::from_secs(2);

/// The actor.
pub(crate) struct Store {
    desk: Desk,
}

impl Store {
    /// Makes the actor.
    pub(crate) fn new(desk: Desk) -> Self {
        Self { desk }
    }
}

impl Actor for Store {
    type Context = Context<Self>;
}

/// A request to the Store: each message says how it is answered, beside its noun.
pub(crate) trait Request: Send + 'static {
    /// What it is answered with.
    type Reply: Send + 'static;

    /// Answers it.
    fn answer(self, desk: Desk) -> impl Future<Output = Result<Self::Reply, StoreError>>;
}

/// A request as it travels to the actor.
pub(crate) struct Asked<R>(pub R);

impl<R: Request> Message for Asked<R> {
    type Result = Result<R::Reply, StoreError>;
}

impl<R: Request> Handler<Asked<R>> for Store {
    type Result = ResponseFuture<Result<R::Reply, StoreError>>;

    fn handle(&mut self, asked: Asked<R>, _: &mut Context<Self>) -> Self::Result {
        Box::pin(asked.0.answer(self.desk.clone()))
    }
}

/// What the Store works with. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Desk {
    handle: Handle<access::Store>,
    /// The Key Manager's end.
    pub issuer: Arc<dyn TokenIssuer>,
    /// The Key Manager's end towards other key managers.
    pub foreign: Arc<dyn ForeignClients>,
    pub passwords: Passwords,
    places: Places,
    /// Lists of APIs, by what decides on them.
    pub lists: Arc<OrderedApis<ListKey>>,
}

/// Says where things are; asked each time, because nodes come and go.
pub(crate) type Places = Arc<dyn Fn() -> Settings + Send + Sync>;

/// The state as the Store may see it.
pub(crate) type StoreView = View<access::Store>;

impl Desk {
    /// Makes a desk.
    pub(crate) fn new(
        handle: Handle<access::Store>,
        issuer: Arc<dyn TokenIssuer>,
        foreign: Arc<dyn ForeignClients>,
        passwords: Passwords,
        places: Places,
    ) -> Self {
        Self { handle, issuer, foreign, passwords, places, lists: Arc::default() }
    }

    /// Returns where things are.
    pub(crate) fn settings(&self) -> Settings {
        (self.places)()
    }

    /// Returns this node's state as it is.
    pub(crate) fn view(&self) -> StoreView {
        self.handle.view()
    }

    /// Returns the state as fresh as the caller asked for. Where it did not say, everything acknowledged anywhere is
    /// in it, unless the cluster has no majority: then it is this node's state, and `X-Raft-Index` tells how old.
    ///
    /// # Errors
    /// Where the caller insists on the newest state and no majority answers.
    pub(crate) async fn view_for(&self, consistency: Consistency) -> Result<StoreView, StoreError> {
        match consistency {
            Consistency::Stale => Ok(self.handle.view()),
            Consistency::Linearizable => Ok(self.handle.linearizable_view(FRESH_WITHIN).await?),
            Consistency::Unsaid => match self.handle.linearizable_view(FRESH_WITHIN).await {
                Ok(view) => Ok(view),
                Err(error) => {
                    debug!(%error, "read from this node's state, because the newest could not be had");
                    Ok(self.handle.view())
                }
            },
        }
    }

    /// Submits a command on a subscriber's behalf.
    ///
    /// # Errors
    /// The state machine's refusal, or why the cluster could not decide.
    pub(crate) async fn submit<X>(&self, command: X, by: &Subscriber) -> Result<Committed<X::Reply>, StoreError>
    where
        X: Command + SubmittedBy<access::Store>,
    {
        let caller = Caller::new(by.principal.clone())
            .with_idempotency(by.idempotency.clone())
            .from_address(by.origin)
            .of_request(by.request.clone());
        Ok(self.handle.submit(command, &caller).await?)
    }

    /// Waits, for a time, until this node's state holds what was committed at `index`.
    pub(crate) async fn catch_up(&self, index: u64) {
        // Where that takes too long, what follows says so itself: it does not find the object.
        if tokio::time::timeout(FRESH_WITHIN, self.handle.wait_applied(index)).await.is_err() {
            debug!(index, "this node has not applied its own write yet");
        }
    }
}
