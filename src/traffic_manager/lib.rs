//! traffic_manager
