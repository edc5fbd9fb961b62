//! What a publisher notices of the commands on APIs, revisions, deployments and lifecycles.

use std::sync::Arc;

use portcullis_model::api::{ApiScope, Endpoint};
use portcullis_model::revision::Deployment;
use portcullis_model::{
    Api, ApiId, DeployedApi, Lifecycle, LifecycleAction, Operation, OperationAuth, Refused, RevisionId, SubscriptionId,
    SubscriptionState, Timestamp,
};

use super::store_fixture::{Fixture, api as published_api, application, subscription};
use super::{
    ChangeLifecycle, CreateApi, CreateApplication, CreateRevision, CreateSubscription, DeleteApi, DeletePolicy,
    DeleteRevision, DeployRevision, PutDefinition, RestoreRevision, SetSubscriptionState, UndeployRevision, UpdateApi,
};
use crate::state::{Generation, State};

fn id(number: u8) -> ApiId {
    ApiId::from_random([number; 16])
}

fn revision_id(number: u8) -> RevisionId {
    RevisionId::from_random([number; 16])
}

/// An API named `Pizza` in a version.
fn pizza(number: u8, version: &str) -> Api {
    let mut api = Api {
        name: "Pizza".to_owned(),
        context: "/pizza".to_owned(),
        version: version.to_owned(),
        ..published_api(number)
    };
    api.provider.0 = "sam".to_owned();
    api.endpoints.production = vec![Endpoint { url: "http://backend.example".to_owned(), timeout_ms: None }];
    api
}

fn create(fixture: &mut Fixture, api: Api) -> Result<(), Refused> {
    fixture.apply(CreateApi { api, definition: Arc::from("{}") }).map(drop)
}

fn revise(fixture: &mut Fixture, api: u8, revision: u8) -> Result<u32, Refused> {
    fixture.apply(CreateRevision { api: id(api), revision: revision_id(revision), description: String::new() })
}

fn deploy(fixture: &mut Fixture, api: u8, revision: u8) -> Result<(), Refused> {
    let deployment = Deployment {
        environment: "Default".to_owned(),
        vhost: "localhost".to_owned(),
        is_displayed: true,
        deployed_at: Timestamp(0),
    };
    fixture.apply(DeployRevision { api: id(api), revision: revision_id(revision), deployments: vec![deployment] })
}

fn change(fixture: &mut Fixture, api: u8, action: LifecycleAction) -> Result<Lifecycle, Refused> {
    let (deprecates_old_versions, requires_resubscription) = (true, false);
    fixture.apply(ChangeLifecycle { api: id(api), action, deprecates_old_versions, requires_resubscription })
}

fn deployed(state: &State, api: u8) -> Option<&DeployedApi> {
    state.deployed.apis.get(&("Default".to_owned(), id(api))).map(AsRef::as_ref)
}

fn routes(state: &State) -> u64 {
    state.deployed.generation(Generation::Routes)
}

/// Creates, deploys and publishes version 1.0.0 as API 1 with revision 1.
fn published() -> Fixture {
    let mut fixture = Fixture::new();
    create(&mut fixture, pizza(1, "1.0.0")).unwrap();
    revise(&mut fixture, 1, 1).unwrap();
    deploy(&mut fixture, 1, 1).unwrap();
    change(&mut fixture, 1, LifecycleAction::Publish).unwrap();
    fixture
}

#[test]
fn names_versions_and_contexts_are_taken_once() {
    let mut fixture = Fixture::new();
    create(&mut fixture, pizza(1, "1.0.0")).unwrap();
    let other = |context: &str, version: &str| Api {
        name: "Other".to_owned(),
        context: context.to_owned(),
        ..pizza(9, version)
    };
    let exists = |refused: Result<(), Refused>| matches!(refused, Err(Refused::AlreadyExists { .. }));
    assert!(exists(create(&mut fixture, pizza(2, "1.0.0"))), "the same name and version");
    assert!(exists(create(&mut fixture, other("/pizza", "1.0.0"))), "the same context and version");
    assert!(exists(create(&mut fixture, other("/pizza", "3.0.0"))), "the same context under another name");
    assert!(exists(create(&mut fixture, other("/pizza/1.0.0", "3.0.0"))), "a context that is served already");
    let elsewhere = Api { context: "/pasta".to_owned(), ..pizza(2, "2.0.0") };
    assert!(matches!(create(&mut fixture, elsewhere), Err(Refused::Invalid { .. })), "versions share their context");
    assert_eq!((fixture.state.apimgt.apis.len(), fixture.state.apimgt.contexts.len()), (1, 1), "nothing changed");
    create(&mut fixture, pizza(2, "2.0.0")).unwrap();
    create(&mut fixture, other("/pizza/hot", "1.0.0")).unwrap();
}

