//! Nouns for tests: APIs, policies, a gateway.

use portcullis_model::api::{MaxTps, Security, Visibility};
use portcullis_model::policy::{TimeUnit, Window};
use portcullis_model::{
    Api, ApiId, ApiKind, Deployment, EndpointConfig, Lifecycle, Operation, OperationAuth, PolicyId, PolicyLevel, Quota,
    QuotaPolicy, Revision, RevisionId, TenantDomain, Timestamp, Username,
};

use crate::settings::GatewayUrls;

/// Returns a published API of `admin` with the plans Gold and Bronze.
pub(crate) fn api(number: u8, name: &str) -> Api {
    Api {
        id: ApiId::from_random([number; 16]),
        tenant: TenantDomain::super_tenant(),
        provider: Username("admin".to_owned()),
        name: name.to_owned(),
        context: "/pizza".to_owned(),
        version: "1.0.0".to_owned(),
        description: String::new(),
        kind: ApiKind::Http,
        lifecycle: Lifecycle::Published,
        is_default_version: true,
        operations: vec![Operation {
            verb: "GET".to_owned(),
            target: "/menu".to_owned(),
            auth: OperationAuth::Any,
            policy: "Unlimited".to_owned(),
            scopes: Vec::new(),
        }],
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
        revisions_made: 1,
        created_at: Timestamp(1_700_000_000_000),
        updated_at: Timestamp(1_700_000_000_000),
        updated_by: Username("admin".to_owned()),
    }
}

/// Returns a revision of an API, deployed to `Default`.
pub(crate) fn deployed(api: &Api) -> Revision {
    Revision {
        id: RevisionId(api.id.0),
        api: api.id,
        number: 1,
        description: String::new(),
        created_at: api.created_at,
        content: std::sync::Arc::new(api.clone()),
        definition: "{}".into(),
        deployments: vec![Deployment {
            environment: "Default".to_owned(),
            vhost: "localhost".to_owned(),
            is_displayed: true,
            deployed_at: api.created_at,
        }],
    }
}

/// Returns a policy of the first tenant.
pub(crate) fn policy(level: PolicyLevel, name: &str, count: u64) -> QuotaPolicy {
    QuotaPolicy {
        id: PolicyId::from_random([u8::try_from(name.len()).unwrap(); 16]),
        tenant: TenantDomain::super_tenant(),
        level,
        name: name.to_owned(),
        display_name: name.to_owned(),
        description: format!("Allows {count} requests per minute"),
        quota: Quota::Requests(count),
        window: Window { length: 1, unit: TimeUnit::Minute },
        burst: None,
        stops_on_quota_reach: true,
        billing_plan: "FREE".to_owned(),
        other_fields: "{}".to_owned(),
        version: 1,
    }
}

/// Returns the addresses of a gateway.
pub(crate) fn gateway() -> GatewayUrls {
    GatewayUrls { http: "http://localhost:8280".to_owned(), https: "https://localhost:8243".to_owned() }
}
