//! A call to an API of WebSub: an application subscribes a callback to a topic or ends that (W3C WebSub, 5), or the source
//! of the API's events sends one, signed. Both are handed to the port and answered at once: what follows does not wait here.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{Method, Response, StatusCode};
use portcullis_model::port::{Secret, WebhookEvent, WebhookRefusal, WebhookRequest};
use portcullis_model::websub::{EVENT_BYTES_MAX, RECEIVER, topic_of};

use super::arrival::Arrival;
use super::{Trail, anonymous_key_type, certificate_of, identify, preflight, taken};
use crate::body::ReplyBody;
use crate::caller;
use crate::downstream::body::ClientBody;
use crate::limiter::{self, Asked};
use crate::mediation;
use crate::quota::Cost;
use crate::refusal::Refusal;
use crate::route::websub::Websub;

/// Bytes of a form by which a callback is subscribed.
const FORM_BYTES_MAX: usize = 16 << 10;
const FORM: &str = "application/x-www-form-urlencoded";

/// Serves a call.
pub(super) async fn serve<'r>(
    arrival: Arrival<'_, 'r, Websub>,
    body: &mut Option<ClientBody>,
    trail: &mut Trail<'r>,
) -> Result<Response<ReplyBody>, Refusal> {
    let Arrival { worker, client, api, request, rest, .. } = arrival;
    if request.method == Method::OPTIONS && api.cors.is_enabled {
        return Ok(preflight(&api.cors));
    }
    let is_event = rest == RECEIVER.as_bytes();
    if !is_event && !matches!(rest, b"" | b"/") {
        return Err(Refusal::no_resource());
    }
    if request.method != Method::POST {
        return Err(Refusal::other_verb(&[Method::POST]));
    }
    trail.from = Some(caller::address(worker, client, &request.headers));
    if is_event { take_event(&arrival, body, trail).await } else { take_request(&arrival, body, trail).await }
}

/// Takes what an application wants: a callback subscribed to a topic, or that to end.
async fn take_request<'r>(
    arrival: &Arrival<'_, 'r, Websub>,
    body: &mut Option<ClientBody>,
    trail: &mut Trail<'r>,
) -> Result<Response<ReplyBody>, Refusal> {
    let Arrival { worker, client, routes, api, kind: websub, request, now, .. } = *arrival;
    let is_form = request.headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(FORM.as_bytes()));
    let form = if is_form { mediation::hold(worker, taken(body), None).await? } else { Bytes::new() };
    if form.len() > FORM_BYTES_MAX {
        return Err(Refusal::body_too_large());
    }
    let parameters = Parameters::of(request.uri.query().unwrap_or_default(), &form);
    let asked_topic = parameters.needed("hub.topic")?;
    let number = websub.rule(&topic_of(asked_topic)).ok_or_else(Refusal::no_resource)?;
    let rule = &api.rules[number];
    (trail.rule, trail.log) = (Some(number), rule.log);
    let has_certificates = api.schemes.security.has_mutual_tls;
    let traced = trail.trace.clone();
    let asked = Asked {
        routes,
        api,
        rule,
        request,
        client: caller::address(worker, client, &request.headers),
        connection: None,
        is_from_proxy: client.is_trusted_proxy,
        anonymous_key_type: anonymous_key_type(api, None),
        certificate: has_certificates.then(|| certificate_of(worker, client, &request.headers)).flatten(),
        trace: traced.as_deref(),
        request_id: Some(trail.request_id),
    };
    limiter::check_denied(&asked, None, now.timestamp)?;
    // Whoever it is called by, a callback belongs to an application.
    identify(worker, &asked, now, trail).await?;
    let limits = trail.limits.insert(limiter::limits(worker, &asked, trail.known.as_deref()));
    // Events are what the plan counts; they are counted as they are sent on.
    limits.take(worker, &Cost::HANDSHAKE, now.timestamp).await?;
    let known = trail.known.as_deref().ok_or_else(Refusal::no_credentials)?;
    let subscribes = match parameters.needed("hub.mode")? {
        "subscribe" => true,
        "unsubscribe" => false,
        _ => return Err(Refusal::bad_request("hub.mode must be subscribe or unsubscribe")),
    };
    let lease_s = parameters.get("hub.lease_seconds").filter(|text| !text.is_empty());
    let lease_s = lease_s.map(|text| text.trim().parse::<u64>().ok().filter(|seconds| *seconds > 0));
    if lease_s == Some(None) {
        return Err(Refusal::bad_request("hub.lease_seconds must be a number of seconds, 1 or more"));
    }
    let asked = WebhookRequest {
        api: api.id,
        topic: topic_of(asked_topic),
        asked_topic: asked_topic.to_owned(),
        application: known.key.application,
        tenant: known.key.tenant.clone(),
        plan: known.key.plan.clone(),
        user: known.key.end_user.clone(),
        callback: parameters.needed("hub.callback")?.to_owned(),
        subscribes,
        secret: parameters.get("hub.secret").filter(|secret| !secret.is_empty()).map(|one| Secret(one.to_owned())),
        lease_s: lease_s.flatten(),
    };
    let port = worker.settings.webhooks.as_ref().ok_or_else(Refusal::no_resource)?;
    port.ask(asked).map_err(refusal)?;
    Ok(accepted())
}

