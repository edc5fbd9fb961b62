//! The SAML 2.0 bearer grant.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portcullis_database::handle::wall_clock;
use portcullis_http::time::rfc3339;
use portcullis_jose::{Algorithm, Signer, base64url};
use portcullis_model::{Timestamp, TokenType};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::browser::change_client;
use super::world::{Node, World};

const SAML2_BEARER: &str = "urn:ietf:params:oauth:grant-type:saml2-bearer";
const TOKEN: &str = "https://localhost:9443/oauth2/token";

/// What an identity provider says, in canonical form already.
#[derive(Clone)]
struct Said {
    id: String,
    subject: &'static str,
    audience: &'static str,
    recipient: &'static str,
    ends_at: Timestamp,
}

impl Said {
    fn new(id: &str) -> Self {
        let ends_at = Timestamp(wall_clock().0 + 100_000);
        Self { id: id.to_owned(), subject: "admin", audience: TOKEN, recipient: TOKEN, ends_at }
    }

    fn signed_by(&self, key: &EcdsaKeyPair) -> String {
        let (id, subject, audience, recipient) = (&self.id, self.subject, self.audience, self.recipient);
        let end = rfc3339(self.ends_at);
        let open = format!(
            "<Assertion xmlns=\"urn:oasis:names:tc:SAML:2.0:assertion\" ID=\"{id}\"><Issuer>https://idp.example</Issuer>"
        );
        let rest = format!(
            "<Subject><NameID>{subject}</NameID><SubjectConfirmation Method=\"urn:oasis:names:tc:SAML:2.0:cm:bearer\">\
             <SubjectConfirmationData NotOnOrAfter=\"{end}\" Recipient=\"{recipient}\"></SubjectConfirmationData>\
             </SubjectConfirmation></Subject><Conditions NotOnOrAfter=\"{end}\"><AudienceRestriction>\
             <Audience>{audience}</Audience></AudienceRestriction></Conditions></Assertion>"
        );
        let digest = STANDARD.encode(Sha256::digest(format!("{open}{rest}")));
        let info = format!(
            "<SignedInfo xmlns=\"http://www.w3.org/2000/09/xmldsig#\">\
             <CanonicalizationMethod Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"></CanonicalizationMethod>\
             <SignatureMethod Algorithm=\"http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256\"></SignatureMethod>\
             <Reference URI=\"#{id}\"><Transforms>\
             <Transform Algorithm=\"http://www.w3.org/2000/09/xmldsig#enveloped-signature\"></Transform>\
             <Transform Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"></Transform></Transforms>\
             <DigestMethod Algorithm=\"http://www.w3.org/2001/04/xmlenc#sha256\"></DigestMethod>\
             <DigestValue>{digest}</DigestValue></Reference></SignedInfo>"
        );
        let signature = key.sign(&SystemRandom::new(), info.as_bytes()).unwrap();
        let signature = STANDARD.encode(signature.as_ref());
        format!(
            "{open}<Signature xmlns=\"http://www.w3.org/2000/09/xmldsig#\">{info}<SignatureValue>{signature}</SignatureValue>\
             </Signature>{rest}"
        )
    }
}

fn generated() -> (EcdsaKeyPair, String) {
    let (signer, private) = Signer::generate(Algorithm::Es256).unwrap();
    let keys = serde_json::to_string(&[signer.public_jwk("1").unwrap()]).unwrap();
    (EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &private).unwrap(), keys)
}

async fn ask(node: &Node, assertion: &str) -> Value {
    let assertion = base64url(assertion.as_bytes());
    node.post("/oauth2/token", &format!("grant_type={SAML2_BEARER}&assertion={assertion}&scope=order")).await.2
}

#[tokio::test]
async fn a_saml_assertion_of_a_trusted_issuer_gets_a_users_token_once() {
    let world = World::new(TokenType::Jwt);
    change_client(&world, |client| client.grants.push(SAML2_BEARER.to_owned()));
    let (node, other) = (world.node(), world.node());
    let (key, keys) = generated();
    let trust = |trusted| portcullis_database::command::SetTrustedIssuer {
        tenant: portcullis_model::TenantDomain::super_tenant(),
        issuer: "https://idp.example".to_owned(),
        trusted,
    };
    assert_eq!(ask(&node, &Said::new("_0").signed_by(&key)).await["error"], "invalid_grant", "nobody is trusted yet");
    let trusted = portcullis_model::authorization::TrustedIssuer { keys, audience: None, created_at: Timestamp(0) };
    super::world::submit(&node, trust(Some(trusted))).await;
    let first = Said::new("_1").signed_by(&key);
    let got = ask(&node, &first).await;
    assert!(got["refresh_token"].is_null(), "{got}");
    let verdict = other.validate(got["access_token"].as_str().unwrap_or_else(|| panic!("{got}"))).await.unwrap();
    assert!(verdict.is_user_token && verdict.scopes == ["order"]);
    assert_eq!(ask(&node, &first).await["error"], "invalid_grant", "it is good once");
    let now = wall_clock().0;
    for (number, bad) in [
        Said { subject: "nobody", ..Said::new("_2") },
        Said { audience: "https://x.example", ..Said::new("_3") },
        Said { recipient: "https://x.example", ..Said::new("_4") },
        Said { ends_at: Timestamp(now - 1_000), ..Said::new("_5") },
        Said { ends_at: Timestamp(now + 90_000_000), ..Said::new("_6") },
    ]
    .into_iter()
    .enumerate()
    {
        let refused = ask(&node, &bad.signed_by(&key)).await;
        assert_eq!(refused["error"], "invalid_grant", "{number}: {refused}");
    }
    let (stranger, _) = generated();
    assert_eq!(ask(&node, &Said::new("_7").signed_by(&stranger)).await["error"], "invalid_grant");
    for nonsense in ["", "%%%", "PGE-", &"A".repeat(100_000)] {
        let form = format!("grant_type={SAML2_BEARER}&assertion={nonsense}");
        let error = node.post("/oauth2/token", &form).await.2["error"].clone();
        assert!(error == "invalid_grant" || error == "invalid_request", "{nonsense:.20}: {error}");
    }
    super::world::submit(&node, trust(None)).await;
    assert_eq!(ask(&other, &Said::new("_8").signed_by(&key)).await["error"], "invalid_grant");
}
