//! APIs that files cannot say: what they have would be lost from one server to another.

use serde_json::Value;

use super::kind::{Kind, Shape};
use crate::exit::Exit;
use crate::failure::Failure;

/// Fields of an API that choose one of its named endpoints.
const CHOSEN: [&str; 2] = ["primaryProductionEndpointId", "primarySandboxEndpointId"];
/// What brings such an API from one server to another.
const INSTEAD: &str = "portcullis api export and portcullis api import --update     move it as an archive";

/// Says why an API cannot be in files; `None` where it can. `api` is what a server or a file says of it.
pub fn reason(kind: &Kind, api: &Value) -> Option<String> {
    if kind.shape != Shape::Api {
        return None;
    }
    let of_type = api["type"].as_str().filter(|text| !text.is_empty()).unwrap_or("HTTP");
    if !of_type.eq_ignore_ascii_case("HTTP") {
        return Some(format!("it is of the type {of_type}, and files have the definitions of HTTP alone"));
    }
    let chosen = CHOSEN.into_iter().find(|field| api[*field].as_str().is_some_and(|id| !id.is_empty()))?;
    Some(format!("{chosen} chooses one of its named endpoints, which files do not have"))
}

/// Refuses an API that files cannot say.
///
/// # Errors
/// Where it is one.
pub fn refuse(kind: &Kind, api: &Value) -> Result<(), Failure> {
    match reason(kind, api) {
        Some(why) => Err(Failure::new(Exit::Failed, "files cannot say this API", why, INSTEAD)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::declared::kind::of_word;

    #[test]
    fn apis_whose_definition_or_endpoints_would_be_lost_are_outside() {
        let why = |api: Value| reason(of_word("Api").unwrap(), &api);
        for inside in [json!({}), json!({"type": "HTTP", "primaryProductionEndpointId": ""}), json!({"type": null})] {
            assert_eq!(why(inside.clone()), None, "{inside}");
        }
        for of_type in ["GRAPHQL", "SOAP", "SOAPTOREST", "WS", "SSE"] {
            assert!(why(json!({"type": of_type})).unwrap().contains(of_type));
        }
        assert!(why(json!({"type": "HTTP", "primarySandboxEndpointId": "a-b"})).unwrap().contains("named endpoints"));
        assert_eq!(reason(of_word("ApiProduct").unwrap(), &json!({"type": "APIPRODUCT"})), None);
    }
}
