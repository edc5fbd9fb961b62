//! What it takes to compile the routes of many APIs, to follow a change of one, and to find one, for `portcullis bench
//! routes`: the state machine's thread waits for the first two, and each call for the last.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Method, Request};
use portcullis_database::State;
use portcullis_database::state::Generation;
use portcullis_model::api::{EndpointConfig, EndpointStrategy, MaxTps, Security};
use portcullis_model::{
    ApiId, ApiKind, DeployedApi, Endpoint, Lifecycle, Operation, OperationAuth, RevisionId, TenantDomain, Username,
};

use super::{OWN_CHARS, STEP, digits};
use crate::cors::CompiledCors;
use crate::route::api::Usual;
use crate::route::compile::{Compiler, Projection};
use crate::route::operations::Found;
use crate::settings::Settings;
use crate::upstream::authorities::Authorities;

const ENVIRONMENT: &str = "Default";
/// How often an API is changed.
const CHANGES: u32 = 51;
/// A prime as [`STEP`] is one, for operations.
const OPERATION_STEP: u32 = 13;
const VERSION: &str = "1.0.0";
/// Backends that APIs share.
const BACKENDS: u32 = 500;
/// Where the digits of an API and of a resource are in a path.
const API_AT: usize = "/api-".len();
const RESOURCE_AT: usize = API_AT + OWN_CHARS + "/".len() + VERSION.len() + "/resource-".len();
const VERBS_COUNT: u32 = 4;
const VERBS: [Method; 4] = [Method::GET, Method::POST, Method::PUT, Method::DELETE];

/// What was measured.
#[derive(Clone, Copy, Debug)]
pub struct RouteTimes {
    /// To compile all of them, as at a node's start.
    pub compiled: Duration,
    /// To follow a new revision of one API: the median.
    pub changed: Duration,
    /// The same, the slowest.
    pub changed_at_most: Duration,
    /// To find the API and the operation of a path that is checked: the mean.
    pub found: Duration,
}

/// Compiles `apis` APIs of `operations` operations each, deploys new revisions of some of them, and looks `looks` times for
/// an operation of one.
///
/// # Errors
/// How many looks found no operation, or a wrong one; none should.
pub fn routes(apis: u32, operations: u32, looks: u32) -> Result<RouteTimes, u32> {
    let (apis, operations) = (apis.max(1), operations.max(1));
    let settings = Settings::default();
    let usual = Usual {
        cors: CompiledCors::new(&settings.cors),
        certificate_header: None,
        assertion_header: None,
        cluster_key: None,
    };
    let projection = Arc::new(Projection::default());
    let authorities = Arc::new(Authorities::of_the_system(None));
    let compiler = Compiler::new(vec![ENVIRONMENT.to_owned()], usual, authorities, Arc::clone(&projection));
    let mut state = State::default();
    for number in 0..apis {
        deploy(&mut state, (number, 1), operations);
    }
    let compiled = time(|| compiler.follow(&state));
    let mut changes: Vec<Duration> = (0..CHANGES)
        .map(|change| {
            // Whatever is read of the state before is still held by others, as it is in a node.
            let before = state.clone();
            deploy(&mut state, (change.wrapping_mul(STEP) % apis, 2), operations);
            let took = time(|| compiler.follow(&state));
            drop(before);
            took
        })
        .collect();
    changes.sort_unstable();
    let table = projection.table();
    // Any request without a host: where no API has a virtual host of its own it is not asked for.
    let (request, mut missed) = (Request::new(()).into_parts().0, 0);
    let mut path = format!("/api-{0:08x}/{VERSION}/resource-{0:08x}/7", 0).into_bytes();
    let took = time(|| {
        for look in 0..looks {
            let (api, operation) = (look.wrapping_mul(STEP) % apis, look.wrapping_mul(OPERATION_STEP) % operations);
            path[API_AT..API_AT + OWN_CHARS].copy_from_slice(&digits(api));
            path[RESOURCE_AT..RESOURCE_AT + OWN_CHARS].copy_from_slice(&digits(operation / VERBS_COUNT));
            let path = black_box(path.as_slice());
            let verb = &VERBS[index(operation % VERBS_COUNT)];
            let found = table.find(&request, false, path);
            let found = found.map(|route| route.api.operations.find(verb, &path[route.place.end..]));
            if found != Some(Found::Operation(index(operation))) {
                missed += 1;
            }
        }
    });
    let times = RouteTimes {
        compiled,
        changed: changes[changes.len() / 2],
        changed_at_most: changes[changes.len() - 1],
        found: took / looks.max(1),
    };
    if missed > 0 { Err(missed) } else { Ok(times) }
}

fn time(work: impl FnOnce()) -> Duration {
    let began = Instant::now();
    work();
    began.elapsed()
}

/// Puts a revision of an API into the projection, as a publisher's deployment does.
fn deploy(state: &mut State, (number, revision): (u32, u8), operations: u32) {
    let api = api(number, revision, operations);
    state.deployed.apis.insert((ENVIRONMENT.to_owned(), api.id), Arc::new(api));
    state.deployed.advance(Generation::Routes);
}

/// Makes an API: each of its resources has all verbs and a parameter.
fn api(number: u32, revision: u8, operations: u32) -> DeployedApi {
    let mut id = [0; 16];
    id[..4].copy_from_slice(&number.to_be_bytes());
    let operation = |number: u32| Operation {
        verb: VERBS[index(number % VERBS_COUNT)].to_string(),
        target: format!("/resource-{:08x}/{{id}}", number / VERBS_COUNT),
        auth: OperationAuth::Any,
        policy: "Unlimited".to_owned(),
        scopes: Vec::new(),
    };
    DeployedApi {
        id: ApiId::from_random(id),
        revision: RevisionId::from_random([revision; 16]),
        tenant: TenantDomain::super_tenant(),
        provider: Username("ann".to_owned()),
        name: format!("Api-{number:08x}"),
        context: format!("/api-{number:08x}"),
        version: VERSION.to_owned(),
        is_default_version: false,
        kind: ApiKind::Http,
        lifecycle: Lifecycle::Published,
        vhost: "localhost".to_owned(),
        operations: (0..operations).map(operation).collect(),
        endpoints: EndpointConfig {
            production: vec![Endpoint {
                url: format!("http://backend-{}.example.com", number % BACKENDS),
                timeout_ms: None,
            }],
            sandbox: Vec::new(),
            strategy: EndpointStrategy::Single,
            document: String::new(),
        },
        api_policy: None,
        has_http: true,
        has_https: true,
        security: Security::default(),
        authorization_header: None,
        max_tps: MaxTps::default(),
        cors: None,
    }
}

fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::routes;

    #[test]
    fn every_look_finds_its_operation() {
        assert!(routes(10, 20, 1_000).is_ok());
    }
}