#[test]
fn what_an_api_refers_to_must_exist() {
    let mut fixture = Fixture::new();
    let field = |refused: Result<(), Refused>| match refused {
        Err(Refused::Invalid { field, .. }) => field,
        other => panic!("a field was meant to be refused, not {other:?}"),
    };
    let plans = vec!["Platinum".to_owned()];
    assert_eq!(field(create(&mut fixture, Api { plans, ..pizza(1, "1") })), "policies");
    let api_policy = Some("1MPerMin".to_owned());
    assert_eq!(field(create(&mut fixture, Api { api_policy, ..pizza(1, "1") })), "apiThrottlingPolicy");
    let operation = Operation {
        verb: "GET".to_owned(),
        target: "/menu".to_owned(),
        auth: OperationAuth::Any,
        policy: "Unlimited".to_owned(),
        scopes: vec!["order".to_owned()],
    };
    assert_eq!(field(create(&mut fixture, Api { operations: vec![operation], ..pizza(1, "1") })), "operations");
    let name = "n".repeat(61);
    assert_eq!(field(create(&mut fixture, Api { name, ..pizza(1, "1") })), "name");
    assert!(fixture.state.apimgt.apis.is_empty());
}

#[test]
fn a_scope_belongs_to_the_versions_of_one_api() {
    let mut fixture = Fixture::new();
    let scope = ApiScope {
        name: "order".to_owned(),
        display_name: "order".to_owned(),
        description: String::new(),
        roles: Vec::new(),
        is_shared: false,
    };
    let scopes = vec![scope];
    create(&mut fixture, Api { scopes: scopes.clone(), ..pizza(1, "1.0.0") }).unwrap();
    create(&mut fixture, Api { scopes: scopes.clone(), ..pizza(2, "2.0.0") }).unwrap();
    let refused = create(&mut fixture, Api { scopes, ..published_api(3) }).unwrap_err();
    assert!(refused.to_string().contains("belongs to Pizza"), "{refused}");
}

#[test]
fn there_are_five_revisions_at_a_time_and_no_number_comes_twice() {
    let mut fixture = Fixture::new();
    create(&mut fixture, pizza(1, "1.0.0")).unwrap();
    for number in 1..=5 {
        assert_eq!(revise(&mut fixture, 1, number), Ok(u32::from(number)));
    }
    assert!(matches!(revise(&mut fixture, 1, 6), Err(Refused::LimitReached { max: 5, .. })));
    deploy(&mut fixture, 1, 2).unwrap();
    let delete =
        |fixture: &mut Fixture, number| fixture.apply(DeleteRevision { api: id(1), revision: revision_id(number) });
    assert!(matches!(delete(&mut fixture, 2), Err(Refused::WrongState { .. })), "it is deployed");
    delete(&mut fixture, 5).unwrap();
    assert_eq!(revise(&mut fixture, 1, 6), Ok(6));
    assert!(matches!(delete(&mut fixture, 5), Err(Refused::NotFound { .. })));
}

#[test]
fn gateways_serve_the_content_of_the_revision_with_the_lifecycle_of_the_api() {
    let mut fixture = published();
    let before = routes(&fixture.state);
    let changed = Api { has_http: false, ..pizza(1, "1.0.0") };
    fixture.apply(UpdateApi { api: changed, definition: None, expected: None }).unwrap();
    assert!(deployed(&fixture.state, 1).unwrap().has_http, "a change waits for the next deployment");
    assert_eq!(routes(&fixture.state), before);
    change(&mut fixture, 1, LifecycleAction::Block).unwrap();
    assert_eq!(deployed(&fixture.state, 1).unwrap().lifecycle, Lifecycle::Blocked, "a block does not");
    assert_eq!(routes(&fixture.state), before + 1);
    revise(&mut fixture, 1, 2).unwrap();
    deploy(&mut fixture, 1, 2).unwrap();
    let served = deployed(&fixture.state, 1).unwrap();
    assert_eq!((served.has_http, served.revision), (false, revision_id(2)));
    let first = fixture.state.apimgt.revisions.get(&(id(1), 1)).unwrap();
    assert!(first.deployments.is_empty(), "the revision before left the environment");
    fixture.apply(UndeployRevision { api: id(1), revision: revision_id(2), environments: None }).unwrap();
    assert_eq!(deployed(&fixture.state, 1), None);
}

