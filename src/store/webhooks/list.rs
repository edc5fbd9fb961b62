//! The webhooks of a subscriber's applications, as the DevPortal contract has them.

use portcullis_database::handle::wall_clock;
use portcullis_database::{Apimgtdb, webhooks};
use portcullis_http::page::Page;
use portcullis_http::time::rfc3339;
use portcullis_http::{List, Stamped};
use portcullis_model::websub::Webhook;
use portcullis_model::{ApplicationId, Refused};
use serde_json::{Value, json};

use crate::actor::{Desk, Request};
use crate::apis::stamped;
use crate::applications::{applications_of, find_owned};
use crate::error::StoreError;
use crate::messages::ListWebhooks;

impl Request for ListWebhooks {
    type Reply = Stamped<List<Value>>;

    async fn answer(self, desk: Desk) -> Result<Self::Reply, StoreError> {
        let view = desk.view_for(self.subscriber.consistency).await?;
        let applications: Vec<ApplicationId> = match (self.application, self.api) {
            (Some(id), _) => vec![find_owned(&view, &self.subscriber, id)?.id],
            (None, Some(_)) => applications_of(&view, &self.subscriber).iter().map(|one| one.id).collect(),
            (None, None) => {
                let reason = "either applicationId or apiId must be given as a query parameter";
                return Err(Refused::invalid("applicationId", reason).into());
            }
        };
        let database = view.read::<Apimgtdb>();
        let all = applications.into_iter().flat_map(|id| webhooks::of_application(database, id, self.api));
        // One whose lease has ended is not there, also before the state has dropped it.
        let now = wall_clock();
        let list: Vec<Value> =
            all.filter(|webhook| webhook.expires_at > now).map(|webhook| describe(webhook)).collect();
        let (total, page) = (list.len(), Page { limit: list.len(), offset: 0 });
        Ok(stamped(List::part(list, total, page), &view))
    }
}

fn describe(webhook: &Webhook) -> Value {
    json!({
        "apiId": webhook.api.to_string(),
        "appId": webhook.application.to_string(),
        "topic": webhook.asked_topic,
        "callBackUrl": webhook.callback,
        "deliveryTime": webhook.delivery.map(|delivery| rfc3339(delivery.at)),
        "deliveryStatus": webhook.delivery_status(),
    })
}
