//! `/admin/statistics/growth`: how many APIs, applications, subscriptions and users there were over time.

use std::time::Duration;

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use portcullis_actor::Address;
use portcullis_database::handle::wall_clock;
use portcullis_http::time::rfc3339;
use portcullis_http::{ApiError, Signed};
use portcullis_model::Timestamp;
use portcullis_portal::chart::{Series, SeriesChart, Shape};
use portcullis_portal::statistics::{admin_frame, ranges};
use portcullis_portal::{Frame, Viewer, render};
use serde::Deserialize;

use super::{ADMIN, asker};
use crate::actor::Admin;
use crate::admin_error::AdminError;
use crate::growth::{DescribeGrowth, Growth};

const PATH: &str = "/admin/statistics/growth";
const DAY: Duration = Duration::from_secs(24 * 3600);
/// How far back, and how many days are one point: some dozens of points each.
const SPANS: [(&str, u32, u32); 3] = [("30d", 30, 1), ("1y", 365, 7), ("5y", 5 * 365, 31)];

#[derive(Template)]
#[template(path = "statistics.html")]
struct GrowthPage {
    frame: Frame,
    fragment: String,
}

#[derive(Default, Deserialize)]
pub(super) struct GrowthQuery {
    #[serde(default)]
    range: String,
}

/// Returns the ends of the times, the last of which is now.
fn ends(now: Timestamp, (days, step): (u32, u32)) -> Vec<Timestamp> {
    let back = |points: u32| {
        let before = u64::try_from((DAY * points * step).as_millis()).unwrap_or(u64::MAX);
        Timestamp(now.0.saturating_sub(before))
    };
    (0..=days / step).rev().map(back).collect()
}

fn chart(title: &str, times: &[String], counts: &[u64]) -> String {
    let value = |count: &u64| u32::try_from(*count).ok().map(f64::from);
    let series = [Series { name: title.to_owned(), values: counts.iter().map(value).collect() }];
    SeriesChart { title, times, series: &series, unit: "in all", shape: Shape::Lines, csv: None }.render()
}

pub(super) async fn show(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    viewer: Viewer,
    Query(query): Query<GrowthQuery>,
) -> Result<Response, ApiError> {
    let tenant = asker(signed, ADMIN)?.principal.tenant;
    let (name, days, step) = SPANS.into_iter().find(|(name, ..)| *name == query.range).unwrap_or(SPANS[0]);
    let until = ends(wall_clock(), (days, step));
    let times: Vec<String> = until.iter().map(|end| rfc3339(*end).chars().take(10).collect()).collect();
    let message = DescribeGrowth { tenant: (!tenant.is_super()).then_some(tenant), until };
    let Growth { apis, applications, subscriptions, users } = admin.ask(message).await.map_err(AdminError::from)?;
    let charts = [("APIs", apis), ("Applications", applications), ("Subscriptions", subscriptions), ("Users", users)];
    let charts: String = charts.iter().map(|(title, counts)| chart(title, &times, counts)).collect();
    let names = SPANS.map(|(name, ..)| name);
    let fragment = format!(
        "<div class=\"statistics\">{}<p class=\"hint\">What there is now, by when it was made: what was deleted is not \
         counted.</p>{charts}</div>",
        ranges(PATH, &names, name)
    );
    Ok(render(&GrowthPage { frame: admin_frame(viewer, PATH), fragment }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_span_has_some_dozens_of_points_and_ends_now() {
        let now = Timestamp(1_767_323_045_678);
        for (name, days, step) in SPANS {
            let ends = ends(now, (days, step));
            assert!((30..=62).contains(&ends.len()) && ends.last() == Some(&now), "{name}: {}", ends.len());
            assert!(ends.is_sorted(), "{name}");
        }
    }
}
