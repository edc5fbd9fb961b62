//! Follows the deployed projection: compiles what changed and tells the workers, on the state machine's thread.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use portcullis_database::State;
use portcullis_database::state::Generation;
use portcullis_graphql::Schema;
use portcullis_model::{ApiId, ApiKind, DeployedApi};
use tracing::{info, warn};

use super::api::{self, CompiledApi, More, Usual};
use super::endpoint::Origins;
use super::policies::Policies;
use super::table::{Place, RouteTable};
use crate::health::Checked;
use crate::upstream::authorities::Authorities;

/// What the state machine's thread writes and the workers read. Each of the numbers is one atomic load per call.
#[derive(Debug, Default)]
pub(crate) struct Projection {
    table: ArcSwap<RouteTable>,
    policies: ArcSwap<Policies>,
    /// Grows with each change of table or policies.
    version: AtomicU64,
    verdict_generation: AtomicU64,
    /// Some API asks for client certificates.
    wants_certificates: AtomicBool,
    /// The backends whose health is looked at.
    checked: ArcSwap<Vec<Checked>>,
    /// The key manager looks at client certificates.
    always_wants_certificates: AtomicBool,
}

impl Projection {
    /// Returns the version of table and policies. Read it before them.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Returns the policies.
    pub(crate) fn policies(&self) -> Arc<Policies> {
        self.policies.load_full()
    }

    /// Returns the table.
    pub(crate) fn table(&self) -> Arc<RouteTable> {
        self.table.load_full()
    }

    /// Returns the backends whose health is looked at.
    pub(crate) fn checked(&self) -> Arc<Vec<Checked>> {
        self.checked.load_full()
    }

    /// Says whether clients are to be asked for certificates.
    pub(crate) fn wants_certificates(&self) -> bool {
        self.wants_certificates.load(Ordering::Relaxed) || self.always_wants_certificates.load(Ordering::Relaxed)
    }

    /// Has clients asked for certificates whatever APIs want.
    pub(crate) fn always_want_certificates(&self) {
        self.always_wants_certificates.store(true, Ordering::Relaxed);
    }

    /// Returns the number that verdicts must carry to be used. Read it before the key manager is asked: then a verdict
    /// from before a revocation never carries the number from after it.
    pub(crate) fn verdict_generation(&self) -> u64 {
        self.verdict_generation.load(Ordering::Acquire)
    }
}

/// An API as it is deployed, and what was made of it.
struct Served {
    designed: Arc<DeployedApi>,
    more: More,
    compiled: Arc<CompiledApi>,
}

impl Served {
    /// Says whether it was made of these.
    fn is_of(&self, designed: &Arc<DeployedApi>, more: &More) -> bool {
        Arc::ptr_eq(&self.designed, designed) && self.more.is_same(more)
    }

    /// Returns the schema that it was made of where that is also the one of others: reading it takes much longer than all
    /// else, and the state machine waits.
    fn schema_for(&self, more: &More) -> Option<Arc<Schema>> {
        let is_same =
            self.more.graphql.as_ref().zip(more.graphql.as_ref()).is_some_and(|(own, its)| own.schema == its.schema);
        self.compiled.graphql.as_deref().filter(|_| is_same)?.schema.clone()
    }
}

/// Compiles the deployed projection.
pub(crate) struct Compiler {
    environments: Vec<String>,
    usual: Usual,
    projection: Arc<Projection>,
    /// Locked by the state machine's thread and by who administers the gateway; the workers never come here.
    compiled: Mutex<Compiled>,
}

#[derive(Default)]
struct Compiled {
    /// The generations of routes, keys and policies last seen, and the feature level, which some limits ask for.
    seen: Option<[u64; 4]>,
    /// By the number of the environment.
    apis: HashMap<(usize, ApiId), Served>,
    /// Those that this gateway was told not to serve though they are deployed.
    aside: HashSet<ApiId>,
    origins: Origins,
}

impl Compiler {
    pub(crate) fn new(
        environments: Vec<String>,
        usual: Usual,
        authorities: Arc<Authorities>,
        projection: Arc<Projection>,
    ) -> Self {
        let compiled = Compiled { origins: Origins::new(authorities), ..Compiled::default() };
        Self { environments, usual, projection, compiled: Mutex::new(compiled) }
    }

    /// Looks whether anything moved that concerns gateways, and follows.
    pub(crate) fn follow(&self, state: &State) {
        let deployed = &state.deployed;
        let [routes, keys, policies] =
            [Generation::Routes, Generation::Keys, Generation::Policies].map(|what| deployed.generation(what));
        let now = [routes, keys, policies, u64::from(state.feature_level())];
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        if compiled.seen == Some(now) {
            return;
        }
        let before = compiled.seen.replace(now);
        let has_changed = |number: usize| before.is_none_or(|before| before[number] != now[number]);
        let changed = if has_changed(0) { self.compile(&mut compiled, state) } else { HashSet::new() };
        if has_changed(0) || has_changed(2) || has_changed(3) {
            self.compile_policies(&compiled, state, &changed);
            self.projection.version.fetch_add(1, Ordering::AcqRel);
        }
        if before.is_some() && has_changed(1) {
            self.projection.verdict_generation.fetch_add(1, Ordering::AcqRel);
        }
    }

