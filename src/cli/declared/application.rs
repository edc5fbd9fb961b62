//! Applications with their subscriptions. Keys are not in files: they are made anew, or told by who has them.

use http::Method;
use portcullis_http::percent::encoded;
use serde_json::{Value, json};

use super::compare::overlay;
use super::kind::{Key, Kind};
use super::server::{Found, Server};
use crate::failure::Failure;

const STORE: &str = "/api/am/devportal/v3";

impl Server {
    /// Reads an application.
    pub(super) async fn read_application(&self, kind: &Kind, id: &str) -> Result<Found, Failure> {
        let raw = self.get(&self.at(kind, id)).await?;
        let mut spec = raw.clone();
        spec["subscriptions"] = self
            .subscriptions(id)
            .await?
            .iter()
            .map(|one| {
                let info = &one["apiInfo"];
                json!({"api": info["name"], "version": info["version"], "throttlingPolicy": one["throttlingPolicy"]})
            })
            .collect();
        Ok(self.found(kind, id.to_owned(), raw, spec))
    }

    async fn subscriptions(&self, application: &str) -> Result<Vec<Value>, Failure> {
        self.list(&format!("{STORE}/subscriptions?applicationId={}", encoded(application))).await
    }

    /// Makes an application, or changes the one that is there.
    pub(super) async fn write_application(
        &self,
        kind: &Kind,
        key: &Key,
        mut spec: Value,
        found: Option<&Found>,
    ) -> Result<(), Failure> {
        spec["name"] = json!(key.name);
        let wanted = spec.as_object_mut().and_then(|fields| fields.shift_remove("subscriptions"));
        let id = match found {
            Some(found) => {
                let mut body = overlay(&found.raw, &spec);
                super::server::without_nothing(&mut body);
                self.send(Method::PUT, &self.at(kind, &found.id), &body).await?;
                found.id.clone()
            }
            None => {
                let made = self.send(Method::POST, kind.path, &spec).await?;
                made["applicationId"].as_str().unwrap_or_default().to_owned()
            }
        };
        match wanted.as_ref().and_then(Value::as_array) {
            Some(wanted) => self.bring_subscriptions(&id, wanted).await,
            None => Ok(()),
        }
    }

    async fn bring_subscriptions(&self, application: &str, wanted: &[Value]) -> Result<(), Failure> {
        let there = self.subscriptions(application).await?;
        let is_it = |there: &Value, wanted: &Value| {
            there["apiInfo"]["name"] == wanted["api"] && there["apiInfo"]["version"] == wanted["version"]
        };
        for one in wanted {
            let before = there.iter().find(|there| is_it(there, one));
            if before.is_some_and(|before| before["throttlingPolicy"] == one["throttlingPolicy"]) {
                continue;
            }
            let api = match before {
                Some(before) => before["apiId"].as_str().unwrap_or_default().to_owned(),
                None => {
                    let text = |field: &str| one[field].as_str().unwrap_or_default();
                    self.id_of_api(STORE, text("api"), text("version")).await?
                }
            };
            let body = json!({"applicationId": application, "apiId": api, "throttlingPolicy": one["throttlingPolicy"]});
            match before {
                None => self.send(Method::POST, &format!("{STORE}/subscriptions"), &body).await?,
                Some(before) => {
                    let id = encoded(before["subscriptionId"].as_str().unwrap_or_default());
                    self.send(Method::PUT, &format!("{STORE}/subscriptions/{id}"), &body).await?
                }
            };
        }
        for gone in there.iter().filter(|there| !wanted.iter().any(|wanted| is_it(there, wanted))) {
            let id = encoded(gone["subscriptionId"].as_str().unwrap_or_default());
            self.remove(&format!("{STORE}/subscriptions/{id}")).await?;
        }
        Ok(())
    }
}
