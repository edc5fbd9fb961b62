//! The components that a node may serve, each on its own or together: the original's distributed deployment.

use std::collections::BTreeSet;
use std::fmt;

/// A component of the system as operators know it: what they put on a node, or leave out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Component {
    /// Designs and publishes APIs.
    Publisher,
    /// Where developers find APIs and subscribe (the developer portal).
    Store,
    /// Issues and validates tokens and keys.
    KeyManager,
    /// Carries API calls.
    Gateway,
    /// Keeps the message store of usage reports.
    TrafficManager,
    /// Policies, users, and the control of the cluster.
    Admin,
}

impl Component {
    /// Every component, in the order in which they are listed.
    pub const ALL: [Self; 6] =
        [Self::Publisher, Self::Store, Self::KeyManager, Self::Gateway, Self::TrafficManager, Self::Admin];

    /// Returns the name in configuration, records and listings.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Publisher => "publisher",
            Self::Store => "store",
            Self::KeyManager => "key-manager",
            Self::Gateway => "gateway",
            Self::TrafficManager => "traffic-manager",
            Self::Admin => "admin",
        }
    }

    /// Returns the name in sentences.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Publisher => "Publisher",
            Self::Store => "Store",
            Self::KeyManager => "Key Manager",
            Self::Gateway => "Gateway",
            Self::TrafficManager => "Traffic Manager",
            Self::Admin => "Admin",
        }
    }

    /// Returns the component of a name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|component| component.name() == name)
    }
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The components of one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Components(BTreeSet<Component>);

impl Components {
    /// Returns all components: a node that does everything.
    #[must_use]
    pub fn all() -> Self {
        Self(Component::ALL.into())
    }

    /// Returns the components that are listed; all of them where none is.
    #[must_use]
    pub fn of(listed: impl IntoIterator<Item = Component>) -> Self {
        let listed: BTreeSet<Component> = listed.into_iter().collect();
        if listed.is_empty() { Self::all() } else { Self(listed) }
    }

    /// Returns the components of the names in a node's record; all where there is no name. A name that a newer
    /// version may have written is left out.
    #[must_use]
    pub fn of_record(names: &[String]) -> Self {
        if names.is_empty() {
            return Self::all();
        }
        Self(names.iter().filter_map(|name| Component::of_name(name)).collect())
    }

    /// Returns the names as they stand in a node's record: none where it serves everything.
    #[must_use]
    pub fn to_record(&self) -> Vec<String> {
        if self.is_all() {
            return Vec::new();
        }
        self.0.iter().map(|component| component.name().to_owned()).collect()
    }

    /// Says whether a component is among them.
    #[must_use]
    pub fn has(&self, component: Component) -> bool {
        self.0.contains(&component)
    }

    /// Says whether everything is among them.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.0.len() == Component::ALL.len()
    }

    /// Says whether the node only carries API calls. Such nodes do not vote unless they are told to, so that gateways
    /// scale out without slowing the quorum.
    #[must_use]
    pub fn is_gateway_alone(&self) -> bool {
        self.0.len() == 1 && self.has(Component::Gateway)
    }

    /// Returns them in the order of [`Component::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = Component> + '_ {
        self.0.iter().copied()
    }
}

impl fmt::Display for Components {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_all() {
            return f.write_str("all");
        }
        for (at, component) in self.iter().enumerate() {
            if at > 0 {
                f.write_str(",")?;
            }
            f.write_str(component.name())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_without_names_means_everything_and_one_of_a_newer_version_does_not() {
        assert!(Components::of_record(&[]).is_all());
        assert!(Components::of([]).to_record().is_empty());
        let newer = Components::of_record(&["analytics-of-tomorrow".to_owned()]);
        assert!(Component::ALL.iter().all(|component| !newer.has(*component)));
        let some = Components::of([Component::Store, Component::Publisher]);
        assert_eq!(some.to_record(), ["publisher", "store"]);
        assert_eq!(Components::of_record(&some.to_record()), some);
        assert_eq!(some.to_string(), "publisher,store");
    }

    #[test]
    fn only_a_node_with_nothing_but_the_gateway_is_a_gateway_alone() {
        assert!(Components::of([Component::Gateway]).is_gateway_alone());
        assert!(!Components::of([Component::Gateway, Component::TrafficManager]).is_gateway_alone());
        assert!(!Components::all().is_gateway_alone());
    }
}