#[test]
fn publishing_needs_a_plan_and_an_endpoint() {
    let mut fixture = Fixture::new();
    let mut without = pizza(1, "1.0.0");
    without.plans.clear();
    create(&mut fixture, without).unwrap();
    let refused = change(&mut fixture, 1, LifecycleAction::Publish).unwrap_err();
    assert!(refused.to_string().contains("business plan"), "{refused}");
    let mut without = pizza(1, "1.0.0");
    without.endpoints.production.clear();
    fixture.apply(UpdateApi { api: without, definition: None, expected: None }).unwrap();
    let refused = change(&mut fixture, 1, LifecycleAction::Publish).unwrap_err();
    assert!(refused.to_string().contains("endpoint"), "{refused}");
    let refused = change(&mut fixture, 1, LifecycleAction::Retire).unwrap_err();
    assert!(matches!(&refused, Refused::WrongState { reason } if reason.contains("Publish")), "{refused}");
    assert_eq!(fixture.state.apimgt.apis[&id(1)].lifecycle, Lifecycle::Created);
}

#[test]
fn publishing_a_version_deprecates_the_older_ones_and_takes_their_subscribers_along() {
    let mut fixture = published();
    fixture.apply(CreateApplication { application: application(1, "Shop") }).unwrap();
    let subscribe = CreateSubscription { subscription: subscription(3, 1, 1, "Gold"), owned_by: None };
    fixture.apply(subscribe).unwrap();
    create(&mut fixture, pizza(2, "1.10.0")).unwrap();
    create(&mut fixture, pizza(3, "1.9.0")).unwrap();
    change(&mut fixture, 2, LifecycleAction::Publish).unwrap();
    let lifecycle = |fixture: &Fixture, number| fixture.state.apimgt.apis[&id(number)].lifecycle;
    assert_eq!(lifecycle(&fixture, 1), Lifecycle::Deprecated);
    assert_eq!(deployed(&fixture.state, 1).unwrap().lifecycle, Lifecycle::Deprecated);
    let copies = |fixture: &Fixture, number| {
        fixture.state.apimgt.subscriptions_by_api.keys().filter(|(api, _)| *api == id(number)).count()
    };
    assert_eq!((copies(&fixture, 1), copies(&fixture, 2)), (1, 1));
    change(&mut fixture, 3, LifecycleAction::Publish).unwrap();
    assert_eq!(lifecycle(&fixture, 2), Lifecycle::Published, "1.9.0 is older than 1.10.0 and deprecates it not");
}

#[test]
fn a_retired_api_leaves_the_gateways_and_loses_its_subscriptions() {
    let mut fixture = published();
    fixture.apply(CreateApplication { application: application(1, "Shop") }).unwrap();
    let subscribe = CreateSubscription { subscription: subscription(3, 1, 1, "Gold"), owned_by: None };
    fixture.apply(subscribe).unwrap();
    let refused = fixture.apply(DeleteApi { api: id(1) }).unwrap_err();
    assert!(matches!(&refused, Refused::WrongState { reason } if reason.contains("1 subscription")), "{refused}");
    change(&mut fixture, 1, LifecycleAction::Deprecate).unwrap();
    let keys = fixture.state.deployed.generation(Generation::Keys);
    change(&mut fixture, 1, LifecycleAction::Retire).unwrap();
    assert_eq!(deployed(&fixture.state, 1), None);
    assert!(
        fixture.state.apimgt.subscriptions.is_empty() && fixture.state.apimgt.subscriptions_by_application.is_empty()
    );
    assert!(fixture.state.deployed.generation(Generation::Keys) > keys);
    assert!(matches!(deploy(&mut fixture, 1, 1), Err(Refused::WrongState { .. })));
    let events: Vec<Lifecycle> = fixture.state.apimgt.lifecycle_events.values().map(|event| event.to).collect();
    use Lifecycle::{Created, Deprecated, Published, Retired};
    assert_eq!(events, [Created, Published, Deprecated, Retired]);
}

#[test]
fn a_deleted_api_leaves_nothing_behind() {
    let mut fixture = published();
    fixture.apply(DeleteApi { api: id(1) }).unwrap();
    let State { apimgt, reg, deployed, .. } = &fixture.state;
    assert!(apimgt.apis.is_empty() && apimgt.contexts.is_empty() && apimgt.api_names.is_empty());
    assert!(apimgt.revisions.is_empty() && apimgt.revision_ids.is_empty() && apimgt.lifecycle_events.is_empty());
    assert!(reg.definitions.is_empty() && deployed.apis.is_empty() && apimgt.served_defaults.is_empty());
    create(&mut fixture, pizza(2, "1.0.0")).unwrap();
}

#[test]
fn the_default_version_changes_when_the_new_one_can_take_the_calls() {
    let mut fixture = published();
    let as_default = |number, version: &str| Api { is_default_version: true, ..pizza(number, version) };
    let is_default = |fixture: &Fixture, number| deployed(&fixture.state, number).unwrap().is_default_version;
    fixture.apply(UpdateApi { api: as_default(1, "1.0.0"), definition: None, expected: None }).unwrap();
    assert!(is_default(&fixture, 1));
    create(&mut fixture, as_default(2, "2.0.0")).unwrap();
    assert!(!fixture.state.apimgt.apis[&id(1)].is_default_version, "one version is marked");
    revise(&mut fixture, 2, 2).unwrap();
    deploy(&mut fixture, 2, 2).unwrap();
    assert!(is_default(&fixture, 1) && !is_default(&fixture, 2), "the new one is still being designed");
    change(&mut fixture, 2, LifecycleAction::Publish).unwrap();
    assert!(!is_default(&fixture, 1) && is_default(&fixture, 2));
    fixture.apply(DeleteApi { api: id(2) }).unwrap();
    assert!(!is_default(&fixture, 1), "no version is marked any more");
}

