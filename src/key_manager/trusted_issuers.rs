//! Whose assertions about users a tenant takes.

use actix::Message;
use portcullis_database::command::SetTrustedIssuer;
use portcullis_database::{Apimgtdb, Caller, SubmitError};
use portcullis_model::authorization::TrustedIssuer;
use portcullis_model::{NodeId, TenantDomain};

use crate::authority::Authority;

/// Asks for the issuers that a tenant trusts.
#[derive(Message)]
#[rtype(result = "Vec<(String, TrustedIssuer)>")]
pub struct ListTrustedIssuers {
    /// The tenant.
    pub tenant: TenantDomain,
}

/// Trusts an issuer, or no longer.
#[derive(Message)]
#[rtype(result = "Result<(u64, Vec<NodeId>), SubmitError>")]
pub struct TrustIssuer {
    /// Who asks; the tenant is his.
    pub caller: Caller,
    /// The issuer, as its assertions name it.
    pub issuer: String,
    /// What is known of it; `None` to trust it no longer.
    pub trusted: Option<TrustedIssuer>,
}

impl Authority {
    /// Returns the issuers that a tenant trusts, in order.
    pub fn list_trusted_issuers(&self, tenant: &TenantDomain) -> Vec<(String, TrustedIssuer)> {
        let view = self.handle.view();
        let all = view.read::<Apimgtdb>().trusted_issuers.range((tenant.clone(), String::new())..);
        let own = all.take_while(|((of, _), _)| of == tenant);
        own.map(|((_, issuer), trusted)| (issuer.clone(), trusted.as_ref().clone())).collect()
    }

    /// Trusts an issuer, or no longer.
    pub async fn trust_issuer(&self, request: TrustIssuer) -> Result<(u64, Vec<NodeId>), SubmitError> {
        let tenant = request.caller.principal.tenant.clone();
        let command = SetTrustedIssuer { tenant, issuer: request.issuer, trusted: request.trusted };
        let committed = self.handle.submit(command, &request.caller).await?;
        Ok((committed.index, committed.unreached))
    }
}
