//! Writes an application as an archive.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portcullis_database::Apimgtdb;
use portcullis_http::Stamped;
use portcullis_http::zip::{self, Files};
use portcullis_model::{Principal, Refused};
use serde_json::{Value, json};

use super::named;
use crate::actor::{Desk, Request};
use crate::apis::stamped;
use crate::applications::apis_of;
use crate::dto::application::ApplicationInfoDto;
use crate::dto::application_archive::{ArchivedApi, ArchivedSubscription};
use crate::dto::key::KeyDto;
use crate::dto::name_of_user;
use crate::error::StoreError;
use crate::keys::keys_of;
use crate::messages::ExportApplication;

/// The version that files name.
const VERSION: &str = "v4.5.0";
/// How long a token lives where its keys do not say, in seconds, as the original writes it.
const TOKEN_VALIDITY_S: u64 = 3_600;

impl Request for ExportApplication {
    type Reply = Stamped<(String, Vec<u8>)>;

    async fn answer(self, desk: Desk) -> Result<Self::Reply, StoreError> {
        let view = desk.view_for(self.subscriber.consistency).await?;
        let owner = Principal { tenant: self.subscriber.principal.tenant.clone(), username: self.owner.clone() };
        let application = named(&view, &owner, &self.name);
        let application = application.ok_or_else(|| Refused::not_found("application", &self.name))?;
        let database = view.read::<Apimgtdb>();
        let subscribed: Vec<ArchivedSubscription> = apis_of(&view, application.id)
            .filter_map(|api| {
                let id = database.subscriptions_by_application.get(&(application.id, api))?;
                let (subscription, api) = (database.subscriptions.get(id)?, database.apis.get(&api)?);
                let api_id = ArchivedApi {
                    provider_name: name_of_user(&api.tenant, &api.provider),
                    api_name: api.name.clone(),
                    version: api.version.clone(),
                };
                Some(ArchivedSubscription { api_id, throttling_policy: subscription.plan.clone() })
            })
            .collect();
        let mut info = json!(ApplicationInfoDto::new(&application, subscribed.len()));
        let keys = if self.has_keys { keys_of(&desk, &view, application.id)? } else { Vec::new() };
        info["keys"] = keys.iter().map(archived_key).collect();
        let data = json!({"applicationInfo": info, "subscribedAPIs": subscribed});
        let whole = json!({"type": "application", "version": VERSION, "data": data});
        let unwritable = |reason: String| Refused::invalid("application", reason);
        let (end, text) = if self.is_json {
            ("json", serde_json::to_string_pretty(&whole)?)
        } else {
            ("yaml", serde_saphyr::to_string(&whole).map_err(|error| unwritable(error.to_string()))?)
        };
        // Names of applications may hold what names of files may not.
        let plain = |text: &str| text.replace(['/', '\\', ':', '\0'], "_");
        let stem = format!("{}-{}", plain(&self.owner.0), plain(&application.name));
        let files = Files::from([(format!("{stem}/application.{end}"), text.into_bytes())]);
        let archive = zip::write(&files).map_err(unwritable)?;
        Ok(stamped((format!("{stem}.zip"), archive), &view))
    }
}

/// Writes keys as the original does: the secret in base64, and a token that only says how long one lives.
fn archived_key(key: &KeyDto) -> Value {
    let mut body = json!(key);
    body["consumerSecret"] = STANDARD.encode(&key.consumer_secret).into();
    body["token"] = json!({"accessToken": null, "tokenScopes": [], "validityTime": TOKEN_VALIDITY_S});
    body
}
