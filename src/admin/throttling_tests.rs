//! Advanced policies, custom rules, deny policies, search, export and import.

use axum::body::{Body, to_bytes};
use axum::{Extension, Router};
use http::header::{CONTENT_TYPE, LOCATION};
use http::{Request, StatusCode};
use portcullis_http::layers;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::tests::{Answer, PLANS, call, call_as, faces, identity, plan};

const ADVANCED: &str = "/v4/throttling/policies/advanced";
const CUSTOM: &str = "/v4/throttling/policies/custom";
const DENY: &str = "/v4/throttling/deny-policies";

fn requests(count: i64) -> Value {
    json!({"type": "REQUESTCOUNTLIMIT", "requestCount": {"timeUnit": "min", "unitTime": 1, "requestCount": count}})
}

/// The same as it is told.
fn told(count: i64) -> Value {
    let mut limit = requests(count);
    for unit in ["bandwidth", "eventCount", "aiApiQuota"] {
        limit[unit] = Value::Null;
    }
    limit
}

fn description(answer: &Answer) -> &str {
    answer.body["description"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn an_advanced_policy_keeps_its_groups_of_conditions() {
    let admin = faces().await;
    let body = json!({
        "policyName": "ByCaller", "applicableLevel": "userLevel", "windowKind": "sliding",
        "defaultLimit": requests(100),
        "conditionalGroups": [
            {"description": "phones", "limit": requests(5), "conditions": [
                {"type": "HEADERCONDITION", "invertCondition": true,
                    "headerCondition": {"headerName": "user-agent", "headerValue": "Mobile|Android"}},
                {"type": "IPCONDITION", "invertCondition": false,
                    "ipCondition": {"ipConditionType": "IPRANGE", "startingIP": "10.0.0.1", "endingIP": "10.0.0.9"}},
            ]},
            {"limit": requests(7), "conditions": [
                {"type": "IPCONDITION", "invertCondition": false,
                    "ipCondition": {"ipConditionType": "IPSPECIFIC", "specificIP": "2001:db8::/32"}},
                {"type": "QUERYPARAMETERCONDITION", "invertCondition": false,
                    "queryParameterCondition": {"parameterName": "plan", "parameterValue": "^gold$"}},
                {"type": "JWTCLAIMSCONDITION", "invertCondition": false,
                    "jwtClaimsCondition": {"claimUrl": "http://wso2.org/claims/role", "attribute": "admin"}},
            ]},
        ],
    });
    let made = call(&admin, "POST", ADVANCED, body.clone()).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    for field in ["conditionalGroups", "applicableLevel", "windowKind"] {
        assert_eq!(made.body[field], body[field], "{field}");
    }
    assert_eq!(made.body["defaultLimit"], told(100));
    let path = format!("{ADVANCED}/{}", made.body["policyId"].as_str().unwrap());
    assert_eq!(call(&admin, "GET", &path, Value::Null).await.body, made.body);
    let plain = json!({"policyName": "ByCaller", "defaultLimit": requests(50)});
    let changed = call(&admin, "PUT", &path, plain).await;
    assert_eq!((changed.status, &changed.body["conditionalGroups"]), (StatusCode::OK, &json!([])));
    assert!(changed.body.get("windowKind").is_none(), "{}", changed.body);
    assert_eq!(call(&admin, "DELETE", &path, Value::Null).await.status, StatusCode::OK);
}

#[tokio::test]
async fn conditions_that_cannot_be_met_are_refused_by_their_place() {
    let admin = faces().await;
    let ip = |ip: Value| json!({"type": "IPCONDITION", "ipCondition": ip});
    let range = |from: &str, to: &str| ip(json!({"ipConditionType": "IPRANGE", "startingIP": from, "endingIP": to}));
    let specific = |text: &str| ip(json!({"ipConditionType": "IPSPECIFIC", "specificIP": text}));
    let header = |name: &str, value: &str| json!({"type": "HEADERCONDITION", "headerCondition": {"headerName": name, "headerValue": value}});
    let cases = [
        (range("10.0.0.9", "10.0.0.1"), "conditions[0]: a range goes from the lower"),
        (range("10.0.0.1", "::1"), "a range goes from the lower to the higher of two addresses of one family"),
        (specific("10.0.0.300"), "conditions[0].ipCondition.specificIP: `10.0.0.300` is not an IPv4 or IPv6 address"),
        (specific("10.0.0.0/40"), "`10.0.0.0/40` is not a network"),
        (specific(""), "specificIP: is missing"),
        (ip(json!({"ipConditionType": "NEAR"})), "ipConditionType: must be IPSPECIFIC or IPRANGE"),
        (header("a b", "x"), "`a b` is not a name of a header"),
        (header("a", "("), "`(` is not a pattern that can be used: unclosed group"),
        (header("a", &"x".repeat(300)), "it has more than 256 characters"),
        (json!({"type": "HEADERCONDITION"}), "headerCondition: is missing, though the type is HEADERCONDITION"),
        (json!({"type": "MOONCONDITION"}), "conditions[0].type: `MOONCONDITION` is not a type of condition"),
    ];
    let policy = |groups: Value| json!({"policyName": "P", "defaultLimit": requests(1), "conditionalGroups": groups});
    for (condition, expected) in cases {
        let groups = json!([{"limit": requests(1), "conditions": [condition]}]);
        let answer = call(&admin, "POST", ADVANCED, policy(groups)).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{expected}");
        assert!(description(&answer).contains(expected), "{}", answer.body);
    }
    let many: Vec<_> = (0..33).map(|_| json!({"limit": requests(1), "conditions": [specific("10.0.0.1")]})).collect();
    let answer = call(&admin, "POST", ADVANCED, policy(json!(many))).await;
    assert!(description(&answer).contains("conditionalGroups: must be at most 32; there are 33"), "{}", answer.body);
    let empty = call(&admin, "POST", ADVANCED, policy(json!([{"limit": requests(1), "conditions": []}]))).await;
    assert!(description(&empty).contains("conditionalGroups[0].conditions: must be 1 to 16"), "{}", empty.body);
    let long =
        json!({"type": "REQUESTCOUNTLIMIT", "requestCount": {"timeUnit": "year", "unitTime": 11, "requestCount": 1}});
    let answer = call(&admin, "POST", ADVANCED, json!({"policyName": "P", "defaultLimit": long})).await;
    assert!(description(&answer).contains("ten years"), "{}", answer.body);
    let wide = json!({"type": "BANDWIDTHLIMIT",
        "bandwidth": {"timeUnit": "min", "unitTime": 1, "dataAmount": i64::MAX, "dataUnit": "GB"}});
    let answer = call(&admin, "POST", ADVANCED, json!({"policyName": "P", "defaultLimit": wide})).await;
    assert!(description(&answer).contains("exbibyte"), "{}", answer.body);
}

const SIDDHI: &str = "FROM RequestStream\nSELECT userId, ( userId == 'admin@carbon.super' ) AS isEligible , \
    str:concat('admin@carbon.super','') as throttleKey\nINSERT INTO EligibilityStream; \n\nFROM \
    EligibilityStream[isEligible==true]#throttler:timeBatch(1 min) \nSELECT throttleKey, (count(userId) >= 10) as \
    isThrottled, expiryTimeStamp group by throttleKey \nINSERT ALL EVENTS into ResultStream;";

#[tokio::test]
async fn a_custom_rule_comes_as_the_originals_query_or_as_an_expression() {
    let admin = faces().await;
    let original = json!({"policyName": "custom", "description": "d", "siddhiQuery": SIDDHI, "keyTemplate": "$userId"});
    let made = call(&admin, "POST", CUSTOM, original.clone()).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    assert_eq!((&made.body["siddhiQuery"], &made.body["keyTemplate"]), (&json!(SIDDHI), &json!("$userId")));
    assert_eq!(made.body["expression"], "userId == 'admin@carbon.super'");
    assert_eq!(made.body["defaultLimit"], told(10));
    let path = format!("{CUSTOM}/{}", made.body["policyId"].as_str().unwrap());
    assert_eq!(call(&admin, "PUT", &path, made.body.clone()).await.body, made.body, "what was read can be sent back");

    let own = json!({"policyName": "own", "keyTemplate": "$apiContext:$clientIp", "defaultLimit": requests(3),
        "expression": "headers['x-kind'] == 'beta'"});
    let made = call(&admin, "POST", CUSTOM, own.clone()).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    assert_eq!((&made.body["expression"], &made.body["siddhiQuery"]), (&own["expression"], &json!("")));
    let listed = call(&admin, "GET", CUSTOM, Value::Null).await.body;
    assert_eq!((&listed["count"], &listed["list"][0]["type"]), (&json!(2), &json!("CustomRule")));

    let with = |field: &str, value: Value| {
        let mut body = own.clone();
        body["policyName"] = json!("other");
        body[field] = value;
        body
    };
    let cases = [
        (with("keyTemplate", json!("$nobody")), "keyTemplate: `$nobody` is not known; there are $userId"),
        (with("keyTemplate", json!("")), "keyTemplate: must have 1 to"),
        (with("expression", json!("userId ==")), "expression: not an expression"),
        (with("expression", json!("[1].all(x, x > 0)")), "expression: a loop"),
        (with("siddhiQuery", json!("FROM Elsewhere SELECT x")), "siddhiQuery: the query is not of the shape"),
        (with("defaultLimit", Value::Null), "siddhiQuery: is missing"),
    ];
    for (body, expected) in cases {
        let answer = call(&admin, "POST", CUSTOM, body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{expected}");
        assert!(description(&answer).contains(expected), "{}", answer.body);
    }
    let tenant = Some(identity(&["apim:admin"], "example.com"));
    assert_eq!(call_as(&admin, tenant, "GET", CUSTOM, Value::Null).await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn deny_policies_are_made_switched_found_and_deleted() {
    let admin = faces().await;
    let deny = |kind: &str, value: Value| json!({"conditionType": kind, "conditionValue": value});
    let address = deny("IP", json!({"fixedIp": "192.0.2.7", "invert": false}));
    let made = call(&admin, "POST", DENY, address.clone()).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    assert_eq!(made.headers["x-fence-unreached"], "3", "nodes not reached are named");
    assert_eq!(
        (&made.body["conditionValue"], &made.body["conditionStatus"]),
        (&address["conditionValue"], &json!(true))
    );
    let path = format!("/v4/throttling/deny-policy/{}", made.body["conditionId"].as_str().unwrap());
    assert_eq!(made.headers[LOCATION], format!("/api/am/admin{path}"));
    assert_eq!(call(&admin, "POST", DENY, address).await.status, StatusCode::CONFLICT);

    let off = call(&admin, "PATCH", &path, json!({"conditionStatus": false})).await;
    assert_eq!((off.status, &off.body["conditionStatus"]), (StatusCode::OK, &json!(false)));
    let ending = call(&admin, "PATCH", &path, json!({"expiresAt": "2099-01-01T00:00:00Z"})).await;
    assert_eq!(
        (&ending.body["expiresAt"], &ending.body["conditionStatus"]),
        (&json!("2099-01-01T00:00:00Z"), &json!(false))
    );
    let endless = call(&admin, "PATCH", &path, json!({"conditionStatus": true, "expiresAt": null})).await;
    assert!(endless.body.get("expiresAt").is_none(), "{}", endless.body);
    assert_eq!(call(&admin, "GET", &path, Value::Null).await.body, endless.body);

    let range = json!({"startingIp": "2001:db8::1", "endingIp": "2001:db8::9", "invert": true});
    let made = call(&admin, "POST", DENY, deny("IPRANGE", range.clone())).await;
    assert_eq!(made.body["conditionValue"], range, "{}", made.body);
    let user = call(&admin, "POST", DENY, deny("USER", json!("mia"))).await;
    assert_eq!(user.body["conditionValue"], "mia@carbon.super");
    let tenant = call(&admin, "POST", DENY, deny("TENANT", json!("carbon.super"))).await;
    assert_eq!(tenant.status, StatusCode::CREATED, "{}", tenant.body);
    let found =
        call(&admin, "GET", &format!("{DENY}?query=conditionType:USER%20%26%20conditionValue:mia"), Value::Null).await;
    assert_eq!((&found.body["count"], &found.body["list"][0]), (&json!(1), &user.body));

    let cases = [
        (deny("API", json!("/nothing/1.0.0")), "no API has the context /nothing/1.0.0"),
        (deny("API", json!("nothing")), "must be the context of an API"),
        (deny("APPLICATION", json!("mia:Shop")), "mia has no application Shop"),
        (deny("APPLICATION", json!("Shop")), "must be OWNER:NAME"),
        (deny("TENANT", json!("example.com")), "there is no tenant example.com"),
        (deny("USER", json!(7)), "must be a text"),
        (deny("IP", json!({"fixedIp": "nowhere"})), "`nowhere` is not an IPv4 or IPv6 address"),
        (deny("IPRANGE", json!({"startingIp": "10.0.0.9", "endingIp": "10.0.0.1"})), "a range goes from"),
        (deny("MOON", json!("x")), "conditionType: `MOON` is none"),
        (json!({"conditionType": "USER", "conditionValue": "a", "expiresAt": "soon"}), "expiresAt: must be a time"),
    ];
    for (body, expected) in cases {
        let answer = call(&admin, "POST", DENY, body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{expected}");
        assert!(description(&answer).contains(expected), "{}", answer.body);
    }
    assert_eq!(call(&admin, "DELETE", &path, Value::Null).await.status, StatusCode::OK);
    assert_eq!(call(&admin, "GET", &path, Value::Null).await.status, StatusCode::NOT_FOUND);
    assert_eq!(call(&admin, "PATCH", &path, json!({"conditionStatus": true})).await.status, StatusCode::NOT_FOUND);
    let viewer = Some(identity(&["apim:bl_view"], "carbon.super"));
    let refused = call_as(&admin, viewer, "POST", DENY, deny("USER", json!("tom"))).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
}

async fn import(router: &Router, query: &str, document: &Value) -> Answer {
    let body = format!(
        "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"p.json\"\r\n\r\n{document}\r\n--b--\r\n"
    );
    let router = router.clone().layer(Extension(identity(&["apim:policies_import_export"], "carbon.super")));
    let request = Request::builder().method("POST").uri(format!("/v4/throttling/policies/import{query}"));
    let request = request.header(CONTENT_TYPE, "multipart/form-data; boundary=b").body(Body::from(body)).unwrap();
    let response = layers::finish(router).oneshot(request).await.unwrap();
    let (parts, content) = response.into_parts();
    let bytes = to_bytes(content, usize::MAX).await.unwrap();
    let body = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap() };
    Answer { status: parts.status, headers: parts.headers, body }
}

#[tokio::test]
async fn policies_are_found_exported_and_imported_into_another_cluster() {
    let (one, other) = (faces().await, faces().await);
    let mut body = plan("Tiny", 3);
    body["permissions"] = json!({"permissionType": "DENY", "roles": ["Internal/subscriber"]});
    body["subscriberCount"] = json!(12);
    body["graphQLMaxDepth"] = json!(4);
    let made = call(&one, "POST", PLANS, body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let found = call(&one, "GET", "/v4/throttling/policies/search?query=type:sub%20name:tin", Value::Null).await.body;
    assert_eq!((&found["count"], &found["list"][0]["uuid"]), (&json!(1), &made.body["policyId"]));
    assert_eq!(found["list"][0]["type"], "sub");
    let path = "/v4/throttling/policies/export?name=Tiny&type=sub";
    let document = call(&one, "GET", path, Value::Null).await.body;
    assert_eq!((&document["subtype"], &document["version"]), (&json!("subscription"), &json!("v4.1.0")));
    assert_eq!(call(&one, "GET", "/v4/throttling/policies/export?name=None", Value::Null).await.status, 404);
    assert_eq!(call(&one, "GET", "/v4/throttling/policies/export?name=Unlimited", Value::Null).await.status, 400);

    let imported = import(&other, "", &document).await;
    assert_eq!(imported.status, StatusCode::OK, "{}", imported.body);
    let again = call(&other, "GET", path, Value::Null).await.body;
    let mut expected = document.clone();
    expected["data"]["policyId"] = again["data"]["policyId"].clone();
    assert_eq!(again, expected);
    assert_eq!(import(&other, "", &document).await.status, StatusCode::CONFLICT);
    assert_eq!(import(&other, "?overwrite=true", &document).await.status, StatusCode::OK);
    assert_eq!(import(&other, "", &json!({"data": {}})).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_plan_for_nobody_in_particular_is_refused() {
    let admin = faces().await;
    let mut body = plan("P", 3);
    body["permissions"] = json!({"permissionType": "ALLOW", "roles": []});
    let answer = call(&admin, "POST", PLANS, body).await;
    assert!(description(&answer).contains("permissions.roles: must name at least one role"), "{}", answer.body);
}

#[tokio::test]
async fn the_plan_that_limits_calls_without_a_token_cannot_be_deleted() {
    let admin = faces().await;
    let plans = "/v4/throttling/policies/subscription";
    let listed = call(&admin, "GET", plans, Value::Null).await.body;
    let seeded =
        listed["list"].as_array().unwrap().iter().find(|plan| plan["policyName"] == "Unauthenticated").unwrap();
    let path = format!("{plans}/{}", seeded["policyId"].as_str().unwrap());
    let refused = call(&admin, "DELETE", &path, Value::Null).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.body);
    assert!(refused.body["description"].as_str().unwrap().contains("without a token"), "{}", refused.body);
    assert_eq!(call(&admin, "GET", &path, Value::Null).await.status, StatusCode::OK);
}
