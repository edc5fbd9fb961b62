//! A message with the request that it is sent for: the task of an actor is another than that which works for the request.

use std::future::Future;

use actix::Message;
use portcullis_model::RequestId;

/// A message, and the request that the sender works for.
#[derive(Debug)]
pub struct OfRequest<M> {
    request: Option<RequestId>,
    message: M,
}

impl<M> OfRequest<M> {
    /// Takes a message along with the request that the task works for.
    #[must_use]
    pub fn new(message: M) -> Self {
        Self { request: RequestId::current(), message }
    }

    /// Has the message worked on for the request.
    pub async fn work<Work: Future>(self, work: impl FnOnce(M) -> Work) -> Work::Output {
        let work = work(self.message);
        match self.request {
            Some(request) => request.carry(work).await,
            None => work.await,
        }
    }
}

impl<M: Message> Message for OfRequest<M> {
    type Result = M::Result;
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Ask;

    impl Message for Ask {
        type Result = Option<RequestId>;
    }

    #[tokio::test]
    async fn a_message_is_worked_on_for_the_request_that_it_was_sent_for() {
        let id = RequestId::of(b"one").unwrap();
        let sent = id.clone().carry(async { OfRequest::new(Ask) }).await;
        assert_eq!(sent.work(|Ask| async { RequestId::current() }).await, Some(id));
        assert_eq!(OfRequest::new(Ask).work(|Ask| async { RequestId::current() }).await, None);
    }
}
