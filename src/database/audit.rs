//! The audit: noted by `apply` itself, from what an entry says of its proposer, so that no write costs a second one.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use portcullis_model::fault::Fault as _;
use portcullis_model::{AuditAction, AuditRecord, AuditRetention, Refused, RequestId, Timestamp};

use crate::command::Moment;
use crate::state::State;

/// The feature level that brought the audit.
const SINCE: u32 = 2;
/// Bytes of what a record says of its subject.
const SUBJECT_BYTES_MAX: usize = 512;
/// Records dropped by one entry: more than one adds, so that they do not pile up, and few, so that no entry is slow.
const DROPPED_AT_ONCE: usize = 16;

/// Commands that are no administrative acts: what tokens, calls and nodes bring about by themselves.
const NOT_NOTED: &[u16] = &[
    60, // IssueToken
    65, // RotateRefreshToken
    70, // 70 to 74: grants and sign-ins under way
    71, 72, 73, 74, 100, // ReportUsage
    101, // StateUsage
    121, // NoteSignIns, which notes each of them
    154, 155, 156, 157, // comments and ratings
    178, // NoteStrayCalls
    180, // TakeStatistics
    181, // NoteNetworks
    182, 183, // callbacks that were subscribed, or no longer are: applications do that by themselves
    184, // NoteDeliveries
];

/// Says whether the audit notes a command.
pub(crate) fn notes(command: u16) -> bool {
    !NOT_NOTED.contains(&command)
}

/// Notes an act that an entry brought about.
pub(crate) fn note(state: &mut State, moment: &Moment, act: Act, result: &Result<Vec<u8>, Refused>) {
    if !notes(act.command) {
        return;
    }
    let mut subject = act.subject;
    let end = (0..=SUBJECT_BYTES_MAX.min(subject.len())).rev().find(|end| subject.is_char_boundary(*end));
    subject.truncate(end.unwrap_or(0));
    let place = (moment.index, 0);
    let record = AuditRecord {
        at: moment.now,
        tenant: moment.principal.tenant.clone(),
        user: moment.principal.username.clone(),
        origin: act.origin,
        action: AuditAction::Command(act.command),
        subject,
        refused: result.as_ref().err().map(|refused| refused.code().to_owned()),
        count: 1,
    };
    keep(state, place, record);
    if let Some(request) = act.request.filter(|_| state.system.audit.contains_key(&place)) {
        state.system.audit_requests.insert(place, request);
    }
}

/// What an entry brought about.
pub(crate) struct Act {
    pub(crate) command: u16,
    pub(crate) origin: Option<IpAddr>,
    pub(crate) request: Option<RequestId>,
    pub(crate) subject: String,
}

/// Keeps a record, and drops some whose time is over.
pub(crate) fn keep(state: &mut State, key: (u64, u32), record: AuditRecord) {
    if state.feature_level() < SINCE {
        return;
    }
    let now = record.at;
    state.system.audit.insert(key, Arc::new(record));
    drop_old(state, now);
}

/// Drops records whose time is over, and the oldest beyond the bound.
pub(crate) fn drop_old(state: &mut State, now: Timestamp) {
    let retention = retention(state);
    let kept = Duration::from_secs(u64::from(retention.days_max) * 86_400);
    for _ in 0..DROPPED_AT_ONCE {
        let Some((key, oldest)) = state.system.audit.get_min() else { return };
        let is_over = oldest.at.after(kept) <= now;
        if !is_over && state.system.audit.len() as u64 <= retention.records_max {
            return;
        }
        let key = *key;
        state.system.audit.remove(&key);
        state.system.audit_requests.remove(&key);
    }
}

