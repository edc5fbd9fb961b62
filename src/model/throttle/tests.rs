use std::collections::HashMap;
use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::deny_list::{Suspect, SuspectApplication};
use super::*;
use crate::api::{ApiKind, EndpointConfig, MaxTps, Security};
use crate::counter::{CHECK_ORDER, CounterKey, CounterLevel};
use crate::deny::{DenyCondition, DenyPolicy};
use crate::policy::{Burst, DataUnit, QuotaUnit, TimeUnit, UNLIMITED};
use crate::policy_rules::{Condition, ConditionGroup, CustomRule, GroupCondition};
use crate::{
    ApiId, ApplicationId, DeployedApi, KeyType, Lifecycle, Operation, OperationAuth, PolicyId, PolicyLevel,
    PolicyRules, Quota, QuotaPolicy, RevisionId, TenantDomain, Timestamp, Username, Window,
};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn call<'a>(headers: &'a HeaderMap, claims: &'a dyn TokenClaims) -> Call<'a> {
    Call {
        client: ip("10.1.2.3"),
        headers,
        query: "plan=gold+plus&empty&plan=%C3%A9",
        api_context: "/pizza/1.0.0",
        api_version: "1.0.0",
        api_tenant: "carbon.super",
        resource_key: "/pizza/1.0.0/1.0.0/menu:GET",
        caller: Caller {
            user_id: "mia@carbon.super",
            application_id: "00000000-0000-4000-8000-000000000009",
            application_tenant: "carbon.super",
            claims,
        },
    }
}

fn headers(of: &[(&'static str, &'static str)]) -> HeaderMap {
    of.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
}

