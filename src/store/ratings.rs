//! What subscribers think of APIs: one to five stars each.

use portcullis_database::{Apimgtdb, belongings, command};
use portcullis_http::Stamped;
use portcullis_http::page::List;
use portcullis_model::{Api, ApiId, Principal, RatingId, TenantDomain, Username};
use serde::Serialize;

use crate::actor::{Desk, Request, StoreView};
use crate::apis::{find_offered, find_visible, stamped};
use crate::error::StoreError;
use crate::messages::{GetRating, ListRatings, RateApi};

/// The contract's `Rating`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RatingDto {
    rating_id: String,
    api_id: String,
    rated_by: String,
    rating: u8,
}

impl RatingDto {
    fn new(api: ApiId, by: &Principal, stars: u8) -> Self {
        let (api, tenant, user) = (api.to_string(), &by.tenant.0, &by.username.0);
        let rating_id = RatingId::of_names(&["rating", &api, tenant, user]).to_string();
        Self { rating_id, api_id: api, rated_by: user.clone(), rating: stars }
    }
}

/// The contract's `RatingList`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RatingListDto {
    pub avg_rating: String,
    pub user_rating: u8,
    #[serde(flatten)]
    pub list: List<RatingDto>,
}

fn stars_of(view: &StoreView, api: &Api, by: &Principal) -> u8 {
    let key = (api.id, by.tenant.clone(), by.username.clone());
    view.read::<Apimgtdb>().ratings.get(&key).copied().unwrap_or(0)
}

/// Returns the average of `count` ratings that add up to `sum`, to one decimal place.
fn average(sum: u64, count: u64) -> String {
    let tenths = (sum * 10 + count / 2).checked_div(count).unwrap_or(0);
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// Returns what subscribers think of an API on average, 0.0 to 5.0.
pub(crate) fn average_of(database: &Apimgtdb, api: ApiId) -> String {
    let (sum, count) = database.rating_sums.get(&api).copied().unwrap_or_default();
    average(sum, count)
}

impl Request for ListRatings {
    type Reply = Stamped<RatingListDto>;

    async fn answer(self, desk: Desk) -> Result<Self::Reply, StoreError> {
        let view = desk.view();
        let api = find_visible(&view, &self.visitor, self.api)?;
        let database = view.read::<Apimgtdb>();
        let shown = belongings::ratings_of(database, api.id).skip(self.page.offset).take(self.page.limit);
        let body = |(tenant, username, stars): (&TenantDomain, &Username, u8)| {
            RatingDto::new(api.id, &Principal { tenant: tenant.clone(), username: username.clone() }, stars)
        };
        let shown = shown.map(body).collect();
        let count = database.rating_sums.get(&api.id).map_or(0, |(_, count)| *count);
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let list = RatingListDto {
            avg_rating: average_of(database, api.id),
            user_rating: self.visitor.user.as_ref().map_or(0, |user| stars_of(&view, &api, user)),
            list: List::part(shown, count, self.page).with_links(&format!("/apis/{}/ratings", api.id), ""),
        };
        Ok(stamped(list, &view))
    }
}

impl Request for GetRating {
    type Reply = Stamped<RatingDto>;

    async fn answer(self, desk: Desk) -> Result<Self::Reply, StoreError> {
        let view = desk.view_for(self.subscriber.consistency).await?;
        let api = find_offered(&view, &self.subscriber, self.api)?;
        let by = &self.subscriber.principal;
        Ok(stamped(RatingDto::new(api.id, by, stars_of(&view, &api, by)), &view))
    }
}

impl Request for RateApi {
    type Reply = Stamped<RatingDto>;

    async fn answer(self, desk: Desk) -> Result<Self::Reply, StoreError> {
        let view = desk.view_for(self.subscriber.consistency).await?;
        let api = find_offered(&view, &self.subscriber, self.api)?;
        let made = desk.submit(command::RateApi { api: api.id, stars: self.stars }, &self.subscriber).await?;
        let body = RatingDto::new(api.id, &self.subscriber.principal, self.stars.unwrap_or(0));
        Ok(Stamped { body, index: made.index, unreached: made.unreached })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_average_is_rounded_to_the_nearest_tenth() {
        assert_eq!([average(0, 0), average(9, 2), average(5, 3), average(14, 3)], ["0.0", "4.5", "1.7", "4.7"]);
    }
}
