use std::sync::Arc;

use portcullis_model::{Refused, TenantConfig, TenantDomain};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::state::{State, Userdb};

/// Replaces a tenant's configuration. What it allows and forbids holds on every live node when the answer comes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PutTenantConfig {
    /// The tenant.
    pub domain: TenantDomain,
    /// The document that the change was made from; refused where it is another now. `None` replaces whatever there is.
    pub expected: Option<String>,
    /// The configuration.
    pub config: TenantConfig,
}

impl<C: Component> SubmittedBy<C> for PutTenantConfig where C: Writes<Userdb> {}

impl Command for PutTenantConfig {
    type Reply = ();
    const EVERYWHERE: bool = true;

    fn subject(&self) -> String {
        self.domain.to_string()
    }

    fn apply(self, state: &mut State, _moment: &Moment) -> Result<(), Refused> {
        let Self { domain, expected, config } = self;
        if !state.user.tenants.contains_key(&domain) {
            return Err(Refused::not_found("tenant", &domain));
        }
        if let Some(expected) = expected {
            let present = state.user.tenant_configs.get(&domain).map_or("", |config| config.document.as_str());
            if present != expected {
                return Err(Refused::Stale { noun: "tenant configuration".to_owned(), key: domain.0 });
            }
        }
        let roles = config.sign_up_roles.iter().flatten();
        if let Some(unknown) = roles.into_iter().find(|role| !state.user.roles.contains_key(&(domain.clone(), (*role).clone()))) {
            return Err(Refused::not_found("role", unknown));
        }
        state.user.tenant_configs.insert(domain, Arc::new(config));
        Ok(())
    }
}
