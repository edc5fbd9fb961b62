//! Themes: kept as drafts, published, handed out; with bounds, and without what could be executed.

mod harness;

use harness::Cluster;
use harness::archive::zip;
use harness::http::{Client, Reply};
use harness::journey::{self, Wish, text};
use serde_json::{Value, json};

const ORG: &str = "/api/am/admin/v4/org-themes";
const TENANT: &str = "/api/am/admin/v4/tenant-theme";

/// Makes a zip file of one file.
fn archive(name: &str, content: &[u8]) -> Vec<u8> {
    zip(&[(name, content)])
}

async fn upload(client: &Client, verb: &str, path: &str, archive: &[u8]) -> Reply {
    let head = "--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"theme.zip\"\r\n\r\n";
    let body = [head.as_bytes(), archive, b"\r\n--XX--\r\n"].concat();
    client.send(verb, path, &[("content-type", "multipart/form-data; boundary=XX")], body).await.expect("upload")
}

async fn get(client: &Client, path: &str) -> Value {
    client.get(path).await.expect("get").expect(200).json()
}

/// What is the same for the themes of a portal and of an API.
async fn keep_and_publish(one: &Client, other: &Client, path: &str) {
    assert_eq!(get(one, path).await, json!([]));
    let (first, second) = (archive("look/userTheme.json", b"{}"), archive("look/logo.png", b"a picture"));
    let made = upload(one, "POST", path, &first).await.expect(200).json();
    assert_eq!(made["published"], false);
    let draft = text(&made, "id");
    // Another upload takes its place.
    assert_eq!(upload(other, "POST", path, &second).await.expect(200).json()["id"], *draft);
    let content = one.get(&format!("{path}/{draft}/content")).await.expect("content").expect(200);
    assert_eq!((content.header("content-type"), &content.body[..]), ("application/zip", &second[..]));
    let status = async |id: &str, action: &str, status: u16| {
        let body = json!({"action": action});
        one.json("POST", &format!("{path}/{id}/status"), &body).await.expect("status").expect(status);
    };
    status(&draft, "publish", 400).await;
    status("nothing", "PUBLISH", 404).await;
    status(&draft, "PUBLISH", 200).await;
    assert_eq!(get(other, &format!("{path}?publish=true")).await, json!([{"id": draft, "published": true}]));
    assert_eq!(get(other, &format!("{path}?publish=false")).await, json!([]));
    let next = text(&upload(other, "POST", path, &first).await.expect(200).json(), "id");
    status(&draft, "UNPUBLISH", 400).await;
    status(&next, "PUBLISH", 200).await;
    assert_eq!(get(other, path).await, json!([{"id": next, "published": true}]));
    one.get(&format!("{path}/{draft}/content")).await.expect("content").expect(404);
    status(&next, "UNPUBLISH", 200).await;
    other.send("DELETE", &format!("{path}/{next}"), &[], "").await.expect("delete").expect(200);
    other.send("DELETE", &format!("{path}/{next}"), &[], "").await.expect("delete").expect(404);
    assert_eq!(get(one, path).await, json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn themes_of_the_portal_and_of_an_api_are_drafts_until_they_are_published() {
    let cluster = Cluster::start(3).await;
    let (node, other) = (&cluster.nodes[0], &cluster.nodes[1]);
    let api = journey::publish(node, &Wish::new("pizza", "http://127.0.0.1:1")).await;
    keep_and_publish(&node.admin(), &other.admin(), ORG).await;
    let of_api = format!("/api/am/publisher/v4/apis/{api}/api-themes");
    keep_and_publish(&node.admin(), &other.admin(), &of_api).await;

    let admin = other.admin();
    // That of an API is none of the portal's.
    let look = archive("look/userTheme.json", b"{}");
    let theme = text(&upload(&admin, "POST", &of_api, &look).await.expect(200).json(), "id");
    admin.send("DELETE", &format!("{ORG}/{theme}"), &[], "").await.expect("not the portal's").expect(404);
    assert_eq!(get(&node.admin(), &of_api).await, json!([{"id": theme, "published": false}]));
    admin.get(TENANT).await.expect("none").expect(404);
    for name in ["a.css", "b.css"] {
        let look = archive(name, b"body {}");
        upload(&admin, "PUT", TENANT, &look).await.expect(200);
        let kept = admin.get(TENANT).await.expect("theme").expect(200);
        assert_eq!((kept.header("content-type"), &kept.body[..]), ("application/zip", &look[..]));
    }
    assert_eq!(get(&admin, ORG).await, json!([]), "the tenant's is none of the portal's");
    let user = json!({"username": "pia", "password": "a good long password", "roles": ["Internal/subscriber"]});
    admin.json("POST", "/api/portcullis/v1/users", &user).await.expect("user").expect(201);
    node.as_user("pia", "a good long password").get(TENANT).await.expect("refused").expect(403);
}

/// Returns the look of a page: its style sheet beside that of all pages.
async fn look_of(client: &Client, page: &str) -> Option<String> {
    let page = client.get(page).await.expect("a page").expect(200).text();
    let (_, rest) = page.split_once("href=\"/devportal/looks/")?;
    let path = format!("/devportal/looks/{}", rest.split('"').next().unwrap_or_default());
    let style = client.get(&path).await.expect("a style sheet").expect(200);
    assert_eq!(style.header("content-type"), "text/css; charset=utf-8");
    Some(style.text())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_of_the_store_look_by_what_is_published_for_the_api_or_the_portal_else_by_the_tenants() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    let (admin, visitor) = (node.admin(), node.anonymous());
    let api = journey::publish(node, &Wish::new("pizza", "http://127.0.0.1:1")).await;
    let page = format!("/devportal/apis/{api}");
    let look = |colour: &str| {
        let theme = json!({"palette": {"primary": {"main": colour}}});
        archive("devportal/userTheme.json", theme.to_string().as_bytes())
    };
    assert_eq!(look_of(&visitor, "/devportal").await, None);
    upload(&admin, "PUT", TENANT, &look("#123456; } body { display: none")).await.expect(200);
    assert_eq!(look_of(&visitor, "/devportal").await, None, "nothing of a style gets through that is no colour");
    upload(&admin, "PUT", TENANT, &look("#123456")).await.expect(200);
    let style = look_of(&visitor, "/devportal").await.expect("the tenant's");
    assert!(style.contains("--accent: light-dark(#123456, "), "{style}");
    assert!(!visitor.get("/").await.expect("front").expect(200).text().contains("looks"), "of the Store alone");

    let of_api = format!("/api/am/publisher/v4/apis/{api}/api-themes");
    for (path, colour, page, other) in
        [(ORG, "#222222", "/devportal", None), (&of_api, "#333333", &page, Some("#222222"))]
    {
        let id = text(&upload(&admin, "POST", path, &look(colour)).await.expect(200).json(), "id");
        let before = look_of(&visitor, page).await;
        assert!(!before.expect("another").contains(colour), "a draft is not in force");
        let body = json!({"action": "PUBLISH"});
        admin.json("POST", &format!("{path}/{id}/status"), &body).await.expect("publish").expect(200);
        assert!(look_of(&visitor, page).await.expect("published").contains(colour), "{page}");
        if let Some(other) = other {
            assert!(look_of(&visitor, "/devportal").await.expect("the portal's").contains(other));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_theme_is_refused() {
    let cluster = Cluster::start(1).await;
    let admin = cluster.nodes[0].admin();
    for (bad, why) in [
        (b"no archive".to_vec(), "not a zip file"),
        (archive("../userTheme.json", b"{}"), "leads out"),
        (archive("evil.js", b"alert(1)"), "evil.js"),
    ] {
        for (verb, path) in [("POST", ORG), ("PUT", TENANT)] {
            let refused = upload(&admin, verb, path, &bad).await.expect(400).text();
            assert!(refused.contains(why), "{refused}");
        }
    }
    let large = archive("large.css", &vec![b'x'; 600 << 10]);
    upload(&admin, "POST", ORG, &large).await.expect(413);
    admin.send("POST", ORG, &[("content-type", "application/zip")], "x").await.expect("no form").expect(415);
}
