//! `/transaction-count` of the Admin v4 contract: how many calls there were, by the statistics.

use actix::{Context, Handler, Message, ResponseFuture};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::routing::get;
use axum::{Json, Router};
use portcullis_actor::Address;
use portcullis_database::Statdb;
use portcullis_database::statistics::reading::{Sight, calls_between};
use portcullis_http::time::from_rfc3339;
use portcullis_http::{ApiError, Signed};
use portcullis_model::{Refused, Timestamp};
use serde::{Deserialize, Serialize};

use crate::actor::Admin;
use crate::admin_error::AdminError;

/// Asks how many calls there were.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<u64, AdminError>")]
struct CountCalls {
    sight: Sight,
    from: Timestamp,
    to: Timestamp,
}

impl Handler<CountCalls> for Admin {
    type Result = ResponseFuture<Result<u64, AdminError>>;

    fn handle(&mut self, message: CountCalls, _context: &mut Context<Self>) -> Self::Result {
        let view = self.handle.view();
        Box::pin(async move {
            // It may look at many rows: not on a thread that serves requests.
            let count = tokio::task::spawn_blocking(move || {
                let CountCalls { sight, from, to } = message;
                calls_between(view.read::<Statdb>(), &sight, from, to)
            });
            count.await.map_err(|_| AdminError::WorkLost("the count"))
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wanted {
    start_time: String,
    end_time: String,
}

/// The contract's `TransactionCount`.
#[derive(Serialize)]
struct TransactionCount {
    count: u64,
}

pub(crate) fn routes(admin: &Address<Admin>) -> Router {
    Router::new().route("/transaction-count", get(count)).with_state(admin.clone())
}

async fn count(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<TransactionCount>, ApiError> {
    signed.require(&["apim:admin"])?;
    let Query(wanted) = wanted.map_err(|rejection| Refused::invalid("query", rejection.body_text()))?;
    let (from, to) = (time("startTime", &wanted.start_time)?, time("endTime", &wanted.end_time)?);
    let tenant = &signed.0.principal.tenant;
    let sight = if tenant.is_super() { Sight::All } else { Sight::Tenant(tenant.clone()) };
    let count = admin.ask(CountCalls { sight, from, to }).await.map_err(AdminError::from)??;
    Ok(Json(TransactionCount { count }))
}

/// Reads a time: the contract does not say how it is written, so RFC 3339 or seconds or milliseconds since 1970.
fn time(field: &'static str, text: &str) -> Result<Timestamp, ApiError> {
    const FIRST_MILLISECONDS: u64 = 100_000_000_000;
    let number = text.parse::<u64>().ok();
    let of_number =
        number.map(|number| if number < FIRST_MILLISECONDS { number.saturating_mul(1_000) } else { number });
    let time = of_number.map(Timestamp).or_else(|| from_rfc3339(text));
    let what = "must be a time such as 2026-01-02T03:04:05Z, or seconds since 1970";
    Ok(time.ok_or_else(|| Refused::invalid(field, what))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_taken_in_the_ways_that_people_write_them() {
        let expected = Timestamp(1_767_323_045_000);
        for text in ["2026-01-02T03:04:05Z", "1767323045", "1767323045000"] {
            assert_eq!(time("startTime", text).expect("a time"), expected, "{text}");
        }
        assert!(time("startTime", "yesterday").is_err());
    }
}
