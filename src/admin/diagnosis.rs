//! Judges what the nodes say of themselves: what `portcullis doctor` shows. Asks nobody; the rules are here and nothing
//! else, so that they can be tested with made-up facts.

mod cluster_rules;
mod node_rules;

use portcullis_model::NodeId;
use portcullis_model::cluster::ClusterStatus;
use portcullis_model::facts::{AskedNode, ComparedStates};
use serde::Serialize;

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It holds.
    Ok,
    /// It holds, but something should be done before it does not.
    Warning,
    /// It does not hold.
    Failed,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was checked.
    pub check: &'static str,
    /// The node, where the finding is about one.
    pub node: Option<NodeId>,
    /// How it came out.
    pub outcome: Outcome,
    /// What was found.
    pub detail: String,
    /// What to do; empty where nothing is to be done.
    pub next_step: String,
}

impl Finding {
    fn ok(check: &'static str, detail: impl Into<String>) -> Self {
        Self { check, node: None, outcome: Outcome::Ok, detail: detail.into(), next_step: String::new() }
    }

    fn warning(check: &'static str, detail: impl Into<String>, next_step: impl Into<String>) -> Self {
        Self { outcome: Outcome::Warning, next_step: next_step.into(), ..Self::ok(check, detail) }
    }

    fn failed(check: &'static str, detail: impl Into<String>, next_step: impl Into<String>) -> Self {
        Self { outcome: Outcome::Failed, ..Self::warning(check, detail, next_step) }
    }

    fn of(self, node: NodeId) -> Self {
        Self { node: Some(node), ..self }
    }
}

/// Everything a diagnosis is made from.
#[derive(Clone, Debug)]
pub(crate) struct Examined {
    pub(crate) status: ClusterStatus,
    pub(crate) nodes: Vec<AskedNode>,
    pub(crate) states: ComparedStates,
}

/// Returns every finding, those of the cluster first, then those of each node.
pub(crate) fn diagnose(examined: &Examined) -> Vec<Finding> {
    let mut findings = cluster_rules::judge(examined);
    for node in &examined.nodes {
        findings.extend(node_rules::judge(node, examined));
    }
    findings
}

#[cfg(test)]
mod tests;
