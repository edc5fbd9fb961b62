//! What every tenant has from the start: rulesets and a policy that tells, and blocks nothing. They come with the program
//! and are not changed; who wants others adds them.

use portcullis_model::AssetId;

/// Who made them.
pub(super) const MADE_BY: &str = "system";

/// A ruleset that comes with the program.
pub(super) struct DefaultRuleset {
    pub(super) name: &'static str,
    pub(super) description: &'static str,
    pub(super) kind: &'static str,
    pub(super) content: &'static str,
}

/// Every ruleset that comes with the program.
pub(super) const RULESETS: [DefaultRuleset; 2] = [
    DefaultRuleset {
        name: "WSO2 API Management Guidelines",
        description: "What is said of an API, so that it is found and it is known who answers for it.",
        kind: "API_METADATA",
        content: include_str!("rulesets/metadata.yaml"),
    },
    DefaultRuleset {
        name: "WSO2 REST API Design Guidelines",
        description: "What the definition of a REST API is like.",
        kind: "API_DEFINITION",
        content: include_str!("rulesets/design.yaml"),
    },
];

/// The policy that comes with the program.
pub(super) const POLICY: &str = "WSO2 API Management Best Practices";
/// What it is for.
pub(super) const POLICY_DESCRIPTION: &str = "Tells where APIs do not keep to the guidelines, and blocks nothing.";

/// Returns the id of a ruleset or a policy that comes with the program.
pub(super) fn id_of(noun: &str, name: &str) -> AssetId {
    AssetId::of_names(&["governance", noun, name])
}

/// Says whether a ruleset of this id comes with the program.
pub(super) fn is_ruleset(id: AssetId) -> bool {
    RULESETS.iter().any(|one| id_of("ruleset", one.name) == id)
}

/// Says whether a policy of this id comes with the program.
pub(super) fn is_policy(id: AssetId) -> bool {
    id_of("policy", POLICY) == id
}

#[cfg(test)]
mod tests {
    use super::super::spectral::Rules;
    use super::*;

    #[test]
    fn the_rulesets_that_come_with_the_program_are_served() {
        for ruleset in &RULESETS {
            assert!(Rules::parse(ruleset.content).unwrap().rules.len() >= 5, "{}", ruleset.name);
        }
    }
}