/// Takes an event of the API's source.
async fn take_event<'r>(
    arrival: &Arrival<'_, 'r, Websub>,
    body: &mut Option<ClientBody>,
    trail: &mut Trail<'r>,
) -> Result<Response<ReplyBody>, Refusal> {
    let Arrival { worker, client, api, kind: websub, request, .. } = *arrival;
    let parameters = Parameters::of(request.uri.query().unwrap_or_default(), b"");
    let topic = topic_of(parameters.needed("topic")?);
    let number = websub.rule(&topic).ok_or_else(Refusal::no_resource)?;
    (trail.rule, trail.log) = (Some(number), api.rules[number].log);
    if !websub.takes_events() {
        return Err(Refusal::takes_no_events());
    }
    let event = mediation::hold(worker, taken(body), None).await?;
    if event.len() > EVENT_BYTES_MAX {
        return Err(Refusal::body_too_large());
    }
    if !websub.is_signed(&request.headers, &event) {
        return Err(Refusal::wrong_signature());
    }
    let text = |name| request.headers.get(name).and_then(|value| value.to_str().ok());
    let host = request.uri.authority().map(http::uri::Authority::as_str).or_else(|| text(HOST)).unwrap_or_default();
    let scheme = if client.is_https { "https" } else { "http" };
    let event = WebhookEvent {
        api: api.id,
        tenant: api.tenant.clone(),
        topic,
        hub: format!("{scheme}://{host}{}", api.context),
        content_type: text(CONTENT_TYPE).map(str::to_owned),
        body: event,
    };
    let port = worker.settings.webhooks.as_ref().ok_or_else(Refusal::no_resource)?;
    port.take(event).map_err(refusal)?;
    Ok(accepted())
}

fn accepted() -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::whole(Bytes::new()));
    *response.status_mut() = StatusCode::ACCEPTED;
    response
}

fn refusal(refusal: WebhookRefusal) -> Refusal {
    match refusal {
        WebhookRefusal::Invalid(why) => Refusal::bad_request(why),
        WebhookRefusal::TooMany(why) => Refusal::too_many_webhooks(why),
        WebhookRefusal::Busy => Refusal::too_busy(),
    }
}

/// The parameters of a call: of its form, and of its query where the form does not have them.
struct Parameters(Vec<(String, String)>);

impl Parameters {
    fn of(query: &str, form: &[u8]) -> Self {
        let all = url::form_urlencoded::parse(form).chain(url::form_urlencoded::parse(query.as_bytes()));
        Self(all.map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(its, _)| its == name).map(|(_, value)| value.as_str())
    }

    fn needed(&self, name: &str) -> Result<&str, Refusal> {
        let found = self.get(name).filter(|value| !value.is_empty());
        found.ok_or_else(|| Refusal::bad_request(format!("the parameter {name} must be there")))
    }
}