/// Returns how long records are kept.
pub(crate) fn retention(state: &State) -> AuditRetention {
    state.system.audit_retention.get(&()).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use portcullis_model::{Principal, TenantDomain, Username};

    use super::*;
    use crate::codec;
    use crate::command::{Bootstrap, Command, CreateRole, RaiseFeatureLevel, SetAuditRetention, apply};
    use crate::entry::Entry;
    use crate::handle::random_bytes;

    fn entry<X: Command>(command: &X, at: u64) -> Entry {
        let principal = Principal { tenant: TenantDomain::super_tenant(), username: Username("ann".to_owned()) };
        Entry {
            command: X::NUMBER,
            proposed_at: Timestamp(at),
            random: random_bytes(),
            principal,
            idempotency: None,
            payload: codec::encode(command).unwrap(),
        }
    }

    fn founded() -> State {
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
        let bootstrap = Bootstrap {
            cluster_id: uuid::Uuid::nil(),
            cluster_name: "c".to_owned(),
            ca_certificate: String::new(),
            ca_key: portcullis_model::Sealed(Vec::new()),
            node_name: "n".to_owned(),
            node_addresses: portcullis_model::NodeAddresses {
                cluster: address,
                management: address,
                gateway_http: address,
                gateway_https: address,
            },
            admin_password_hash: String::new(),
        };
        let mut state = State::default();
        apply(&mut state, 1, &entry(&bootstrap, 1)).unwrap();
        state
    }

    fn role(name: &str) -> CreateRole {
        CreateRole {
            tenant: TenantDomain::super_tenant(),
            role: portcullis_model::Role(name.to_owned()),
            members: Vec::new(),
        }
    }

    #[test]
    fn an_act_is_noted_with_its_address_once_the_cluster_has_the_level_and_never_before() {
        let mut state = founded();
        assert!(state.system.audit.is_empty(), "nodes of the level before do not know the table");
        apply(&mut state, 2, &entry(&RaiseFeatureLevel { level: 2 }, 2)).unwrap();
        for (index, origin) in [(3, "192.0.2.7"), (4, "2001:db8::1")] {
            let mut from = entry(&role("team"), index);
            from.come_from(origin.parse().unwrap());
            assert_eq!(from.number(), 94);
            let request = RequestId::of(format!("request-{index}").as_bytes()).unwrap();
            from.belong_to(&request);
            assert_eq!((from.number(), from.request()), (94, Some(request.clone())));
            let outcome = apply(&mut state, index, &from).unwrap();
            assert_eq!(state.system.audit_requests.get(&(index, 0)), Some(&request));
            assert_eq!(outcome.result.is_ok(), index == 3, "the second is refused, and noted as such");
            let noted = &state.system.audit[&(index, 0)];
            assert_eq!(noted.origin, Some(origin.parse().unwrap()));
            assert_eq!((noted.subject.as_str(), noted.user.0.as_str()), ("team", "ann"));
            assert_eq!(noted.refused.as_deref(), (index == 4).then_some("PC-1409"));
        }
        for (command, payload) in [(94 | 0x8000, vec![9]), (94 | 0x4000, vec![9]), (94 | 0x4000, vec![1, b' '])] {
            let damaged = Entry { payload, command, ..entry(&role("x"), 5) };
            assert!(apply(&mut state, 5, &damaged).is_err());
        }
    }

    #[test]
    fn what_is_too_old_or_too_much_goes() {
        let mut state = founded();
        apply(&mut state, 2, &entry(&RaiseFeatureLevel { level: 2 }, 2)).unwrap();
        let retention = AuditRetention { records_max: 1_000, days_max: 1 };
        apply(&mut state, 3, &entry(&SetAuditRetention { retention }, 3)).unwrap();
        for index in 4..1_500 {
            apply(&mut state, index, &entry(&role(&format!("r{index}")), index)).unwrap();
        }
        assert_eq!(state.system.audit.len(), 1_000);
        let later = 2 * 86_400_000;
        for index in 1_500..1_600 {
            apply(&mut state, index, &entry(&role(&format!("r{index}")), later + index)).unwrap();
        }
        assert_eq!(state.system.audit.len(), 100, "those of two days ago are gone");
    }
}
