//! Looks whether backends are well, where their publishers want that: one worker asks, all workers know.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{ACCEPT, USER_AGENT};
use http::{HeaderValue, Method};
use portcullis_model::KeyType;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::ask::{self, Question};
use crate::route::api::CompiledApi;
use crate::route::endpoint::Endpoint;
use crate::worker::Worker;

/// A backend whose health is looked at.
#[derive(Clone, Debug)]
pub(crate) struct Checked {
    api: Arc<CompiledApi>,
    part: Option<usize>,
    key_type: KeyType,
    number: usize,
}

impl Checked {
    /// Returns the backends of an API whose health is looked at.
    pub(crate) fn all_of(api: &Arc<CompiledApi>) -> impl Iterator<Item = Self> + '_ {
        let parts = std::iter::once(None).chain((0..api.parts.len()).map(Some));
        let of_type = |part| [KeyType::Production, KeyType::Sandbox].map(|key_type| (part, key_type));
        parts.flat_map(of_type).flat_map(move |(part, key_type)| {
            let endpoints = api.endpoints(part, key_type).endpoints.iter().enumerate();
            let checked = endpoints.filter(|(_, one)| one.standing.as_ref().is_some_and(|one| one.health.is_some()));
            checked.map(move |(number, _)| Self { api: Arc::clone(api), part, key_type, number })
        })
    }

    fn endpoint(&self) -> &Endpoint {
        &self.api.endpoints(self.part, self.key_type).endpoints[self.number]
    }
}

/// Looks at each when it is due, until it is dropped.
pub(crate) async fn run(worker: Rc<Worker>, mut ticks: watch::Receiver<()>) {
    while ticks.changed().await.is_ok() {
        let now = Instant::now();
        for one in worker.projection.checked().iter() {
            if one.endpoint().standing.as_ref().is_some_and(|standing| standing.is_check_due(now)) {
                // Beside the others: one that does not answer holds nobody up.
                tokio::task::spawn_local(look(Rc::clone(&worker), one.clone()));
            }
        }
    }
}

async fn look(worker: Rc<Worker>, checked: Checked) {
    let endpoint = checked.endpoint();
    let Some(standing) = &endpoint.standing else { return };
    let Some(health) = &standing.health else { return };
    let question = Question {
        verb: Method::GET,
        path: Some(&health.path),
        fields: &[
            (USER_AGENT, HeaderValue::from_static("portcullis-health-check")),
            (ACCEPT, HeaderValue::from_static("*/*")),
        ],
        body: Bytes::new(),
        may_reuse: false,
        patience: Duration::from_millis(health.timeout_ms),
    };
    let told = ask::ask(&worker, endpoint, question).await;
    let is_well = told.as_ref().is_ok_and(|told| told.status.is_success() || told.status.is_redirection());
    if !is_well {
        worker.counters.health_checks_failed.add(1);
    }
    let (api, backend) = (checked.api.id, &*endpoint.authority);
    match standing.checked(is_well) {
        Some(true) => info!(%api, backend, "backend is well again"),
        Some(false) => match told {
            Ok(told) => warn!(%api, backend, status = told.status.as_u16(), "backend counts as down"),
            Err(error) => warn!(%api, backend, %error, "backend counts as down"),
        },
        None => {}
    }
}
