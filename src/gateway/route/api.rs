//! A deployed API, compiled to what the gateway asks of it with each call.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, Method};
use portcullis_database::ClusterKey;
use portcullis_graphql::Schema;
use portcullis_model::ai::AiRules;
use portcullis_model::api::EndpointConfig;
use portcullis_model::api::versioned_context;
use portcullis_model::backend_care::{Beside, Besides};
use portcullis_model::call_log::{CallLog, CallLogLevel};
use portcullis_model::dynamic_endpoint::DynamicEndpoints;
use portcullis_model::endpoint_trust::EndpointTrust;
use portcullis_model::graphql::GraphqlRules;
use portcullis_model::mediation::Flows;
use portcullis_model::product::ProductPart;
use portcullis_model::statistics::CalledApi;
use portcullis_model::websub::WebsubRules;
use portcullis_model::{
    ApiId, ApiKind, BackendCare, BackendProof, BackendProofs, DeployedApi, EdgeSecurity, Endpoint, EndpointCare,
    KeyType, Lifecycle, Mediation, OperationAuth, TenantDomain,
};
use serde_json::Value;
use tracing::warn;

use super::endpoint::{EndpointGroup, Origins};
use super::graphql::Graphql;
use super::operations::Operations;
use super::schemes::Schemes;
use super::session::Session;
use super::templates::Templates;
use super::websub::Websub;
use crate::aside::{Aside, Canary, Mirror};
use crate::cors::CompiledCors;
use crate::dynamic::Dynamic;
use crate::mediation::{Choices, Own, Plan};
use crate::proof::Proof;
use crate::soap_session::SoapSession;
use crate::token_places::TokenPlaces;
use crate::validation::Definition;

/// A compiled API.
#[derive(Debug)]
pub(crate) struct CompiledApi {
    pub(crate) id: ApiId,
    /// The number of the environment among those that the gateway serves.
    pub(crate) environment: usize,
    pub(crate) tenant: TenantDomain,
    /// How statistics name it.
    pub(crate) called: Arc<CalledApi>,
    /// The context with the version.
    pub(crate) context: String,
    /// Calls are handshakes of WebSockets.
    pub(crate) is_websocket: bool,
    pub(crate) is_blocked: bool,
    /// Open to all: no key is asked for.
    pub(crate) is_open: bool,
    pub(crate) has_http: bool,
    pub(crate) has_https: bool,
    pub(crate) schemes: Schemes,
    pub(crate) cors: CompiledCors,
    /// Finds the number of an operation.
    pub(crate) operations: Operations,
    /// The operations by number.
    pub(crate) rules: Vec<Rule>,
    /// Its backends; of a product, none.
    pub(crate) backends: Backends,
    /// The backends of the APIs of a product.
    pub(crate) parts: Vec<Backends>,
    /// What its queries are read by, where it speaks GraphQL.
    pub(crate) graphql: Option<Box<Graphql>>,
    /// What its callbacks and events are read by, where it is of WebSub.
    pub(crate) websub: Option<Box<Websub>>,
    /// Where answers say how many tokens they took, where it is an AI API.
    pub(crate) tokens: Option<Arc<TokenPlaces>>,
    /// How long an answer may be given again without asking the backend.
    pub(crate) cached_for: Option<Duration>,
    /// A number that no other API has, and this one had not when it was compiled before.
    pub(crate) number: u64,
}

/// The backends of an API by type of key.
#[derive(Debug)]
pub(crate) struct Backends {
    production: EndpointGroup,
    sandbox: EndpointGroup,
}

