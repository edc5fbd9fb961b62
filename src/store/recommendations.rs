//! APIs that somebody may want: those that users have who have the same ones.

use std::collections::{BTreeMap, BTreeSet};

use portcullis_database::Apimgtdb;
use portcullis_http::Stamped;
use portcullis_model::{ApiId, ApplicationId, Username};
use serde::Serialize;
use uuid::Uuid;

use crate::actor::{Desk, Request};
use crate::apis::{listed, stamped};
use crate::applications::{apis_of, applications_of};
use crate::dto::catalog::WholeList;
use crate::error::StoreError;
use crate::messages::{CountApis, ListRecommendations};
use crate::ratings::average_of;

/// APIs of one answer.
const RECOMMENDED_MAX: usize = 10;
/// Subscriptions that are looked at: the first of each API that somebody has, and the first of each user who has them.
const LOOKED_AT_MAX: usize = 20_000;

/// The contract's `recommendedAPI`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RecommendedDto {
    id: String,
    name: String,
    avg_rating: String,
}

impl Request for ListRecommendations {
    type Reply = Stamped<WholeList<RecommendedDto>>;

    async fn answer(self, desk: Desk) -> Result<Self::Reply, StoreError> {
        let view = desk.view();
        let database = view.read::<Apimgtdb>();
        let own: BTreeSet<ApiId> =
            applications_of(&view, &self.subscriber).iter().flat_map(|one| apis_of(&view, one.id)).collect();
        let me = &self.subscriber.principal;
        let mut left = LOOKED_AT_MAX;
        let mut alike: BTreeSet<&Username> = BTreeSet::new();
        for api in &own {
            let every = (*api, ApplicationId(Uuid::nil()))..=(*api, ApplicationId(Uuid::max()));
            for ((_, id), _) in database.subscriptions_by_api.range(every).take(left) {
                left = left.saturating_sub(1);
                let application = database.applications.get(id).filter(|application| application.tenant == me.tenant);
                alike.extend(application.map(|application| &application.owner).filter(|owner| **owner != me.username));
            }
        }
        // Everything else that they have, counted once for each user.
        let mut users: BTreeMap<ApiId, BTreeSet<&Username>> = BTreeMap::new();
        for owner in alike {
            let first = (me.tenant.clone(), owner.clone(), String::new());
            let names = database.application_names.range(first..);
            let theirs = names.take_while(|((tenant, its, _), _)| *tenant == me.tenant && its == owner);
            for api in theirs.flat_map(|(_, id)| apis_of(&view, *id)).take(left) {
                left = left.saturating_sub(1);
                if !own.contains(&api) {
                    users.entry(api).or_default().insert(owner);
                }
            }
        }
        let visitor = self.subscriber.as_visitor();
        let mut found: Vec<_> =
            listed(&view, &visitor).filter_map(|api| Some((users.get(&api.id)?.len(), api))).collect();
        found.sort_by(|(one, first), (other, second)| (other, &first.name).cmp(&(one, &second.name)));
        let dtos = found.into_iter().take(RECOMMENDED_MAX).map(|(_, api)| RecommendedDto {
            id: api.id.to_string(),
            name: api.name.clone(),
            avg_rating: average_of(database, api.id),
        });
        Ok(stamped(WholeList::new(dtos.collect()), &view))
    }
}

impl Request for CountApis {
    type Reply = Stamped<usize>;

    async fn answer(self, desk: Desk) -> Result<Self::Reply, StoreError> {
        let view = desk.view();
        let count = listed(&view, &self.visitor).count();
        Ok(stamped(count, &view))
    }
}
