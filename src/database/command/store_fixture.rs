//! States for the tests of the Store's commands: policies, APIs, and the nouns of one owner. Holds no tests itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use portcullis_model::api::{MaxTps, Security, Visibility};
use portcullis_model::oauth::KeyMapping;
use portcullis_model::policy::{TimeUnit, Window};
use portcullis_model::{
    Api, ApiId, ApiKind, Application, ApplicationId, ApplicationState, ClientId, EndpointConfig, KeyMappingId, KeyType,
    Lifecycle, OauthClient, PolicyId, PolicyLevel, Principal, Quota, QuotaPolicy, Refused, Sealed, Subscription,
    SubscriptionId, SubscriptionState, TenantDomain, Timestamp, TokenType, Username,
};

use super::{Command, Moment};
use crate::state::{ClusterFacts, State};

/// A state to apply commands to.
pub(super) struct Fixture {
    /// The state.
    pub state: State,
    index: u64,
}

impl Fixture {
    /// Makes a state with a few policies.
    pub fn new() -> Self {
        let mut state = State::default();
        let subscription = ["Gold", "Silver", "Bronze"].map(|name| (PolicyLevel::Subscription, name));
        let application = ["Unlimited", "50PerMin", "10PerMin"].map(|name| (PolicyLevel::Application, name));
        for (level, name) in subscription.into_iter().chain(application) {
            let policy = policy(level, name);
            state.apimgt.policies.insert((policy.tenant.clone(), level, name.to_owned()), Arc::new(policy));
        }
        Self { state, index: 0 }
    }

    /// Puts the cluster at a feature level.
    pub fn at_level(&mut self, feature_level: u32) {
        let facts = ClusterFacts {
            id: uuid::Uuid::nil(),
            name: String::new(),
            created_at: Timestamp(0),
            feature_level,
            ca_certificate: String::new(),
            ca_key: Sealed(Vec::new()),
            node_ids_given: 1,
        };
        self.state.system.cluster.insert((), Arc::new(facts));
    }

    /// Applies a command as user `sam`.
    pub fn apply<X: Command>(&mut self, command: X) -> Result<X::Reply, Refused> {
        self.index += 1;
        let principal = user("sam");
        let now = Timestamp(1_000 + self.index);
        command.apply(&mut self.state, &Moment { now, index: self.index, random: [0; 32], principal })
    }

    /// Puts an API into the state as it is.
    pub fn publish(&mut self, api: Api) {
        self.state.apimgt.apis.insert(api.id, Arc::new(api));
    }
}

/// Returns a user of the first tenant.
pub(super) fn user(name: &str) -> Principal {
    Principal { tenant: TenantDomain::super_tenant(), username: Username(name.to_owned()) }
}

fn policy(level: PolicyLevel, name: &str) -> QuotaPolicy {
    QuotaPolicy {
        id: PolicyId::from_random([0; 16]),
        tenant: TenantDomain::super_tenant(),
        level,
        name: name.to_owned(),
        display_name: name.to_owned(),
        description: String::new(),
        quota: Quota::Requests(10),
        window: Window { length: 1, unit: TimeUnit::Minute },
        burst: None,
        stops_on_quota_reach: true,
        billing_plan: "FREE".to_owned(),
        other_fields: "{}".to_owned(),
        version: 1,
    }
}

/// Returns an application of user `sam`.
pub(super) fn application(number: u8, name: &str) -> Application {
    Application {
        id: ApplicationId::from_random([number; 16]),
        tenant: TenantDomain::super_tenant(),
        owner: Username("sam".to_owned()),
        name: name.to_owned(),
        description: String::new(),
        policy: "Unlimited".to_owned(),
        token_type: TokenType::Jwt,
        state: ApplicationState::Approved,
        groups: Vec::new(),
        attributes: BTreeMap::new(),
        created_at: Timestamp(0),
        updated_at: Timestamp(0),
    }
}

/// Returns a subscription of application `application` to API `api`.
pub(super) fn subscription(number: u8, application: u8, api: u8, plan: &str) -> Subscription {
    Subscription {
        id: SubscriptionId::from_random([number; 16]),
        tenant: TenantDomain::super_tenant(),
        application: ApplicationId::from_random([application; 16]),
        api: ApiId::from_random([api; 16]),
        plan: plan.to_owned(),
        state: SubscriptionState::Unblocked,
        subscriber: Username("sam".to_owned()),
        created_at: Timestamp(0),
    }
}

/// Returns the client of an application for a key type.
pub(super) fn client(id: &str, application: u8, key_type: KeyType) -> OauthClient {
    let key = id.as_bytes()[0];
    OauthClient {
        id: ClientId(id.to_owned()),
        secret: Sealed(vec![1]),
        tenant: TenantDomain::super_tenant(),
        owner: Username("sam".to_owned()),
        name: id.to_owned(),
        mapping: Some(KeyMapping {
            id: KeyMappingId::from_random([key; 16]),
            application: ApplicationId::from_random([application; 16]),
            key_type,
        }),
        grants: Vec::new(),
        callback_url: String::new(),
        token_type: TokenType::Jwt,
        token_validity_s: None,
        other_fields: "{}".to_owned(),
        created_at: Timestamp(0),
    }
}

/// Returns a published API with the plans Gold and Bronze.
pub(crate) fn api(number: u8) -> Api {
    Api {
        id: ApiId::from_random([number; 16]),
        tenant: TenantDomain::super_tenant(),
        provider: Username("admin".to_owned()),
        name: format!("Pizza{number}"),
        context: format!("/pizza{number}"),
        version: "1.0.0".to_owned(),
        description: String::new(),
        kind: ApiKind::Http,
        lifecycle: Lifecycle::Published,
        is_default_version: false,
        operations: Vec::new(),
        endpoints: EndpointConfig::default(),
        plans: vec!["Gold".to_owned(), "Bronze".to_owned()],
        api_policy: None,
        has_http: true,
        has_https: true,
        security: Security::default(),
        authorization_header: None,
        max_tps: MaxTps::default(),
        visibility: Visibility::Public,
        visible_roles: Vec::new(),
        cors: None,
        scopes: Vec::new(),
        tags: Vec::new(),
        categories: Vec::new(),
        other_fields: "{}".to_owned(),
        revisions_made: 0,
        created_at: Timestamp(0),
        updated_at: Timestamp(0),
        updated_by: Username("admin".to_owned()),
    }
}
