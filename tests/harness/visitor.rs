//! Somebody who looks at the pages without a browser's comfort: keeps cookies, follows nothing, fills in forms.

use bytes::Bytes;

use super::http::{Reply, multipart_of_bytes};
use super::{Node, PASSWORD};

/// A visitor of one node's pages.
pub struct Visitor<'a> {
    node: &'a Node,
    cookies: Vec<(String, String)>,
}

/// Returns what a page's first form carries unseen.
pub fn hidden(page: &str, name: &str) -> String {
    let at = page.find(&format!("name=\"{name}\" value=\"")).unwrap_or_else(|| panic!("no {name} in {page}"));
    let value = page[at..].split('"').nth(3).expect("a value");
    value.replace("&#34;", "\"").replace("&#39;", "'").replace("&#60;", "<").replace("&#62;", ">").replace("&#38;", "&")
}

impl<'a> Visitor<'a> {
    /// Comes to a node.
    pub fn new(node: &'a Node) -> Self {
        Self { node, cookies: Vec::new() }
    }

    /// Comes to a node and signs in.
    pub async fn signed_in(node: &'a Node, user: &str, password: &str) -> Self {
        let mut visitor = Self::new(node);
        let reply = visitor.sign_in(user, password).await.expect(303);
        assert_eq!(reply.header("location"), "/devportal");
        visitor
    }

    /// Comes to a node as its administrator.
    pub async fn administrator(node: &'a Node) -> Self {
        Self::signed_in(node, "admin", PASSWORD).await
    }

    /// Goes to another node with what the browser keeps, as behind a load balancer.
    pub fn at<'b>(&self, node: &'b Node) -> Visitor<'b> {
        Visitor { node, cookies: self.cookies.clone() }
    }

    /// Puts a cookie into the browser, as somebody else may do.
    pub fn plant(&mut self, name: &str, value: &str) {
        self.cookies.retain(|(known, _)| known != name);
        self.cookies.push((name.to_owned(), value.to_owned()));
    }

    /// Signs in with what the browser keeps.
    pub async fn sign_in(&mut self, user: &str, password: &str) -> Reply {
        let page = self.get("/oauth2/portal?page=/devportal").await.expect(200).text();
        let (to, token) = (hidden(&page, "to"), hidden(&page, "form_token"));
        let fields = [("to", to.as_str()), ("form_token", &token), ("username", user), ("password", password)];
        self.post("/oauth2/sign-in", &fields).await
    }

    /// Returns a cookie.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    async fn send(&mut self, verb: &str, path: &str, body: String) -> Reply {
        self.send_as(verb, path, "application/x-www-form-urlencoded", body).await
    }

    async fn send_as(&mut self, verb: &str, path: &str, media_type: &str, body: impl Into<Bytes>) -> Reply {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookies = cookies.join("; ");
        let mut headers = vec![("cookie", cookies.as_str())];
        if verb == "POST" {
            headers.push(("content-type", media_type));
            headers.push(("sec-fetch-site", "same-origin"));
        }
        let reply = self.node.anonymous().send(verb, path, &headers, body).await.expect("an answer");
        for cookie in reply.headers.get_all("set-cookie") {
            let pair = cookie.to_str().expect("text").split(';').next().expect("a pair");
            let (name, value) = pair.split_once('=').expect("a name");
            self.cookies.retain(|(known, _)| known != name);
            if !value.is_empty() {
                self.cookies.push((name.to_owned(), value.to_owned()));
            }
        }
        reply
    }

    /// Looks at a page.
    pub async fn get(&mut self, path: &str) -> Reply {
        self.send("GET", path, String::new()).await
    }

    /// Sends fields as they are.
    pub async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let mut body = url::form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(fields);
        self.send("POST", path, body.finish()).await
    }

    /// Sends a form of a page.
    pub async fn submit(&mut self, page: &str, path: &str, fields: &[(&str, &str)]) -> Reply {
        let page = self.get(page).await.expect(200).text();
        let token = hidden(&page, "form_token");
        let mut all = vec![("form_token", token.as_str())];
        all.extend(fields);
        self.post(path, &all).await
    }

    /// Sends a form of a page that takes files: fields, and one file by the name of its field, its name and what it holds.
    pub async fn upload(
        &mut self,
        page: &str,
        path: &str,
        fields: &[(&str, &str)],
        (field, name, content): (&str, &str, impl AsRef<[u8]>),
    ) -> Reply {
        let page = self.get(page).await.expect(200).text();
        let token = hidden(&page, "form_token");
        let mut parts = vec![("form_token", None, token.as_bytes()), (field, Some(name), content.as_ref())];
        parts.extend(fields.iter().map(|(name, value)| (*name, None, value.as_bytes())));
        let (body, media_type) = multipart_of_bytes(&parts);
        self.send_as("POST", path, &media_type, body).await
    }
}