#[test]
fn a_change_of_what_somebody_else_changed_is_refused() {
    let mut fixture = Fixture::new();
    create(&mut fixture, pizza(1, "1.0.0")).unwrap();
    let seen = fixture.state.apimgt.apis[&id(1)].updated_at;
    let update = |description: &str| UpdateApi {
        api: Api { description: description.to_owned(), name: "Renamed".to_owned(), ..pizza(1, "1.0.0") },
        definition: None,
        expected: Some(seen),
    };
    fixture.apply(update("first")).unwrap();
    assert!(matches!(fixture.apply(update("second")), Err(Refused::Stale { .. })));
    let api = &fixture.state.apimgt.apis[&id(1)];
    assert_eq!((api.description.as_str(), api.name.as_str()), ("first", "Pizza"), "the name stays");
}

#[test]
fn a_restored_revision_brings_back_content_and_definition() {
    let mut fixture = published();
    let operation = Operation {
        verb: "GET".to_owned(),
        target: "/menu".to_owned(),
        auth: OperationAuth::Any,
        policy: "Unlimited".to_owned(),
        scopes: Vec::new(),
    };
    let command = PutDefinition {
        api: id(1),
        definition: Arc::from("new"),
        operations: vec![operation],
        scopes: Vec::new(),
        expected: None,
    };
    fixture.apply(command).unwrap();
    assert_eq!(fixture.state.apimgt.apis[&id(1)].operations.len(), 1);
    fixture.apply(RestoreRevision { api: id(1), revision: revision_id(1) }).unwrap();
    let api = &fixture.state.apimgt.apis[&id(1)];
    assert_eq!((api.operations.len(), api.lifecycle, api.revisions_made), (0, Lifecycle::Published, 1));
    assert_eq!(&*fixture.state.reg.definitions[&id(1)], "{}");
}

#[test]
fn a_blocked_subscription_tells_the_gateways_to_forget_its_keys() {
    let mut fixture = published();
    fixture.apply(CreateApplication { application: application(1, "Shop") }).unwrap();
    let subscribe = CreateSubscription { subscription: subscription(3, 1, 1, "Gold"), owned_by: None };
    fixture.apply(subscribe).unwrap();
    let subscription = SubscriptionId::from_random([3; 16]);
    let keys = fixture.state.deployed.generation(Generation::Keys);
    let state = SubscriptionState::Blocked;
    fixture.apply(SetSubscriptionState { subscription, state }).unwrap();
    assert_eq!(fixture.state.apimgt.subscriptions[&subscription].state, SubscriptionState::Blocked);
    assert_eq!(fixture.state.deployed.generation(Generation::Keys), keys + 1);
    let state = SubscriptionState::OnHold;
    assert!(matches!(fixture.apply(SetSubscriptionState { subscription, state }), Err(Refused::Invalid { .. })));
}

#[test]
fn a_plan_that_an_api_offers_cannot_be_deleted() {
    let mut fixture = published();
    let api = &fixture.state.apimgt.apis[&id(1)];
    let command = DeletePolicy {
        tenant: api.tenant.clone(),
        level: portcullis_model::PolicyLevel::Subscription,
        name: "Gold".to_owned(),
    };
    assert!(matches!(fixture.apply(command), Err(Refused::WrongState { .. })));
}

#[test]
fn what_gateways_get_of_an_api_fits_into_a_record() {
    let with = |bytes: usize| {
        let parameters = serde_json::json!({"headerName": "x", "headerValue": "1".repeat(1_000)});
        let policy = serde_json::json!({"policyName": "addHeader", "parameters": parameters});
        let flows = serde_json::json!({"operationPolicies": {"request": [policy]}});
        let operations: serde_json::Map<_, _> =
            (0..bytes / 1_000).map(|number| (format!("GET /{number}"), flows.clone())).collect();
        let other_fields = serde_json::json!({"operations": operations}).to_string();
        crate::api_rules::check_mediation(&Api { other_fields, ..pizza(1, "1.0.0") })
    };
    assert_eq!(with(1 << 20), Ok(()));
    let refused = with(9 << 20).unwrap_err();
    assert!(matches!(&refused, Refused::Invalid { field, reason } if field == "API" && reason.contains("8388608")));
}