/// What of a deployed API has rows of its own.
#[derive(Debug, Default, Clone)]
pub(crate) struct More {
    pub(crate) edge: Option<Arc<EdgeSecurity>>,
    pub(crate) mediation: Option<Arc<Mediation>>,
    /// The OpenAPI document that calls are checked against.
    pub(crate) definition: Option<Arc<str>>,
    /// How much is logged of its calls.
    pub(crate) log: Option<Arc<CallLog>>,
    /// By what the backends of its tenant are trusted.
    pub(crate) trust: Option<Arc<EndpointTrust>>,
    /// Where the operations of a product go.
    pub(crate) parts: Option<Arc<Vec<ProductPart>>>,
    /// What is applied to all APIs of its tenant in the environment.
    pub(crate) gateway: Option<Arc<Flows>>,
    /// The schema of an API of the type GRAPHQL.
    pub(crate) graphql: Option<Arc<GraphqlRules>>,
    /// What events of an API of the type WEBSUB are taken by.
    pub(crate) websub: Option<Arc<WebsubRules>>,
    /// That schema where it was read before. Made of the row, and none of its own.
    pub(crate) schema: Option<Arc<Schema>>,
}

impl More {
    /// Says whether both are of the same rows.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        fn at<T: ?Sized>(row: &Option<Arc<T>>) -> Option<*const ()> {
            row.as_ref().map(|row| Arc::as_ptr(row).cast())
        }
        at(&self.edge) == at(&other.edge)
            && at(&self.mediation) == at(&other.mediation)
            && at(&self.definition) == at(&other.definition)
            && at(&self.log) == at(&other.log)
            && at(&self.trust) == at(&other.trust)
            && at(&self.parts) == at(&other.parts)
            && at(&self.gateway) == at(&other.gateway)
            && at(&self.graphql) == at(&other.graphql)
            && at(&self.websub) == at(&other.websub)
    }
}

/// What the gateway's settings say about every API.
#[derive(Debug)]
pub(crate) struct Usual {
    /// Cross-origin settings of APIs that have none of their own.
    pub(crate) cors: CompiledCors,
    /// The header by which trusted proxies pass on clients' certificates.
    pub(crate) certificate_header: Option<HeaderName>,
    /// The header in which backends are told who calls.
    pub(crate) assertion_header: Option<HeaderName>,
    /// Opens what publishers entrusted.
    pub(crate) cluster_key: Option<ClusterKey>,
}

/// What one operation asks for.
#[derive(Debug)]
pub(crate) struct Rule {
    /// The operation's number in the API as deployed.
    pub(crate) operation: usize,
    /// How statistics name it: verb and template.
    pub(crate) resource: Arc<str>,
    pub(crate) auth: OperationAuth,
    /// Sets of scopes; the token must hold one of each.
    pub(crate) scopes: Vec<Vec<String>>,
    /// Which part of a product its calls go to.
    pub(crate) part: Option<usize>,
    /// What is done to its calls on their way.
    pub(crate) plan: Option<Plan>,
    /// How much is logged of its calls.
    pub(crate) log: CallLogLevel,
}

impl CompiledApi {
    /// Compiles an API. What cannot be understood is logged and left out: the rest of the API is served.
    pub(crate) fn new(
        (environment, api): (usize, &DeployedApi),
        more: &More,
        usual: &Usual,
        origins: &mut Origins,
    ) -> Self {
        origins.trust_as(more.trust.as_ref());
        let mediation = more.mediation.as_deref();
        let ai = mediation.and_then(AiRules::among);
        let tokens = ai.as_ref().and_then(|ai| TokenPlaces::new(&ai.provider)).map(Arc::new);
        let mut choices = Choices::new(api, ai, usual);
        let (operations, rules) = compile_operations(api, more, &mut choices, origins);
        let backends = Backends::new(api.id, &api.endpoints, usual, origins);
        let parts = more.parts.as_deref().map(Vec::as_slice).unwrap_or_default();
        let parts: Vec<Backends> =
            parts.iter().map(|part| Backends::new(part.api, &part.endpoints, usual, origins)).collect();
        // An answer is kept by what the caller asked for, which does not say what the policies made of it.
        let is_dynamic = std::iter::once(&backends).chain(&parts).any(Backends::is_dynamic);
        let cached_for_s = mediation.and_then(|mediation| mediation.cached_for_s).filter(|_| !is_dynamic);
        Self {
            id: api.id,
            environment,
            tenant: api.tenant.clone(),
            called: Arc::new(called(api)),
            context: versioned_context(&api.context, &api.version),
            is_websocket: api.kind == ApiKind::Ws,
            is_blocked: api.lifecycle == Lifecycle::Blocked,
            is_open: api.lifecycle == Lifecycle::Prototyped,
            has_http: api.has_http,
            has_https: api.has_https,
            schemes: Schemes::new(
                api,
                more.edge.as_deref(),
                usual.certificate_header.as_ref(),
                usual.assertion_header.as_ref(),
            ),
            cors: api.cors.as_ref().map_or_else(|| usual.cors.clone(), CompiledCors::new),
            operations,
            graphql: (api.kind == ApiKind::Graphql)
                .then(|| Box::new(Graphql::new(api, more, &rules, (&mut choices, origins)))),
            websub: (api.kind == ApiKind::Websub).then(|| {
                let (designed, key) = (more.websub.as_deref(), usual.cluster_key.as_ref());
                Box::new(Websub::new(api.id, designed, &api.operations, &rules, key))
            }),
            rules,
            backends,
            parts,
            tokens,
            cached_for: cached_for_s.map(Duration::from_secs),
            number: origins.next_id(),
        }
    }

