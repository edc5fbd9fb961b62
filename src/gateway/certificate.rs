//! Who calls, by a client certificate: what the API says of it is remembered as what the key manager says of keys is.

use std::rc::Rc;

use portcullis_model::port::KeyVerdict;
use portcullis_model::{ApplicationId, ClientId, Timestamp, Username};

use crate::authenticate::{self, Known};
use crate::credentials::{KeyKind, Shown};
use crate::peer::PeerCertificate;
use crate::refusal::Refusal;
use crate::route::api::CompiledApi;
use crate::worker::Worker;

/// The application policy that limits nothing.
const UNLIMITED: &str = "Unlimited";

/// Returns who calls an API by its certificate; `version` is that of the routes which the API is from.
///
/// # Errors
/// What the caller is told: no certificate, one that the API does not trust, one whose time is over.
pub(crate) fn verdict(
    worker: &Worker,
    api: &CompiledApi,
    version: u64,
    peer: Option<&PeerCertificate>,
    now: Timestamp,
) -> Result<Rc<Known>, Refusal> {
    let peer = peer.ok_or_else(Refusal::no_credentials)?;
    let shown = Shown { kind: KeyKind::Certificate, text: &peer.digest };
    if let Some(known) =
        authenticate::remembered(worker, api.id, shown, version).filter(|known| known.key.expires_at > now)
    {
        return Ok(known);
    }
    let trusted = api.schemes.trust.find(peer, now).map_err(Refusal::wrong_certificate)?;
    let verdict = KeyVerdict {
        client: ClientId(String::new()),
        application: application_of(&peer.digest),
        application_name: trusted.alias.clone(),
        application_owner: Username(peer.subject.clone()),
        tenant: api.tenant.clone(),
        application_policy: UNLIMITED.to_owned(),
        key_type: trusted.key_type,
        plan: trusted.plan.clone(),
        end_user: Username(peer.subject.clone()),
        is_user_token: false,
        scopes: Vec::new(),
        expires_at: peer.not_after,
        restriction: None,
        assertion: None,
        binding: None,
        claims: Vec::new(),
        good_until: None,
    };
    Ok(authenticate::remember(worker, api.id, shown, version, verdict))
}

/// Returns what the bearer of a certificate is counted as: the same on every node.
fn application_of(digest: &str) -> ApplicationId {
    let mut bytes = [0; 16];
    for (byte, digits) in bytes.iter_mut().zip(digest.as_bytes().chunks(2)) {
        let digits = std::str::from_utf8(digits).unwrap_or_default();
        *byte = u8::from_str_radix(digits, 16).unwrap_or_default();
    }
    ApplicationId::from_random(bytes)
}
