//! APIs whose operations are functions of AWS Lambda (`endpoint_type` `awslambda`): which key calls them, where, and which
//! function carries out which operation.
//!
//! The function of an operation is one of its fields in the REST contract (`amznResourceName`), kept beside the operation;
//! here it becomes the last step of the operation's request flow, and the first of its response flow.

use serde_json::{Map, Value};
use url::{Position, Url};

use crate::api::{Api, EndpointConfig};
use crate::backend_proof::BadProof;
use crate::mediation::{Applied, Mediation, VERSION};
use crate::sealed::Sealed;

/// `endpoint_type` of such an API.
pub const KIND: &str = "awslambda";
/// The service that calls are signed for.
pub const SERVICE: &str = "lambda";
/// How long a function may take where its operation says nothing (`amznResourceTimeout`), in milliseconds, as in WSO2.
pub const TIMEOUT_MS: u64 = 50_000;
/// How long one may be allowed, in milliseconds: AWS ends functions after that.
pub const TIMEOUT_MS_MAX: u64 = 900_000;
/// The field of an operation that names its function.
const FUNCTION: &str = "amznResourceName";
/// The field that says whether the function gets bodies in Base64.
const ENCODED: &str = "amznResourceContentEncode";
/// Names of steps; no policy that can be applied has them.
const CALL_STEP: &str = "(function)";
const ANSWER_STEP: &str = "(function's answer)";
const CHARS_MAX: usize = 256;

/// The account whose functions an API calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LambdaEndpoint {
    /// The id of the key.
    pub access_key: String,
    /// The key.
    pub secret_key: Sealed,
    /// The region, such as `us-east-1`.
    pub region: String,
    /// Where Lambda is.
    pub url: String,
}

/// A function that carries out an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name or ARN.
    pub name: String,
    /// Whether it gets bodies in Base64.
    pub is_encoded: bool,
}

impl LambdaEndpoint {
    /// Reads an `endpointConfig` whose secrets are sealed; `None` for one of another type.
    ///
    /// # Errors
    /// What is wrong with which field.
    pub fn of_document(document: &Value) -> Option<Result<Self, BadProof>> {
        (document.get("endpoint_type").and_then(Value::as_str) == Some(KIND)).then(|| Self::read(document))
    }

    fn read(document: &Value) -> Result<Self, BadProof> {
        let bad = |place: &str, reason: String| BadProof { place: place.to_owned(), reason };
        let text = |name: &str| document.get(name).and_then(Value::as_str).unwrap_or_default().trim();
        match text("access_method") {
            "" | "stored" => {}
            "role-supplied" | "role_supplied" => {
                let reason =
                    "is role-supplied, a role of a machine at AWS, which gateways do not ask for; stored is served";
                return Err(bad("access_method", reason.to_owned()));
            }
            other => return Err(bad("access_method", format!("is {other}; stored is served"))),
        }
        if document.get("assume_role") == Some(&Value::Bool(true)) || !text("amznRoleArn").is_empty() {
            return Err(bad("assume_role", "gateways call functions by a stored key, and take on no role".to_owned()));
        }
        let needed = |name: &str| {
            let value = text(name);
            let is_good = (1..=CHARS_MAX).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_graphic());
            let reason = || format!("must be there with {KIND}, as 1 to {CHARS_MAX} visible characters");
            if is_good { Ok(value.to_owned()) } else { Err(bad(name, reason())) }
        };
        let access_key = needed("amznAccessKey")?;
        let region = needed("amznRegion")?;
        if !region.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-') {
            return Err(bad("amznRegion", format!("`{region}` is not a region such as us-east-1")));
        }
        let secret_key = Sealed::of_text(text("amznSecretKey"));
        let secret_key =
            secret_key.ok_or_else(|| bad("amznSecretKey", "must be there: none is kept from before".to_owned()))?;
        let url = match text("amznEndpointUrl") {
            "" if region.starts_with("cn-") => format!("https://lambda.{region}.amazonaws.com.cn"),
            "" => format!("https://lambda.{region}.amazonaws.com"),
            own => place_of(own).map_err(|reason| bad("amznEndpointUrl", reason.to_owned()))?,
        };
        Ok(Self { access_key, secret_key, region, url })
    }
}

