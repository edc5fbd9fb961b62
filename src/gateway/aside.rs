//! Calls that go elsewhere than to an API's ordinary backends: a share of them to a new version that is tried out (canary),
//! and copies of them to one whose answers nobody waits for (mirror).

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName};
use http_body::Body as _;
use tracing::debug;

use crate::attempt;
use crate::forward::{self, CallBody, Passage};
use crate::multiplexed;
use crate::refusal::Refusal;
use crate::route::endpoint::{Endpoint, EndpointGroup};
use crate::upstream::UpstreamError;
use crate::upstream::exchange::{AnswerBody, Demand, Exchange, Patience};
use crate::worker::Worker;

/// Copies under way at a time in one worker; more are not made.
const COPIES_MAX: usize = 256;
/// How long a copy may take.
const COPY_PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of a body that is copied.
const COPIED_BYTES_MAX: u64 = 1 << 20;
/// Bytes of a copy's answer that are read and forgotten, so that the connection can be used again.
const FORGOTTEN_BYTES_MAX: usize = 1 << 20;

/// Where calls go besides.
#[derive(Debug)]
pub(crate) struct Aside {
    pub(crate) canary: Option<Canary>,
    pub(crate) mirror: Option<Mirror>,
}

/// A backend that is tried out.
#[derive(Debug)]
pub(crate) struct Canary {
    pub(crate) group: EndpointGroup,
    /// Its share of the calls, in percent.
    pub(crate) percent: u32,
    /// Calls with this field go there, whatever the share; with any value where none is named.
    pub(crate) header: Option<(HeaderName, Option<String>)>,
}

/// A backend that gets copies.
#[derive(Debug)]
pub(crate) struct Mirror {
    /// A number of its own, to take turns by.
    pub(crate) id: u64,
    pub(crate) endpoint: Endpoint,
    /// Of how many calls, in percent.
    pub(crate) percent: u32,
}

impl Aside {
    /// Returns where a call goes: to the ordinary backends or to the one that is tried out. A call of a session that an
    /// ordinary one began stays there, unless its caller asks for the other one.
    pub(crate) fn choose<'a>(
        &'a self,
        worker: &Worker,
        ordinary: &'a EndpointGroup,
        passage: &Passage<'_>,
    ) -> &'a EndpointGroup {
        let Some(canary) = &self.canary else { return ordinary };
        let stays = passage.in_session.is_some_and(|session| session.is_tagged);
        let is_chosen = canary.is_meant(&passage.request.headers)
            || (!stays && worker.turns.is_in_share(canary.group.id, canary.percent));
        if is_chosen { &canary.group } else { ordinary }
    }

    /// Has a copy of a call made, where its body is known to be small; returns the body, which may be held by now.
    pub(crate) async fn copy(
        &self,
        worker: &Rc<Worker>,
        passage: &Passage<'_>,
        body: CallBody,
    ) -> Result<CallBody, Refusal> {
        let Some(mirror) = &self.mirror else { return Ok(body) };
        let is_small = match &body {
            CallBody::Streams(body) => body.size_hint().exact().is_some_and(|bytes| bytes <= COPIED_BYTES_MAX),
            CallBody::Held(_) => true,
        };
        let is_copied = is_small && worker.copies.get() < COPIES_MAX;
        if !is_copied || !worker.turns.is_in_share(mirror.id, mirror.percent) {
            return Ok(body);
        }
        let held = body.hold(worker, passage).await?;
        mirror.copy(worker, passage, held.clone());
        Ok(CallBody::Held(held))
    }
}

impl Canary {
    fn is_meant(&self, headers: &HeaderMap) -> bool {
        let Some((name, wanted)) = &self.header else { return false };
        let mut values = headers.get_all(name).iter();
        values.any(|value| wanted.as_deref().is_none_or(|wanted| value.as_bytes() == wanted.as_bytes()))
    }
}

impl Mirror {
    fn copy(&self, worker: &Rc<Worker>, passage: &Passage<'_>, body: Bytes) {
        let body = forward::held(passage.request, body);
        // What is shown to the ordinary backend is not for another one.
        let passage = Passage { shown: None, assertion: None, trace: None, ..*passage };
        let over_http2 = self.endpoint.origin.has_http2.then(|| body.again()).flatten();
        let over_http2 = over_http2.map(|body| multiplexed::request(&passage, &self.endpoint, body, worker));
        let mut head = Vec::new();
        attempt::outgoing(&passage, body.length, false).write(&self.endpoint, &mut head);
        let pool = worker.pools.of(&self.endpoint.origin);
        let verb = passage.request.method.clone();
        let worker = Rc::clone(worker);
        worker.copies.set(worker.copies.get() + 1);
        worker.counters.copies.add(1);
        tokio::task::spawn_local(async move {
            let under_way = UnderWay(Rc::clone(&worker));
            let sent = async {
                if let Some(request) = over_http2
                    && let Some(answer) = multiplexed::deliver(&worker, &pool, None, request?.0).await?
                {
                    forget(answer.body).await;
                    return Ok(());
                }
                let slot = pool.slot().await?;
                let (link, _) = attempt::open(&worker, &pool, &slot, false).await?;
                link.borrow_mut().write.extend_from_slice(&head);
                let patience = Patience {
                    head: COPY_PATIENCE,
                    send_stall: COPY_PATIENCE,
                    receive_stall: COPY_PATIENCE,
                    head_bytes_max: worker.settings.upstream.head_bytes_max,
                };
                let demand = Demand { verb, body, takes_lines: false };
                let exchange = Exchange::begin(None, (link, slot), &worker.alarms, patience, demand);
                let answer = exchange.answer().await.map_err(|failure| failure.error)?;
                forget(answer.body).await;
                Ok::<_, UpstreamError>(())
            };
            if let Ok(Err(error)) = tokio::time::timeout(COPY_PATIENCE, sent).await {
                debug!(%error, "copy of a call not answered");
            }
            drop(under_way);
        });
    }
}

/// A copy that is under way.
struct UnderWay(Rc<Worker>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.copies.set(self.0.copies.get() - 1);
    }
}

/// Reads an answer to its end and forgets it.
async fn forget(body: AnswerBody) {
    let AnswerBody::Stream(mut coming) = body else { return };
    let mut left = FORGOTTEN_BYTES_MAX;
    while let Some(Ok(frame)) = std::future::poll_fn(|cx| coming.poll_frame(cx)).await {
        let Some(less) = left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) else { return };
        left = less;
    }
}