fn claims(of: &[(&str, &str)]) -> Vec<(String, String)> {
    of.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn header(name: &str, pattern: &str) -> Condition {
    Condition::Header { name: name.to_owned(), pattern: pattern.to_owned() }
}

fn query(name: &str, pattern: &str) -> Condition {
    Condition::Query { name: name.to_owned(), pattern: pattern.to_owned() }
}

fn claim(name: &str, pattern: &str) -> Condition {
    Condition::Claim { name: name.to_owned(), pattern: pattern.to_owned() }
}

fn range(from: &str, to: &str) -> Condition {
    Condition::IpRange { from: ip(from), to: ip(to) }
}

const MINUTE: Window = Window { length: 1, unit: TimeUnit::Minute };

fn policy(level: PolicyLevel, name: &str, quota: Quota) -> QuotaPolicy {
    QuotaPolicy {
        id: PolicyId::from_random([1; 16]),
        tenant: TenantDomain::super_tenant(),
        level,
        name: name.to_owned(),
        display_name: String::new(),
        description: String::new(),
        quota,
        window: MINUTE,
        burst: None,
        stops_on_quota_reach: true,
        billing_plan: String::new(),
        other_fields: String::new(),
        version: 1,
    }
}

fn group(conditions: &[(Condition, bool)], limit: u64) -> ConditionGroup {
    let conditions = conditions
        .iter()
        .map(|(condition, is_inverted)| GroupCondition { condition: condition.clone(), is_inverted: *is_inverted });
    let quota = Quota::Requests(limit);
    ConditionGroup { description: String::new(), conditions: conditions.collect(), quota, window: MINUTE }
}

#[test]
fn a_condition_holds_of_the_calls_it_describes_and_its_inversion_of_all_others() {
    let headers = headers(&[("x-kind", "mobile"), ("x-kind", "beta")]);
    let claims = claims(&[("http://wso2.org/claims/role", "admin"), ("sub", "mia")]);
    let call = call(&headers, &claims);
    let table = [
        (Condition::Ip("10.1.2.3/32".parse().unwrap()), true),
        (Condition::Ip("10.0.0.0/8".parse().unwrap()), true),
        (Condition::Ip("11.0.0.0/8".parse().unwrap()), false),
        (Condition::Ip("::/0".parse().unwrap()), false),
        (range("10.1.2.3", "10.1.2.9"), true),
        (range("10.1.2.4", "10.1.2.9"), false),
        (range("::", "ffff::"), false),
        (header("x-kind", "^beta$"), true),
        (header("x-kind", "eta"), true),
        (header("x-kind", "^eta$"), false),
        (header("x-other", ""), false),
        (query("plan", "^gold plus$"), true),
        (query("plan", "é"), true),
        (query("empty", "^$"), true),
        (query("nothing", ""), false),
        (claim("http://wso2.org/claims/role", "^admin$"), true),
        (claim("sub", "tom"), false),
    ];
    for (condition, holds) in table {
        for is_inverted in [false, true] {
            let compiled =
                condition::CompiledCondition::compile(&GroupCondition { condition: condition.clone(), is_inverted });
            assert_eq!(compiled.unwrap().is_met_by(&call), holds != is_inverted, "{condition:?} {is_inverted}");
        }
    }
}

#[test]
fn addresses_of_both_families_are_compared_within_their_family() {
    let table = [
        ("2001:db8::5", "2001:db8::1", "2001:db8::9", true),
        ("2001:db8::a", "2001:db8::1", "2001:db8::9", false),
        ("::ffff:10.0.0.5", "10.0.0.1", "10.0.0.9", true),
        ("10.0.0.5", "::", "ffff::", false),
    ];
    for (address, from, to, is_in) in table {
        assert_eq!(condition::is_within(ip(address), ip(from), ip(to)), is_in, "{address} in {from}-{to}");
    }
}

#[test]
fn what_cannot_be_a_condition_is_refused() {
    let long = "a".repeat(condition::PATTERN_CHARS_MAX + 1);
    let bad = [
        header("x y", "a"),
        header("x", "("),
        header("x", &long),
        header("x", r"\w{200}{200}"),
        query("", "a"),
        claim(&"n".repeat(300), "a"),
        range("10.0.0.9", "10.0.0.1"),
        range("10.0.0.1", "::1"),
    ];
    for condition in bad {
        let refused =
            condition::CompiledCondition::compile(&GroupCondition { condition: condition.clone(), is_inverted: false });
        assert!(refused.is_err(), "{condition:?}");
    }
}

#[test]
fn every_group_that_a_call_meets_limits_it_and_the_quota_only_where_none_does() {
    let rules = PolicyRules {
        groups: vec![
            group(&[(header("x-kind", "mobile"), false), (range("10.0.0.0", "10.255.255.255"), false)], 5),
            group(&[(claim("sub", "mia"), false)], 7),
            group(&[(header("x-kind", "mobile"), true)], UNLIMITED),
        ],
        ..PolicyRules::default()
    };
    let plan = AdvancedPlan::compile(&policy(PolicyLevel::Advanced, "P", Quota::Requests(9)), Some(&rules));
    let plan = plan.unwrap().unwrap();
    let (mobile, other) = (headers(&[("x-kind", "mobile")]), HeaderMap::new());
    let (mia, tom) = (claims(&[("sub", "mia")]), claims(&[("sub", "tom")]));
    let met = |headers: &HeaderMap, claims: &dyn TokenClaims| -> Vec<_> {
        plan.select(&call(headers, claims)).limits().collect()
    };
    assert_eq!(met(&mobile, &mia), [Some(0), Some(1)]);
    assert_eq!(met(&mobile, &tom), [Some(0)]);
    assert_eq!(met(&other, &tom), [Some(2)]);
    let away = Call { client: ip("192.0.2.1"), ..call(&mobile, &tom) };
    assert_eq!(plan.select(&away).limits().collect::<Vec<_>>(), [None]);
    assert_eq!(plan.unit(None), Some(QuotaUnit::Requests));
    assert_eq!(plan.unit(Some(2)), None, "an unlimited group limits nothing, and lifts the quota");
}

#[derive(Default)]
struct Policies {
    policies: HashMap<(PolicyLevel, String), QuotaPolicy>,
    rules: HashMap<(PolicyLevel, String), PolicyRules>,
}

impl Policies {
    fn with(mut self, policy: QuotaPolicy) -> Self {
        self.policies.insert((policy.level, policy.name.clone()), policy);
        self
    }
}

impl PolicySource for Policies {
    fn policy(&self, _tenant: &TenantDomain, level: PolicyLevel, name: &str) -> Option<&QuotaPolicy> {
        self.policies.get(&(level, name.to_owned()))
    }

    fn rules(&self, _tenant: &TenantDomain, level: PolicyLevel, name: &str) -> Option<&PolicyRules> {
        self.rules.get(&(level, name.to_owned()))
    }
}

fn api(api_policy: Option<&str>, operation_policy: &str) -> DeployedApi {
    let operation = |verb: &str, target: &str, policy: &str| Operation {
        verb: verb.to_owned(),
        target: target.to_owned(),
        auth: OperationAuth::Any,
        policy: policy.to_owned(),
        scopes: Vec::new(),
    };
    DeployedApi {
        id: ApiId::from_random([7; 16]),
        revision: RevisionId::from_random([8; 16]),
        tenant: TenantDomain::super_tenant(),
        provider: Username("admin".to_owned()),
        name: "Pizza".to_owned(),
        context: "/pizza".to_owned(),
        version: "1.0.0".to_owned(),
        is_default_version: false,
        kind: ApiKind::Http,
        lifecycle: Lifecycle::Published,
        vhost: "localhost".to_owned(),
        operations: vec![operation("GET", "/menu", operation_policy), operation("POST", "/order", "Unlimited")],
        endpoints: EndpointConfig::default(),
        api_policy: api_policy.map(str::to_owned),
        has_http: true,
        has_https: true,
        security: Security::default(),
        authorization_header: None,
        max_tps: MaxTps { production: Some(100), sandbox: None },
        cors: None,
    }
}

fn all_levels() -> Policies {
    let second = Window { length: 1, unit: TimeUnit::Second };
    let burst = Some(Burst { count: 2, window: second });
    Policies::default()
        .with(policy(PolicyLevel::Advanced, "10KPerMin", Quota::Requests(10_000)))
        .with(QuotaPolicy { burst, ..policy(PolicyLevel::Subscription, "Gold", Quota::Requests(5_000)) })
        .with(QuotaPolicy { burst, ..policy(PolicyLevel::Application, "10PerMin", Quota::Requests(10)) })
        .with(policy(PolicyLevel::Subscription, "Unauthenticated", Quota::Requests(500)))
}

fn met(api: &DeployedApi, policies: &Policies, operation: usize, key_type: KeyType) -> Vec<MetLimit> {
    let (plan, bad) = ApiPlan::compile(api, "Default", policies);
    assert_eq!(bad, []);
    let rule = CustomRule {
        key_template: "$userId".to_owned(),
        expression: "userId == 'mia@carbon.super'".to_owned(),
        siddhi_query: String::new(),
    };
    let custom = CustomPlan::compile(&policy(PolicyLevel::Custom, "Mia", Quota::Requests(5)), &rule).unwrap().unwrap();
    let (tenant, user) = (TenantDomain::super_tenant(), Username("mia".to_owned()));
    let subscriber = Subscriber {
        application: ApplicationId::from_random([9; 16]),
        tenant: &tenant,
        application_policy: "10PerMin",
        plan: "Gold",
        user: &user,
        key_type,
    };
    plan.meets(operation, &call(&HeaderMap::new(), Caller::ANONYMOUS.claims), Some(&subscriber), &[custom], policies)
}

#[test]
fn a_call_meets_its_limits_in_the_originals_order_and_by_the_originals_keys() {
    let limits = met(&api(None, "10KPerMin"), &all_levels(), 0, KeyType::Production);
    let application = ApplicationId::from_random([9; 16]);
    let of = |key: &CounterKey| (key.level(), key.in_the_originals_form("/pizza/1.0.0", "1.0.0"));
    let keys: Vec<_> = limits.iter().map(|limit| of(&limit.counter)).collect();
    let wanted = [
        (CounterLevel::Resource, "/pizza/1.0.0/1.0.0/menu:GET_default".to_owned()),
        (CounterLevel::Subscription, format!("{application}:/pizza/1.0.0:1.0.0")),
        (CounterLevel::SubscriptionBurst, format!("{application}:/pizza/1.0.0:1.0.0")),
        (CounterLevel::Application, format!("{application}:mia@carbon.super")),
        (CounterLevel::ApplicationBurst, format!("{application}:mia@carbon.super")),
        (CounterLevel::Custom, "mia@carbon.super".to_owned()),
        (CounterLevel::ApiMaximum, "/pizza/1.0.0:1.0.0:PRODUCTION".to_owned()),
    ];
    assert_eq!(keys, wanted);
    let place = |level| CHECK_ORDER.iter().position(|one| *one == level);
    assert!(limits.windows(2).all(|pair| place(pair[0].level()) <= place(pair[1].level())));
}

#[test]
fn the_policy_of_a_whole_api_stands_in_for_those_of_its_operations() {
    let whole = met(&api(Some("10KPerMin"), "10KPerMin"), &all_levels(), 1, KeyType::Sandbox);
    let first = &whole[0].counter;
    assert_eq!(first.in_the_originals_form("/pizza/1.0.0", "1.0.0"), "/pizza/1.0.0:1.0.0_default");
    assert_eq!(first.level(), CounterLevel::Api);
    assert!(whole.iter().all(|limit| limit.level() != CounterLevel::ApiMaximum), "sandbox has no maximum");
    let unlimited = met(&api(Some("Unlimited"), "10KPerMin"), &all_levels(), 0, KeyType::Sandbox);
    assert_eq!(unlimited[0].level(), CounterLevel::Resource, "Unlimited at the API leaves it to the operation");
    let free = met(&api(None, "10KPerMin"), &all_levels(), 1, KeyType::Sandbox);
    assert_eq!(free[0].level(), CounterLevel::Subscription);
}

#[test]
fn a_policy_per_user_and_a_group_have_counters_of_their_own() {
    let mut policies = all_levels();
    let rules = PolicyRules {
        is_per_user: true,
        groups: vec![group(&[(range("10.0.0.0", "10.9.9.9"), false)], 3)],
        ..PolicyRules::default()
    };
    policies.rules.insert((PolicyLevel::Advanced, "10KPerMin".to_owned()), rules);
    let limits = met(&api(Some("10KPerMin"), "Unlimited"), &policies, 0, KeyType::Production);
    let key = limits[0].counter.in_the_originals_form("/pizza/1.0.0", "1.0.0");
    assert_eq!(key, "/pizza/1.0.0:1.0.0_mia_condition_0");
}

#[test]
fn a_plan_of_ai_tokens_has_a_counter_for_each_thing_it_bounds() {
    let quota = Quota::AiTokens { requests: 10, total: 1000, prompt: 0, completion: 300 };
    let policies = all_levels().with(policy(PolicyLevel::Subscription, "Gold", quota));
    let limits = met(&api(None, "Unlimited"), &policies, 0, KeyType::Sandbox);
    let units: Vec<_> =
        limits.iter().filter(|limit| limit.level() == CounterLevel::Subscription).map(|limit| limit.unit).collect();
    assert_eq!(units, [QuotaUnit::Requests, QuotaUnit::Tokens, QuotaUnit::CompletionTokens]);
}

#[test]
fn calls_without_a_token_are_counted_by_address_and_household() {
    let policies = all_levels();
    let (plan, _) = ApiPlan::compile(&api(None, "Unlimited"), "Default", &policies);
    let key = |client: &str| plan.anonymous(ip(client)).unwrap().counter;
    assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
    assert_eq!(key("192.0.2.1"), key("::ffff:192.0.2.1"));
    assert_eq!(key("2001:db8::1"), key("2001:db8::2:3"));
    assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
    let none = HeaderMap::new();
    let call = Call { caller: Caller::ANONYMOUS, ..call(&none, Caller::ANONYMOUS.claims) };
    let limits = plan.meets(0, &call, None, &[], &policies);
    let levels: Vec<_> = limits.iter().map(MetLimit::level).collect();
    assert_eq!(levels, [CounterLevel::Subscription, CounterLevel::ApiMaximum]);
}

#[test]
fn expressions_say_which_calls_are_counted() {
    let headers = headers(&[("x-kind", "Mobile")]);
    let claims = claims(&[("sub", "mia")]);
    let call = call(&headers, &claims);
    let table = [
        ("true", true),
        ("userId == 'mia@carbon.super'", true),
        ("userId != \"mia@carbon.super\"", false),
        ("apiContext == '/pizza/1.0.0' && userId.startsWith('mia')", true),
        ("apiContext == '/other/1.0.0' || appTenant == 'carbon.super'", true),
        ("!(apiVersion in ['2.0.0', '3.0.0'])", true),
        ("clientIp.startsWith('10.1.')", true),
        ("headers['x-kind'].lowerAscii() == 'mobile'", true),
        ("headers[\"x-none\"] == ''", true),
        ("has(headers.authorization)", false),
        ("'sub' in claims && claims.sub.endsWith('ia')", true),
        ("query.plan.contains('gold')", true),
        ("resourceKey.matches('/menu:(GET|POST)$')", true),
        ("size(userId) > 3 && userId.size() <= 16", true),
        ("userId == 'x' ? false : apiTenant == 'carbon.super'", true),
        ("(userId == 'x') == false", true),
    ];
    for (text, wanted) in table {
        let compiled = Expression::compile(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(compiled.is_true_of(&call), wanted, "{text}");
    }
}

#[test]
fn expressions_that_cannot_be_evaluated_in_bounds_are_refused_with_what_is_wrong() {
    let deep = format!("{}true{}", "(".repeat(400), ")".repeat(400));
    let long = vec!["userId == 'a'"; 200].join(" || ");
    let table = [
        ("userId ==", "not an expression"),
        ("user == 'a'", "`user` is not known"),
        ("userId", "must be true or false"),
        ("userId == 5", "must be a text"),
        ("['a'].exists(x, x == userId)", "loop"),
        ("userId + 'a' == 'b'", "`+`"),
        ("userId.matches(appId)", "a text in quotes"),
        ("userId.matches('(')", "not a pattern"),
        ("size(userId) > -1", "0 or more"),
        ("userId in appId", "a text in quotes"),
        ("headers['a b'] == ''", "not a name of a header"),
        (long.as_str(), "at most"),
    ];
    for (text, wanted) in table {
        let error = Expression::compile(text).unwrap_err().to_string();
        assert!(error.contains(wanted), "{text}: {error}");
    }
    assert!(Expression::compile(&deep).is_err());
}

#[test]
fn keys_are_made_from_templates_and_dollars_in_names_stay_dollars() {
    let headers = HeaderMap::new();
    let call = call(&headers, Caller::ANONYMOUS.claims);
    let expanded = |template: &str, call: &Call<'_>| {
        let mut key = "old".to_owned();
        KeyTemplate::compile(template).unwrap().expand(call, &mut key);
        key
    };
    assert_eq!(expanded("$userId", &call), "mia@carbon.super");
    assert_eq!(expanded("$apiContext:$apiVersion-$clientIp", &call), "/pizza/1.0.0:1.0.0-10.1.2.3");
    assert_eq!(expanded("costs $5", &call), "costs $5");
    let dollar = Call { caller: Caller { user_id: "a$1\\b", ..call.caller }, ..call };
    assert_eq!(expanded("$userId!", &dollar), "a$1\\b!");
    let long = "é".repeat(400);
    let far = Call { caller: Caller { user_id: &long, ..call.caller }, ..call };
    let (one, other) = (expanded("$userId:1", &far), expanded("$userId:2", &far));
    assert!(one.len() <= key_template::KEY_BYTES_MAX && one != other, "{one} {other}");
    assert!(KeyTemplate::compile("$nobody").is_err() && KeyTemplate::compile(" ").is_err());
}

const SIDDHI: &str = "FROM RequestStream\nSELECT userId, ( userId == 'admin@carbon.super' ) AS isEligible , \
    str:concat('admin@carbon.super','') as throttleKey\nINSERT INTO EligibilityStream; \n\nFROM \
    EligibilityStream[isEligible==true]#throttler:timeBatch(1 min) \nSELECT throttleKey, (count(userId) >= 10) as \
    isThrottled, expiryTimeStamp group by throttleKey \nINSERT ALL EVENTS into ResultStream;";

#[test]
fn the_originals_queries_of_the_common_shape_are_read() {
    let rule = SiddhiRule::read(SIDDHI).unwrap();
    assert_eq!(rule.expression, "userId == 'admin@carbon.super'");
    assert_eq!((rule.quota, rule.window), (Quota::Requests(10), MINUTE));
    let table = [
        (
            "( userId == 'a' and (apiContext == '/p/1' or not appTenant != 'x') )",
            "userId == 'a' && (apiContext == '/p/1' || !(appTenant != 'x'))",
        ),
        ("(true)", ""),
        ("(regex:find('^/p', resourceKey))", "resourceKey.matches('^/p')"),
        ("(userId == \"it's\")", "userId == 'it\\'s'"),
    ];
    for (siddhi, expression) in table {
        let query = SIDDHI.replace("( userId == 'admin@carbon.super' )", siddhi);
        let rule = SiddhiRule::read(&query).unwrap();
        assert_eq!(rule.expression, expression, "{siddhi}");
        assert!(expression.is_empty() || Expression::compile(&rule.expression).is_ok(), "{expression}");
    }
    let bytes = SIDDHI.replace("count(userId) >= 10", "sum(messageSize) >= 2048L").replace("(1 min)", "(2 hours, 0)");
    let rule = SiddhiRule::read(&bytes).unwrap();
    assert_eq!(rule.quota, Quota::Bandwidth { amount: 2, unit: DataUnit::Kb });
    assert_eq!(rule.window, Window { length: 2, unit: TimeUnit::Hour });
}

#[test]
fn queries_of_other_shapes_are_refused_with_what_was_met() {
    let table = [
        ("FROM RequestStream", "FROM OtherStream", "`OtherStream`"),
        ("count(userId)", "avg(userId)", "`avg`"),
        ("timeBatch(1 min)", "timeBatch(1 eon)", "`eon`"),
        ("timeBatch(1 min)", "lossyFrequent(1)", "`#throttler:lossyFrequent`"),
        ("userId == 'admin@carbon.super'", "cast(map:get(properties,'ip'),'long') == 1", "`cast`"),
        ("INSERT ALL EVENTS into ResultStream;", "INSERT ALL EVENTS into ResultStream; FROM X", "`FROM`"),
        (">= 10", ">= 0", "1 or more"),
        ("'admin@carbon.super','')", "'admin@carbon.super", "closing"),
    ];
    for (from, to, wanted) in table {
        let error = SiddhiRule::read(&SIDDHI.replace(from, to)).unwrap_err().to_string();
        assert!(error.contains(wanted), "{to}: {error}");
    }
}

fn denial(condition: DenyCondition, expires_at: Option<u64>, is_active: bool) -> DenyPolicy {
    DenyPolicy {
        id: PolicyId::from_random([3; 16]),
        tenant: TenantDomain::super_tenant(),
        condition,
        is_active,
        expires_at: expires_at.map(Timestamp),
        created_at: Timestamp(0),
        created_by: Username("admin".to_owned()),
    }
}

#[test]
fn a_deny_policy_turns_away_whom_it_names_while_it_is_in_force() {
    let (tenant, elsewhere) = (TenantDomain::super_tenant(), TenantDomain("example.com".to_owned()));
    let (mia, shop) = (Username("mia".to_owned()), Username("shop".to_owned()));
    let application = SuspectApplication { owner: &shop, name: "Till", tenant: &tenant };
    let suspect = Suspect {
        client: ip("10.1.2.3"),
        api_context: "/pizza/1.0.0",
        api_tenant: &tenant,
        application: Some(application),
        user: Some((&mia, &tenant)),
    };
    let till = |owner: &str| DenyCondition::Application { owner: Username(owner.to_owned()), name: "Till".to_owned() };
    let user = |tenant: &TenantDomain| DenyCondition::User { tenant: tenant.clone(), username: mia.clone() };
    let network = |text: &str, is_inverted| DenyCondition::Ip { network: text.parse().unwrap(), is_inverted };
    let range = |from, to, is_inverted| DenyCondition::IpRange { from: ip(from), to: ip(to), is_inverted };
    let table = [
        (DenyCondition::Api("/pizza/1.0.0".to_owned()), true),
        (DenyCondition::Api("/pizza/2.0.0".to_owned()), false),
        (till("shop"), true),
        (till("mia"), false),
        (user(&tenant), true),
        (user(&elsewhere), false),
        (DenyCondition::Tenant(tenant.clone()), true),
        (DenyCondition::Tenant(elsewhere.clone()), false),
        (network("10.1.2.3/32", false), true),
        (network("10.1.2.4/32", false), false),
        (network("10.1.2.4/32", true), true),
        (network("10.0.0.0/8", false), true),
        (network("10.0.0.0/8", true), false),
        (range("10.1.2.1", "10.1.2.5", false), true),
        (range("10.1.2.1", "10.1.2.5", true), false),
        (range("::1", "::5", false), false),
    ];
    for (condition, is_denied) in table {
        let list = |expires_at, is_active| DenyList::compile(&[denial(condition.clone(), expires_at, is_active)]);
        let denies = |list: &DenyList, now| list.denial(&suspect, Timestamp(now)).is_some();
        assert_eq!(denies(&list(None, true), 100), is_denied, "{condition:?}");
        assert!(!denies(&list(None, false), 100), "switched off: {condition:?}");
        assert_eq!(denies(&list(Some(101), true), 100), is_denied, "not yet over: {condition:?}");
        assert!(!denies(&list(Some(100), true), 100), "over: {condition:?}");
    }
    let unknown = Suspect { application: None, user: None, ..suspect };
    assert!(DenyList::compile(&[denial(user(&tenant), None, true)]).denial(&unknown, Timestamp(1)).is_none());
}