/// Returns scheme, host and port of an address of its own. What else it holds is not left out silently: a name and password
/// would be thought to be sent, and everything is signed for the path that the API of Lambda has.
fn place_of(own: &str) -> Result<String, &'static str> {
    let url = Url::parse(own).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    // The address is not told again: it may hold a password.
    let url = url.ok_or("must be an http or https URL with a host")?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must have no name or password: calls are signed with amznAccessKey and amznSecretKey");
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err("must end after the host and port: no path, no query and no fragment");
    }
    Ok(url[..Position::AfterPort].to_owned())
}

/// Checks the function of an operation, as the REST contract has it among the operation's fields. None is none. What is as it
/// was `before` is not refused: an API can be saved as it is.
///
/// # Errors
/// Which field is wrong, and why.
pub fn check_function(
    operation: &Map<String, Value>,
    before: Option<&Map<String, Value>>,
) -> Result<(), (&'static str, String)> {
    let said = |name: &str| operation.get(name).filter(|value| !value.is_null());
    let is_new = |name: &str| said(name) != before.and_then(|before| before.get(name)).filter(|value| !value.is_null());
    match said(FUNCTION) {
        None => return Ok(()),
        Some(Value::String(name)) if name.is_empty() => return Ok(()),
        Some(Value::String(name)) if is_function(name) => {}
        Some(other) if is_new(FUNCTION) => {
            let reason = format!("is {other}; the name or ARN of a function of AWS Lambda is accepted");
            return Err((FUNCTION, reason));
        }
        Some(_) => {}
    }
    if is_new(ENCODED) && !matches!(said(ENCODED), None | Some(Value::Bool(_))) {
        return Err((ENCODED, "must be true or false".to_owned()));
    }
    Ok(())
}

/// Says whether a text may name a function: letters, digits and `:-_$`, at most 170 (AWS's bound for ARNs is 140).
fn is_function(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b":-_$".contains(&byte);
    (1..=170).contains(&name.len()) && name.bytes().all(is_plain)
}

/// Returns how long the functions of an API may take, in milliseconds: the longest that one of its operations says.
/// A time that is not between a second and a quarter of an hour counts as none, as in WSO2.
pub fn timeout_ms<'a>(operations: impl IntoIterator<Item = &'a Value>) -> u64 {
    let said = |operation: &Value| {
        operation.get(FUNCTION).and_then(Value::as_str).filter(|name| !name.is_empty())?;
        let said = operation.get("amznResourceTimeout").and_then(Value::as_u64);
        Some(said.filter(|said| (1_000..=TIMEOUT_MS_MAX).contains(said)).unwrap_or(TIMEOUT_MS))
    };
    operations.into_iter().filter_map(said).max().unwrap_or(TIMEOUT_MS)
}

/// Says whether the operations of an API are functions.
#[must_use]
pub fn calls_functions(api: &Api) -> bool {
    are_of_functions(&api.endpoints)
}

/// Says whether endpoints are those of an API whose operations are functions.
#[must_use]
pub fn are_of_functions(endpoints: &EndpointConfig) -> bool {
    let document = &endpoints.document;
    document.contains(KIND) && serde_json::from_str::<Value>(document).is_ok_and(|said| said["endpoint_type"] == KIND)
}

/// Has each operation of an API that is a function call it.
pub(crate) fn put_around(mediation: &mut Mediation, api: &Api, fields: &Value) {
    if !calls_functions(api) {
        return;
    }
    for operation in &api.operations {
        let key = format!("{} {}", operation.verb, operation.target);
        let Some(kept) = fields.get("operations").and_then(|all| all.get(&key)) else { continue };
        let Some(name) = kept.get(FUNCTION).and_then(Value::as_str).filter(|name| is_function(name)) else { continue };
        let is_encoded = kept.get(ENCODED) == Some(&Value::Bool(true));
        let parameters = [(FUNCTION.to_owned(), name.to_owned()), (ENCODED.to_owned(), is_encoded.to_string())];
        let step = |name: &str| Applied {
            name: name.to_owned(),
            version: VERSION.to_owned(),
            parameters: std::collections::BTreeMap::new(),
        };
        let flows = mediation.operations.entry(key).or_default();
        flows.request.push(Applied { parameters: parameters.into(), ..step(CALL_STEP) });
        flows.response.insert(0, step(ANSWER_STEP));
    }
}

/// Reads the step that calls a function, where an applied policy is that.
pub(crate) fn call_of(applied: &Applied) -> Option<Function> {
    let name = (applied.name == CALL_STEP).then(|| applied.parameters.get(FUNCTION))?;
    let is_encoded = applied.parameters.get(ENCODED).is_some_and(|said| said == "true");
    name.map(|name| Function { name: name.clone(), is_encoded })
}

