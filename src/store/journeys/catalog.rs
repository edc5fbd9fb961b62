//! What anybody finds in the Store: APIs, tags, policies.

use portcullis_model::api::Visibility;
use portcullis_model::{Api, Lifecycle, Role};
use serde_json::json;

use super::machine::Machine;
use super::nouns::api;

fn names(reply: &super::machine::Reply) -> Vec<&str> {
    reply.body["list"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn anybody_finds_published_apis_and_sees_where_to_call_them() {
    let machine = Machine::start();
    machine.put_api(Api { lifecycle: Lifecycle::Created, ..api(3, "Draft") });
    let all = machine.send("", "GET /apis", "", &[]).await.expect(200);
    assert_eq!(names(&all), ["PizzaShack", "Weather"]);
    assert_eq!(all.body["pagination"]["total"], 2);
    let found = machine.send("", "GET /apis?query=tag:weather", "", &[]).await.expect(200);
    assert_eq!(names(&found), ["Weather"]);
    let last = machine.send("", "GET /apis?limit=1&offset=1&sortOrder=desc", "", &[]).await.expect(200);
    assert_eq!(names(&last), ["PizzaShack"]);
    assert_eq!(last.body["pagination"]["previous"], "/apis?limit=1&offset=0&sortOrder=desc");

    let id = all.body["list"][0]["id"].as_str().unwrap();
    let shown = machine.send("", &format!("GET /apis/{id}"), "", &[]).await.expect(200);
    let endpoint = &shown.body["endpointURLs"][0];
    assert_eq!(endpoint["environmentName"], "Default");
    assert_eq!(endpoint["URLs"]["https"], "https://localhost:8243/pizza/1.0.0");
    assert_eq!(endpoint["defaultVersionURLs"]["http"], "http://localhost:8280/pizza");
    assert_eq!(shown.body["tiers"][0]["tierName"], "Gold");
    assert_eq!(shown.body["securityScheme"], json!(["oauth2", "oauth_basic_auth_api_key_mandatory"]));
    let tag = shown.headers["etag"].to_str().unwrap();
    let known = machine.send("", &format!("GET /apis/{id}"), "", &[("If-None-Match", tag)]).await;
    assert_eq!(known.status, 304);

    let swagger = machine.send("", &format!("GET /apis/{id}/swagger"), "", &[]).await.expect(200);
    assert_eq!(swagger.body["servers"][0]["url"], "https://localhost:8243/pizza/1.0.0");
    machine.send("", &format!("GET /apis/{id}/swagger?environmentName=Mars"), "", &[]).await.expect(404);
    let plans = machine.send("", &format!("GET /apis/{id}/subscription-policies"), "", &[]).await.expect(200);
    assert_eq!((&plans.body[0]["name"], &plans.body[0]["requestCount"]), (&json!("Gold"), &json!(5000)));
}

#[tokio::test]
async fn a_restricted_api_shows_itself_to_its_roles_alone() {
    let machine = Machine::start();
    let restricted =
        Api { visibility: Visibility::Restricted, visible_roles: vec![Role("vip".to_owned())], ..api(3, "Hidden") };
    let path = format!("GET /apis/{}", restricted.id);
    machine.put_api(restricted.clone());
    for user in ["", "sam"] {
        machine.send(user, &path, "", &[]).await.expect(404);
        assert_eq!(names(&machine.send(user, "GET /apis", "", &[]).await).len(), 2);
    }
    machine.put_api(Api { visible_roles: vec![Role("Internal/subscriber".to_owned())], ..restricted });
    machine.send("", &path, "", &[]).await.expect(404);
    machine.send("sam", &path, "", &[]).await.expect(200);
}

#[tokio::test]
async fn what_is_wrong_in_a_path_or_query_is_said() {
    let machine = Machine::start();
    for (line, status) in [
        ("GET /apis/not-a-uuid", 404),
        ("GET /apis/00000000-0000-4000-8000-000000000000", 404),
        ("GET /apis?limit=many", 400),
        ("GET /apis?sortBy=taste", 400),
        ("GET /throttling-policies/planet", 400),
        ("GET /throttling-policies/application/Gold", 404),
        ("GET /tenants?state=asleep", 400),
        ("GET /applications", 401),
        ("GET /settings", 401),
    ] {
        let reply = machine.send("", line, "", &[]).await.expect(status);
        assert!(!reply.text("description").is_empty(), "{line}");
    }
    machine.send("viewer", "GET /applications", "", &[]).await.expect(403);
    machine.sam("GET /applications?consistency=maybe", "").await.expect(400);
}

#[tokio::test]
async fn tags_policies_tenants_and_key_managers_are_listed() {
    let machine = Machine::start();
    let tags = machine.send("", "GET /tags", "", &[]).await.expect(200);
    assert_eq!(tags.body["list"], json!([{ "value": "weather", "count": 1 }]));
    let plans = machine.send("", "GET /throttling-policies/subscription", "", &[]).await.expect(200);
    assert_eq!(names(&plans), ["Bronze", "Gold", "Silver"], "nobody subscribes unauthenticated");
    let one = machine.send("", "GET /throttling-policies/application/50PerMin", "", &[]).await.expect(200);
    assert_eq!((&one.body["unitTime"], &one.body["timeUnit"]), (&json!(1), &json!("min")));
    let tenants = machine.send("", "GET /tenants", "", &[]).await.expect(200);
    assert_eq!(tenants.body["list"], json!([{ "domain": "carbon.super", "status": "active" }]));
    let managers = machine.sam("GET /key-managers", "").await.expect(200);
    assert_eq!(names(&managers), ["Resident Key Manager"]);
    assert_eq!(managers.body["list"][0]["enableOAuthAppCreation"], true);
    assert_eq!(machine.sam("GET /settings", "").await.expect(200).body["IsAnonymousModeEnabled"], true);
    assert_eq!(machine.sam("GET /settings/application-attributes", "").await.expect(200).body["count"], 0);
    assert_eq!(machine.send("", "GET /api-categories", "", &[]).await.expect(200).body["count"], 0);
}
