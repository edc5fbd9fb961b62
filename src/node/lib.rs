//! A node: opens the databases, mints the capabilities, joins the components, listens, and stops cleanly.
//!
//! Everything that a component needs from another is handed to it here; no component knows another. The command line
//! is not known here.

mod access_log;
mod alert_watch;
mod api_sight;
mod boot_fault;
mod component_nodes;
mod components;
pub mod config;
mod documents;
mod facts;
pub mod founding;
mod freshness;
mod gateway_face;
pub mod health;
pub mod inside;
pub mod joining;
pub mod local_node;
pub mod logging;
mod machine;
mod management;
pub mod metrics;
mod node;
mod node_face;
mod observability;
mod opening;
mod pages;
mod places;
mod ports;
mod probes;
mod proposer;
mod reads;
mod reload;
pub mod renewing;
mod report;
pub mod safekeeping;
mod served;
mod server_certificate;
mod standing;
mod surroundings;
mod tail;
mod telemetry;
mod tenant_paths;
mod thrift;
mod wiring;

pub use access_log::AccessLogFigures;
pub use boot_fault::{BootFault, PORT_TAKEN};
pub use node::Node;
pub use reload::Reloaded;
pub use standing::STANDING_PATH;
pub use telemetry::TelemetryFigures;
