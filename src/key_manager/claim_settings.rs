//! Changes of a tenant's claims: one at a time, each made from what was there.

use actix::Message;
use portcullis_database::command::PutClaimSettings;
use portcullis_database::{Apimgtdb, Caller, SubmitError, Userdb};
use portcullis_model::claim_settings::{ClaimDialect, ClaimScope, ClaimSettings, ExternalClaim, LocalClaim};
use portcullis_model::{NodeId, Refused, TenantDomain};

use crate::authority::Authority;
use crate::rest_scope;
use crate::user_claims::{LOCAL_DIALECT, OIDC_DIALECT, settings_of};

/// How often a change is made anew where another came in between.
const ATTEMPTS: usize = 5;

/// Asks for a tenant's claims.
#[derive(Message)]
#[rtype(result = "ClaimSettings")]
pub struct ReadClaims {
    /// The tenant.
    pub tenant: TenantDomain,
}

/// Changes a tenant's claims.
#[derive(Message)]
#[rtype(result = "Result<(u64, Vec<NodeId>), ClaimFault>")]
pub struct ChangeClaims {
    /// Who asks; the tenant is his.
    pub caller: Caller,
    /// What is to change.
    pub change: ClaimChange,
}

/// A change. Where there is a former name the thing must exist, else it must be new.
#[derive(Clone, Debug)]
pub enum ClaimChange {
    /// Adds a dialect, or gives one another URI.
    PutDialect {
        /// Its URI until now.
        former: Option<String>,
        /// Its URI.
        uri: String,
    },
    /// Removes a dialect with its claims.
    RemoveDialect(String),
    /// Adds or replaces a claim of the original's own dialect.
    PutLocal {
        /// Its name until now.
        former: Option<String>,
        /// The claim.
        claim: LocalClaim,
    },
    /// Removes a claim of the original's own dialect, which no other may stand for.
    RemoveLocal(String),
    /// Adds or replaces a claim of another dialect.
    PutExternal {
        /// The dialect.
        dialect: String,
        /// Its URI until now.
        former: Option<String>,
        /// The claim.
        claim: ExternalClaim,
    },
    /// Removes a claim of another dialect.
    RemoveExternal {
        /// The dialect.
        dialect: String,
        /// The claim.
        uri: String,
    },
    /// Adds or replaces a scope.
    PutScope {
        /// Its name until now.
        former: Option<String>,
        /// The scope.
        scope: ClaimScope,
    },
    /// Removes a scope.
    RemoveScope(String),
}

