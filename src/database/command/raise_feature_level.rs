use std::sync::Arc;

use portcullis_model::Refused;
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Admin, Cluster};
use crate::projection;
use crate::subscriptions::index_by_time;
use crate::state::{ClusterFacts, State};

/// Raises the feature level of the cluster. Submitted once every node is known to understand it: a node that does not
/// stops at this entry. A level never goes down; one that is reached already changes nothing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RaiseFeatureLevel {
    /// The level that every node understands.
    pub level: u32,
}

impl SubmittedBy<Cluster> for RaiseFeatureLevel {}
impl SubmittedBy<Admin> for RaiseFeatureLevel {}

impl Command for RaiseFeatureLevel {
    type Reply = u32;

    const EVERYWHERE: bool = true;

    fn subject(&self) -> String {
        self.level.to_string()
    }

    fn apply(self, state: &mut State, _moment: &Moment) -> Result<u32, Refused> {
        let facts = state.system.cluster.get(&()).ok_or_else(|| Refused::wrong_state("the cluster is not bootstrapped"))?;
        if self.level <= facts.feature_level {
            return Ok(facts.feature_level);
        }
        let raised = ClusterFacts { feature_level: self.level, ..facts.as_ref().clone() };
        state.system.cluster.insert((), Arc::new(raised));
        index_by_time(state);
        projection::refresh_all(state);
        Ok(self.level)
    }
}

#[cfg(test)]
mod tests {
    use portcullis_model::SubscriptionId;

    use super::super::store_fixture::{Fixture, api, application, subscription};
    use super::super::{CreateApplication, CreateSubscription, DeleteSubscription};
    use super::RaiseFeatureLevel;
    use crate::{level, subscriptions};

    #[test]
    fn subscriptions_are_in_the_order_of_time_before_the_level_is_raised_and_after() {
        let mut fixture = Fixture::new();
        fixture.at_level(level::FIRST);
        fixture.publish(api(7));
        let subscribe = |fixture: &mut Fixture, number: u8| -> SubscriptionId {
            fixture.apply(CreateApplication { application: application(number, &format!("App {number}")) }).unwrap();
            let subscription = subscription(100 - number, number, 7, "Gold");
            fixture.apply(CreateSubscription { subscription, owned_by: None }).unwrap().id
        };
        let mut made: Vec<_> = [1, 2, 3].map(|number| subscribe(&mut fixture, number)).to_vec();
        let listed = |fixture: &Fixture| subscriptions::of_api(&fixture.state.apimgt, api(7).id);
        assert!(fixture.state.apimgt.subscriptions_by_time.is_empty(), "nodes of the first level do not know it");
        assert_eq!(listed(&fixture), made);
        fixture.apply(RaiseFeatureLevel { level: level::HIGHEST }).unwrap();
        assert_eq!(fixture.state.apimgt.subscriptions_by_time.len(), 3);
        made.push(subscribe(&mut fixture, 4));
        fixture.apply(DeleteSubscription { id: made.remove(1), owned_by: None }).unwrap();
        assert_eq!(fixture.state.apimgt.subscriptions_by_time.len(), 3);
        assert_eq!(listed(&fixture), made);
    }
}
