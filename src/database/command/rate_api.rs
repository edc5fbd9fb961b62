use portcullis_model::comment::RATING_MAX;
use portcullis_model::{ApiId, Refused};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::state::{Apimgtdb, State};

/// Says what a user thinks of an API.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RateApi {
    /// The API.
    pub api: ApiId,
    /// 1 to 5 stars, or nothing any more.
    pub stars: Option<u8>,
}

impl<C: Component> SubmittedBy<C> for RateApi where C: Writes<Apimgtdb> {}

impl Command for RateApi {
    type Reply = ();

    fn apply(self, state: &mut State, moment: &Moment) -> Result<(), Refused> {
        if !state.apimgt.apis.contains_key(&self.api) {
            return Err(Refused::not_found("API", self.api));
        }
        let key = (self.api, moment.principal.tenant.clone(), moment.principal.username.clone());
        if let Some(stars) = self.stars.filter(|stars| !(1..=RATING_MAX).contains(stars)) {
            return Err(Refused::invalid("rating", format!("must be 1 to {RATING_MAX}, not {stars}")));
        }
        let (mut sum, mut count) = state.apimgt.rating_sums.get(&self.api).copied().unwrap_or_default();
        if let Some(before) = state.apimgt.ratings.remove(&key) {
            sum -= u64::from(before);
            count -= 1;
        }
        if let Some(stars) = self.stars {
            state.apimgt.ratings.insert(key, stars);
            sum += u64::from(stars);
            count += 1;
        }
        if count == 0 {
            state.apimgt.rating_sums.remove(&self.api);
        } else {
            state.apimgt.rating_sums.insert(self.api, (sum, count));
        }
        Ok(())
    }
}
