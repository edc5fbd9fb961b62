use std::sync::Arc;

use portcullis_model::certificate::{Fingerprint, NextAuthority, NodeCertificate};
use portcullis_model::{NodeId, Refused};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::Cluster;
use crate::state::{ClusterFacts, State};

/// A step of a rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RotationStep {
    /// The next authority signs certificates from now on. Every node must trust it.
    Sign,
    /// The next authority takes the present one's place, which is no longer trusted. Every node must use a certificate
    /// of the next one.
    Retire,
}

/// Takes a rotation one step further. Refuses while a node would be shut out by it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AdvanceRotation {
    /// The SHA-256 of the next authority's certificate: of the rotation that is meant.
    pub fingerprint: Fingerprint,
    /// The step.
    pub step: RotationStep,
}

impl SubmittedBy<Cluster> for AdvanceRotation {}

impl State {
    /// Returns the nodes that were not removed and of whose certificate `is_fine` does not hold, or is not known.
    #[must_use]
    pub fn nodes_with_certificates_not(&self, is_fine: impl Fn(&NodeCertificate) -> bool) -> Vec<NodeId> {
        let members = self.system.nodes.values().filter(|node| node.removed_at.is_none()).map(|node| node.id);
        let known = &self.system.node_certificates;
        members.filter(|node| !known.get(node).is_some_and(|certificate| is_fine(certificate))).collect()
    }
}

fn refuse(nodes: &[NodeId], what: &str) -> Result<(), Refused> {
    if nodes.is_empty() {
        return Ok(());
    }
    let named: Vec<String> = nodes.iter().map(ToString::to_string).collect();
    let (noun, verb) = if nodes.len() == 1 { ("node", "does") } else { ("nodes", "do") };
    let named = named.join(", ");
    Err(Refused::wrong_state(format!("{noun} {named} {verb} not {what}: start or remove it, or wait for it")))
}

impl Command for AdvanceRotation {
    type Reply = ();

    fn subject(&self) -> String {
        format!("{:?}", self.step)
    }

    fn apply(self, state: &mut State, _moment: &Moment) -> Result<(), Refused> {
        let next = state.system.next_authority.get(&()).cloned();
        let next = next.filter(|next| next.fingerprint == self.fingerprint);
        let next = next.ok_or_else(|| {
            Refused::wrong_state("no rotation to this certificate authority is under way".to_owned())
        })?;
        match self.step {
            RotationStep::Sign => {
                let missing = state.nodes_with_certificates_not(|known| known.trusts.contains(&self.fingerprint));
                refuse(&missing, "trust the new certificate authority yet")?;
                let signing = NextAuthority { signs: true, ..next.as_ref().clone() };
                state.system.next_authority.insert((), Arc::new(signing));
            }
            RotationStep::Retire => {
                let missing = state.nodes_with_certificates_not(|known| known.authority == self.fingerprint);
                refuse(&missing, "use a certificate of the new authority yet")?;
                let facts = state.system.cluster.get(&());
                let facts = facts.ok_or_else(|| Refused::wrong_state("the cluster is not bootstrapped"))?;
                let replaced = ClusterFacts {
                    ca_certificate: next.certificate.clone(),
                    ca_key: next.key.clone(),
                    ..facts.as_ref().clone()
                };
                state.system.cluster.insert((), Arc::new(replaced));
                state.system.next_authority.remove(&());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use portcullis_model::{NodeAddresses, Principal, Sealed, Timestamp};

    use super::*;
    use crate::command::{BeginRotation, Bootstrap, RecordCertificate};

    const OLD: Fingerprint = [1; 32];
    const NEW: Fingerprint = [2; 32];

    fn moment(index: u64) -> Moment {
        Moment { now: Timestamp(index), index, random: [3; 32], principal: Principal::system() }
    }

    fn state_of_one() -> State {
        let mut state = State::default();
        let at = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
        let bootstrap = Bootstrap {
            cluster_id: uuid::Uuid::nil(),
            cluster_name: "test".to_owned(),
            ca_certificate: "old".to_owned(),
            ca_key: Sealed(vec![1]),
            node_name: "one".to_owned(),
            node_addresses: NodeAddresses { cluster: at, management: at, gateway_http: at, gateway_https: at },
            admin_password_hash: String::new(),
        };
        bootstrap.apply(&mut state, &moment(1)).unwrap();
        state
    }

    fn record(authority: Fingerprint, trusts: &[Fingerprint]) -> RecordCertificate {
        RecordCertificate {
            node: NodeId(1),
            fingerprint: [9; 32],
            authority,
            not_before: Timestamp(0),
            not_after: Timestamp(100),
            trusts: trusts.to_vec(),
        }
    }

    #[test]
    fn a_rotation_waits_for_every_node_at_each_step_and_ends_with_the_new_authority_alone() {
        let mut state = state_of_one();
        let begin = BeginRotation {
            fingerprint: NEW,
            certificate: "new".to_owned(),
            key: Sealed(vec![2]),
            cross_certificate: "cross".to_owned(),
        };
        begin.clone().apply(&mut state, &moment(2)).unwrap();
        assert!(begin.apply(&mut state, &moment(3)).is_err(), "one rotation at a time");
        let sign = AdvanceRotation { fingerprint: NEW, step: RotationStep::Sign };
        let retire = AdvanceRotation { fingerprint: NEW, step: RotationStep::Retire };
        let refused = sign.clone().apply(&mut state, &moment(4)).unwrap_err();
        assert!(refused.to_string().contains("node 1"), "{refused}");
        record(OLD, &[OLD, NEW]).apply(&mut state, &moment(5)).unwrap();
        sign.apply(&mut state, &moment(6)).unwrap();
        let refused = retire.clone().apply(&mut state, &moment(7)).unwrap_err();
        assert!(refused.to_string().contains("node 1"), "{refused}");
        record(NEW, &[OLD, NEW]).apply(&mut state, &moment(8)).unwrap();
        retire.clone().apply(&mut state, &moment(9)).unwrap();
        assert_eq!(state.system.cluster[&()].ca_certificate, "new");
        assert!(state.system.next_authority.is_empty());
        assert!(retire.apply(&mut state, &moment(10)).is_err(), "a rotation that is over cannot go on");
    }
}
