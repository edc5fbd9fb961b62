//! Where things are in the cluster: what this node serves is here, the rest on other nodes. For the addresses that are
//! shown to people, and for answers to those who asked the wrong node.

use std::net::SocketAddr;
use std::sync::Arc;

use portcullis_database::StateCell;
use portcullis_http::ApiError;
use portcullis_model::{Component, Components, NodeAddresses, NodeRecord};

/// Nodes that an answer names.
const NAMED_MAX: usize = 8;

/// Where things are. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Places {
    cell: Arc<StateCell>,
    here: Components,
    own: NodeAddresses,
}

impl Places {
    pub(crate) fn new(cell: Arc<StateCell>, here: Components, own: NodeAddresses) -> Self {
        Self { cell, here, own }
    }

    /// Returns the addresses of a node that serves a component: of this one, else of the one with the lowest id; `None`
    /// where nobody does.
    pub(crate) fn of(&self, component: Component) -> Option<NodeAddresses> {
        if self.here.has(component) {
            return Some(self.own.clone());
        }
        let state = self.cell.load();
        let found = state.system.nodes.values().find(|node| node.serves(component));
        found.map(|node| node.addresses.clone())
    }

    /// Returns where API calls go to; this node's addresses where nobody serves them.
    pub(crate) fn gateway(&self) -> NodeAddresses {
        self.of(Component::Gateway).unwrap_or_else(|| self.own.clone())
    }

    /// Returns the management port of a node that serves a component; this node's where nobody does.
    pub(crate) fn management(&self, component: Component) -> SocketAddr {
        self.of(component).unwrap_or_else(|| self.own.clone()).management
    }

    /// Returns where the page of a component is: below this node, or on another one; `None` where nobody serves it.
    pub(crate) fn page(&self, component: Component, path: &str) -> Option<String> {
        if self.here.has(component) {
            return Some(path.to_owned());
        }
        self.of(component).map(|addresses| format!("https://{}{path}", addresses.management))
    }

    /// Returns the answer to a request for a component that this node does not serve: 421, naming the nodes that do.
    pub(crate) fn elsewhere(&self, component: Component) -> ApiError {
        let state = self.cell.load();
        let serving: Vec<&NodeRecord> =
            state.system.nodes.values().map(AsRef::as_ref).filter(|node| node.serves(component)).collect();
        let mut named: Vec<String> = serving
            .iter()
            .take(NAMED_MAX)
            .map(|node| format!("https://{} (node {}, {})", node.addresses.management, node.id, node.name))
            .collect();
        if serving.len() > NAMED_MAX {
            named.push(format!("{} more (portcullis cluster status)", serving.len() - NAMED_MAX));
        }
        let title = component.title();
        let text = if named.is_empty() {
            format!(
                "This node does not serve the {title}, and no other node does. Start one with --components {component}."
            )
        } else {
            format!("This node does not serve the {title}. Ask {}.", named.join(" or "))
        };
        ApiError::new(421, 421, "Misdirected Request", text)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use portcullis_database::State;
    use portcullis_model::{NodeId, Timestamp};

    use super::*;

    fn addresses(host: u8) -> NodeAddresses {
        let at = |port| SocketAddr::from(([10, 0, 0, host], port));
        NodeAddresses { cluster: at(7443), management: at(9443), gateway_http: at(8280), gateway_https: at(8243) }
    }

    fn cell() -> Arc<StateCell> {
        let mut state = State::default();
        for (id, components) in [(1, vec!["admin"]), (2, vec!["gateway"]), (3, vec!["store", "publisher"])] {
            let node = NodeRecord {
                id: NodeId(id),
                name: format!("n{id}"),
                addresses: addresses(u8::try_from(id).unwrap()),
                components: components.into_iter().map(str::to_owned).collect(),
                is_voter: true,
                admitted_at: Timestamp(0),
                removed_at: None,
            };
            state.system.nodes.insert(NodeId(id), Arc::new(node));
        }
        let cell = StateCell::new();
        cell.publish(state);
        cell
    }

    #[test]
    fn what_is_not_served_here_is_shown_where_it_is() {
        let places = Places::new(cell(), Components::of([Component::Admin]), addresses(1));
        assert_eq!(places.gateway().gateway_https.to_string(), "10.0.0.2:8243");
        assert_eq!(places.page(Component::Admin, "/admin").as_deref(), Some("/admin"));
        assert_eq!(places.page(Component::Store, "/devportal").as_deref(), Some("https://10.0.0.3:9443/devportal"));
        assert_eq!(places.page(Component::KeyManager, "/oauth2"), None);
    }

    #[test]
    fn whoever_asks_the_wrong_node_is_told_which_is_right() {
        let places = Places::new(cell(), Components::of([Component::Admin]), addresses(1));
        let error = places.elsewhere(Component::Publisher);
        assert_eq!(error.status(), 421);
        let told = error.description();
        assert_eq!(told, "This node does not serve the Publisher. Ask https://10.0.0.3:9443 (node 3, n3).");
        let told = places.elsewhere(Component::KeyManager);
        assert!(told.description().contains("no other node does") && told.description().contains("key-manager"));
    }
}
