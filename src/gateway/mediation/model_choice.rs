//! Chooses the model of a call of an AI API and the backend it is at: in turn, or the first that answers. Which models are
//! left alone is known to all workers by one number each; nothing is locked.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Response, StatusCode};
use portcullis_model::ai::{AiRules, Said, Source};
use portcullis_model::api_endpoint::usual_id;
use portcullis_model::mediation::models::{Condition, ConditionSource, Model as DesignedModel, ModelOrder, ModelRoute};
use portcullis_model::{DeployedApi, KeyType};
use tracing::{info, warn};

use super::model_place::ModelPlace;
use crate::alarm::millis;
use crate::body::ReplyBody;
use crate::forward::{self, CallBody, Passage};
use crate::refusal::Refusal;
use crate::route::api::{Usual, group_for};
use crate::route::endpoint::{EndpointGroup, Origins};
use crate::upstream::UpstreamError;
use crate::worker::Worker;

/// Bytes of a call that may be sent to one model after the other. Pictures are sent to models too.
pub(super) const BODY_BYTES_MAX: usize = 8 << 20;
/// Turns after which models come in the same order again.
const TURNS_MAX: u32 = 1_000;

/// What the choices of one API are compiled by. Operations share them: whose turn it is, and who is left alone.
pub(crate) struct Choices<'a> {
    api: &'a DeployedApi,
    usual: &'a Usual,
    rules: Option<AiRules>,
    made: Vec<(ModelRoute, Arc<ModelChoice>)>,
}

impl<'a> Choices<'a> {
    pub(crate) fn new(api: &'a DeployedApi, rules: Option<AiRules>, usual: &'a Usual) -> Self {
        Self { api, usual, rules, made: Vec::new() }
    }

    /// Returns a choice, compiled once; `None` where the API is no AI API.
    pub(super) fn of(&mut self, route: ModelRoute, origins: &mut Origins) -> Option<Arc<ModelChoice>> {
        let rules = self.rules.as_ref()?;
        if let Some((_, made)) = self.made.iter().find(|(its, _)| *its == route) {
            return Some(Arc::clone(made));
        }
        let stage = |key_type, origins: &mut Origins| self.stage(rules, &route, key_type, origins);
        let choice = Arc::new(ModelChoice {
            order: route.order,
            place: ModelPlace::new(rules.provider.place(Said::RequestModel)),
            production: stage(KeyType::Production, origins),
            sandbox: stage(KeyType::Sandbox, origins),
            suspension: Duration::from_millis(route.suspension_ms),
            remaining: remaining_in(rules),
            began: Instant::now(),
        });
        self.made.push((route, Arc::clone(&choice)));
        Some(choice)
    }

    fn stage(&self, rules: &AiRules, route: &ModelRoute, key_type: KeyType, origins: &mut Origins) -> Stage {
        let mut models = Vec::new();
        let own = match key_type {
            KeyType::Production => &self.api.endpoints.production,
            KeyType::Sandbox => &self.api.endpoints.sandbox,
        };
        // An environment may be closed to keys of a type: its APIs then have no endpoints for them.
        let designed = if own.is_empty() { &[] } else { route.models(key_type) };
        for designed in designed {
            let named = rules.endpoints.iter().find(|one| one.stage == key_type && one.id == designed.endpoint);
            let usual = Some(&self.api.endpoints).filter(|_| designed.endpoint == usual_id(key_type));
            let config = named.map(|one| &one.config).or(usual);
            let group = config.map(|config| group_for(self.api.id, config, key_type, self.usual, origins));
            // Where policies name backends call by call there is none to choose.
            let Some(mut group) = group.filter(|group| !group.endpoints.is_empty()) else {
                warn!(api = %self.api.id, model = designed.name, endpoint = designed.endpoint, "model not used: it has no endpoint");
                continue;
            };
            if let Some(timeout) = route.timeout_ms.map(Duration::from_millis) {
                for endpoint in &mut group.endpoints {
                    endpoint.timeout = Some(endpoint.timeout.map_or(timeout, |own| own.min(timeout)));
                }
            }
            models.push(Model::new(designed, group));
        }
        let weights: Vec<u32> = models.iter().map(|model| model.weight).collect();
        Stage { turns: turns_of(&weights), next: AtomicUsize::new(0), models }
    }
}

