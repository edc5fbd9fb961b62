//! What can be asked of the audit, and how it is found.

use std::net::IpAddr;
use std::sync::Arc;

use actix::{Context, Handler, Message, ResponseFuture};
use portcullis_database::command::{COMMANDS, SetAuditRetention};
use portcullis_database::{Caller, Committed};
use portcullis_model::{AuditAction, AuditRecord, AuditRetention, RequestId, TenantDomain, Timestamp};

use crate::actor::Admin;
use crate::admin_error::AdminError;

/// The place of a record in the audit.
pub(crate) type Place = (u64, u32);

/// Asks for records, newest first.
#[derive(Clone, Debug, Default, Message)]
#[rtype(result = "Result<Found, AdminError>")]
pub(crate) struct FindRecords {
    /// The tenant whose users did it; all where it is `None`.
    pub(crate) tenant: Option<TenantDomain>,
    pub(crate) user: Option<String>,
    /// `SignIn`, or a command's name.
    pub(crate) action: Option<String>,
    /// A part of the subject.
    pub(crate) subject: Option<String>,
    pub(crate) origin: Option<IpAddr>,
    /// The id of the request.
    pub(crate) request: Option<String>,
    pub(crate) is_refused: Option<bool>,
    pub(crate) since: Option<Timestamp>,
    pub(crate) until: Option<Timestamp>,
    /// Only those before this place.
    pub(crate) before: Option<Place>,
    pub(crate) limit: usize,
}

/// Records, and where to go on.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) records: Vec<Noted>,
    pub(crate) next: Option<Place>,
}

/// A record, with what is noted beside it.
#[derive(Debug)]
pub(crate) struct Noted {
    pub(crate) place: Place,
    pub(crate) record: Arc<AuditRecord>,
    /// The id of the request, where it is known.
    pub(crate) request: Option<RequestId>,
}

/// Asks how long records are kept.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "AuditRetention")]
pub(crate) struct ReadRetention;

/// Sets how long records are kept.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<Committed<()>, AdminError>")]
pub(crate) struct PutRetention {
    pub(crate) caller: Caller,
    pub(crate) retention: AuditRetention,
}

/// Returns the name of what was done.
pub(crate) fn name_of(action: AuditAction) -> &'static str {
    match action {
        AuditAction::SignIn => "SignIn",
        AuditAction::Command(number) => {
            COMMANDS.iter().find(|(known, _)| *known == number).map_or("unknown", |(_, name)| *name)
        }
    }
}

impl FindRecords {
    fn is_met_by(&self, record: &AuditRecord) -> bool {
        let is = |wanted: &Option<String>, text: &str| wanted.as_ref().is_none_or(|wanted| wanted == text);
        self.tenant.as_ref().is_none_or(|tenant| *tenant == record.tenant)
            && is(&self.user, &record.user.0)
            && self.action.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(name_of(record.action)))
            && self.subject.as_ref().is_none_or(|part| record.subject.contains(part.as_str()))
            && self.origin.is_none_or(|origin| record.origin == Some(origin))
            && self.is_refused.is_none_or(|is_refused| record.refused.is_some() == is_refused)
            && self.since.is_none_or(|since| record.at >= since)
            && self.until.is_none_or(|until| record.at < until)
    }
}

impl Handler<FindRecords> for Admin {
    type Result = ResponseFuture<Result<Found, AdminError>>;

    fn handle(&mut self, message: FindRecords, _context: &mut Context<Self>) -> Self::Result {
        let view = self.handle.view();
        Box::pin(async move {
            // It may look at all of them: not on a thread that serves requests.
            let search = tokio::task::spawn_blocking(move || {
                let mut found = Found::default();
                let end = message.before.unwrap_or((u64::MAX, u32::MAX));
                for (place, record) in view.system().audit.range(..end).rev() {
                    let request = view.system().audit_requests.get(place);
                    let is_of_request =
                        message.request.as_ref().is_none_or(|id| request.is_some_and(|known| known.as_str() == id));
                    if !is_of_request || !message.is_met_by(record) {
                        continue;
                    }
                    if found.records.len() == message.limit {
                        found.next = found.records.last().map(|last| last.place);
                        break;
                    }
                    let (record, request) = (Arc::clone(record), request.cloned());
                    found.records.push(Noted { place: *place, record, request });
                }
                found
            });
            search.await.map_err(|_| AdminError::WorkLost("the audit"))
        })
    }
}

impl Handler<ReadRetention> for Admin {
    type Result = actix::MessageResult<ReadRetention>;

    fn handle(&mut self, _: ReadRetention, _context: &mut Context<Self>) -> Self::Result {
        let kept = self.handle.view().system().audit_retention.get(&()).copied();
        actix::MessageResult(kept.unwrap_or_default())
    }
}

impl Handler<PutRetention> for Admin {
    type Result = ResponseFuture<Result<Committed<()>, AdminError>>;

    fn handle(&mut self, message: PutRetention, _context: &mut Context<Self>) -> Self::Result {
        let handle = self.handle.clone();
        Box::pin(async move {
            let PutRetention { caller, retention } = message;
            Ok(handle.submit(SetAuditRetention { retention }, &caller).await?)
        })
    }
}
