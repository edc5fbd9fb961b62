//! Upgrades: which feature level each node knows, and raising the cluster's once all know a higher one.
//!
//! A node says the level it knows behind its version (`0.2.0+level.2`, build metadata by semver.org): nodes of the first
//! level say a version alone, and the form of the message stays what they know.

use std::collections::BTreeMap;

use portcullis_database::command::{Numbered as _, RaiseFeatureLevel, SeedPolicies};
use portcullis_database::{default_policies, level};
use portcullis_model::cluster::ClusterRefusal;
use portcullis_model::limit::MANAGEMENT_DEADLINE;
use portcullis_model::membership::Rule;
use portcullis_model::safekeeping::{NodeLevel, UpgradeCheck};
use portcullis_model::{NodeId, NodeRecord};

use crate::core::Core;
use crate::reads::ReadBy;
use crate::refusal::{against, unavailable};
use crate::tasks::entry;

const MARK: &str = "+level.";

/// Returns what a node says of its program.
pub(crate) fn version_and_level(level: u32) -> String {
    format!("{}{MARK}{level}", env!("CARGO_PKG_VERSION"))
}

/// Returns the version that people read.
pub(crate) fn version_of(said: &str) -> String {
    said.split_once(MARK).map_or(said, |(version, _)| version).to_owned()
}

fn level_of(said: &str) -> u32 {
    said.split_once(MARK).and_then(|(_, level)| level.parse().ok()).unwrap_or(level::FIRST)
}

impl Core {
    pub(crate) async fn check_upgrade(&self) -> UpgradeCheck {
        let state = self.cell.load();
        let records: BTreeMap<NodeId, &NodeRecord> = state
            .system
            .nodes
            .values()
            .filter(|record| record.removed_at.is_none())
            .map(|record| (record.id, record.as_ref()))
            .collect();
        let alive = self.statuses_of(records.keys().copied()).await;
        let nodes: Vec<NodeLevel> = records
            .values()
            .map(|record| {
                let said = alive.get(&record.id).map(|status| status.version.as_str());
                NodeLevel {
                    id: record.id,
                    name: record.name.clone(),
                    version: said.map(version_of).unwrap_or_default(),
                    feature_level: said.map(level_of),
                }
            })
            .collect();
        let known: Option<Vec<u32>> = nodes.iter().map(|node| node.feature_level).collect();
        let possible_level = known.and_then(|known| known.into_iter().min());
        UpgradeCheck { feature_level: state.feature_level(), possible_level, nodes }
    }

    pub(crate) async fn finalise_upgrade(&self) -> Result<UpgradeCheck, ClusterRefusal> {
        // The nodes and the level of now, and not those that this node knew last.
        self.catch_up(ReadBy::Index, MANAGEMENT_DEADLINE).await.map_err(unavailable)?;
        let check = self.check_upgrade().await;
        let Some(level) = check.possible_level else {
            let silent = check.nodes.iter().filter(|node| node.feature_level.is_none());
            let silent: Vec<String> = silent.map(|node| format!("node {} ({})", node.id, node.name)).collect();
            let why = format!("these do not answer: {}", silent.join(", "));
            return Err(against(Rule::FeatureLevel, why));
        };
        if level <= check.feature_level {
            // An earlier call may have been cut short after the level was raised.
            self.seed_defaults().await?;
            return Ok(check);
        }
        let outcome = self.propose(entry(&RaiseFeatureLevel { level })?, MANAGEMENT_DEADLINE).await;
        let outcome = outcome.map_err(unavailable)?;
        outcome.result.map_err(|refused| ClusterRefusal::Invalid(refused.to_string()))?;
        let unreached = self.fence(outcome.index, MANAGEMENT_DEADLINE).await;
        if !unreached.is_empty() {
            tracing::warn!(?unreached, level, "the feature level is raised; these nodes have not applied it yet");
        }
        tracing::info!(level, "the feature level of the cluster is raised");
        self.seed_defaults().await?;
        Ok(self.check_upgrade().await)
    }

    /// Seeds the default policies that came with the cluster's level, once in its life.
    async fn seed_defaults(&self) -> Result<(), ClusterRefusal> {
        let (state, set) = (self.cell.load(), default_policies::second_set());
        let is_possible = level::check_command(SeedPolicies::NUMBER, state.feature_level()).is_ok();
        if !is_possible || state.apimgt.policy_seeds.contains_key(&set.set) {
            return Ok(());
        }
        let seeded = self.propose(entry(&set)?, MANAGEMENT_DEADLINE).await.map_err(unavailable)?;
        seeded.result.map(drop).map_err(|refused| ClusterRefusal::Invalid(refused.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_says_a_version_alone_knows_the_first_level() {
        assert_eq!((version_of("0.1.0"), level_of("0.1.0")), ("0.1.0".to_owned(), 1));
        let said = version_and_level(7);
        assert_eq!((version_of(&said), level_of(&said)), (env!("CARGO_PKG_VERSION").to_owned(), 7));
    }
}