/// Returns the field in which answers say how many tokens are left.
fn remaining_in(rules: &AiRules) -> Option<HeaderName> {
    let place = rules.provider.place(Said::RemainingTokens).filter(|place| place.source == Source::Header)?;
    HeaderName::from_bytes(place.identifier.as_bytes()).ok()
}

/// A choice among models.
#[derive(Debug)]
pub(crate) struct ModelChoice {
    order: ModelOrder,
    place: ModelPlace,
    production: Stage,
    sandbox: Stage,
    suspension: Duration,
    remaining: Option<HeaderName>,
    began: Instant,
}

/// Which models of a stage a call may go to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Chosen {
    /// Any of them, as the order has it.
    Any,
    /// The one of this number.
    One(usize),
}

/// The models for one type of key.
#[derive(Debug)]
struct Stage {
    models: Vec<Model>,
    /// The numbers of models in the order in which they have turns.
    turns: Box<[usize]>,
    next: AtomicUsize,
}

/// A model, and where it is.
#[derive(Debug)]
struct Model {
    name: Box<str>,
    group: EndpointGroup,
    weight: u32,
    condition: Option<Condition>,
    /// Until when it is left alone, in milliseconds since the choice was compiled.
    alone_until_ms: AtomicU64,
}

impl Model {
    fn new(designed: &DesignedModel, group: EndpointGroup) -> Self {
        let (weight, condition) = (designed.weight, designed.condition.clone());
        Self { name: designed.name.as_str().into(), group, weight, condition, alone_until_ms: AtomicU64::new(0) }
    }

    /// Says whether a call says what it has to say to be this model's.
    fn is_for(&self, headers: &HeaderMap, query: Option<&str>) -> bool {
        self.condition.as_ref().is_none_or(|Condition { source, key, value }| match source {
            ConditionSource::Header => headers.get_all(key).iter().any(|said| said.as_bytes() == value.as_bytes()),
            ConditionSource::Query => url::form_urlencoded::parse(query.unwrap_or_default().as_bytes())
                .any(|(name, said)| name == *key && said == *value),
        })
    }
}

impl ModelChoice {
    /// Chooses which models a call with a key of a type may go to; `None` for where it would go without a choice.
    pub(super) fn choose(&self, key_type: KeyType, headers: &HeaderMap, query: Option<&str>) -> Option<Chosen> {
        let models = &self.stage(key_type).models;
        match self.order {
            ModelOrder::ByContent => models.iter().position(|model| model.is_for(headers, query)).map(Chosen::One),
            ModelOrder::InTurn | ModelOrder::Failover => (!models.is_empty()).then_some(Chosen::Any),
        }
    }

    /// Returns the backends that are chosen from.
    pub(super) fn groups(&self) -> impl Iterator<Item = &EndpointGroup> {
        self.production.models.iter().chain(&self.sandbox.models).map(|model| &model.group)
    }

    fn stage(&self, key_type: KeyType) -> &Stage {
        match key_type {
            KeyType::Production => &self.production,
            KeyType::Sandbox => &self.sandbox,
        }
    }

    /// Has a model answer a call.
    ///
    /// # Errors
    /// What the caller is told where none does.
    pub(super) async fn forward(
        &self,
        worker: &Rc<Worker>,
        passage: &Passage<'_>,
        chosen: Chosen,
        body: &Bytes,
    ) -> Result<Response<ReplyBody>, Refusal> {
        let stage = self.stage(passage.key_type);
        if let Chosen::One(number) = chosen {
            return self.ask(worker, passage, &stage.models[number], body).await;
        }
        let now_ms = self.now_ms(worker);
        let fit = |model: &Model| model.alone_until_ms.load(Ordering::Relaxed) <= now_ms;
        let all_alone = || {
            let until_ms = stage.models.iter().map(|model| model.alone_until_ms.load(Ordering::Relaxed)).min();
            let ready_in = Duration::from_millis(until_ms.unwrap_or(0).saturating_sub(now_ms));
            Refusal::from_upstream(&UpstreamError::Suspended { is_alone: stage.models.len() == 1, ready_in })
        };
        if self.order == ModelOrder::InTurn {
            let model = stage.next(fit).ok_or_else(all_alone)?;
            let outcome = self.ask(worker, passage, model, body).await;
            self.learn(worker, model, &outcome);
            return outcome;
        }
        let mut outcome = None;
        for model in stage.models.iter().filter(|model| fit(model)) {
            if outcome.replace(self.ask(worker, passage, model, body).await).is_some() {
                worker.counters.upstream_retries.add(1);
            }
            let outcome = outcome.as_ref().expect("a model was asked just now");
            if self.learn(worker, model, outcome) {
                break;
            }
        }
        outcome.unwrap_or_else(|| Err(all_alone()))
    }

