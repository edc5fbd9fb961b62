//! Organizations: their people see those APIs alone that are shared with them, and choose from plans of their own.

mod harness;

use harness::Cluster;
use harness::http::Client;
use harness::journey::{self, Wish, text};
use serde_json::{Value, json};

const ADMIN: &str = "/api/am/admin/v4/organizations";
const PUBLISHER: &str = "/api/am/publisher/v4";
const STORE: &str = "/api/am/devportal/v3";
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
const PASSWORD: &str = "a good long password";

async fn get(client: &Client, path: &str) -> Value {
    client.get(path).await.expect("get").expect(200).json()
}

/// Names an organization in a user's attributes; says what came of it.
async fn belong(client: &Client, path: &str, organization: &str) -> u16 {
    let operation = json!({"op": "replace", "value": {ENTERPRISE: {"organization": organization}}});
    let patch =
        json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [operation]}).to_string();
    let headers = [("content-type", "application/scim+json")];
    client.send("PATCH", path, &headers, patch).await.expect("patch").status
}

async fn update(client: &Client, api: &str, fields: &[(&str, Value)], status: u16) -> String {
    let path = format!("{PUBLISHER}/apis/{api}");
    let mut body = get(client, &path).await;
    for (name, value) in fields {
        body[*name] = value.clone();
    }
    client.json("PUT", &path, &body).await.expect("update").expect(status).text()
}

