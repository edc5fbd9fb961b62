//! The lifecycle of an API: states, actions, and which leads where.
//!
//! The table is the original's (WSO2 API Manager's `APILifeCycle.xml`).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A state of an API's lifecycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Lifecycle {
    /// Being designed; may be deployed but cannot be subscribed to.
    Created,
    /// Open to all as a prototype, without subscription.
    Prototyped,
    /// In the Store, open to subscriptions.
    Published,
    /// Deployed, but every call is answered 503/700700.
    Blocked,
    /// Existing subscribers go on; no new ones.
    Deprecated,
    /// Gone from gateways and Store, for good.
    Retired,
}

/// What moves an API from one state to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LifecycleAction {
    /// Puts the API into the Store.
    Publish,
    /// Opens the API as a prototype.
    DeployAsPrototype,
    /// Takes the API back to its design.
    DemoteToCreated,
    /// Stops all calls for a time.
    Block,
    /// Ends a block.
    RePublish,
    /// Announces the end.
    Deprecate,
    /// Ends the API.
    Retire,
}

impl Lifecycle {
    /// The name in the REST contracts, in capitals.
    #[must_use]
    pub fn as_contract(self) -> &'static str {
        match self {
            Self::Created => "CREATED",
            Self::Prototyped => "PROTOTYPED",
            Self::Published => "PUBLISHED",
            Self::Blocked => "BLOCKED",
            Self::Deprecated => "DEPRECATED",
            Self::Retired => "RETIRED",
        }
    }

    /// The name people read.
    #[must_use]
    pub fn as_title(self) -> &'static str {
        match self {
            Self::Created => "Created",
            Self::Prototyped => "Prototyped",
            Self::Published => "Published",
            Self::Blocked => "Blocked",
            Self::Deprecated => "Deprecated",
            Self::Retired => "Retired",
        }
    }

    /// Returns the actions possible in this state and where each leads, in the original's order.
    #[must_use]
    pub fn transitions(self) -> &'static [(LifecycleAction, Self)] {
        use LifecycleAction as A;
        match self {
            Self::Created => &[(A::Publish, Self::Published), (A::DeployAsPrototype, Self::Prototyped)],
            Self::Prototyped => &[
                (A::Publish, Self::Published),
                (A::DemoteToCreated, Self::Created),
                (A::DeployAsPrototype, Self::Prototyped),
            ],
            Self::Published => &[
                (A::Block, Self::Blocked),
                (A::Deprecate, Self::Deprecated),
                (A::DemoteToCreated, Self::Created),
                (A::Publish, Self::Published),
                (A::DeployAsPrototype, Self::Prototyped),
            ],
            Self::Blocked => &[(A::RePublish, Self::Published), (A::Deprecate, Self::Deprecated)],
            Self::Deprecated => &[(A::Retire, Self::Retired)],
            Self::Retired => &[],
        }
    }

    /// Returns the state that `action` leads to, or `None` where the original's lifecycle has no such edge.
    #[must_use]
    pub fn after(self, action: LifecycleAction) -> Option<Self> {
        self.transitions().iter().find(|(possible, _)| *possible == action).map(|(_, target)| *target)
    }

    /// Says whether gateways hold the API in this state.
    #[must_use]
    pub fn is_deployable(self) -> bool {
        !matches!(self, Self::Retired)
    }
}

impl FromStr for Lifecycle {
    type Err = UnknownLifecycle;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let all = [Self::Created, Self::Prototyped, Self::Published, Self::Blocked, Self::Deprecated, Self::Retired];
        all.into_iter().find(|state| state.as_contract().eq_ignore_ascii_case(text)).ok_or(UnknownLifecycle)
    }
}

/// The text names no lifecycle state or action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a lifecycle name")]
pub struct UnknownLifecycle;

impl LifecycleAction {
    /// All actions.
    pub const ALL: [Self; 7] = [
        Self::Publish,
        Self::DeployAsPrototype,
        Self::DemoteToCreated,
        Self::Block,
        Self::RePublish,
        Self::Deprecate,
        Self::Retire,
    ];

    /// The name in the REST contracts.
    #[must_use]
    pub fn as_contract(self) -> &'static str {
        match self {
            Self::Publish => "Publish",
            Self::DeployAsPrototype => "Deploy as a Prototype",
            Self::DemoteToCreated => "Demote to Created",
            Self::Block => "Block",
            Self::RePublish => "Re-Publish",
            Self::Deprecate => "Deprecate",
            Self::Retire => "Retire",
        }
    }
}

impl FromStr for LifecycleAction {
    type Err = UnknownLifecycle;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|action| action.as_contract() == text).ok_or(UnknownLifecycle)
    }
}

impl fmt::Display for Lifecycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_contract())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_published_api_can_be_blocked_and_published_again() {
        let blocked = Lifecycle::Published.after(LifecycleAction::Block).unwrap();
        assert_eq!(blocked.after(LifecycleAction::RePublish), Some(Lifecycle::Published));
    }

    #[test]
    fn a_retired_api_stays_retired() {
        for action in LifecycleAction::ALL {
            assert_eq!(Lifecycle::Retired.after(action), None);
        }
    }

    #[test]
    fn a_created_api_cannot_be_retired() {
        assert_eq!(Lifecycle::Created.after(LifecycleAction::Retire), None);
    }
}