/// Why claims did not change.
#[derive(Debug, thiserror::Error)]
pub enum ClaimFault {
    /// There is no such thing.
    #[error("there is no {0} {1}")]
    NotFound(&'static str, String),
    /// There is one already.
    #[error("there is a {0} {1} already")]
    Exists(&'static str, String),
    /// It cannot be so.
    #[error("{0}")]
    Wrong(String),
    /// It could not be stored.
    #[error(transparent)]
    NotStored(#[from] SubmitError),
}

impl Authority {
    /// Returns a tenant's claims.
    pub fn read_claims(&self, tenant: &TenantDomain) -> ClaimSettings {
        settings_of(self.handle.view().read::<Userdb>(), tenant).as_ref().clone()
    }

    /// Changes a tenant's claims.
    pub async fn change_claims(&self, request: ChangeClaims) -> Result<(u64, Vec<NodeId>), ClaimFault> {
        let tenant = request.caller.principal.tenant.clone();
        let mut attempts = 0;
        loop {
            if let ClaimChange::PutScope { former: None, scope } = &request.change
                && self.is_taken(&tenant, &scope.name)
            {
                return Err(ClaimFault::Exists("scope", scope.name.clone()));
            }
            let mut settings = self.read_claims(&tenant);
            apply(&mut settings, request.change.clone())?;
            settings.version += 1;
            let command = PutClaimSettings { tenant: tenant.clone(), settings };
            match self.handle.submit(command, &request.caller).await {
                Ok(committed) => return Ok((committed.index, committed.unreached)),
                Err(SubmitError::Refused(Refused::Stale { .. })) if attempts < ATTEMPTS => {
                    attempts += 1;
                    // This node may lag behind the one where the other change was made.
                    self.caught_up().await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Authority {
    /// Says whether a scope means something else already: a right at the REST APIs, or one of an API.
    fn is_taken(&self, tenant: &TenantDomain, scope: &str) -> bool {
        let view = self.handle.view();
        let of_apis = view.read::<Apimgtdb>().apis.values().filter(|api| api.tenant == *tenant);
        rest_scope::is_rest_scope(rest_scope::config(&view, tenant), scope)
            || of_apis.flat_map(|api| &api.scopes).any(|one| one.name == scope)
    }
}

/// Makes a change.
fn apply(settings: &mut ClaimSettings, change: ClaimChange) -> Result<(), ClaimFault> {
    match change {
        ClaimChange::PutDialect { former, uri } => {
            if uri == LOCAL_DIALECT || former.as_deref() == Some(OIDC_DIALECT) {
                return Err(ClaimFault::Wrong(format!(
                    "the dialects {LOCAL_DIALECT} and {OIDC_DIALECT} stay as they are"
                )));
            }
            put(
                &mut settings.dialects,
                "claim dialect",
                former.as_deref(),
                &uri,
                |one| &one.uri,
                |before| ClaimDialect {
                    uri: uri.clone(),
                    claims: before.map(|before| before.claims).unwrap_or_default(),
                },
            )
        }
        ClaimChange::RemoveDialect(uri) if uri == LOCAL_DIALECT || uri == OIDC_DIALECT => {
            Err(ClaimFault::Wrong(format!("the dialect {uri} cannot be removed")))
        }
        ClaimChange::RemoveDialect(uri) => remove(&mut settings.dialects, "claim dialect", &uri, |one| &one.uri),
        ClaimChange::PutLocal { former, claim } => {
            let name = claim.name.clone();
            if former.as_deref().is_some_and(|former| former != name) {
                return Err(ClaimFault::Wrong("the URI of a local claim does not change".to_owned()));
            }
            put(&mut settings.local, "claim", former.as_deref(), &name, |one| &one.name, |_| claim)
        }
        ClaimChange::RemoveLocal(name) => {
            let stands_for = settings.dialects.iter().flat_map(|dialect| &dialect.claims).find(|one| one.local == name);
            if let Some(claim) = stands_for {
                return Err(ClaimFault::Wrong(format!("the claim {} stands for {name}: remove it first", claim.uri)));
            }
            remove(&mut settings.local, "claim", &name, |one| &one.name)
        }
        ClaimChange::PutExternal { dialect, former, claim } => {
            if !settings.local.iter().any(|one| one.name == claim.local) {
                return Err(ClaimFault::NotFound("claim", format!("{LOCAL_DIALECT}/{}", claim.local)));
            }
            let uri = claim.uri.clone();
            put(&mut find(settings, &dialect)?.claims, "claim", former.as_deref(), &uri, |one| &one.uri, |_| claim)
        }
        ClaimChange::RemoveExternal { dialect, uri } => {
            remove(&mut find(settings, &dialect)?.claims, "claim", &uri, |one| &one.uri)
        }
        ClaimChange::PutScope { former, scope } => {
            let oidc = &find(settings, OIDC_DIALECT)?.claims;
            let unknown = scope.claims.iter().find(|uri| *uri != "sub" && !oidc.iter().any(|one| one.uri == **uri));
            if let Some(unknown) = unknown {
                return Err(ClaimFault::NotFound("claim", unknown.clone()));
            }
            let name = scope.name.clone();
            put(&mut settings.scopes, "scope", former.as_deref(), &name, |one| &one.name, |_| scope)
        }
        ClaimChange::RemoveScope(name) if name == "openid" => {
            Err(ClaimFault::Wrong("the scope openid cannot be removed".to_owned()))
        }
        ClaimChange::RemoveScope(name) => remove(&mut settings.scopes, "scope", &name, |one| &one.name),
    }
}

fn find<'a>(settings: &'a mut ClaimSettings, uri: &str) -> Result<&'a mut ClaimDialect, ClaimFault> {
    let found = settings.dialects.iter_mut().find(|dialect| dialect.uri == uri);
    found.ok_or_else(|| ClaimFault::NotFound("claim dialect", uri.to_owned()))
}

/// Replaces what had a name, or adds what has none yet.
fn put<T: Clone>(
    list: &mut Vec<T>,
    noun: &'static str,
    former: Option<&str>,
    name: &str,
    name_of: impl Fn(&T) -> &String,
    make: impl FnOnce(Option<T>) -> T,
) -> Result<(), ClaimFault> {
    let at = |name: &str| list.iter().position(|one| name_of(one) == name);
    let place = match former {
        Some(former) => Some(at(former).ok_or_else(|| ClaimFault::NotFound(noun, former.to_owned()))?),
        None => None,
    };
    if at(name).is_some_and(|taken| Some(taken) != place) {
        return Err(ClaimFault::Exists(noun, name.to_owned()));
    }
    match place {
        Some(place) => list[place] = make(Some(list[place].clone())),
        None => list.push(make(None)),
    }
    Ok(())
}

fn remove<T>(
    list: &mut Vec<T>,
    noun: &'static str,
    name: &str,
    name_of: impl Fn(&T) -> &String,
) -> Result<(), ClaimFault> {
    let place = list.iter().position(|one| name_of(one) == name);
    let place = place.ok_or_else(|| ClaimFault::NotFound(noun, name.to_owned()))?;
    list.remove(place);
    Ok(())
}
