use std::sync::Arc;

use portcullis_model::id::PolicyId;
use portcullis_model::policy::{PolicyLevel, Quota, QuotaPolicy, TimeUnit, UNLIMITED, Window};
use portcullis_model::user::{Role, User, Username};
use portcullis_model::{NodeAddresses, NodeId, NodeRecord, Refused, Sealed, TenantDomain};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Command, Moment, SubmittedBy};
use crate::access::Cluster;
use crate::state::{ClusterFacts, Generation, State};

/// The first entry of a cluster: who it is, its certificate authority, its first node and user, and the original's
/// default roles and policies. Seeds each once; a default that an administrator deletes later does not come back.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Bootstrap {
    /// The cluster's id.
    pub cluster_id: Uuid,
    /// The cluster's name.
    pub cluster_name: String,
    /// The authority's certificate, PEM.
    pub ca_certificate: String,
    /// The authority's private key.
    pub ca_key: Sealed,
    /// The first node's name.
    pub node_name: String,
    /// The first node's addresses.
    pub node_addresses: NodeAddresses,
    /// The administrator's password, hashed.
    pub admin_password_hash: String,
}

impl SubmittedBy<Cluster> for Bootstrap {}

impl Command for Bootstrap {
    type Reply = ();

    fn apply(self, state: &mut State, moment: &Moment) -> Result<(), Refused> {
        if state.system.cluster.contains_key(&()) {
            return Err(Refused::exists("cluster", self.cluster_name));
        }
        let facts = ClusterFacts {
            id: self.cluster_id,
            name: self.cluster_name,
            created_at: moment.now,
            feature_level: 1,
            ca_certificate: self.ca_certificate,
            ca_key: self.ca_key,
            node_ids_given: 1,
        };
        state.system.cluster.insert((), Arc::new(facts));
        let node = NodeRecord {
            id: NodeId(1),
            name: self.node_name,
            addresses: self.node_addresses,
            components: Vec::new(),
            is_voter: true,
            admitted_at: moment.now,
            removed_at: None,
        };
        state.system.nodes.insert(node.id, Arc::new(node));
        seed_users(state, moment, self.admin_password_hash);
        seed_policies(state, moment);
        Ok(())
    }
}

fn seed_users(state: &mut State, moment: &Moment, admin_password_hash: String) {
    let tenant = TenantDomain::super_tenant();
    state.user.tenants.insert(tenant.clone(), moment.now);
    let roles = ["admin", "Internal/everyone", "Internal/creator", "Internal/publisher", "Internal/subscriber", "Internal/devops"];
    for role in roles {
        state.user.roles.insert((tenant.clone(), Role(role.to_owned())), ());
    }
    let admin = User {
        tenant: tenant.clone(),
        username: Username("admin".to_owned()),
        password_hash: admin_password_hash,
        roles: roles.iter().map(|role| Role((*role).to_owned())).collect(),
        email: String::new(),
        is_locked: false,
        created_at: moment.now,
    };
    state.user.users.insert((tenant, admin.username.clone()), Arc::new(admin));
}

/// The original's default policies that count requests per minute.
pub(crate) const DEFAULT_POLICIES: &[(PolicyLevel, &str, u64, &str)] = &[
    (PolicyLevel::Subscription, "Gold", 5000, "Allows 5000 requests per minute"),
    (PolicyLevel::Subscription, "Silver", 2000, "Allows 2000 requests per minute"),
    (PolicyLevel::Subscription, "Bronze", 1000, "Allows 1000 requests per minute"),
    (PolicyLevel::Subscription, "Unauthenticated", 500, "Allows 500 request(s) per minute"),
    (PolicyLevel::Subscription, "Unlimited", UNLIMITED, "Allows unlimited requests"),
    (PolicyLevel::Subscription, "DefaultSubscriptionless", 10_000, "Allows 10000 requests per minute when subscription validation is disabled"),
    (PolicyLevel::Application, "50PerMin", 50, "Allows 50 request per minute"),
    (PolicyLevel::Application, "20PerMin", 20, "Allows 20 request per minute"),
    (PolicyLevel::Application, "10PerMin", 10, "Allows 10 request per minute"),
    (PolicyLevel::Application, "Unlimited", UNLIMITED, "Allows unlimited requests"),
    (PolicyLevel::Advanced, "50KPerMin", 50_000, "Allows 50000 requests per minute"),
    (PolicyLevel::Advanced, "20KPerMin", 20_000, "Allows 20000 requests per minute"),
    (PolicyLevel::Advanced, "10KPerMin", 10_000, "Allows 10000 requests per minute"),
    (PolicyLevel::Advanced, "Unlimited", UNLIMITED, "Allows unlimited requests"),
];

fn seed_policies(state: &mut State, moment: &Moment) {
    let tenant = TenantDomain::super_tenant();
    for (number, (level, name, count, description)) in DEFAULT_POLICIES.iter().enumerate() {
        let mut id = [0; 16];
        id.copy_from_slice(&moment.random[..16]);
        id[15] = id[15].wrapping_add(u8::try_from(number).unwrap_or(u8::MAX));
        let policy = QuotaPolicy {
            id: PolicyId::from_random(id),
            tenant: tenant.clone(),
            level: *level,
            name: (*name).to_owned(),
            display_name: (*name).to_owned(),
            description: (*description).to_owned(),
            quota: Quota::Requests(*count),
            window: Window { length: 1, unit: TimeUnit::Minute },
            burst: None,
            stops_on_quota_reach: true,
            billing_plan: "FREE".to_owned(),
            other_fields: "{}".to_owned(),
            version: 1,
        };
        let policy = Arc::new(policy);
        let key = (tenant.clone(), *level, (*name).to_owned());
        state.apimgt.policies.insert(key.clone(), Arc::clone(&policy));
        state.deployed.policies.insert(key, policy);
    }
    state.deployed.advance(Generation::Policies);
}
