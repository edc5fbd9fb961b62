//! Sequences that answer in the place of a backend: of the mediators that are understood, those that make up an answer.

use portcullis_model::mediation::own_answer::Answer;
use portcullis_model::mediation::{Applied, Flow, Step};
use serde_json::{Value, json};

use super::{Specification, synapse};
use crate::fault::PublisherError;

const PLACE: &str = "sequence";

/// Returns what a sequence answers.
///
/// # Errors
/// What of it is not understood, or that it does not answer.
pub(crate) fn answer_of(text: &str) -> Result<Answer, PublisherError> {
    let said = json!({"name": PLACE, "applicableFlows": ["request"], "supportedGateways": ["Synapse"]});
    let steps = synapse::map(text, &Specification::parse(&said.to_string())?).map_err(|error| match error {
        PublisherError::Fields(mut faults) => {
            for fault in &mut faults {
                PLACE.clone_into(&mut fault.place);
            }
            PublisherError::Fields(faults)
        }
        other => other,
    })?;
    let mut headers = Vec::new();
    for step in &steps {
        let name = step["policyName"].as_str().unwrap_or_default();
        match read(step) {
            Some(Step::SetHeader { name, value }) => headers.push((name, value)),
            Some(Step::Mock { status, content_type: media_type, body }) => {
                return Ok(Answer { status, media_type, headers, body });
            }
            _ => return Err(refuse(format!("does what {name} does, which changes calls and makes up no answer"))),
        }
    }
    Err(refuse("must end with respond or loopback: it answers in the place of a backend"))
}

fn refuse(reason: impl Into<String>) -> PublisherError {
    PublisherError::field(PLACE, reason)
}

fn read(step: &Value) -> Option<Step> {
    let text = |name: &str| step[name].as_str().unwrap_or_default().to_owned();
    let parameters = step["parameters"].as_object()?.iter();
    let parameters = parameters.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()));
    let applied =
        Applied { name: text("policyName"), version: text("policyVersion"), parameters: parameters.collect() };
    Step::of(&applied, Flow::Request).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequence_is_the_answer_that_it_makes_up() {
        let text = r#"<sequence xmlns="http://ws.apache.org/ns/synapse" name="own">
            <property name="x-by" value="sequence" scope="transport"/>
            <payloadFactory media-type="json"><format>{"a": 1}</format><args/></payloadFactory>
            <property name="HTTP_SC" value="202" scope="axis2"/><respond/></sequence>"#;
        let answer = answer_of(text).unwrap();
        assert_eq!((answer.status, &*answer.media_type, &*answer.body), (202, "application/json", "{\"a\": 1}"));
        assert_eq!(answer.headers, [("x-by".to_owned(), "sequence".to_owned())]);
    }

    #[test]
    fn a_sequence_that_does_something_else_is_refused_by_name() {
        for (text, told) in [
            ("<sequence><call/></sequence>", "`call`"),
            ("<sequence><header name=\"a\" value=\"b\"/></sequence>", "respond or loopback"),
            ("<sequence><log/><respond/></sequence>", "addLogMessage"),
            (
                "<sequence><property name=\"HTTP_METHOD\" value=\"GET\" scope=\"axis2\"/><respond/></sequence>",
                "changeHTTPMethod",
            ),
        ] {
            let refused = answer_of(text).unwrap_err().to_string();
            assert!(refused.contains(told) && refused.contains("sequence"), "{text}: {refused}");
        }
    }
}
