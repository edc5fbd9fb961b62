use std::sync::Arc;

use portcullis_model::client_certificate::{CLIENT_CERTIFICATES_PER_API_MAX, ClientCertificate, check_certificate};
use portcullis_model::{PolicyLevel, Refused};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::projection;
use crate::state::{Apimgtdb, Generation, State};

/// Has an API trust a certificate, or replaces the one of that alias. In force on every gateway when the answer comes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PutClientCertificate {
    /// The certificate; `added_at` is set here.
    pub certificate: ClientCertificate,
    /// Whether the alias must be new (`true`) or must exist (`false`).
    pub is_new: bool,
}

impl<C: Component> SubmittedBy<C> for PutClientCertificate where C: Writes<Apimgtdb> {}

impl Command for PutClientCertificate {
    type Reply = ();
    const EVERYWHERE: bool = true;

    fn apply(self, state: &mut State, moment: &Moment) -> Result<(), Refused> {
        let mut one = self.certificate;
        let api = state.apimgt.apis.get(&one.api).cloned().ok_or_else(|| Refused::not_found("API", one.api))?;
        check_certificate(&one.alias, &one.certificate)?;
        let plan = (api.tenant.clone(), PolicyLevel::Subscription, one.plan.clone());
        if !state.apimgt.policies.contains_key(&plan) {
            return Err(Refused::invalid("tier", format!("there is no business plan {}", one.plan)));
        }
        let key = (one.api, one.alias.clone());
        match (state.apimgt.client_certificates.contains_key(&key), self.is_new) {
            (true, true) => return Err(Refused::exists("client certificate", &one.alias)),
            (false, false) => return Err(Refused::not_found("client certificate", &one.alias)),
            _ => {}
        }
        if self.is_new && projection::certificates_of(state, one.api).count() >= CLIENT_CERTIFICATES_PER_API_MAX {
            let what = format!("client certificates of API {}", api.name);
            return Err(Refused::LimitReached { what, max: CLIENT_CERTIFICATES_PER_API_MAX as u64 });
        }
        one.added_at = moment.now;
        state.apimgt.client_certificates.insert(key, Arc::new(one));
        projection::refresh(state, &api.tenant, &api.name, api.id);
        state.deployed.advance(Generation::Keys);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use portcullis_model::client_certificate::CertificateDer;
    use portcullis_model::{Api, Deployment, KeyType, Revision, RevisionId, Timestamp, Username};

    use super::super::store_fixture::{Fixture, api};
    use super::super::{DeleteApi, DeleteClientCertificate, RaiseFeatureLevel};
    use super::*;

    fn certificate(alias: &str, bytes: usize) -> ClientCertificate {
        ClientCertificate {
            api: api(7).id,
            alias: alias.to_owned(),
            plan: "Gold".to_owned(),
            key_type: KeyType::Production,
            certificate: CertificateDer(vec![1; bytes]),
            added_by: Username("anna".to_owned()),
            added_at: Timestamp(0),
        }
    }

    fn edges(fixture: &Fixture) -> Vec<usize> {
        fixture.state.deployed.edge_security.values().map(|edge| edge.certificates.len()).collect()
    }

    /// Deploys an API with a header of its own for API keys.
    fn deployed(fixture: &mut Fixture) {
        let api = Api { other_fields: r#"{"apiKeyHeader": "X-Key"}"#.to_owned(), ..api(7) };
        let place = |environment: &str| Deployment {
            environment: environment.to_owned(),
            vhost: "localhost".to_owned(),
            is_displayed: true,
            deployed_at: Timestamp(0),
        };
        let revision = Revision {
            id: RevisionId::from_random([1; 16]),
            api: api.id,
            number: 1,
            description: String::new(),
            created_at: Timestamp(0),
            content: Arc::new(api.clone()),
            definition: Arc::from(""),
            deployments: vec![place("Default")],
        };
        fixture.state.apimgt.revisions.insert((api.id, 1), Arc::new(revision));
        fixture.publish(api);
    }

    #[test]
    fn gateways_hear_of_a_certificate_at_once_and_of_its_end_too() {
        let mut fixture = Fixture::new();
        deployed(&mut fixture);
        fixture.at_level(2);
        let put = |alias, is_new| PutClientCertificate { certificate: certificate(alias, 9), is_new };
        fixture.apply(put("one", true)).unwrap();
        assert_eq!(fixture.apply(put("one", true)), Err(Refused::exists("client certificate", "one")));
        assert_eq!(fixture.apply(put("two", false)), Err(Refused::not_found("client certificate", "two")));
        fixture.apply(put("two", true)).unwrap();
        assert_eq!(edges(&fixture), [2]);
        let keys = fixture.state.deployed.generation(Generation::Keys);
        fixture.apply(DeleteClientCertificate { api: api(7).id, alias: "one".to_owned() }).unwrap();
        assert!(fixture.state.deployed.generation(Generation::Keys) > keys);
        assert_eq!(edges(&fixture), [1]);
    }

    #[test]
    fn nodes_of_the_level_before_get_no_rows_until_the_level_is_raised() {
        let mut fixture = Fixture::new();
        deployed(&mut fixture);
        fixture.at_level(1);
        projection::refresh(&mut fixture.state, &api(7).tenant, &api(7).name, api(7).id);
        assert_eq!((fixture.state.deployed.apis.len(), edges(&fixture).len()), (1, 0));
        fixture.apply(RaiseFeatureLevel { level: 2 }).unwrap();
        let edge = fixture.state.deployed.edge_security.get_min().map(|(_, edge)| edge.api_key_header.clone());
        assert_eq!(edge, Some(Some("X-Key".to_owned())));
    }

    #[test]
    fn what_cannot_be_a_certificate_of_the_api_changes_nothing() {
        let mut fixture = Fixture::new();
        fixture.publish(api(7));
        let before = crate::digest::digest(&fixture.state).unwrap();
        let no_plan = ClientCertificate { plan: "Nothing".to_owned(), ..certificate("a", 9) };
        for wrong in [certificate("", 9), certificate(&"x".repeat(31), 9), certificate("a", 0), certificate("a", 8193), no_plan] {
            let refused = fixture.apply(PutClientCertificate { certificate: wrong, is_new: true });
            assert!(matches!(refused, Err(Refused::Invalid { .. })), "{refused:?}");
        }
        let elsewhere = ClientCertificate { api: api(8).id, ..certificate("a", 9) };
        let refused = fixture.apply(PutClientCertificate { certificate: elsewhere, is_new: true });
        assert!(matches!(refused, Err(Refused::NotFound { .. })));
        assert_eq!(crate::digest::digest(&fixture.state).unwrap(), before);
    }

    #[test]
    fn they_are_bounded_and_go_with_their_api() {
        let mut fixture = Fixture::new();
        fixture.publish(api(7));
        for number in 0..CLIENT_CERTIFICATES_PER_API_MAX {
            let one = certificate(&number.to_string(), 9);
            fixture.apply(PutClientCertificate { certificate: one, is_new: true }).unwrap();
        }
        let more = PutClientCertificate { certificate: certificate("more", 9), is_new: true };
        assert!(matches!(fixture.apply(more), Err(Refused::LimitReached { .. })));
        fixture.apply(DeleteApi { api: api(7).id }).unwrap();
        assert!(fixture.state.apimgt.client_certificates.is_empty());
    }
}
