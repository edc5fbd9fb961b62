//! How the sources of an API's events sign them (`websubSubscriptionConfiguration`): the secret is sealed on the way in,
//! made where the publisher names none, and shown to publishers, who tell the source.

use http::HeaderName;
use portcullis_database::ClusterKey;
use portcullis_database::handle::random_bytes;
use portcullis_model::websub::{FIELD, SIGNATURE_HEADER, SigningAlgorithm};
use portcullis_model::{Api, ApiKind, Sealed};
use serde_json::{Map, Value, json};

use super::api_body::kept_fields;
use super::fields::Fields;
use crate::fault::FieldFault;

/// Characters of a secret.
const SECRET_CHARS_MAX: usize = 199;
const HEADER_CHARS_MAX: usize = 100;

/// Reads how events are signed into what is kept of an API of the type WEBSUB. Where nothing is said of it, it stays as it
/// was; a new API has a secret that nobody chose.
pub(super) fn read(
    api: &Api,
    sent: Option<Map<String, Value>>,
    before: &Map<String, Value>,
    key: &ClusterKey,
    faults: &mut Vec<FieldFault>,
) -> Option<Map<String, Value>> {
    let before = before.get(FIELD).and_then(Value::as_object);
    if api.kind != ApiKind::Websub {
        return sent;
    }
    let Some(sent) = sent else { return Some(before.cloned().unwrap_or_else(|| new(key))) };
    let mut fields = Fields::new(format!("{FIELD}."), sent);
    let is_on = fields.flag("enable").unwrap_or(false);
    let secret = fields.text("secret", SECRET_CHARS_MAX).filter(|secret| !secret.is_empty());
    let algorithm = fields.text("signingAlgorithm", 16).filter(|text| !text.is_empty());
    let algorithm = algorithm.map_or(Some(SigningAlgorithm::default()), |text| SigningAlgorithm::of_contract(&text));
    if algorithm.is_none() {
        let known = SigningAlgorithm::ALL.map(SigningAlgorithm::as_contract).join(", ");
        fields.fault("signingAlgorithm", format!("one of {known} is accepted"));
    }
    let header = fields.text("signatureHeader", HEADER_CHARS_MAX).filter(|text| !text.is_empty());
    let header = header.unwrap_or_else(|| SIGNATURE_HEADER.to_owned()).to_ascii_lowercase();
    if HeaderName::from_bytes(header.as_bytes()).is_err() {
        fields.fault("signatureHeader", "must be the name of a header");
    }
    fields.finish_into(faults);
    let kept = before.and_then(|before| before.get("secret")).and_then(Value::as_str).filter(|kept| !kept.is_empty());
    let secret = match (secret, kept) {
        // The same secret stays as it is: an update that changes nothing changes nothing.
        (Some(secret), Some(kept)) if opened(kept, key).as_deref() == Some(&*secret) => kept.to_owned(),
        (Some(secret), _) => sealed(&secret, key),
        (None, Some(kept)) => kept.to_owned(),
        (None, None) if is_on => sealed(&made(), key),
        (None, None) => String::new(),
    };
    Some(written(is_on, &secret, algorithm.unwrap_or_default(), &header))
}

fn new(key: &ClusterKey) -> Map<String, Value> {
    written(true, &sealed(&made(), key), SigningAlgorithm::Sha256, SIGNATURE_HEADER)
}

fn written(is_on: bool, secret: &str, algorithm: SigningAlgorithm, header: &str) -> Map<String, Value> {
    let all = json!({
        "enable": is_on, "secret": secret, "signingAlgorithm": algorithm.as_contract(), "signatureHeader": header,
    });
    all.as_object().cloned().unwrap_or_default()
}

fn made() -> String {
    hex::encode(random_bytes::<20>())
}

fn sealed(secret: &str, key: &ClusterKey) -> String {
    key.seal(secret.as_bytes()).to_text()
}

fn opened(kept: &str, key: &ClusterKey) -> Option<String> {
    let opened = key.open(&Sealed::of_text(kept)?).ok()?;
    String::from_utf8(opened.to_vec()).ok()
}

/// Returns the secret of an API's events, for its publishers.
pub(crate) fn secret_of(api: &Api, key: &ClusterKey) -> Option<String> {
    if api.kind != ApiKind::Websub {
        return None;
    }
    opened(kept_fields(api).get(FIELD)?.get("secret")?.as_str()?, key)
}

/// Takes the secret out of what is written of an API.
pub(super) fn hide_secret(body: &mut Map<String, Value>) {
    if let Some(secret) = body.get_mut(FIELD).and_then(|said| said.get_mut("secret")) {
        *secret = "".into();
    }
}

#[cfg(test)]
mod tests {
    use portcullis_model::websub::WebsubRules;
    use portcullis_model::{ApiId, TenantDomain, Username};

    use super::super::api::blank;
    use super::*;

    fn key() -> ClusterKey {
        ClusterKey::new([7; 32])
    }

    fn api(said: Option<Map<String, Value>>) -> Api {
        let base = blank(ApiId::from_random([1; 16]), TenantDomain::super_tenant(), Username("admin".to_owned()));
        let others = said.map(|said| json!({FIELD: said}).to_string()).unwrap_or(base.other_fields);
        Api { kind: ApiKind::Websub, other_fields: others, ..base }
    }

    fn object(value: &Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn a_secret_is_made_stays_and_is_never_kept_open() {
        let mut faults = Vec::new();
        let made = read(&api(None), None, &Map::new(), &key(), &mut faults).unwrap();
        let api = api(Some(made.clone()));
        let secret = secret_of(&api, &key()).unwrap();
        assert!(secret.len() == 40 && !api.other_fields.contains(&secret));
        let rules = WebsubRules::of(&api).unwrap();
        assert_eq!((rules.algorithm, &*rules.header), (SigningAlgorithm::Sha256, "x-hub-signature"));
        assert_eq!(&**key().open(&rules.secret.unwrap()).unwrap(), secret.as_bytes());
        // As a client sends back what it got; and with the secret left blank.
        for said in [&*secret, ""] {
            let sent = object(&json!({"enable": true, "secret": said, "signingAlgorithm": "SHA256"}));
            let again = read(&api, Some(sent), &kept_fields(&api), &key(), &mut faults).unwrap();
            assert_eq!(again["secret"], made["secret"]);
        }
        let off = object(&json!({"enable": false, "signingAlgorithm": "MD5", "signatureHeader": "a b"}));
        read(&api, Some(off), &kept_fields(&api), &key(), &mut faults);
        let places: Vec<&str> = faults.iter().map(|fault| fault.place.rsplit('.').next().unwrap()).collect();
        assert_eq!(places, ["signingAlgorithm", "signatureHeader"]);
    }
}
