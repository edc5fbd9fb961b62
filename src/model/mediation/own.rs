//! Operation policies of a tenant's own: each stands for policies that come with the program, with parameters of its own
//! in theirs. Where one is applied, what it stands for is kept beside it, as the original keeps a copy: what is deployed
//! does not change with the policy, and stays when that goes.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Applied, BadPolicy, PARAMETER_CHARS_MAX, applied_of, bad};

/// Under which name, in a policy that is applied, is kept what it stands for.
pub const STEPS: &str = "steps";

/// Reads a policy that is applied: itself, or what it stands for.
pub(super) fn applied_of_item(item: &Value) -> Result<Vec<Applied>, BadPolicy> {
    let own = applied_of(item)?;
    let Some(steps) = item.get(STEPS).and_then(Value::as_array) else { return Ok(vec![own]) };
    let mut all = Vec::with_capacity(steps.len());
    for step in steps {
        let mut applied = applied_of(step)?;
        for (name, text) in &mut applied.parameters {
            *text = filled(text, &own.parameters, PARAMETER_CHARS_MAX).ok_or_else(|| {
                let reason = format!("{name} of {} has more than {PARAMETER_CHARS_MAX} characters", applied.name);
                bad("parameters", reason)
            })?;
        }
        all.push(applied);
    }
    Ok(all)
}

/// Puts parameters into a text in the place of `{{name}}`. What was put in is not looked at again; a parameter that is
/// not set is nothing. `None` where the text gets longer than `chars_max`: no more than that is ever put together.
#[must_use]
pub fn filled(text: &str, parameters: &BTreeMap<String, String>, chars_max: usize) -> Option<String> {
    let (mut whole, mut left, mut rest) = (String::new(), chars_max, text);
    let mut put = |part: &str| {
        left = left.checked_sub(part.chars().count())?;
        whole.push_str(part);
        Some(())
    };
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((name, behind)) = after.split_once("}}") else { break };
        put(before)?;
        put(parameters.get(name.trim()).map_or("", String::as_str))?;
        rest = behind;
    }
    put(rest)?;
    Some(whole)
}

/// Returns the names that stand in `{{…}}` in a text.
#[must_use]
pub fn named_in(text: &str) -> Vec<&str> {
    let (mut names, mut rest) = (Vec::new(), text);
    while let Some((name, behind)) = rest.split_once("{{").and_then(|(_, after)| after.split_once("}}")) {
        names.push(name.trim());
        rest = behind;
    }
    names
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{Flow, Mediation, Step, flows_of};
    use super::*;

    #[test]
    fn a_parameter_stands_where_it_is_named_and_names_nothing_itself() {
        let parameters = [("a".to_owned(), "{{b}}".to_owned()), ("b".to_owned(), "x".to_owned())].into();
        let text = "1 {{ a }}{{b}} {{c}}{{";
        assert_eq!(filled(text, &parameters, 11).as_deref(), Some("1 {{b}}x {{"));
        assert_eq!(filled(text, &parameters, 10), None);
        assert_eq!(named_in("{{ a }}{{b}} {{"), ["a", "b"]);
    }

    #[test]
    fn what_a_policy_stands_for_is_done_in_its_place_with_its_parameters() {
        let header = |name: &str, value: &str| json!({"policyName": "addHeader", "policyVersion": "v1", "parameters": {"headerName": name, "headerValue": value}});
        let own = json!({
            "policyName": "stamp", "policyVersion": "v2", "parameters": {"who": "cyd"},
            "steps": [header("x-by", "by {{who}}"), header("x-end", "1")],
        });
        let document = json!({"apiPolicies": {"request": [header("x-first", "0"), own]}});
        let steps = Mediation::of_document(&document).steps("GET /menu", Flow::Request);
        let values = steps.iter().map(|step| if let Step::SetHeader { value, .. } = step { &**value } else { "" });
        assert_eq!(values.collect::<Vec<_>>(), ["0", "by cyd", "1"]);
        let mut broken = own.clone();
        broken["parameters"]["who"] = json!("a\nb");
        assert_eq!(flows_of(&json!({"request": [broken]})).1.len(), 1);
        let mut long = own.clone();
        long["steps"] = json!([header("x-by", &"{{who}}".repeat(100))]);
        long["parameters"]["who"] = json!("x".repeat(PARAMETER_CHARS_MAX));
        assert_eq!(flows_of(&json!({"request": [long]})).1[0].place, "request[0].parameters");
        let many = vec![own; 30];
        assert_eq!(flows_of(&json!({"request": many})).1[0].place, "request");
    }
}
