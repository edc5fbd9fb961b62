//! A state in which one counter is limited.

use std::sync::Arc;

use portcullis_database::State;
use portcullis_model::counter::CounterSubject;
use portcullis_model::id::PolicyId;
use portcullis_model::{
    ApiId, ApplicationId, CounterKey, NodeAddresses, NodeId, NodeRecord, PolicyLevel, Quota, QuotaPolicy, TenantDomain,
    Timestamp, Window,
};

pub fn key() -> CounterKey {
    CounterKey {
        tenant: TenantDomain::super_tenant(),
        policy: "Tested".to_owned(),
        subject: CounterSubject::Subscription {
            application: ApplicationId::from_random([1; 16]),
            api: ApiId::from_random([2; 16]),
        },
    }
}

/// A state of one node and one policy.
pub fn state_of(limit: u64, window: Window) -> State {
    let mut state = State::default();
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
    let node = NodeRecord {
        id: NodeId(1),
        name: "one".to_owned(),
        addresses: NodeAddresses {
            cluster: address,
            management: address,
            gateway_http: address,
            gateway_https: address,
        },
        components: Vec::new(),
        is_voter: true,
        admitted_at: Timestamp(0),
        removed_at: None,
    };
    state.system.nodes.insert(node.id, Arc::new(node));
    let policy = QuotaPolicy {
        id: PolicyId::from_random([9; 16]),
        tenant: TenantDomain::super_tenant(),
        level: PolicyLevel::Subscription,
        name: "Tested".to_owned(),
        display_name: String::new(),
        description: String::new(),
        quota: Quota::Requests(limit),
        window,
        burst: None,
        stops_on_quota_reach: true,
        billing_plan: "FREE".to_owned(),
        other_fields: "{}".to_owned(),
        version: 1,
    };
    state.deployed.policies.insert(key().policy_key().unwrap(), Arc::new(policy));
    state
}
