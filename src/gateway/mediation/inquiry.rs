//! What guardrails ask others of a text: whether the addresses in it lead somewhere, and how harmful it is.

use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::time::Duration;

use futures_util::future::join_all;
use regex::Regex;
use serde_json::{Value, json};
use tracing::debug;

use crate::worker::Worker;

/// Addresses in one body. Each is asked for.
const ADDRESSES_MAX: usize = 20;

/// What in a text is taken for an address, as in the original.
static ADDRESS: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"https?://[^\s,"'<>{}\[\]\\`*]+"#).expect("the expression is valid"));

/// What came of measuring: whether a text is as is asked, and what the caller may be told of it.
pub(super) struct Found {
    /// `None` where it cannot be said.
    pub(super) is_right: Option<bool>,
    pub(super) told: Value,
}

/// Returns the addresses in a text, without what is only behind them: the end of a sentence, a parenthesis around them.
fn addresses_in(text: &str) -> BTreeSet<&str> {
    let bare = |found: &'_ str| -> usize {
        let end = found.trim_end_matches(['.', ';', ':', '!', '?']);
        if end.contains('(') { end.len() } else { end.trim_end_matches([')', '.', ';', ':', '!', '?']).len() }
    };
    ADDRESS.find_iter(text).map(|found| &found.as_str()[..bare(found.as_str())]).collect()
}

/// Asks for the addresses in a text, all at the same time.
pub(super) async fn ask_for_addresses(worker: &Worker, text: &str, only_names: bool, timeout: Duration) -> Found {
    let addresses = addresses_in(text);
    if addresses.len() > ADDRESSES_MAX {
        let told = format!("{} URLs are in the payload; at most {ADDRESSES_MAX} are looked at.", addresses.len());
        return Found { is_right: None, told: told.into() };
    }
    let asked = addresses.iter().map(|address| async {
        let leads = match &worker.settings.addresses {
            Some(port) => port.leads_somewhere(address, only_names, timeout).await,
            None => false,
        };
        (!leads).then_some(*address)
    });
    let lost: Vec<_> = join_all(asked).await.into_iter().flatten().collect();
    let told = json!({"message": "One or more URLs in the payload failed validation.", "invalidUrls": &lost});
    Found { is_right: Some(lost.is_empty()), told }
}

/// Asks the service for moderation how harmful a text is. What was found in it is told, not the text.
pub(super) async fn ask_for_harm(
    worker: &Worker,
    text: &str,
    levels: &[(&'static str, u8)],
    passes_unasked: bool,
) -> Found {
    let categories: Vec<&'static str> = levels.iter().map(|(category, _)| *category).collect();
    let said = match &worker.settings.content_safety {
        _ if text.trim().is_empty() => Ok(Vec::new()),
        Some(service) => service.severities(text, &categories).await,
        None => Err("gateway.content_safety_url names none".to_owned()),
    };
    let said = match said {
        Ok(said) => said,
        Err(why) => {
            // Not louder: it is so with each call as long as it lasts.
            debug!(%why, "the service for moderation says nothing");
            let told = "Azure Content Safety API is unreachable or returned an invalid response.";
            return Found { is_right: passes_unasked.then_some(true), told: told.into() };
        }
    };
    let (mut is_right, mut told) = (true, Vec::new());
    for (category, severity) in said {
        let Some((_, level)) = levels.iter().find(|(known, _)| *known == category) else { continue };
        let fails = severity >= *level;
        is_right &= !fails;
        let result = if fails { "FAIL" } else { "PASS" };
        told.push(json!({"category": category, "severity": severity, "threshold": level, "result": result}));
    }
    Found { is_right: Some(is_right), told: json!({"categories": told}) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_end_where_the_text_around_them_goes_on() {
        let text = "see <https://a.example/x?y=1#z>, \"http://b.example:81\" or [c](http://c.example). Or \
                    http://d.example/a_(b). ftp://e http://c.example";
        let found: Vec<_> = addresses_in(text).into_iter().collect();
        let all = ["http://b.example:81", "http://c.example", "http://d.example/a_(b)", "https://a.example/x?y=1#z"];
        assert_eq!(found, all);
    }
}
