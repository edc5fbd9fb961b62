//! The pages that come with the program, as they are in `docs/`: without the decisions, and without that of the command line,
//! which `portcullis help` has. A test in this file holds the list to the folder.

/// A page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Where it is below `docs/`, without its ending: `operations/backup`.
    pub topic: &'static str,
    /// What it says, as Markdown.
    pub text: &'static str,
}

/// Makes the list of pages out of their topics.
macro_rules! pages {
    ($($topic:literal,)*) => {
        &[$(Page { topic: $topic, text: include_str!(concat!("../../../docs/", $topic, ".md")) },)*]
    };
}

/// The pages, in the order of the book.
pub const PAGES: &[Page] = pages![
    "tutorial",
    "how-to/README",
    "how-to/publish",
    "how-to/subscribe",
    "how-to/quotas",
    "how-to/tenants",
    "how-to/thrift",
    "how-to/components-apart",
    "how-to/gitops",
    "how-to/single-sign-on",
    "how-to/websub",
    "how-to/ai-apis",
    "moving/wso2",
    "moving/kong",
    "moving/apisix",
    "operations/cluster",
    "operations/components-apart",
    "operations/backup",
    "operations/upgrade",
    "operations/sizing",
    "operations/tuning",
    "operations/security",
    "operations/observing",
    "operations/quotas",
    "operations/users",
    "operations/tenants",
    "operations/audit",
    "operations/portals",
    "reference/api",
    "reference/backends",
    "reference/commands",
    "reference/configuration",
    "reference/consistency",
    "reference/contracts",
    "reference/directory",
    "reference/errors",
    "reference/fault-injection",
    "reference/footprint",
    "reference/dependencies",
    "reference/gateway-security",
    "reference/gateway",
    "reference/governance",
    "reference/identity-providers",
    "reference/key-managers",
    "reference/mediation",
    "reference/metrics",
    "reference/oauth",
    "reference/performance",
    "reference/scim",
    "reference/statistics",
    "reference/telemetry",
    "reference/thrift",
    "reference/throttling",
    "architecture",
    "access-matrix",
    "glossary",
];

impl Page {
    /// Returns its title.
    #[must_use]
    pub fn title(&self) -> &'static str {
        self.text.lines().find_map(|line| line.strip_prefix("# ")).unwrap_or(self.topic)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_are_those_of_the_book_in_its_order() {
        let summary = include_str!("../../../docs/SUMMARY.md");
        let topic = |line: &'static str| line.split_once("](")?.1.strip_suffix(".md)");
        let is_left_out = |topic: &&str| topic.starts_with("decisions/") || *topic == "reference/cli";
        let listed: Vec<&str> = summary.lines().filter_map(topic).filter(|topic| !is_left_out(topic)).collect();
        assert_eq!(PAGES.iter().map(|page| page.topic).collect::<Vec<_>>(), listed);
        for page in PAGES {
            assert_ne!(page.title(), page.topic, "it has a title");
        }
    }
}