/// Says whether an applied policy is the step that takes a function's answer.
pub(crate) fn is_answer(applied: &Applied) -> bool {
    applied.name == ANSWER_STEP
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document(more: &Value) -> Value {
        let mut document = json!({
            "endpoint_type": KIND, "access_method": "stored", "amznAccessKey": "AKID",
            "amznSecretKey": Sealed(vec![1]).to_text(), "amznRegion": "eu-west-1",
        });
        document.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        document
    }

    fn read(more: &Value) -> Result<LambdaEndpoint, BadProof> {
        LambdaEndpoint::of_document(&document(more)).unwrap()
    }

    #[test]
    fn where_functions_are_says_the_region_or_an_address_of_its_own() {
        let url = |more| read(&more).unwrap().url;
        assert_eq!(url(json!({})), "https://lambda.eu-west-1.amazonaws.com");
        assert_eq!(url(json!({"amznRegion": "cn-north-1"})), "https://lambda.cn-north-1.amazonaws.com.cn");
        assert_eq!(url(json!({"amznEndpointUrl": "http://127.0.0.1:4566/"})), "http://127.0.0.1:4566");
        assert!(LambdaEndpoint::of_document(&json!({"endpoint_type": "http"})).is_none());
    }

    #[test]
    fn what_gateways_cannot_do_is_refused_by_name() {
        for (more, place) in [
            (json!({"access_method": "role-supplied"}), "access_method"),
            (json!({"assume_role": true}), "assume_role"),
            (json!({"amznRegion": "evil.example/"}), "amznRegion"),
            (json!({"amznRegion": ""}), "amznRegion"),
            (json!({"amznSecretKey": "plain"}), "amznSecretKey"),
            (json!({"amznEndpointUrl": "http://a/b"}), "amznEndpointUrl"),
        ] {
            assert_eq!(read(&more).unwrap_err().place, place, "{more}");
        }
        let bad = |name: Value| check_function(json!({"amznResourceName": name}).as_object().unwrap(), None).is_err();
        assert!(bad(json!("../x")) && bad(json!(7)) && bad(json!("a".repeat(171))));
        assert!(!bad(json!("arn:aws:lambda:us-west-2:1:function:f:$LATEST")) && !bad(Value::Null) && !bad(json!("")));
    }

    #[test]
    fn an_address_of_its_own_is_a_host_and_nothing_else() {
        for (own, said) in [
            ("http://ann@a.example", "no name or password"),
            ("https://ann:s3cret@a.example/", "no name or password"),
            ("https://:s3cret@a.example/", "no name or password"),
            ("https://a.example/b", "no path"),
            ("https://a.example/?s3cret", "no query"),
            ("https://a.example/#s3cret", "no fragment"),
            ("ftp://a.example/", "http or https"),
            ("lambda.example", "http or https"),
        ] {
            let refused = read(&json!({"amznEndpointUrl": own})).unwrap_err();
            assert_eq!(refused.place, "amznEndpointUrl", "{own}");
            assert!(refused.reason.contains(said) && !refused.reason.contains("s3cret"), "{own}: {}", refused.reason);
        }
    }

    #[test]
    fn what_an_operation_said_before_is_not_refused() {
        let operation =
            |name: &str, encoded: Value| json!({"amznResourceName": name, "amznResourceContentEncode": encoded});
        let before = operation("../x", Value::Null);
        let check = |said: &Value, before: Option<&Value>| {
            check_function(said.as_object().unwrap(), before.and_then(Value::as_object)).map_err(|(field, _)| field)
        };
        assert_eq!(check(&before, None), Err(FUNCTION));
        assert_eq!(check(&before, Some(&before)), Ok(()));
        assert_eq!(check(&before, Some(&json!({"amznResourceName": "../x"}))), Ok(()), "null is none");
        assert_eq!(check(&operation("../y", Value::Null), Some(&before)), Err(FUNCTION));
        assert_eq!(check(&operation("../x", json!("yes")), Some(&before)), Err(ENCODED));
    }

    #[test]
    fn the_longest_time_of_an_operation_holds_for_all() {
        let operation = |timeout: u64| json!({"amznResourceName": "f", "amznResourceTimeout": timeout});
        assert_eq!(timeout_ms(&[operation(60_000), operation(2_000)]), 60_000);
        assert_eq!(timeout_ms(&[operation(5), json!({"amznResourceTimeout": 70_000})]), TIMEOUT_MS);
    }
}
