//! What every tenant has from the start: rulesets and a policy that tells, and blocks nothing. They come with the program
//! and are not changed; who wants others adds them.

use portcullis_model::AssetId;

/// Who made them.
pub(super) const MADE_BY: &str = "system";

/// A ruleset that comes with the program.
pub(super) struct DefaultRuleset {
    pub(super) name: &'static str,
    pub(super) kind: &'static str,
    pub(super) content: &'static str,
}

/// Every ruleset that comes with the program.
pub(super) const RULESETS: [DefaultRuleset; 2] = [
    DefaultRuleset {
        name: "WSO2 API Management Guidelines",
        kind: "API_METADATA",
        content: include_str!("rulesets/metadata.yaml"),
    },
    DefaultRuleset {
        name: "WSO2 REST API Design Guidelines",
        kind: "API_DEFINITION",
        content: include_str!("rulesets/design.yaml"),
    },
];

/// The policy that comes with the program.
pub(super) const POLICY: &str = "WSO2 API Management Best Practices";

/// Returns the id of a ruleset or a policy that comes with the program.
pub(super) fn id_of(noun: &str, name: &str) -> AssetId {
    AssetId::of_names(&["governance", noun, name])
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
