//! Nothing that an import leaves out makes an API more open than it was.

use super::source::Node;
use super::{Api, Origin, Plan};

/// Reads a file of Kong with a route `r` of a service `s`, what else these have, and what else the file has.
fn kong(of_route: &str, of_file: &str) -> Plan {
    let text = format!(
        "services:\n- name: s\n  id: \"5e1\"\n  url: http://a\n  routes:\n  - name: r\n    id: \"70\"\n    paths: [/x]\n{of_route}\nconsumers:\n\
         - username: ann\n  id: c0a\n  acls: [{{group: mobile}}]\n- username: bob\n{of_file}\n"
    );
    Origin::Kong.read(&Node::of_text(&text).unwrap())
}

/// Reads a file of Kong whose route has plugins, each as `{name: …}`.
fn kong_plugins(list: &str) -> Plan {
    kong(&format!("    plugins: [{list}]"), "")
}

/// Reads a file of APISIX whose route has plugins.
fn apisix_plugins(map: &str) -> Plan {
    let text = format!(
        "routes:\n- id: r\n  uri: /x/*\n  upstream: {{nodes: {{\"a:80\": 1}}}}\n  plugins: {{{map}}}\nconsumers:\n- username: ann\n- \
         username: bob\n"
    );
    Origin::Apisix.read(&Node::of_text(&text).unwrap())
}

fn only(plan: &Plan) -> &Api {
    assert_eq!(plan.apis.len(), 1, "{plan:#?}");
    &plan.apis[0]
}

/// Says whether something is told as left whose name is this.
fn tells(plan: &Plan, what: &str) -> bool {
    plan.left.iter().any(|left| left.what == what && left.line > 0)
}

/// Returns the applications that are subscribed to the API.
fn subscribed(plan: &Plan) -> Vec<&str> {
    plan.applications.iter().filter(|one| !one.subscriptions.is_empty()).map(|one| one.name.as_str()).collect()
}

#[test]
fn an_api_with_a_plugin_that_is_unknown_or_code_is_not_published_and_one_that_only_looks_on_is() {
    let held =
        ["saml", "header-cert-auth", "authz-casbin", "our-own-auth", "pre-function", "post-function", "aws-lambda"];
    for name in held {
        let plan = kong_plugins(&format!("{{name: {name}}}"));
        assert!(only(&plan).is_held && tells(&plan, &format!("plugin {name}")), "{plan:#?}");
    }
    for name in ["saml-auth", "authz-casbin", "serverless-pre-function", "ext-plugin-pre-req", "our-own-auth"] {
        let plan = apisix_plugins(&format!("{name}: {{}}"));
        assert!(only(&plan).is_held && tells(&plan, &format!("plugin {name}")), "{plan:#?}");
    }
    for name in ["prometheus", "correlation-id", "http-log"] {
        assert!(!only(&kong_plugins(&format!("{{name: {name}}}"))).is_held, "{name}");
    }
    for name in ["prometheus", "kafka-logger", "gzip", "request-id"] {
        let plan = apisix_plugins(&format!("{name}: {{}}"));
        assert!(!only(&plan).is_held && tells(&plan, &format!("plugin {name}")), "{plan:#?}");
    }
}

#[test]
fn things_refer_to_each_other_by_name_or_id() {
    for reference in
        ["route: r", "route: 70", "route: {id: 70}", "route: {name: r}", "service: s", "service: {id: 5e1}"]
    {
        // As decK writes them, ids are texts.
        let reference = reference.replace("70", "\"70\"").replace("5e1", "\"5e1\"");
        let text = format!("plugins:\n- name: key-auth\n  {reference}\n");
        let plan = kong("", &text);
        assert_eq!((only(&plan).proofs.join(" "), only(&plan).is_held), ("api_key".to_owned(), false), "{reference}");
    }
    let apart = kong("", "routes:\n- name: q\n  paths: [/q]\n  service: {id: \"5e1\"}\n");
    assert!(apart.apis.iter().any(|api| api.name == "q"), "{apart:#?}");
    let groups = kong(
        "    plugins: [{name: key-auth}, {name: acl, config: {allow: [inner]}}]",
        "acls:\n- group: inner\n  consumer: {id: c0a}\n",
    );
    assert_eq!(subscribed(&groups), ["ann"]);
}

#[test]
fn what_refers_to_nothing_is_told_and_a_plugin_that_does_keeps_every_api_from_being_published() {
    for reference in ["route: nowhere", "service: {id: nowhere}"] {
        let plan = kong("", &format!("plugins:\n- name: key-auth\n  {reference}\n"));
        assert!(only(&plan).is_held && tells(&plan, "plugin key-auth"), "{plan:#?}");
        let looks_on = kong("", &format!("plugins:\n- name: prometheus\n  {reference}\n"));
        assert!(!only(&looks_on).is_held && tells(&looks_on, "plugin prometheus"), "{looks_on:#?}");
    }
    let plan = kong("", "routes:\n- name: q\n  paths: [/q]\n  service: nowhere\n");
    assert!(!only(&plan).is_held && tells(&plan, "route q"), "{plan:#?}");
    let plan = kong("", "plugins:\n- name: request-termination\n  consumer_group: gold\n");
    assert!(only(&plan).request_policies.is_empty(), "{plan:#?}");
    assert!(tells(&plan, "plugin request-termination of consumer_group gold"), "{plan:#?}");
}

#[test]
fn a_plugin_that_is_switched_off_does_not_hide_the_one_of_the_service() {
    let route = "    plugins: [{name: key-auth, enabled: false}]\n  plugins: [{name: key-auth}]";
    assert_eq!(only(&kong(route, "")).proofs, ["api_key"]);
}

