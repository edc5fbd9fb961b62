//! API keys of applications: issued, listed, revoked. The key itself is made by the Key Manager and shown once.

use portcullis_database::{Apimgtdb, Committed, command};
use portcullis_http::Stamped;
use portcullis_model::api_key::{
    API_KEY_NAME_CHARS_MAX, PERMITTED_NETWORKS_MAX, PERMITTED_REFERRERS_MAX, REFERRER_CHARS_MAX,
};
use portcullis_model::port::ApiKeyOrder;
use portcullis_model::{ApiKeyForm, ApiKeyId, ApplicationId, KeyRestriction, Refused, TokenDigest};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::actor::{Desk, Request, StoreView};
use crate::apis::stamped;
use crate::applications::find_owned;
use crate::dto::api_key::{ApiKeyDto, ApiKeyListDto, NewApiKeyDto};
use crate::dto::key::NumberOrText;
use crate::error::StoreError;
use crate::key_request::check_validity;
use crate::messages::{DeleteApiKey, GenerateApiKey, ListApiKeys, RevokeApiKey, Subscriber};

const PROPERTIES: &str = "additionalProperties";
/// Characters of an API key: what is longer is none.
const KEY_CHARS_MAX: usize = 16 << 10;

impl Request for GenerateApiKey {
    type Reply = Stamped<NewApiKeyDto>;

    async fn answer(self, desk: Desk) -> Result<Self::Reply, StoreError> {
        let body = self.body;
        let validity_s = match body.validity_period {
            None | Some(NumberOrText::Number(-1)) => None,
            said => check_validity("validityPeriod", said.as_ref())?,
        };
        let wish = Wish::read(body.additional_properties.as_ref())?;
        let view = desk.view_for(self.subscriber.consistency).await?;
        find_owned(&view, &self.subscriber, self.application)?;
        let order = ApiKeyOrder {
            principal: self.subscriber.principal,
            application: self.application,
            key_type: self.key_type,
            form: wish.form,
            name: wish.name,
            validity_s,
            restriction: wish.restriction,
            origin: self.subscriber.origin,
        };
        let work = desk.issuer.issue_api_key(order);
        let issued = match self.subscriber.request {
            Some(request) => request.carry(work).await?,
            None => work.await?,
        };
        let validity_time = validity_s.map_or(-1, |seconds| i64::try_from(seconds).unwrap_or(i64::MAX));
        let body = NewApiKeyDto { apikey: issued.key, validity_time, key_id: issued.id.to_string() };
        Ok(Stamped { body, index: issued.index, unreached: Vec::new() })
    }
}

impl Request for RevokeApiKey {
    type Reply = Stamped<()>;

    async fn answer(self, desk: Desk) -> Result<Self::Reply, StoreError> {
        let is_readable =
            (1..=KEY_CHARS_MAX).contains(&self.apikey.len()) && self.apikey.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_readable {
            return Err(Refused::invalid("apikey", "must be the API key that is to be revoked").into());
        }
        revoke(&desk, &self.subscriber, self.application, TokenDigest::of(&self.apikey)).await
    }
}

impl Request for DeleteApiKey {
    type Reply = Stamped<()>;

    async fn answer(self, desk: Desk) -> Result<Self::Reply, StoreError> {
        let view = desk.view_for(self.subscriber.consistency).await?;
        find_owned(&view, &self.subscriber, self.application)?;
        let ids = &view.read::<Apimgtdb>().api_keys_by_application;
        let digest = ids.get(&(self.application, self.key)).ok_or_else(|| Refused::not_found("API key", self.key))?;
        revoke(&desk, &self.subscriber, self.application, *digest).await
    }
}

async fn revoke(
    desk: &Desk,
    subscriber: &Subscriber,
    application: ApplicationId,
    digest: TokenDigest,
) -> Result<Stamped<()>, StoreError> {
    let owned_by = Some(subscriber.principal.clone());
    let revoke = command::RevokeApiKey { digest, application, owned_by };
    // One that was revoked before, or has ended, is as good as revoked.
    let Committed { index, unreached, .. } = desk.submit(revoke, subscriber).await?;
    Ok(Stamped { body: (), index, unreached })
}

impl Request for ListApiKeys {
    type Reply = Stamped<ApiKeyListDto>;

    async fn answer(self, desk: Desk) -> Result<Self::Reply, StoreError> {
        let view = desk.view_for(self.subscriber.consistency).await?;
        find_owned(&view, &self.subscriber, self.application)?;
        let list = keys_of(&view, self.application);
        Ok(stamped(ApiKeyListDto { count: list.len(), list }, &view))
    }
}

fn keys_of(view: &StoreView, application: ApplicationId) -> Vec<ApiKeyDto> {
    let tables = view.read::<Apimgtdb>();
    let all = (application, ApiKeyId(Uuid::nil()))..=(application, ApiKeyId(Uuid::max()));
    let mut keys: Vec<_> =
        tables.api_keys_by_application.range(all).filter_map(|(_, key)| tables.api_keys.get(key)).collect();
    keys.sort_by_key(|key| (key.issued_at, key.id));
    let now = view.now();
    keys.into_iter().map(|key| ApiKeyDto::new(key, now)).collect()
}

