use std::sync::Arc;

use portcullis_model::authorization::TrustedIssuer;
use portcullis_model::limit::TRUSTED_ISSUERS_MAX;
use portcullis_model::{Refused, TenantDomain};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::state::{Apimgtdb, State};

/// Says whose assertions about users a tenant takes, or takes that back. No node takes them when the answer comes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SetTrustedIssuer {
    /// The tenant.
    pub tenant: TenantDomain,
    /// The issuer, as its assertions name it.
    pub issuer: String,
    /// What is known of it; `None` to trust it no longer. `created_at` is set here.
    pub trusted: Option<TrustedIssuer>,
}

impl<C: Component> SubmittedBy<C> for SetTrustedIssuer where C: Writes<Apimgtdb> {}

impl Command for SetTrustedIssuer {
    type Reply = ();
    const EVERYWHERE: bool = true;

    fn subject(&self) -> String {
        let verb = if self.trusted.is_some() { "trusted" } else { "not trusted" };
        format!("{} {verb}", self.issuer)
    }

    fn apply(self, state: &mut State, moment: &Moment) -> Result<(), Refused> {
        let issuers = &mut state.apimgt.trusted_issuers;
        let key = (self.tenant, self.issuer);
        match self.trusted {
            Some(trusted) => {
                if !issuers.contains_key(&key) && issuers.len() >= TRUSTED_ISSUERS_MAX {
                    let what = "trusted issuers".to_owned();
                    return Err(Refused::LimitReached { what, max: TRUSTED_ISSUERS_MAX as u64 });
                }
                issuers.insert(key, Arc::new(TrustedIssuer { created_at: moment.now, ..trusted }));
                Ok(())
            }
            None if issuers.remove(&key).is_some() => Ok(()),
            None => Err(Refused::not_found("trusted issuer", &key.1)),
        }
    }
}
