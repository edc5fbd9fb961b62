//! What is written about an API, and what people think of it: written on one node, read on another.

mod harness;

use harness::Cluster;
use harness::backend::Backend;
use harness::http::{Client, multipart};
use harness::journey::{self, Wish, text};
use serde_json::{Value, json};

const PUBLISHER: &str = "/api/am/publisher/v4/apis";
const STORE: &str = "/api/am/devportal/v3/apis";

async fn upload(client: &Client, verb: &str, path: &str, parts: &[(&str, Option<&str>, &str)]) -> u16 {
    let (body, content_type) = multipart(parts);
    client.send(verb, path, &[("content-type", &content_type)], body).await.expect("upload").status
}

async fn write(publisher: &Client, api: &str, body: Value) -> String {
    let made =
        publisher.json("POST", &format!("{PUBLISHER}/{api}/documents"), &body).await.expect("document").expect(201);
    let id = text(&made.json(), "documentId");
    assert!(made.header("location").ends_with(&format!("/apis/{api}/documents/{id}")), "{:?}", made.headers);
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_are_read_on_every_node_by_those_they_are_for() {
    let cluster = Cluster::start(3).await;
    let backend = Backend::start("production").await;
    let api = journey::publish(&cluster.nodes[0], &Wish::new("pizza", &backend.url())).await;
    let (publisher, visitor) = (cluster.nodes[0].admin(), cluster.nodes[1].anonymous());
    let document = |name: &str, source: &str, visibility: &str| {
        json!({"name": name, "type": "HOWTO", "summary": "How to begin", "sourceType": source, "visibility": visibility,
               "sourceUrl": "https://example.org/guide"})
    };
    let guide = write(&publisher, &api, document("Guide", "MARKDOWN", "API_LEVEL")).await;
    let file = write(&publisher, &api, document("Sample", "FILE", "PRIVATE")).await;
    let link = write(&publisher, &api, document("Link", "URL", "API_LEVEL")).await;
    let content = |id: &str| format!("{PUBLISHER}/{api}/documents/{id}/content");
    assert_eq!(
        upload(&publisher, "POST", &content(&guide), &[("inlineContent", None, "# Begin\n<script>")]).await,
        200
    );
    assert_eq!(upload(&publisher, "POST", &content(&file), &[("file", Some("sample.txt"), "hello")]).await, 200);
    assert_eq!(upload(&publisher, "POST", &content(&link), &[("inlineContent", None, "x")]).await, 409);

    // Whoever looks around sees what is for everybody, and cannot be attacked by it.
    let listed = visitor.get(&format!("{STORE}/{api}/documents")).await.expect("list").expect(200).json();
    let names: Vec<&str> =
        listed["list"].as_array().expect("a list").iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["Guide", "Link"]);
    let read = visitor.get(&format!("{STORE}/{api}/documents/{guide}/content")).await.expect("read").expect(200);
    assert_eq!(read.text(), "# Begin\n<script>");
    assert!(read.header("content-type").starts_with("text/markdown"), "{:?}", read.headers);
    assert!(read.header("content-security-policy").contains("sandbox"), "{:?}", read.headers);
    let elsewhere = visitor.get(&format!("{STORE}/{api}/documents/{link}/content")).await.expect("read").expect(303);
    assert_eq!(elsewhere.header("location"), "https://example.org/guide");
    visitor.get(&format!("{STORE}/{api}/documents/{file}")).await.expect("read").expect(404);
    let member = cluster.nodes[2].admin();
    let saved = member.get(&format!("{STORE}/{api}/documents/{file}/content")).await.expect("read").expect(200);
    assert_eq!((saved.text().as_str(), saved.header("content-type")), ("hello", "application/octet-stream"));
    assert!(saved.header("content-disposition").contains("filename=\"sample.txt\""), "{:?}", saved.headers);

    // A change that somebody else was faster with is refused.
    let path = format!("{PUBLISHER}/{api}/documents/{guide}");
    let tag = publisher.get(&path).await.expect("read").expect(200).header("etag").to_owned();
    let change = document("Start", "MARKDOWN", "API_LEVEL").to_string();
    let headers = [("content-type", "application/json"), ("if-match", tag.as_str())];
    let changed = publisher.send("PUT", &path, &headers, change.clone()).await.expect("change").expect(200);
    assert_eq!(changed.json()["name"], "Start");
    publisher.send("PUT", &path, &headers, change).await.expect("change").expect(412);
    let validate = |name: &str| format!("{PUBLISHER}/{api}/documents/validate?name={name}");
    publisher.json("POST", &validate("Start"), &json!({})).await.expect("validate").expect(200);
    publisher.json("POST", &validate("Guide"), &json!({})).await.expect("validate").expect(404);
    let taken = document("Start", "INLINE", "API_LEVEL");
    publisher.json("POST", &format!("{PUBLISHER}/{api}/documents"), &taken).await.expect("twice").expect(409);
    let wrong = json!({"name": "x", "type": "BOOK", "sourceType": "INLINE", "visibility": "API_LEVEL"});
    let wrong =
        publisher.json("POST", &format!("{PUBLISHER}/{api}/documents"), &wrong).await.expect("wrong").expect(400);
    assert!(wrong.text().contains("HOWTO, SAMPLES"), "{}", wrong.text());
    publisher.send("DELETE", &path, &[], "").await.expect("delete").expect(200);
    publisher.get(&path).await.expect("read").expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_is_shown_where_there_is_one() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    let backend = Backend::start("production").await;
    let api = journey::publish(node, &Wish::new("pizza", &backend.url())).await;
    let (publisher, visitor) = (node.admin(), node.anonymous());
    let (put, show) = (format!("{PUBLISHER}/{api}/thumbnail"), format!("{STORE}/{api}/thumbnail"));
    visitor.get(&show).await.expect("none").expect(404);
    assert_eq!(upload(&publisher, "PUT", &put, &[("file", Some("a.svg"), "<svg onload=alert(1)>")]).await, 400);
    assert_eq!(upload(&publisher, "PUT", &put, &[("file", Some("a.gif"), "GIF89a picture")]).await, 200);
    let picture = visitor.get(&show).await.expect("picture").expect(200);
    assert_eq!((picture.header("content-type"), picture.text().as_str()), ("image/gif", "GIF89a picture"));
    let listed = visitor.get(STORE).await.expect("list").expect(200).json();
    assert_eq!(listed["list"][0]["thumbnailUri"], format!("/apis/{api}/thumbnail"));
    assert_eq!(
        publisher.get(&format!("{PUBLISHER}/{api}")).await.expect("api").expect(200).json()["hasThumbnail"],
        true
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn people_say_what_they_think_and_change_only_what_they_said() {
    let cluster = Cluster::start(3).await;
    let backend = Backend::start("production").await;
    let api = journey::publish(&cluster.nodes[0], &Wish::new("pizza", &backend.url())).await;
    let user = json!({"username": "mia", "password": "Enough-0f-it", "roles": ["Internal/subscriber"]});
    let admin = cluster.nodes[0].admin();
    admin.json("POST", "/api/portcullis/v1/users", &user).await.expect("user").expect(201);
    let (mia, visitor) = (cluster.nodes[1].as_user("mia", "Enough-0f-it"), cluster.nodes[2].anonymous());
    let comments = format!("{STORE}/{api}/comments");
    let said = mia.json("POST", &comments, &json!({"content": "Fast"})).await.expect("comment").expect(201);
    let id = text(&said.json(), "id");
    assert!(said.header("location").ends_with(&format!("/comments/{id}")), "{:?}", said.headers);
    let reply = format!("{PUBLISHER}/{api}/comments?replyTo={id}");
    admin.json("POST", &reply, &json!({"content": "Thank you"})).await.expect("reply").expect(201);
    let all = format!("{comments}?consistency=linearizable");
    let listed = visitor.get(&all).await.expect("list").expect(200).json();
    assert_eq!((listed["count"].as_u64(), listed["list"][0]["createdBy"].as_str()), (Some(1), Some("mia")));
    let answer = &listed["list"][0]["replies"]["list"][0];
    assert_eq!((answer["content"].as_str(), answer["entryPoint"].as_str()), (Some("Thank you"), Some("publisher")));
    let one = format!("{comments}/{}", text(answer, "id"));
    mia.json("PATCH", &one, &json!({"content": "No"})).await.expect("not hers").expect(403);
    mia.send("DELETE", &one, &[], "").await.expect("not hers").expect(403);
    mia.json("POST", &comments, &json!({"content": "x".repeat(513)})).await.expect("too long").expect(400);
    visitor.json("POST", &comments, &json!({"content": "x"})).await.expect("nobody").expect(401);
    let mine = format!("{comments}/{id}");
    let changed = mia.json("PATCH", &mine, &json!({"content": "Very fast"})).await.expect("change").expect(200).json();
    assert_eq!((changed["content"].as_str(), changed["category"].as_str()), (Some("Very fast"), Some("general")));

    let rating = format!("{STORE}/{api}/user-rating");
    mia.json("PUT", &rating, &json!({"rating": 6})).await.expect("too good").expect(400);
    mia.json("PUT", &rating, &json!({"rating": 4})).await.expect("rate").expect(200);
    admin.json("PUT", &rating, &json!({"rating": 5})).await.expect("rate").expect(200);
    let ratings = visitor
        .get(&format!("{STORE}/{api}/ratings?consistency=linearizable"))
        .await
        .expect("ratings")
        .expect(200)
        .json();
    assert_eq!((ratings["avgRating"].as_str(), ratings["count"].as_u64()), (Some("4.5"), Some(2)), "{ratings}");
    mia.send("DELETE", &rating, &[], "").await.expect("withdraw").expect(200);
    assert_eq!(mia.get(&rating).await.expect("none").expect(200).json()["rating"], 0);
    assert_eq!(visitor.get(&format!("{STORE}/{api}")).await.expect("api").expect(200).json()["avgRating"], "5.0");

    // An administrator deletes what anybody said, with what was said to it.
    admin.send("DELETE", &format!("{PUBLISHER}/{api}/comments/{id}"), &[], "").await.expect("delete").expect(200);
    assert_eq!(visitor.get(&all).await.expect("list").expect(200).json()["count"], 0);
}