/// What is asked of a key beside its validity.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wish {
    name: String,
    form: ApiKeyForm,
    restriction: KeyRestriction,
}

impl Wish {
    /// Reads the additional properties: the original's `permittedIP` and `permittedReferer` (lists, or texts with commas),
    /// and `keyName` and `keyForm`.
    fn read(properties: Option<&Value>) -> Result<Self, Refused> {
        let properties: &Map<String, Value> = match properties {
            None | Some(Value::Null) => return Ok(Self::default()),
            Some(Value::Object(properties)) => properties,
            Some(_) => return Err(Refused::invalid(PROPERTIES, "must be an object")),
        };
        let field = |name: &str| format!("{PROPERTIES}.{name}");
        let texts = |name: &str, max: usize| {
            let texts = texts(properties.get(name))
                .ok_or_else(|| Refused::invalid(&field(name), "must be a text or a list of texts"))?;
            let count = texts.len();
            if count > max {
                Err(Refused::invalid(&field(name), format!("at most {max}, not {count}")))
            } else {
                Ok(texts)
            }
        };
        let networks = texts("permittedIP", PERMITTED_NETWORKS_MAX)?;
        if let Some(wrong) = networks.iter().find(|text| !is_network(text)) {
            let reason = format!("`{wrong}` is no address and no network; 192.0.2.7, 10.0.0.0/8 and 2001:db8::/32 are");
            return Err(Refused::invalid(&field("permittedIP"), reason));
        }
        let referrers = texts("permittedReferer", PERMITTED_REFERRERS_MAX)?;
        if let Some(wrong) = referrers.iter().find(|text| !is_referrer(text)) {
            let reason = format!(
                "`{wrong}` is no pattern: 1 to {REFERRER_CHARS_MAX} visible ASCII characters, of which * stands for any"
            );
            return Err(Refused::invalid(&field("permittedReferer"), reason));
        }
        let name = match properties.get("keyName") {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(name))
                if name.chars().count() <= API_KEY_NAME_CHARS_MAX && !name.chars().any(char::is_control) =>
            {
                name.clone()
            }
            Some(_) => {
                let reason = format!("must be a text of at most {API_KEY_NAME_CHARS_MAX} characters");
                return Err(Refused::invalid(&field("keyName"), reason));
            }
        };
        let form = match properties.get("keyForm").map(Value::as_str) {
            None | Some(Some("jwt")) => ApiKeyForm::Jwt,
            Some(Some("opaque")) => ApiKeyForm::Opaque,
            Some(_) => return Err(Refused::invalid(&field("keyForm"), "must be jwt or opaque")),
        };
        Ok(Self { name, form, restriction: KeyRestriction { networks, referrers } })
    }
}

/// Reads a list of texts, or a text with commas; `None` where it is neither.
fn texts(value: Option<&Value>) -> Option<Vec<String>> {
    let parts: Vec<String> = match value {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::String(text)) => text.split(',').map(str::to_owned).collect(),
        Some(Value::Array(items)) => {
            items.iter().map(|item| item.as_str().map(str::to_owned)).collect::<Option<_>>()?
        }
        Some(_) => return None,
    };
    Some(parts.iter().map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect())
}

fn is_network(text: &str) -> bool {
    text.parse::<ipnet::IpNet>().is_ok() || text.parse::<std::net::IpAddr>().is_ok()
}

fn is_referrer(text: &str) -> bool {
    text.len() <= REFERRER_CHARS_MAX && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn limits_come_as_texts_with_commas_or_as_lists() {
        let wish = Wish::read(Some(&json!({
            "permittedIP": "10.0.0.0/8, 2001:db8::1", "permittedReferer": ["https://a/*"], "keyName": "phone",
            "keyForm": "opaque", "somethingNewer": 1,
        })))
        .unwrap();
        assert_eq!(wish.restriction.networks, ["10.0.0.0/8", "2001:db8::1"]);
        assert_eq!(
            (wish.restriction.referrers, wish.name, wish.form),
            (vec!["https://a/*".to_owned()], "phone".to_owned(), ApiKeyForm::Opaque)
        );
        for nothing in [json!({}), json!(null), json!({"permittedIP": "", "permittedReferer": null})] {
            assert_eq!(Wish::read(Some(&nothing)).unwrap(), Wish::default(), "{nothing}");
        }
    }

    #[test]
    fn what_would_limit_to_nobody_or_to_everybody_is_refused() {
        for (bad, says) in [
            (json!({"permittedIP": "10.0.0.300"}), "permittedIP"),
            (json!({"permittedIP": "10.0.0.0/33"}), "no network"),
            (json!({"permittedIP": [7]}), "list of texts"),
            (json!({"permittedReferer": "a b"}), "no pattern"),
            (json!({"permittedIP": vec!["10.0.0.1"; 101]}), "at most 100"),
            (json!({"keyForm": "paper"}), "jwt or opaque"),
            (json!({"keyName": 7}), "keyName"),
            (json!([]), "must be an object"),
        ] {
            let refused = Wish::read(Some(&bad)).unwrap_err().to_string();
            assert!(refused.contains(says), "{bad}: {refused}");
        }
    }
}