    /// Returns how statistics name the backend with a number.
    pub(crate) fn address_of(&self, endpoint: u64) -> Option<Arc<str>> {
        let backends = std::iter::once(&self.backends).chain(&self.parts);
        let usual = backends.flat_map(|backends| [&backends.production, &backends.sandbox]);
        let of_models = self.rules.iter().filter_map(|rule| rule.plan.as_ref()).flat_map(Plan::groups);
        for group in usual.chain(of_models) {
            let canary = group.aside.as_ref().and_then(|aside| aside.canary.as_ref()).map(|canary| &canary.group);
            let mut all = std::iter::once(group).chain(canary).flat_map(|group| &group.endpoints);
            if let Some(known) = all.find(|known| known.id == endpoint) {
                return Some(Arc::clone(&known.address));
            }
        }
        None
    }

    /// Returns the backends for keys of a type: those of a part of a product, or the API's own.
    pub(crate) fn endpoints(&self, part: Option<usize>, key_type: KeyType) -> &EndpointGroup {
        let backends = part.and_then(|part| self.parts.get(part)).unwrap_or(&self.backends);
        match key_type {
            KeyType::Production => &backends.production,
            KeyType::Sandbox => &backends.sandbox,
        }
    }
}

fn called(api: &DeployedApi) -> CalledApi {
    CalledApi {
        id: api.id,
        tenant: api.tenant.clone(),
        provider: api.provider.clone(),
        name: api.name.clone(),
        version: api.version.clone(),
        context: versioned_context(&api.context, &api.version),
    }
}

impl Backends {
    /// Says whether policies name those of a type of key call by call.
    fn is_dynamic(&self) -> bool {
        self.production.dynamic.is_some() || self.sandbox.dynamic.is_some()
    }

    fn new(api: ApiId, designed: &EndpointConfig, usual: &Usual, origins: &mut Origins) -> Self {
        let document = serde_json::from_str(&designed.document).unwrap_or_default();
        let proofs = proofs(api, &document, usual, origins);
        if let Some((dynamic, _refused_before)) = DynamicEndpoints::of_document(&document) {
            let (care, _refused_before) = BackendCare::of_document(&document);
            let DynamicEndpoints { production, sandbox, allowed } = dynamic;
            let mut group = |designed: &[Endpoint], its: EndpointCare, besides, proof| {
                let dynamic =
                    designed.first().map(|one| Box::new(Dynamic::new(its, one.timeout_ms, allowed.clone(), origins)));
                let aside = aside(api, besides, origins);
                EndpointGroup { dynamic, proof, aside, ..EndpointGroup::none(origins.next_id()) }
            };
            return Self {
                production: group(&designed.production, production, &care.beside_production, proofs.production),
                sandbox: group(&designed.sandbox, sandbox, &care.beside_sandbox, proofs.sandbox),
            };
        }
        let (care, _refused_before) = BackendCare::of_document(&document);
        Self {
            production: group((api, designed), KeyType::Production, &care, proofs.production, origins),
            sandbox: group((api, designed), KeyType::Sandbox, &care, proofs.sandbox, origins),
        }
    }
}