#[test]
fn groups_are_kept_as_subscriptions_or_the_api_is_not_published() {
    let acl = |proof: &str, config: &str| kong_plugins(&format!("{proof}{{name: acl, config: {{{config}}}}}"));
    for config in ["allow: [mobile]", "whitelist: [mobile]"] {
        let plan = acl("{name: key-auth}, ", config);
        assert_eq!((subscribed(&plan), only(&plan).is_held), (vec!["ann"], false), "{config}");
    }
    for config in ["deny: [mobile]", "blacklist: [mobile]"] {
        assert_eq!(subscribed(&acl("{name: key-auth}, ", config)), ["bob"], "{config}");
    }
    // Without a proof nobody could call there.
    assert_eq!(only(&acl("", "allow: [mobile]")).proofs, ["oauth2"]);
    assert!(only(&acl("{name: basic-auth}, ", "allow: [mobile]")).is_held);
    let plan = acl("{name: key-auth}, ", "allow: [mobile], include_consumer_groups: true");
    assert!(only(&plan).is_held && tells(&plan, "plugin acl: include_consumer_groups"), "{plan:#?}");
    assert!(!only(&acl("{name: key-auth}, ", "allow: [mobile], include_consumer_groups: false")).is_held);
    assert!(only(&acl("{name: key-auth}, ", "allow: []")).is_held);

    let plan = apisix_plugins("consumer-restriction: {whitelist: [ann]}");
    assert_eq!((only(&plan).proofs.join(" "), subscribed(&plan)), ("oauth2".to_owned(), vec!["ann"]));
    assert!(only(&apisix_plugins("basic-auth: {}, consumer-restriction: {whitelist: [ann]}")).is_held);
    let plan =
        apisix_plugins("key-auth: {}, consumer-restriction: {whitelist: [ann], allowed_by_methods: [{user: ann}]}");
    assert!(only(&plan).is_held && tells(&plan, "plugin consumer-restriction: allowed_by_methods"), "{plan:#?}");
    assert!(!only(&apisix_plugins("key-auth: {}, consumer-restriction: {whitelist: [ann]}")).is_held);
}

#[test]
fn a_route_with_conditions_is_not_published() {
    let conditions =
        ["headers: {x-beta: [\"1\"]}", "snis: [a.example]", "sources: [{ip: 10.0.0.0/8}]", "destinations: [{port: 1}]"];
    for condition in conditions {
        let plan = kong(&format!("    {condition}"), "");
        let field = condition.split(':').next().unwrap();
        assert!(only(&plan).is_held && tells(&plan, &format!("route r: {field}")), "{plan:#?}");
    }
    assert!(!only(&kong("    snis: []\n    headers: null", "")).is_held);
}

#[test]
fn settings_of_proofs_and_limits_are_told() {
    let told = [
        ("{name: key-auth, config: {anonymous: guest}}", "plugin key-auth: anonymous"),
        ("{name: key-auth, config: {key_in_body: true}}", "plugin key-auth: key_in_body"),
        ("{name: key-auth, config: {key_in_header: false}}", "plugin key-auth: key_in_header"),
        ("{name: key-auth, config: {hide_credentials: false}}", "plugin key-auth: hide_credentials"),
        ("{name: jwt, config: {claims_to_verify: [exp]}}", "plugin jwt: claims_to_verify"),
        ("{name: basic-auth, config: {anonymous: guest}}", "plugin basic-auth: anonymous"),
        ("{name: rate-limiting, config: {minute: \"{vault://env/limit}\"}}", "plugin rate-limiting: minute"),
        ("{name: cors, ordering: {before: {access: [key-auth]}}}", "plugin cors: ordering"),
    ];
    for (plugin, what) in told {
        let plan = kong_plugins(plugin);
        assert!(tells(&plan, what) && !only(&plan).is_held, "{what}: {plan:#?}");
    }
    let told = [
        ("key-auth: {anonymous_consumer: guest}", "plugin key-auth: anonymous_consumer"),
        ("jwt-auth: {cookie: jwt}", "plugin jwt-auth: cookie"),
        ("proxy-cache: {cache_ttl: 5, cache_key: [$uri]}", "plugin proxy-cache: cache_key"),
        ("limit-count: {count: $limit, time_window: 60}", "plugin limit-count: count"),
    ];
    for (plugin, what) in told {
        let plan = apisix_plugins(plugin);
        assert!(tells(&plan, what) && !only(&plan).is_held, "{what}: {plan:#?}");
    }
    // What a dump writes where nobody set anything is no news.
    let usual =
        "{name: key-auth, config: {key_names: [apikey], key_in_body: false, key_in_query: true, anonymous: null}}";
    assert!(kong_plugins(usual).left.is_empty(), "{:#?}", kong_plugins(usual));
    // A demand on tokens that nobody makes here.
    let plan = kong_plugins("{name: openid-connect, config: {scopes_required: [orders]}}");
    assert!(only(&plan).is_held && tells(&plan, "plugin openid-connect: scopes_required"), "{plan:#?}");
}

#[test]
fn where_every_one_of_several_proofs_was_asked_for_the_api_is_not_published() {
    let plan = kong_plugins("{name: key-auth}, {name: jwt}");
    assert!(only(&plan).is_held && tells(&plan, "plugins key-auth, jwt"), "{plan:#?}");
    assert!(only(&kong_plugins("{name: key-auth}, {name: hmac-auth}")).is_held);
    // So any of them was enough.
    let either = "{name: key-auth, config: {anonymous: guest}}, {name: jwt, config: {anonymous: guest}}";
    assert!(!only(&kong_plugins(either)).is_held);
    assert!(only(&apisix_plugins("key-auth: {}, ldap-auth: {}")).is_held);
}
