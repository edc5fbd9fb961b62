//! Alerts by e-mail.

use std::fmt::Write as _;
use std::time::Duration;

use lettre::message::{Mailbox, header::ContentType};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use portcullis_http::time::rfc3339;
use portcullis_model::Timestamp;
use tracing::warn;

use super::rules::Alert;

/// How long a mail server may take over one command.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Characters of a subject.
const SUBJECT_CHARS_MAX: usize = 120;

/// Sends alerts by a mail server.
#[derive(Clone)]
pub struct Mail {
    server: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    to: Vec<Mailbox>,
}

/// Why alerts cannot be sent by e-mail.
#[derive(Debug, thiserror::Error)]
pub enum MailFault {
    /// The server's URL is none.
    #[error("the mail server's URL cannot be used: {0}")]
    Url(#[from] lettre::transport::smtp::Error),
    /// An address is none.
    #[error("{address} is no e-mail address: {cause}")]
    Address {
        /// What was given.
        address: String,
        /// What is wrong with it.
        cause: lettre::address::AddressError,
    },
    /// A login would go over the network as it is.
    #[error(
        "a server with a login needs smtps://, or ?tls=required behind smtp://: the password would be sent as it is"
    )]
    Open,
    /// A message cannot be written.
    #[error("the message cannot be written: {0}")]
    Message(#[from] lettre::error::Error),
}

impl Mail {
    /// Makes ready to send from one address to others by the server of a URL: `smtps://USER:PASSWORD@HOST:PORT`, or `smtp://`,
    /// there with `?tls=required` for STARTTLS (RFC 3207). Nothing is sent yet.
    ///
    /// # Errors
    /// Where the URL or an address cannot be one, or a password would be sent without TLS.
    pub fn new(url: &str, from: &str, to: &[String]) -> Result<Self, MailFault> {
        let has_login = url.strip_prefix("smtp://").is_some_and(|rest| rest.contains('@'));
        if has_login && !url.contains("tls=required") {
            return Err(MailFault::Open);
        }
        let server = AsyncSmtpTransport::<Tokio1Executor>::from_url(url)?.timeout(Some(TIMEOUT)).build();
        let to = to.iter().map(|address| mailbox(address)).collect::<Result<_, _>>()?;
        Ok(Self { server, from: mailbox(from)?, to })
    }

    /// Returns the same from and by, to others; addresses that are none are left out.
    pub(super) fn to(&self, addresses: &[String]) -> Self {
        let to = addresses.iter().filter_map(|address| address.parse().ok()).collect();
        Self { to, ..self.clone() }
    }

    /// Sends alerts in one message, to each address by itself: one that is refused does not keep it from the others.
    /// Returns the first fault where nobody got it.
    pub(super) async fn send(&self, alerts: &[Alert], now: Timestamp) -> Result<(), MailFault> {
        self.send_text(&subject(alerts), &text(alerts, now)).await
    }

    /// As [`Mail::send`], of a message that is written already. A subject is one line.
    pub(super) async fn send_text(&self, subject: &str, text: &str) -> Result<(), MailFault> {
        let (mut first, mut is_sent) = (None, false);
        for to in &self.to {
            match self.send_to(to, subject, text).await {
                Ok(()) => is_sent = true,
                Err(fault) => {
                    warn!(%fault, %to, "alerts could not be mailed");
                    first.get_or_insert(fault);
                }
            }
        }
        first.filter(|_| !is_sent).map_or(Ok(()), Err)
    }

    async fn send_to(&self, to: &Mailbox, subject: &str, text: &str) -> Result<(), MailFault> {
        let message = Message::builder().from(self.from.clone()).to(to.clone()).subject(subject.to_owned());
        let message = message.header(ContentType::TEXT_PLAIN).body(text.to_owned())?;
        self.server.send(message).await?;
        Ok(())
    }
}

fn mailbox(address: &str) -> Result<Mailbox, MailFault> {
    address.parse().map_err(|cause| MailFault::Address { address: address.to_owned(), cause })
}

fn subject(alerts: &[Alert]) -> String {
    let first = alerts.first().map_or("", |alert| alert.text.as_str());
    let more = match alerts.len().saturating_sub(1) {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    let room = SUBJECT_CHARS_MAX - more.len();
    // A line of its own would be a header of its own; names cannot hold one, and this does not rely on it.
    let first: String = first.chars().filter(|one| !one.is_control()).take(room).collect();
    format!("Portcullis: {first}{more}")
}

fn text(alerts: &[Alert], now: Timestamp) -> String {
    let mut text = format!("Seen at {}:\n", rfc3339(now));
    for alert in alerts {
        let (kind, unit) = (alert.kind.name(), alert.kind.unit());
        // To write into a text does not fail.
        let _ = write!(text, "\n- {}\n  {kind}: {} {unit}, usual {}\n", alert.text, alert.value, alert.usual);
    }
    text
}

impl std::fmt::Debug for Mail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The server's login is not for the log.
        write!(f, "Mail(from {}, to {} addresses)", self.from, self.to.len())
    }
}
