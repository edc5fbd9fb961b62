//! `/gateway/tail` of Portcullis' own API: the calls of this node's gateway as they are answered.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::{StreamExt as _, stream};
use portcullis_gateway::{CallSeen, Gateway, Seen};
use portcullis_http::{ApiError, Problem, Signed};
use serde::Deserialize;
use tokio::time::sleep;

/// How often something is sent though there is nothing to tell, so that both ends notice a broken line.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How long a browser is shown calls before it has to ask again: who signs out, or loses the role, sees them no longer than that.
const OF_PAGE_LASTS: Duration = Duration::from_secs(60);

/// Which calls are shown: those that all of these fit.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// What the API's context with its version begins with.
    api: Option<String>,
    /// A status, or a class such as `5xx`.
    status: Option<String>,
    verb: Option<String>,
    /// What the path begins with.
    path: Option<String>,
    /// The application's name.
    application: Option<String>,
}

impl Wanted {
    fn check(&self) -> Result<(), Problem> {
        let is_status = |text: &str| {
            let [class, rest @ ..] = text.as_bytes() else { return false };
            matches!(class, b'1'..=b'5')
                && (rest.eq_ignore_ascii_case(b"xx") || (rest.len() == 2 && rest.iter().all(u8::is_ascii_digit)))
        };
        if self.status.as_deref().is_some_and(|status| !is_status(status)) {
            return Err(Problem::bad_request("status: must be a status such as 404, or a class such as 5xx"));
        }
        Ok(())
    }

    fn fits(&self, call: &CallSeen) -> bool {
        let begins =
            |wanted: &Option<String>, text: &str| wanted.as_deref().is_none_or(|front| text.starts_with(front));
        let status = call.status.to_string();
        let has_status = self.status.as_deref().is_none_or(|wanted| {
            wanted == status || (wanted[1..].eq_ignore_ascii_case("xx") && status.starts_with(&wanted[..1]))
        });
        has_status
            && begins(&self.api, call.api.as_deref().unwrap_or_default())
            && begins(&self.path, &call.path)
            && self.verb.as_deref().is_none_or(|verb| verb.eq_ignore_ascii_case(&call.verb))
            && self.application.as_deref().is_none_or(|name| call.application.as_deref() == Some(name))
    }
}

/// Returns the routes, without the API's prefix.
pub(crate) fn routes(gateway: Option<Arc<Gateway>>) -> Router {
    Router::new().route("/gateway/tail", get(tail)).with_state(gateway)
}

/// Returns the same for the page of Admin, below a sign-in.
pub(crate) fn of_page(gateway: Option<Arc<Gateway>>) -> Router {
    Router::new().route(portcullis_portal::statistics::LIVE_CALLS, get(tail_of_page)).with_state(gateway)
}

/// Until the caller ends it.
async fn tail(
    State(gateway): State<Option<Arc<Gateway>>>,
    signed: Result<Signed, ApiError>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Response, Problem> {
    show(gateway, &signed?, wanted, pending())
}

/// For a while: the browser comes back by itself, and who it is is asked again then.
async fn tail_of_page(
    State(gateway): State<Option<Arc<Gateway>>>,
    signed: Result<Signed, ApiError>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Response, Problem> {
    show(gateway, &signed?, wanted, sleep(OF_PAGE_LASTS))
}

fn show(
    gateway: Option<Arc<Gateway>>,
    signed: &Signed,
    wanted: Result<Query<Wanted>, QueryRejection>,
    end: impl Future<Output = ()> + Send + 'static,
) -> Result<Response, Problem> {
    signed.require(&["apim:admin"])?;
    let principal = &signed.0.principal;
    if !principal.tenant.is_super() {
        return Err(Problem::forbidden(format!("{principal} is not of the first tenant, which runs the cluster")));
    }
    let Query(wanted) = wanted.map_err(|rejection| Problem::bad_request(rejection.body_text()))?;
    wanted.check()?;
    let gateway = gateway.ok_or_else(|| Problem::not_found("gateway", "on this node"))?;
    let onlooker = gateway.look_on();
    let onlooker = onlooker.ok_or_else(|| Problem::unavailable("as many look on already as may; try again later"))?;
    // A gateway that is looked at must be able to end.
    drop(gateway);
    let events = stream::unfold((onlooker, wanted), |(mut onlooker, wanted)| async move {
        loop {
            let event = match onlooker.next().await? {
                Seen::Call(call) if wanted.fits(&call) => {
                    Event::default().event("call").data(serde_json::to_string(&*call).unwrap_or_default())
                }
                Seen::Call(_) => continue,
                Seen::Missed(count) => Event::default().event("missed").data(format!("{{\"missed\":{count}}}")),
            };
            return Some((Ok::<_, Infallible>(event), (onlooker, wanted)));
        }
    });
    Ok(Sse::new(events.take_until(end)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(status: u16) -> CallSeen {
        CallSeen {
            at_ms: 0,
            client: "127.0.0.1".to_owned(),
            verb: "GET".to_owned(),
            path: "/pizza/1.0.0/menu".to_owned(),
            api: Some("/pizza/1.0.0".to_owned()),
            application: Some("Phone".to_owned()),
            status,
            took_us: 1,
            request_id: "1".to_owned(),
        }
    }

    fn wanted(query: &str) -> Wanted {
        let uri: http::Uri = format!("/?{query}").parse().expect("a URI");
        Query::try_from_uri(&uri).expect("a filter").0
    }

    #[test]
    fn a_call_is_shown_where_all_that_is_asked_for_fits() {
        for (query, fits) in [
            ("", true),
            ("status=404", true),
            ("status=4xx&verb=get", true),
            ("status=5XX", false),
            ("api=/pizza&path=/pizza/1.0.0/menu&application=Phone", true),
            ("application=Pho", false),
            ("verb=POST", false),
            ("api=/pasta", false),
        ] {
            assert_eq!(wanted(query).fits(&call(404)), fits, "{query}");
        }
        for (query, is_good) in [("status=404", true), ("status=5xx", true), ("status=x", false), ("status=", false)] {
            assert_eq!(wanted(query).check().is_ok(), is_good, "{query}");
        }
    }
}
