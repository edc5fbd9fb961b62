//! Deny policies, compiled: who is turned away.

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::condition::is_within;
use crate::deny::{DenyCondition, DenyPolicy};
use crate::id::PolicyId;
use crate::tenant::TenantDomain;
use crate::time::Timestamp;
use crate::user::Username;

/// The deny policies of all tenants, by what they look at.
#[derive(Clone, Debug, Default)]
pub struct DenyList {
    apis: HashMap<Box<str>, Vec<Denial>>,
    /// By name, then by owner.
    applications: HashMap<Box<str>, Vec<(Username, Denial)>>,
    users: HashMap<Box<str>, Vec<(TenantDomain, Denial)>>,
    tenants: HashMap<Box<str>, Vec<Denial>>,
    addresses: HashMap<IpAddr, Vec<Denial>>,
    networks: Vec<(AddressTest, bool, Denial)>,
    count: usize,
}

/// When and for whom a deny policy holds.
#[derive(Clone, Debug)]
struct Denial {
    id: PolicyId,
    tenant: TenantDomain,
    ends_at: Timestamp,
}

#[derive(Clone, Copy, Debug)]
enum AddressTest {
    Network(IpNet),
    Range(IpAddr, IpAddr),
}

/// Who is looked up.
#[derive(Clone, Copy, Debug)]
pub struct Suspect<'a> {
    /// The client's address.
    pub client: IpAddr,
    /// The API's context with its version.
    pub api_context: &'a str,
    /// The API's tenant.
    pub api_tenant: &'a TenantDomain,
    /// Owner, name and tenant of the application; `None` where there is none or it is not known yet.
    pub application: Option<SuspectApplication<'a>>,
    /// The end user and his tenant.
    pub user: Option<(&'a Username, &'a TenantDomain)>,
}

/// The application that calls.
#[derive(Clone, Copy, Debug)]
pub struct SuspectApplication<'a> {
    /// Its owner.
    pub owner: &'a Username,
    /// Its name.
    pub name: &'a str,
    /// Its tenant.
    pub tenant: &'a TenantDomain,
}

impl DenyList {
    /// Compiles what of `policies` is switched on.
    pub fn compile<'a>(policies: impl IntoIterator<Item = &'a DenyPolicy>) -> Self {
        let mut list = Self::default();
        for policy in policies.into_iter().filter(|policy| policy.is_active) {
            list.count += 1;
            list.add(policy);
        }
        list
    }

    fn add(&mut self, policy: &DenyPolicy) {
        let ends_at = policy.expires_at.unwrap_or(Timestamp(u64::MAX));
        let denial = Denial { id: policy.id, tenant: policy.tenant.clone(), ends_at };
        match &policy.condition {
            DenyCondition::Api(context) => self.apis.entry(context.as_str().into()).or_default().push(denial),
            DenyCondition::Application { owner, name } => {
                self.applications.entry(name.as_str().into()).or_default().push((owner.clone(), denial));
            }
            DenyCondition::User { tenant, username } => {
                self.users.entry(username.0.as_str().into()).or_default().push((tenant.clone(), denial));
            }
            DenyCondition::Tenant(tenant) => self.tenants.entry(tenant.0.as_str().into()).or_default().push(denial),
            DenyCondition::Ip { network, is_inverted: false } if network.prefix_len() == network.max_prefix_len() => {
                self.addresses.entry(network.addr()).or_default().push(denial);
            }
            DenyCondition::Ip { network, is_inverted } => {
                self.networks.push((AddressTest::Network(*network), *is_inverted, denial));
            }
            DenyCondition::IpRange { from, to, is_inverted } => {
                self.networks.push((AddressTest::Range(*from, *to), *is_inverted, denial));
            }
        }
    }

    /// Says whether nothing is denied.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Returns the deny policy that turns a caller away at `now`, if any. May be asked before the caller is known (then
    /// only address, API and its tenant count) and again after.
    #[must_use]
    pub fn denial(&self, suspect: &Suspect<'_>, now: Timestamp) -> Option<PolicyId> {
        if self.is_empty() {
            return None;
        }
        self.by_api(suspect, now)
            .or_else(|| suspect.application.and_then(|application| self.by_application(application, now)))
            .or_else(|| suspect.user.and_then(|(user, tenant)| self.by_user(user, tenant, now)))
            .or_else(|| self.by_address(suspect, now))
    }

    fn by_api(&self, suspect: &Suspect<'_>, now: Timestamp) -> Option<PolicyId> {
        let of_api = find(self.apis.get(suspect.api_context), now, |_| true);
        of_api.or_else(|| find(self.tenants.get(suspect.api_tenant.0.as_str()), now, |_| true))
    }

    fn by_application(&self, application: SuspectApplication<'_>, now: Timestamp) -> Option<PolicyId> {
        let of_name = self.applications.get(application.name).map_or(&[][..], Vec::as_slice);
        let is_meant = |owner: &Username, denial: &Denial| {
            owner == application.owner && denial.tenant == *application.tenant && denial.ends_at > now
        };
        let found = of_name.iter().find(|(owner, denial)| is_meant(owner, denial)).map(|(_, denial)| denial.id);
        found.or_else(|| find(self.tenants.get(application.tenant.0.as_str()), now, |_| true))
    }

    fn by_user(&self, user: &Username, tenant: &TenantDomain, now: Timestamp) -> Option<PolicyId> {
        let of_name = self.users.get(user.0.as_str())?;
        let found = of_name.iter().find(|(its, denial)| its == tenant && denial.ends_at > now);
        found.map(|(_, denial)| denial.id)
    }

    fn by_address(&self, suspect: &Suspect<'_>, now: Timestamp) -> Option<PolicyId> {
        let client = suspect.client.to_canonical();
        let is_theirs = |denial: &Denial| denial.tenant == *suspect.api_tenant;
        if let Some(id) = find(self.addresses.get(&client), now, is_theirs) {
            return Some(id);
        }
        let is_met = |test: AddressTest| match test {
            AddressTest::Network(network) => network.contains(&client),
            AddressTest::Range(from, to) => is_within(client, from, to),
        };
        let found = self.networks.iter().find(|(test, is_inverted, denial)| {
            denial.ends_at > now && is_theirs(denial) && is_met(*test) != *is_inverted
        });
        found.map(|(.., denial)| denial.id)
    }
}

fn find(denials: Option<&Vec<Denial>>, now: Timestamp, is_meant: impl Fn(&Denial) -> bool) -> Option<PolicyId> {
    denials?.iter().find(|denial| denial.ends_at > now && is_meant(denial)).map(|denial| denial.id)
}
