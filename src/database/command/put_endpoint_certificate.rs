use std::sync::Arc;

use portcullis_model::Refused;
use portcullis_model::client_certificate::check_certificate;
use portcullis_model::endpoint_trust::{ENDPOINT_CERTIFICATES_MAX, ENDPOINT_CHARS_MAX, EndpointCertificate};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::endpoint_trust;
use crate::state::{Apimgtdb, State};

/// Has gateways trust a tenant's backends at one place by a certificate, or replaces the one of that alias. In force on
/// every gateway when the answer comes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PutEndpointCertificate {
    /// The certificate; `added_at` is set here.
    pub certificate: EndpointCertificate,
    /// Whether the alias must be new (`true`) or must exist (`false`).
    pub is_new: bool,
}

impl<C: Component> SubmittedBy<C> for PutEndpointCertificate where C: Writes<Apimgtdb> {}

impl Command for PutEndpointCertificate {
    type Reply = ();
    const EVERYWHERE: bool = true;

    fn subject(&self) -> String {
        format!("endpoint certificate {} for {}", self.certificate.alias, self.certificate.endpoint)
    }

    fn apply(self, state: &mut State, moment: &Moment) -> Result<(), Refused> {
        let mut one = self.certificate;
        check(&one)?;
        let key = (one.tenant.clone(), one.alias.clone());
        match (state.apimgt.endpoint_certificates.contains_key(&key), self.is_new) {
            (true, true) => return Err(Refused::exists("endpoint certificate", &one.alias)),
            (false, false) => return Err(Refused::not_found("endpoint certificate", &one.alias)),
            _ => {}
        }
        let count = endpoint_trust::of_tenant(&state.apimgt, &one.tenant).count();
        if self.is_new && count >= ENDPOINT_CERTIFICATES_MAX {
            let what = "endpoint certificates".to_owned();
            return Err(Refused::LimitReached { what, max: ENDPOINT_CERTIFICATES_MAX as u64 });
        }
        one.added_at = moment.now;
        state.apimgt.endpoint_certificates.insert(key.clone(), Arc::new(one));
        endpoint_trust::refresh(state, &key.0);
        Ok(())
    }
}

fn check(one: &EndpointCertificate) -> Result<(), Refused> {
    check_certificate(&one.alias, &one.certificate)?;
    if one.endpoint.chars().count() > ENDPOINT_CHARS_MAX {
        let reason = format!("may have at most {ENDPOINT_CHARS_MAX} characters");
        return Err(Refused::invalid("endpoint", reason));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use portcullis_model::client_certificate::CertificateDer;
    use portcullis_model::endpoint_trust::EndpointPlace;
    use portcullis_model::{Timestamp, Username};

    use super::super::DeleteEndpointCertificate;
    use super::super::store_fixture::{Fixture, api};
    use super::*;

    fn put(alias: &str, endpoint: &str, byte: u8, is_new: bool) -> PutEndpointCertificate {
        let certificate = EndpointCertificate {
            tenant: api(7).tenant,
            alias: alias.to_owned(),
            endpoint: endpoint.to_owned(),
            place: EndpointPlace::parse(endpoint).unwrap(),
            certificate: CertificateDer(vec![byte]),
            added_by: Username("cyd".to_owned()),
            added_at: Timestamp::default(),
        };
        PutEndpointCertificate { certificate, is_new }
    }

    #[test]
    fn gateways_have_what_is_there_and_no_longer_what_was_taken_away() {
        let mut fixture = Fixture::new();
        fixture.apply(put("one", "https://backend:8443", 1, true)).unwrap();
        fixture.apply(put("two", "backend", 2, true)).unwrap();
        let twice = fixture.apply(put("one", "https://other", 3, true));
        assert!(matches!(twice, Err(Refused::AlreadyExists { .. })), "{twice:?}");
        let at = |fixture: &Fixture, port| {
            let trust = fixture.state.deployed.endpoint_trust.get(&api(7).tenant).cloned();
            trust.map(|trust| trust.of("Backend", port).iter().map(|one| one.0[0]).collect::<Vec<_>>())
        };
        assert_eq!((at(&fixture, 8443), at(&fixture, 443)), (Some(vec![1, 2]), Some(vec![2])));
        fixture.apply(put("one", "https://backend:8443", 9, false)).unwrap();
        assert_eq!(at(&fixture, 8443), Some(vec![9, 2]));
        for alias in ["one", "two"] {
            let delete = DeleteEndpointCertificate { tenant: api(7).tenant, alias: alias.to_owned() };
            fixture.apply(delete.clone()).unwrap();
            assert!(matches!(fixture.apply(delete), Err(Refused::NotFound { .. })));
        }
        assert_eq!(at(&fixture, 8443), None);
    }
}
