//! Mails about calls that led to no API, for who wants to be told of them: how many, from where, and the latest.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use portcullis_database::Statdb;
use portcullis_http::time::rfc3339;
use portcullis_model::Timestamp;
use portcullis_model::stray_call::StrayCall;
use tracing::warn;

use super::mail::Mail;

/// Calls that a mail names.
const NAMED_MAX: usize = 20;
/// Addresses that a mail names.
const ADDRESSES_MAX: usize = 20;

/// Says which addresses are mailed; asked at each look.
pub type BotSubscribers = Arc<dyn Fn() -> Vec<String> + Send + Sync>;

/// What was told, and to whom.
pub(super) struct Strays {
    mail: Mail,
    subscribers: BotSubscribers,
    /// Up to when calls were told.
    told_until: Option<Timestamp>,
    /// When a mail was sent last.
    told_at: Option<Timestamp>,
}

impl Strays {
    pub(super) fn new(mail: Mail, subscribers: BotSubscribers) -> Self {
        Self { mail, subscribers, told_until: None, told_at: None }
    }

    /// Forgets what was told, as whoever does not lead any more: another node goes on from when it begins to lead.
    pub(super) fn forget(&mut self) {
        (self.told_until, self.told_at) = (None, None);
    }

    /// Mails what came since the last mail, at most one mail in `quiet`.
    pub(super) async fn tell(&mut self, stat: &Statdb, now: Timestamp, quiet: Duration) {
        let since = *self.told_until.get_or_insert(now);
        if self.told_at.is_some_and(|at| at.after(quiet) > now) {
            return;
        }
        let new = stat.stray_calls.iter().rev().take_while(|((at, ..), _)| *at > since);
        let new: Vec<(Timestamp, &StrayCall)> = new.map(|((at, ..), call)| (*at, &**call)).collect();
        let Some((latest, _)) = new.first() else { return };
        let emails = (self.subscribers)();
        if !emails.is_empty() {
            let (subject, text) = message(&new, now);
            if let Err(fault) = self.mail.to(&emails).send_text(&subject, &text).await {
                warn!(%fault, "nobody was mailed about calls that led to no API; they are mailed again later");
                return;
            }
            self.told_at = Some(now);
        }
        self.told_until = Some(*latest);
    }
}

fn message(new: &[(Timestamp, &StrayCall)], now: Timestamp) -> (String, String) {
    let addresses: BTreeSet<String> = new.iter().map(|(_, call)| call.from.to_string()).collect();
    let count = new.len();
    let subject = format!("Portcullis: {count} calls to no API from {} addresses", addresses.len());
    let mut text = format!("Seen at {}: {count} calls that led to no API, from", rfc3339(now));
    for address in addresses.iter().take(ADDRESSES_MAX) {
        // To write into a text does not fail.
        let _ = write!(text, " {address}");
    }
    text.push_str(if addresses.len() > ADDRESSES_MAX { " and others.\n" } else { ".\n" });
    for (at, call) in new.iter().take(NAMED_MAX) {
        let path: String = call.path.chars().filter(|one| !one.is_control()).collect();
        let _ = write!(text, "\n- {} {} {} {path}", rfc3339(*at), call.from, call.verb);
    }
    text.push('\n');
    (subject, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_tells_how_many_from_where_and_the_latest() {
        let call = |from: &str| StrayCall {
            at: Timestamp(1),
            from: from.parse().unwrap(),
            request_id: "id".to_owned(),
            verb: "GET".to_owned(),
            path: "/wp-login.php".to_owned(),
            headers: "[]".to_owned(),
        };
        let calls: Vec<StrayCall> = (0..40).map(|number| call(&format!("192.0.2.{}", number % 3))).collect();
        let new: Vec<(Timestamp, &StrayCall)> = calls.iter().map(|call| (Timestamp(1_000), call)).collect();
        let (subject, text) = message(&new, Timestamp(2_000));
        assert_eq!(subject, "Portcullis: 40 calls to no API from 3 addresses");
        assert!(text.contains("from 192.0.2.0 192.0.2.1 192.0.2.2.\n"), "{text}");
        assert_eq!(text.matches("/wp-login.php").count(), NAMED_MAX);
    }
}