#[tokio::test(flavor = "multi_thread")]
async fn people_of_an_organization_see_what_is_shared_with_it_and_choose_from_its_plans() {
    let cluster = Cluster::start(3).await;
    let (node, other) = (&cluster.nodes[0], &cluster.nodes[2]);
    let (admin, elsewhere) = (node.admin(), other.admin());
    let user = json!({"username": "pia", "password": PASSWORD, "roles": ["Internal/subscriber"]});
    admin.json("POST", "/api/portcullis/v1/users", &user).await.expect("user").expect(201);
    let (pia, pia_elsewhere) = (node.as_user("pia", PASSWORD), other.as_user("pia", PASSWORD));
    let api = journey::publish(node, &Wish { plan: "Gold", ..Wish::new("pizza", "http://127.0.0.1:1") }).await;
    // A tenant without organizations shares everything, whatever attributes say, and people write those themselves.
    assert_eq!(belong(&pia, "/scim2/Me", "other").await, 200);
    assert_eq!(get(&pia, &format!("{STORE}/apis")).await["count"], 1);

    for bad in [json!({"displayName": "Acme"}), json!({"externalOrganizationId": " "})] {
        admin.json("POST", ADMIN, &bad).await.expect("bad").expect(400);
    }
    let body = json!({"externalOrganizationId": "acme", "displayName": "Acme Ltd", "description": "bakes"});
    let made = admin.json("POST", ADMIN, &body).await.expect("made").expect(201);
    let organization = text(&made.json(), "organizationId");
    assert_eq!(made.header("location"), format!("{ADMIN}/{organization}"));
    admin.json("POST", ADMIN, &body).await.expect("again").expect(409);
    let listed = get(&elsewhere, &format!("{PUBLISHER}/organizations")).await;
    assert_eq!((&listed["count"], &listed["list"][0]["displayName"]), (&json!(1), &json!("Acme Ltd")));

    // Now the attribute means something: who names an organization that is not there is shut out.
    assert_eq!(get(&pia, &format!("{STORE}/apis")).await["count"], 0);
    pia.get(&format!("{STORE}/apis/{api}")).await.expect("shut out").expect(404);
    // Its owner does not write it any more; nor does who signs up.
    assert_eq!(belong(&pia, "/scim2/Me", "ACME").await, 400);
    assert_eq!(get(&pia, &format!("{STORE}/me/organization-information")).await, json!({}));
    let found = get(&admin, "/scim2/Users?filter=userName+eq+%22pia%22").await;
    let user = format!("/scim2/Users/{}", text(&found["Resources"][0], "id"));
    assert_eq!(belong(&admin, &user, "ACME").await, 200);
    let mine = json!({"organizationId": organization, "name": "Acme Ltd"});
    assert_eq!(get(&pia, &format!("{STORE}/me/organization-information")).await, mine);
    assert_eq!(get(&admin, "/api/am/admin/v4/me/organization-information").await, json!({}));

    let path = format!("{STORE}/apis/{api}");
    assert_eq!(get(&pia, &format!("{STORE}/apis")).await["count"], 0);
    pia.get(&path).await.expect("hidden").expect(404);
    let unknown = [("visibleOrganizations", json!(["nobody"]))];
    let refused = update(&admin, &api, &unknown, 400).await;
    assert!(refused.contains("visibleOrganizations[0]"), "{refused}");
    let own = json!([{"organizationID": organization, "policies": ["Silver"]}]);
    let sharing = [("visibleOrganizations", json!([organization])), ("organizationPolicies", own)];
    update(&elsewhere, &api, &sharing, 200).await;
    // In force on every node when it answers.
    for client in [&pia, &pia_elsewhere] {
        assert_eq!(get(client, &format!("{STORE}/apis")).await["count"], 1);
        let plans = get(client, &format!("{path}/subscription-policies")).await;
        assert_eq!((plans.as_array().map(Vec::len), &plans[0]["name"]), (Some(1), &json!("Silver")), "{plans}");
    }
    assert_eq!(get(&admin, &path).await["tiers"][0]["tierName"], "Gold");

    let application = json!({"name": "oven", "throttlingPolicy": "Unlimited", "tokenType": "JWT"});
    let application = pia.json("POST", &format!("{STORE}/applications"), &application).await.expect("app").expect(201);
    let application = text(&application.json(), "applicationId");
    let subscribe = async |client: &Client, plan: &str, status: u16| {
        let body = json!({"applicationId": application, "apiId": api, "throttlingPolicy": plan});
        client.json("POST", &format!("{STORE}/subscriptions"), &body).await.expect("subscribe").expect(status).text()
    };
    let refused = subscribe(&pia, "Gold", 400).await;
    assert!(refused.contains("it has: Silver"), "{refused}");
    subscribe(&pia_elsewhere, "Silver", 201).await;
    let info = get(&pia_elsewhere, &format!("{STORE}/subscriptions/{api}/additionalInfo")).await;
    assert_eq!((&info["count"], &info["list"][0]["applicationName"]), (&json!(1), &json!("oven")), "{info}");
    let unknown = format!("{STORE}/subscriptions/{organization}/additionalInfo");
    pia.get(&unknown).await.expect("no such API").expect(404);
    // A plan that only an organization has is in use.
    let plans = get(&admin, "/api/am/admin/v4/throttling/policies/subscription").await;
    let silver = plans["list"].as_array().into_iter().flatten().find(|one| one["policyName"] == "Silver");
    let silver = text(silver.expect("Silver"), "policyId");
    let path = format!("/api/am/admin/v4/throttling/policies/subscription/{silver}");
    assert_ne!(admin.send("DELETE", &path, &[], "").await.expect("delete").status, 200);

    // What is shared with all is shared with organizations that are there; one that is renamed leaves its people behind.
    update(&admin, &api, &[("visibleOrganizations", json!(["all"]))], 200).await;
    assert_eq!(get(&pia, &format!("{STORE}/apis")).await["count"], 1);
    let body = json!({"externalOrganizationId": "acme-2", "displayName": "Acme Ltd"});
    admin.json("PUT", &format!("{ADMIN}/{organization}"), &body).await.expect("renamed").expect(200);
    for client in [&pia, &pia_elsewhere] {
        assert_eq!(get(client, &format!("{STORE}/apis")).await["count"], 0);
        client.get(&format!("{STORE}/apis/{api}")).await.expect("hidden").expect(404);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_is_changed_and_deleted() {
    let cluster = Cluster::start(1).await;
    let admin = cluster.nodes[0].admin();
    let body = json!({"externalOrganizationId": "acme"});
    let made = admin.json("POST", ADMIN, &body).await.expect("made").expect(201).json();
    assert_eq!((&made["displayName"], &made["parentOrganizationId"]), (&json!("acme"), &json!("carbon.super")));
    let path = format!("{ADMIN}/{}", text(&made, "organizationId"));
    let body = json!({"externalOrganizationId": "acme-2", "displayName": "Acme", "organizationId": "ignored"});
    admin.json("PUT", &path, &body).await.expect("put").expect(200);
    let seen = get(&admin, &path).await;
    assert_eq!((&seen["externalOrganizationId"], &seen["organizationId"]), (&json!("acme-2"), &made["organizationId"]));
    admin.send("DELETE", &path, &[], "").await.expect("delete").expect(200);
    for verb in ["GET", "DELETE"] {
        admin.send(verb, &path, &[], "").await.expect("gone").expect(404);
    }
    admin.json("PUT", &format!("{ADMIN}/none"), &body).await.expect("none").expect(404);
}
