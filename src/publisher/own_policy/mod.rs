//! Operation policies of a tenant's own, as the original has them: a specification and a definition, which is a template
//! of its gateway's configuration. What the definition does is mapped onto the policies that come with the program; what
//! none of them does is refused by name.

pub(crate) mod apply;
pub(crate) mod sequence;
pub(crate) mod specification;
pub(crate) mod synapse;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(crate) use specification::Specification;

/// A policy of a tenant's own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct OwnPolicy {
    /// What is said of it.
    pub(crate) specification: Specification,
    /// The policies that come with the program that it stands for, in their order, with `{{name}}` where a parameter of
    /// its own goes.
    pub(crate) steps: Vec<Value>,
}

/// By what a policy is told apart.
pub(crate) fn key_of(name: &str, version: &str) -> String {
    format!("{name}:{version}")
}
