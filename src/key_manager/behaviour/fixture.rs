//! The rows a world starts with.

use std::sync::OnceLock;

use portcullis_database::command::{self, Bootstrap};
use portcullis_database::handle::random_bytes;
use portcullis_database::{Entry, State, codec};
use portcullis_model::api::{ApiScope, MaxTps, Security, Visibility};
use portcullis_model::{
    Api, ApiId, ApiKind, Application, ApplicationId, ApplicationState, EndpointConfig, Lifecycle, NodeAddresses,
    Principal, Role, TenantDomain, Timestamp, TokenType, Username,
};

use super::world::{PASSWORD, cluster_key};
use crate::hash_password;

pub(super) fn bootstrap(state: &mut State) {
    static HASH: OnceLock<String> = OnceLock::new();
    let command = Bootstrap {
        cluster_id: uuid::Builder::from_random_bytes([9; 16]).into_uuid(),
        cluster_name: "test".to_owned(),
        ca_certificate: String::new(),
        ca_key: cluster_key().seal(b""),
        node_name: "one".to_owned(),
        node_addresses: NodeAddresses {
            cluster: "127.0.0.1:7443".parse().unwrap(),
            management: "127.0.0.1:9443".parse().unwrap(),
            gateway_http: "127.0.0.1:8280".parse().unwrap(),
            gateway_https: "127.0.0.1:8243".parse().unwrap(),
        },
        admin_password_hash: HASH.get_or_init(|| hash_password(PASSWORD)).clone(),
    };
    let entry = Entry {
        command: <Bootstrap as command::Numbered>::NUMBER,
        proposed_at: Timestamp(1),
        random: random_bytes(),
        principal: Principal::system(),
        idempotency: None,
        payload: codec::encode(&command).unwrap(),
    };
    command::apply(state, 1, &entry).unwrap().result.unwrap();
}

pub(super) fn application(id: ApplicationId, token_type: TokenType) -> Application {
    Application {
        id,
        tenant: TenantDomain::super_tenant(),
        owner: Username("admin".to_owned()),
        name: "pizza-app".to_owned(),
        description: String::new(),
        policy: "50PerMin".to_owned(),
        token_type,
        state: ApplicationState::Approved,
        groups: Vec::new(),
        attributes: std::collections::BTreeMap::default(),
        created_at: Timestamp(0),
        updated_at: Timestamp(0),
    }
}

pub(super) fn api(id: ApiId) -> Api {
    let scope = |name: &str, roles: &[&str]| ApiScope {
        name: name.to_owned(),
        display_name: name.to_owned(),
        description: String::new(),
        roles: roles.iter().map(|role| Role((*role).to_owned())).collect(),
        is_shared: false,
    };
    Api {
        id,
        tenant: TenantDomain::super_tenant(),
        provider: Username("admin".to_owned()),
        name: "pizza".to_owned(),
        context: "/pizza".to_owned(),
        version: "1.0.0".to_owned(),
        description: String::new(),
        kind: ApiKind::Http,
        lifecycle: Lifecycle::Published,
        is_default_version: false,
        operations: Vec::new(),
        endpoints: EndpointConfig::default(),
        plans: vec!["Gold".to_owned()],
        api_policy: None,
        has_http: true,
        has_https: true,
        security: Security::default(),
        authorization_header: None,
        max_tps: MaxTps::default(),
        visibility: Visibility::Public,
        visible_roles: Vec::new(),
        cors: None,
        scopes: vec![scope("order", &["Internal/subscriber"]), scope("bake", &["cook"]), scope("look", &[])],
        tags: Vec::new(),
        categories: Vec::new(),
        other_fields: "{}".to_owned(),
        revisions_made: 0,
        created_at: Timestamp(0),
        updated_at: Timestamp(0),
        updated_by: Username("admin".to_owned()),
    }
}
