use super::*;

const KEY: [u8; 32] = [7; 32];

fn parse(body: Value) -> Result<KeyManager, Refused> {
    parse_over(body, None)
}

fn parse_over(body: Value, previous: Option<&KeyManager>) -> Result<KeyManager, Refused> {
    let Value::Object(body) = body else { panic!("an object is meant") };
    let (id, tenant) = (KeyManagerId::from_random([1; 16]), TenantDomain::super_tenant());
    read(body, Reading { id, tenant, previous, is_global: false, key: &ClusterKey::new(KEY) })
}

fn good() -> Value {
    json!({"name": "a", "type": "t", "issuer": "i", "certificates": {"type": "JWKS", "value": "https://a/k"}})
}

fn with(fields: &[(&str, Value)]) -> Value {
    let mut body = good();
    for (field, value) in fields {
        body[*field] = value.clone();
    }
    body
}

#[test]
fn what_is_not_understood_comes_back_and_secrets_do_not() {
    let sent = with(&[
        ("displayName", json!("Our Okta")),
        ("scopesClaim", json!("scp")),
        (
            "additionalProperties",
            json!({"Username": "admin", "Password": "hunter2", "apiKey": "k", "client_secret": "x"}),
        ),
        ("claimMapping", json!([{"remoteClaim": "a", "localClaim": "b"}])),
    ]);
    let one = parse(sent).unwrap();
    assert_eq!((one.consumer_key_claim.as_str(), one.scopes_claim.as_str()), ("azp", "scp"));
    assert_eq!(one.claim_mapping, [ClaimMapping { remote: "a".to_owned(), local: "b".to_owned() }]);
    let written = write(&one);
    assert_eq!((&written["displayName"], &written["enabled"]), (&json!("Our Okta"), &json!(true)));
    assert_eq!(written["claimMapping"][0]["localClaim"], "b");
    assert_eq!(written["additionalProperties"], json!({"Username": "admin"}));
    assert!(!one.other_fields.contains("hunter2"));
}

#[test]
fn a_secret_that_is_not_sent_again_stays_with_the_name_that_it_belongs_to() {
    let login = |name: &str, secret: Option<&str>| {
        with(&[("additionalProperties", json!({"client_id": name, "client_secret": secret}))])
    };
    let opened = |one: &KeyManager| {
        let login = one.login.clone().unwrap();
        (login.kind, login.name, ClusterKey::new(KEY).open(&login.secret).unwrap().to_vec())
    };
    let first = parse(login("me", Some("hunter2"))).unwrap();
    assert_eq!(opened(&first), (LoginKind::Client, "me".to_owned(), b"hunter2".to_vec()));
    let again = parse_over(login("me", None), Some(&first)).unwrap();
    assert_eq!(opened(&again), opened(&first));
    for missing in [parse_over(login("you", None), Some(&first)), parse(login("me", None))] {
        let refused = missing.unwrap_err().to_string();
        assert!(refused.starts_with("additionalProperties.client_secret: must be there"), "{refused}");
    }
    assert_eq!(parse(good()).unwrap().login, None);
}

#[test]
fn a_server_without_keys_is_asked_about_each_token() {
    let url = "https://idp.example/introspect";
    let own = [("introspectionEndpoint", json!(url))];
    let listed = [("endpoints", json!([{"name": "introspection_endpoint", "value": url}]))];
    for place in [&own, &listed] {
        let beside = parse(with(place)).unwrap();
        assert_eq!((beside.introspection_url.as_deref(), beside.jwks_url.as_deref()), (Some(url), Some("https://a/k")));
        for none in [("certificates", Value::Null), ("enableSelfValidationJWT", json!(false))] {
            let alone = parse(with(&[place[0].clone(), none])).unwrap();
            assert_eq!((alone.introspection_url.as_deref(), alone.jwks_url), (Some(url), None));
        }
    }
}

#[test]
fn each_fault_names_its_field() {
    assert!(parse(good()).is_ok());
    let reference = |value: &str| json!([{"type": "REFERENCE", "enable": true, "value": value}]);
    assert!(parse(with(&[("tokenValidation", reference("[a-z]{8}"))])).is_ok());
    for (field, value) in [
        ("name", json!("")),
        ("name", json!("x".repeat(101))),
        ("type", json!(null)),
        ("issuer", json!(7)),
        ("certificates", json!({"type": "PEM", "value": "x"})),
        ("certificates", json!({"type": "JWKS", "value": "file:///etc/passwd"})),
        ("introspectionEndpoint", json!("ftp://a")),
        ("clientRegistrationEndpoint", json!("/register")),
        ("claimMapping", json!([{"remoteClaim": "a"}])),
        ("claimMapping", json!("a=b")),
        ("tokenValidation", reference("(")),
        ("tokenValidation", reference("(a{1000}){1000}")),
        ("enabled", json!("yes")),
        ("tokenType", json!("EXCHANGED")),
        ("permissions", json!({"permissionType": "DENY", "roles": []})),
        ("permissions", json!({"permissionType": "SOME", "roles": ["a"]})),
    ] {
        let body = with(&[(field, value)]);
        let refused = parse(body.clone()).unwrap_err().to_string();
        assert!(refused.starts_with(field), "{body}: {refused}");
    }
    let nowhere = with(&[("enableSelfValidationJWT", json!(false))]);
    assert!(parse(nowhere).unwrap_err().to_string().starts_with("introspectionEndpoint"));
}

#[test]
fn certificates_may_be_sent_as_they_are_and_come_back_so() {
    const PEM: &str = "\
-----BEGIN CERTIFICATE-----\n\
MIIBgzCCASmgAwIBAgIUMdcHyqTAHVP65qA/G1ungcK4hgkwCgYIKoZIzj0EAwIw\n\
FjEUMBIGA1UEAwwLaWRwLmV4YW1wbGUwIBcNMjYxMTI2MjMyODQ3WhgPMjEyNjEx\n\
MDIyMzI4NDdaMBYxFDASBgNVBAMMC2lkcC5leGFtcGxlMFkwEwYHKoZIzj0CAQYI\n\
KoZIzj0DAQcDQgAE4Hb0oHkqG4NPSCoI6CfQjCPA3Gm7Ce06jfho68CBwVX/rvN9\n\
40sItgTJn6U0mGMO1zwHp6vwtfH0eG2vpe985qNTMFEwHQYDVR0OBBYEFCnq3pyX\n\
9ViE3Nx2dYX23oBkrQwYMB8GA1UdIwQYMBaAFCnq3pyX9ViE3Nx2dYX23oBkrQwY\n\
MA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDSAAwRQIgBPSTdcKaO8ruObJy\n\
7AxV5W2Ts4iYVi4NQzWbk0KMFVkCIQC107uP+3R0isTYN3TVXzycu2rm5BGcdOo4\n\
7wnA6HjOJw==\n\
-----END CERTIFICATE-----\n";
    for value in [PEM.to_owned(), STANDARD.encode(PEM)] {
        let certificates = json!({"type": "PEM", "value": value});
        let one = parse(with(&[("certificates", certificates.clone())])).unwrap();
        assert_eq!(one.jwks_url, Some(format!("{INLINE}{}", STANDARD.encode(PEM))));
        assert_eq!(write(&one)["certificates"], certificates);
    }
    assert!(parse(with(&[("certificates", json!({"type": "PEM", "value": "nonsense"}))])).is_err());
}