    fn compile_policies(&self, compiled: &Compiled, state: &State, changed: &HashSet<(usize, ApiId)>) {
        let before = self.projection.policies();
        let apis = compiled.apis.iter().map(|(key, served)| (key.0, &served.designed, changed.contains(key)));
        let policies = Policies::follow(&before, state, &self.environments, apis);
        self.projection.policies.store(Arc::new(policies));
    }

    /// Compiles the routes and returns which APIs have changed.
    fn compile(&self, compiled: &mut Compiled, state: &State) -> HashSet<(usize, ApiId)> {
        let mut before = std::mem::take(&mut compiled.apis);
        let mut changed = HashSet::new();
        let deployed = self.environments.iter().enumerate().flat_map(|(number, name)| {
            let rows = state.deployed.apis.range((name.clone(), ApiId(Default::default()))..);
            rows.take_while(move |((its, _), _)| its == name).map(move |(key, api)| (number, key, api))
        });
        for (number, key, api) in deployed {
            let place = (number, key.1);
            if !is_served(api.kind) || state.deployed.closed_tenants.contains_key(&api.tenant) {
                continue;
            }
            let mut more = More {
                edge: state.deployed.edge_security.get(key).cloned(),
                mediation: state.deployed.mediations.get(key).cloned(),
                definition: state.deployed.checked_definitions.get(key).cloned(),
                log: state.deployed.call_logs.get(&api.id).cloned(),
                trust: state.deployed.endpoint_trust.get(&api.tenant).cloned(),
                parts: state.deployed.product_parts.get(key).cloned(),
                gateway: state.deployed.gateway_policies.get(&(api.tenant.clone(), key.0.clone())).cloned(),
                graphql: state.deployed.graphql_rules.get(key).cloned(),
                websub: state.deployed.websub_rules.get(key).cloned(),
                schema: None,
            };
            let served = match before.remove(&place) {
                Some(served) if served.is_of(api, &more) => served,
                other => {
                    changed.insert(place);
                    more.schema = other.and_then(|served| served.schema_for(&more));
                    let new = CompiledApi::new((number, api), &more, &self.usual, &mut compiled.origins);
                    more.schema = None;
                    Served { designed: Arc::clone(api), more, compiled: Arc::new(new) }
                }
            };
            compiled.apis.insert(place, served);
        }
        info!(apis = compiled.apis.len(), changed = changed.len(), removed = before.len(), "routes compiled");
        drop(before);
        compiled.origins.forget_unused();
        self.publish(compiled);
        changed
    }

    /// Has the workers serve what is compiled and not set aside.
    fn publish(&self, compiled: &Compiled) {
        // In the order of environments and ids, so that all nodes serve the same API where two claim a context.
        let mut all: Vec<_> = compiled.apis.iter().filter(|((_, id), _)| !compiled.aside.contains(id)).collect();
        all.sort_unstable_by_key(|(place, _)| **place);
        let routes = all.iter().flat_map(|(_, served)| {
            api::contexts(&served.designed).into_iter().map(|context| Place {
                host: served.designed.vhost.clone(),
                context,
                api: Arc::clone(&served.compiled),
            })
        });
        let (table, claimed_twice) = RouteTable::new(routes);
        for context in claimed_twice {
            warn!(context, "context not served for one API: another one has it");
        }
        let wants = compiled.apis.values().any(|served| served.compiled.schemes.security.has_mutual_tls);
        self.projection.wants_certificates.store(wants, Ordering::Relaxed);
        let checked = compiled.apis.values().flat_map(|served| Checked::all_of(&served.compiled)).collect();
        self.projection.checked.store(Arc::new(checked));
        self.projection.table.store(Arc::new(table));
    }

    /// Has an API not be served here though it is deployed, or be served again.
    pub(crate) fn set_aside(&self, api: ApiId, is_aside: bool) {
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        let has_changed = if is_aside { compiled.aside.insert(api) } else { compiled.aside.remove(&api) };
        if has_changed {
            info!(%api, is_aside, "told what to serve of what is deployed");
            self.publish(&compiled);
            self.projection.version.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Returns the environments whose deployments are compiled.
    pub(crate) fn environments(&self) -> &[String] {
        &self.environments
    }

    /// Says whether what is deployed was compiled once.
    pub(crate) fn has_compiled(&self) -> bool {
        self.compiled.lock().unwrap_or_else(PoisonError::into_inner).seen.is_some()
    }
}

/// Says whether calls of such an API are HTTP exchanges or begin as one.
fn is_served(kind: ApiKind) -> bool {
    match kind {
        ApiKind::Http | ApiKind::Soap | ApiKind::SoapToRest | ApiKind::Graphql | ApiKind::Sse | ApiKind::Ws => true,
        ApiKind::Product | ApiKind::Websub => true,
        ApiKind::Async | ApiKind::Webhook => false,
    }
}