/// Compiles the backends for keys of one type.
pub(crate) fn group_for(
    api: ApiId,
    designed: &EndpointConfig,
    key_type: KeyType,
    usual: &Usual,
    origins: &mut Origins,
) -> EndpointGroup {
    let Backends { production, sandbox } = Backends::new(api, designed, usual, origins);
    match key_type {
        KeyType::Production => production,
        KeyType::Sandbox => sandbox,
    }
}

fn compile_operations(
    api: &DeployedApi,
    more: &More,
    choices: &mut Choices<'_>,
    origins: &mut Origins,
) -> (Operations, Vec<Rule>) {
    let parts = more.parts.as_deref().map(Vec::as_slice).unwrap_or_default();
    let definition = more.definition.as_deref().map(|text| Definition::new(text, api.id.to_string()));
    let definition = definition.and_then(|read| {
        read.inspect_err(|error| warn!(api = %api.id, %error, "calls not checked: the definition is not usable")).ok()
    });
    let answer_of_all = more.mediation.as_deref().and_then(Own::of_all);
    let mut operations = Templates::default();
    let mut rules: Vec<Rule> = Vec::with_capacity(api.operations.len());
    let mut channels: HashMap<&str, usize> = HashMap::new();
    let part_of = |resource: &String| parts.iter().position(|part| part.operations.contains(resource));
    for (number, operation) in api.operations.iter().enumerate() {
        let scopes = Some(operation.scopes.clone()).filter(|scopes| !scopes.is_empty());
        let Ok(verb) = verb_of(api.kind, &operation.verb) else {
            warn!(api = %api.id, verb = operation.verb, "operation not served: the verb is not one of HTTP");
            continue;
        };
        // One handshake opens a channel both ways, so who opens it needs what either way asks for.
        if api.kind == ApiKind::Ws
            && let Some(&known) = channels.get(operation.target.as_str())
        {
            let rule = &mut rules[known];
            if rule.auth == OperationAuth::None {
                rule.auth = operation.auth;
            }
            rule.scopes.extend(scopes);
            continue;
        }
        // Which operations of GraphQL a call is for is in its query; of WebSub in its parameters.
        let is_by_path = !matches!(api.kind, ApiKind::Graphql | ApiKind::Websub);
        let placed = if is_by_path { operations.add(verb, &operation.target, rules.len()) } else { Ok(()) };
        if let Err(error) = placed {
            warn!(api = %api.id, target = operation.target, %error, "operation not served");
            continue;
        }
        channels.insert(&operation.target, rules.len());
        let plan = if matches!(api.kind, ApiKind::Ws | ApiKind::Graphql | ApiKind::Websub) {
            None
        } else {
            let checks = definition.as_ref().and_then(|one| one.checks(&operation.verb, &operation.target));
            let done = (more.gateway.as_deref(), more.mediation.as_deref(), answer_of_all.as_ref());
            Plan::new(done, checks, operation, (choices, origins))
        };
        let resource = format!("{} {}", operation.verb, operation.target);
        let log = more.log.as_deref().map(|log| log.of(&operation.verb, &operation.target)).unwrap_or_default();
        let scopes = scopes.into_iter().collect();
        rules.push(Rule {
            operation: number,
            part: part_of(&resource),
            resource: resource.into(),
            auth: operation.auth,
            scopes,
            plan,
            log,
        });
    }
    (operations.into_operations(), rules)
}

/// Returns the verb of HTTP by which an operation is called: channels are opened by GET.
fn verb_of(kind: ApiKind, verb: &str) -> Result<Method, http::method::InvalidMethod> {
    let verb = verb.to_ascii_uppercase();
    match (kind, verb.as_str()) {
        (ApiKind::Ws, _) | (ApiKind::Sse, "SUBSCRIBE") => Ok(Method::GET),
        (ApiKind::Sse, "PUBLISH") | (ApiKind::Websub, _) => Ok(Method::POST),
        _ => verb.parse(),
    }
}