    async fn ask(
        &self,
        worker: &Rc<Worker>,
        passage: &Passage<'_>,
        model: &Model,
        body: &Bytes,
    ) -> Result<Response<ReplyBody>, Refusal> {
        let placed = self.place.put(&model.name, passage, body);
        let passage = Passage {
            request: placed.head.as_ref().unwrap_or(passage.request),
            rest: placed.rest.as_deref().unwrap_or(passage.rest),
            query: placed.query.as_deref().or(passage.query),
            ..*passage
        };
        let body = CallBody::Held(placed.body.unwrap_or_else(|| body.clone()));
        forward::to_group(worker, &passage, (&model.group, model.group.proof.as_ref()), body).await
    }

    /// Notes how a model did; says whether its answer is one.
    fn learn(&self, worker: &Worker, model: &Model, outcome: &Result<Response<ReplyBody>, Refusal>) -> bool {
        let is_answer = outcome.as_ref().is_ok_and(|response| !is_failure(response.status()));
        let has_more = outcome.as_ref().map_or(true, |response| self.has_tokens(response.headers()));
        if !self.suspension.is_zero() && (!is_answer || !has_more) {
            let length_ms = millis(self.suspension);
            model.alone_until_ms.store(self.now_ms(worker).saturating_add(length_ms), Ordering::Relaxed);
            worker.counters.upstream_suspensions.add(1);
            info!(model = &*model.name, length = ?self.suspension, "model suspended");
        }
        is_answer
    }

    /// Says whether an answer does not say that the provider has no tokens left for the gateway.
    fn has_tokens(&self, headers: &HeaderMap) -> bool {
        let said =
            self.remaining.as_ref().and_then(|name| headers.get(name)?.to_str().ok()?.trim().parse::<i64>().ok());
        said.is_none_or(|left| left > 0)
    }

    fn now_ms(&self, worker: &Worker) -> u64 {
        let since = worker.clock.now().instant.saturating_duration_since(self.began);
        millis(since)
    }
}

/// Says whether another model may do better.
fn is_failure(status: StatusCode) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error()
}

impl Stage {
    /// Returns the model whose turn it is: the next of those that fit.
    fn next(&self, fit: impl Fn(&Model) -> bool) -> Option<&Model> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let count = self.turns.len();
        let from = |step: usize| &self.models[self.turns[turn.wrapping_add(step) % count]];
        (0..count).map(from).find(|model| fit(model))
    }
}

/// Returns the order in which models have turns: each is owed its weight with each turn, who is owed most has it, and pays
/// what all were owed.
fn turns_of(weights: &[u32]) -> Box<[usize]> {
    let all: u32 = weights.iter().sum();
    let shares: Vec<i64> = if all > TURNS_MAX {
        weights.iter().map(|weight| i64::from((weight * TURNS_MAX / all).max(1))).collect()
    } else {
        weights.iter().copied().map(i64::from).collect()
    };
    let count: i64 = shares.iter().sum();
    let mut owed = vec![0; shares.len()];
    let mut turns = Vec::new();
    for _ in 0..count {
        owed.iter_mut().zip(&shares).for_each(|(owed, share)| *owed += share);
        let most = owed.iter().enumerate().rev().max_by_key(|(_, owed)| **owed);
        let Some((chosen, _)) = most else { break };
        owed[chosen] -= count;
        turns.push(chosen);
    }
    turns.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_had_by_weight_and_spread() {
        assert_eq!(*turns_of(&[3, 1]), [0, 0, 1, 0]);
        assert_eq!(*turns_of(&[1, 1, 1]), [0, 1, 2]);
        assert!(turns_of(&[]).is_empty());
        let many = turns_of(&[1_000; 50]);
        assert_eq!(many.len(), 1_000);
        assert!(turns_of(&[1_000, 1_000, 1]).contains(&2), "nobody is left out");
    }

    #[test]
    fn what_another_model_may_answer_is_a_failure() {
        for (status, fails) in [(200, false), (400, false), (404, false), (429, true), (500, true), (503, true)] {
            assert_eq!(is_failure(StatusCode::from_u16(status).unwrap()), fails, "{status}");
        }
    }
}
