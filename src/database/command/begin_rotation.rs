use std::sync::Arc;

use portcullis_model::certificate::{Fingerprint, NextAuthority};
use portcullis_model::{Refused, Sealed};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::Cluster;
use crate::state::State;

/// Begins a rotation of the certificate authority: the next one is trusted beside the present one from now on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BeginRotation {
    /// The SHA-256 of the next authority's certificate.
    pub fingerprint: Fingerprint,
    /// Its certificate, PEM.
    pub certificate: String,
    /// Its private key.
    pub key: Sealed,
    /// Its certificate as the present authority signs it, PEM.
    pub cross_certificate: String,
}

impl SubmittedBy<Cluster> for BeginRotation {}

impl Command for BeginRotation {
    type Reply = ();

    fn apply(self, state: &mut State, moment: &Moment) -> Result<(), Refused> {
        if !state.system.cluster.contains_key(&()) {
            return Err(Refused::wrong_state("the cluster is not bootstrapped"));
        }
        if state.system.next_authority.contains_key(&()) {
            return Err(Refused::wrong_state("a rotation of the certificate authority is under way already"));
        }
        let Self { fingerprint, certificate, key, cross_certificate } = self;
        let began_at = moment.now;
        let next = NextAuthority { fingerprint, certificate, key, cross_certificate, signs: false, began_at };
        state.system.next_authority.insert((), Arc::new(next));
        Ok(())
    }
}