/// The proofs for backends of each key type.
struct Proofs {
    production: Option<Proof>,
    sandbox: Option<Proof>,
}

/// Makes the proofs. Where one cannot be made, calls are refused: without, they would look like somebody else's.
fn proofs(api: ApiId, document: &Value, usual: &Usual, origins: &mut Origins) -> Proofs {
    let (designed, _refused_before) = BackendProofs::of_document(document);
    let mut make = |designed: Option<BackendProof>| {
        let made = Proof::new(&designed?, usual.cluster_key.as_ref(), origins);
        Some(made.unwrap_or_else(|error| {
            warn!(%api, %error, "calls not passed on: the gateway cannot prove itself to the backend");
            Proof::Unusable
        }))
    };
    Proofs { production: make(designed.production), sandbox: make(designed.sandbox) }
}

fn group(
    (api, config): (ApiId, &EndpointConfig),
    key_type: KeyType,
    care: &BackendCare,
    proof: Option<Proof>,
    origins: &mut Origins,
) -> EndpointGroup {
    let (designed, cares, besides) = match key_type {
        KeyType::Production => (&config.production, &care.production, &care.beside_production),
        KeyType::Sandbox => (&config.sandbox, &care.sandbox, &care.beside_sandbox),
    };
    let usual = EndpointCare::default();
    let mut endpoints = Vec::with_capacity(designed.len());
    for (number, endpoint) in designed.iter().enumerate() {
        match origins.endpoint_with(endpoint, cares.get(number).unwrap_or(&usual)) {
            Ok(endpoint) => endpoints.push(endpoint),
            Err(error) => warn!(%api, url = endpoint.url, %error, "endpoint not used"),
        }
    }
    let scope = format!("{api} {}", key_type.as_contract());
    let shared = Some(&care.sharing).filter(|_| endpoints.len() > 1);
    let session = shared.and_then(|shared| shared.session);
    EndpointGroup {
        session: session.filter(|one| !one.is_soap).map(|session| Session::new(session, &scope, &endpoints)),
        soap_session: session.filter(|one| one.is_soap).map(|_| SoapSession::new(&scope, &endpoints)),
        strategy: config.strategy,
        endpoints,
        proof,
        aside: aside(api, besides, origins),
        turns: care.sharing.turns,
        fails_over: care.sharing.fails_over,
        ..EndpointGroup::none(origins.next_id())
    }
}

/// Compiles where calls go besides.
fn aside(api: ApiId, designed: &Besides, origins: &mut Origins) -> Option<Box<Aside>> {
    let mut endpoint = |beside: &Beside| {
        let address = Endpoint { url: beside.url.clone(), timeout_ms: None };
        let made = origins.endpoint_with(&address, &beside.care);
        let made = made.inspect_err(|error| warn!(%api, url = beside.url, %error, "endpoint not used")).ok();
        made.map(|made| (made, origins.next_id()))
    };
    let canary = designed.canary.as_ref().and_then(|canary| {
        let (made, id) = endpoint(canary)?;
        let header = canary
            .header
            .as_ref()
            .and_then(|(name, value)| Some((http::HeaderName::from_bytes(name.as_bytes()).ok()?, value.clone())));
        let group = EndpointGroup { endpoints: vec![made], ..EndpointGroup::none(id) };
        Some(Canary { group, percent: canary.percent, header })
    });
    let mirror = designed.mirror.as_ref().and_then(|mirror| {
        let (endpoint, id) = endpoint(mirror)?;
        Some(Mirror { id, endpoint, percent: mirror.percent })
    });
    (canary.is_some() || mirror.is_some()).then(|| Box::new(Aside { canary, mirror }))
}

/// Returns the paths below which an API is served: with its version and, for a default version, without.
pub(crate) fn contexts(api: &DeployedApi) -> Vec<String> {
    let mut contexts = vec![versioned_context(&api.context, &api.version)];
    if api.is_default_version {
        contexts.push(api.context.replace("/{version}", "").trim_end_matches('/').to_owned());
    }
    contexts.retain(|context| context.len() > 1 && context.starts_with('/'));
    contexts
}
