//! Masking of what is said of people (`PIIMaskingRegex`, as the original's): what expressions find in a call is not shown to
//! its backend. Either something stands for it, for which the answer's own gets back what was meant, or it is gone.

use std::collections::BTreeSet;

use serde_json::Value;

use super::parameters::{Read, bad_parameter, check_pattern, check_plain_name};
use super::step::{Kind, flag, json, optional, required};
use super::{BadPolicy, Flow};
use crate::ai::Part;

/// Expressions of one policy.
pub const ENTITIES_MAX: usize = 50;

/// What is masked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Masking {
    /// Where it is in a JSON body; nothing for all of the body.
    pub place: Vec<Part>,
    /// What is looked for, in this order.
    pub entities: Vec<Entity>,
    /// Whether it is taken out for good, of calls and answers.
    pub redacts: bool,
}

/// Something that is said of people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entity {
    /// What it is called, which what stands for it begins with.
    pub name: String,
    /// The expression that finds it.
    pub pattern: String,
}

pub(super) fn read(read: &Read<'_>) -> Result<Masking, BadPolicy> {
    read.label("name")?;
    let items = read.items(ENTITIES, ENTITIES_MAX)?;
    let wrong = |reason: String| bad_parameter(ENTITIES, reason);
    let mut known = BTreeSet::new();
    let mut entities = Vec::with_capacity(items.len());
    for (number, item) in items.iter().enumerate() {
        let name = text(item, "piiEntity").ok_or_else(|| wrong(format!("[{number}].piiEntity must be there")))?;
        check_plain_name(name).map_err(|reason| wrong(format!("[{number}].piiEntity `{name}` {reason}")))?;
        if !known.insert(name) {
            return Err(wrong(format!(
                "[{number}].piiEntity is `{name}` once more; one expression can have `|` in it"
            )));
        }
        let pattern = text(item, "piiRegex").ok_or_else(|| wrong(format!("[{number}].piiRegex must be there")))?;
        check_pattern(pattern).map_err(|reason| wrong(format!("[{number}].piiRegex {reason}")))?;
        entities.push(Entity { name: name.to_owned(), pattern: pattern.to_owned() });
    }
    Ok(Masking { place: read.place("jsonPath")?, entities, redacts: read.flag("redact")? })
}

fn text<'a>(item: &'a Value, name: &str) -> Option<&'a str> {
    item[name].as_str().filter(|text| !text.is_empty())
}

const ENTITIES: &str = "piiEntities";

/// Masking.
pub(super) const MASKING: Kind = Kind {
    name: "PIIMaskingRegex",
    version: "v1.0",
    title: "PII Masking with Regex",
    description: "Masks in calls what is said of people and unmasks it in answers, or takes it out of both for good",
    flows: &[Flow::Request, Flow::Response],
    parameters: &[
        required("name", "Guardrail Name", "What people call the policy"),
        json(ENTITIES, "PII Entities", r#"What is looked for: [{"piiEntity": "EMAIL", "piiRegex": "…"}]"#),
        optional("jsonPath", "JSON Path", "Where it is in a JSON body; nothing for all of the body", ""),
        flag("redact", "Redact PII", "Whether it is taken out for good", "false"),
    ],
};

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::{Applied, Step};
    use super::*;

    fn read(entities: &str) -> Result<Masking, String> {
        let parameters = BTreeMap::from([("name", "m"), ("piiEntities", entities)]);
        let parameters = parameters.into_iter().map(|(name, text)| (name.to_owned(), text.to_owned())).collect();
        let applied = Applied { name: MASKING.name.to_owned(), version: "v1.0".to_owned(), parameters };
        match Step::of(&applied, Flow::Request) {
            Ok(Step::Mask(masking)) => Ok(*masking),
            Ok(other) => panic!("{other:?}"),
            Err(bad) => Err(bad.reason),
        }
    }

    #[test]
    fn what_is_masked_is_read_and_what_cannot_be_is_refused_by_number() {
        let masking = read("[{&quot;piiEntity&quot;: &quot;EMAIL&quot;, &quot;piiRegex&quot;: &quot;[a-z]+@b&quot;}]");
        let email = Entity { name: "EMAIL".to_owned(), pattern: "[a-z]+@b".to_owned() };
        assert_eq!(masking.unwrap(), Masking { place: Vec::new(), entities: vec![email], redacts: false });
        for (entities, said) in [
            ("{}", "must be a list"),
            ("[]", "1 to 50 objects"),
            (r#"[{"piiEntity": "A", "piiRegex": ""}]"#, "[0].piiRegex must be there"),
            (r#"[{"piiEntity": "", "piiRegex": "x"}]"#, "[0].piiEntity must be there"),
            (r#"[{"piiEntity": "A B", "piiRegex": "x"}]"#, "letters, digits"),
            (r#"[{"piiEntity": "A", "piiRegex": "x"}, {"piiEntity": "B", "piiRegex": "("}]"#, "[1].piiRegex is not"),
            (r#"[{"piiEntity": "A", "piiRegex": "x"}, {"piiEntity": "A", "piiRegex": "y"}]"#, "once more"),
        ] {
            let reason = read(entities).unwrap_err();
            assert!(reason.contains(said), "{entities}: {reason}");
        }
    }
}
