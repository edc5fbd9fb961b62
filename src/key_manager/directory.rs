//! Users of a directory: another user store, asked by LDAP (RFC 4511) about names and passwords that are not this cluster's
//! own. Who is let in, and as whom, is not decided here.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ldap3::{
    Ldap, LdapConnAsync, LdapConnSettings, LdapError, Scope, SearchEntry, SearchOptions, dn_escape, ldap_escape,
};
use portcullis_http::{fetch, tls};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

/// Sign-ins that one node asks the directory about at a time; others wait for their turn.
const AT_ONCE: usize = 16;
/// Groups of one user.
const GROUPS_MAX: i32 = 1_000;
/// The result of a bind with a wrong password (`invalidCredentials`).
const INVALID_CREDENTIALS: u32 = 49;
/// What stands for the user's name in the filter for users.
const USERNAME: &str = "{username}";
/// What stands for the user's distinguished name in the filter for groups.
const DN: &str = "{dn}";

/// Where the directory is, and how users and groups are found there.
#[derive(Clone, PartialEq, Eq)]
pub struct DirectorySettings {
    /// `ldaps://HOST:PORT` or `ldap://HOST:PORT`.
    pub url: String,
    /// Whether TLS begins after the connection was made (`ldap:` alone).
    pub has_starttls: bool,
    /// The authorities whose certificates are believed, PEM; those of the operating system where it is empty.
    pub authorities: String,
    /// As whom the cluster looks for users; anonymous where it is empty.
    pub bind_dn: String,
    /// The password for that.
    pub bind_password: String,
    /// Below what users are.
    pub user_base: String,
    /// Who is a user of a name: `{username}` stands for it.
    pub user_filter: String,
    /// The attribute with the address for notices.
    pub email_attribute: String,
    /// Below what groups are; none are asked for where it is empty.
    pub group_base: String,
    /// Which groups a user is in: `{dn}` and `{username}` stand for the user.
    pub group_filter: String,
    /// The attribute with a group's name.
    pub group_attribute: String,
    /// Groups and the roles that they are here.
    pub roles: Vec<(String, String)>,
    /// How long a sign-in may take.
    pub timeout: Duration,
}

impl fmt::Debug for DirectorySettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DirectorySettings({})", self.url)
    }
}

/// The directory.
pub(crate) struct Directory {
    pub settings: DirectorySettings,
    turns: Semaphore,
}

/// Somebody whom the directory knows by name and password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Person {
    pub email: String,
    /// The names of the groups.
    pub groups: Vec<String>,
}

/// Why the directory does not say.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DirectoryFault {
    #[error(transparent)]
    Ldap(#[from] LdapError),
    #[error("the authorities for its certificate cannot be used: {0}")]
    Tls(String),
    #[error("it did not answer in time")]
    TimedOut,
    #[error("{0} of its entries are users of that name")]
    Ambiguous(usize),
}

impl Directory {
    pub fn new(settings: DirectorySettings) -> Self {
        Self { settings, turns: Semaphore::new(AT_ONCE) }
    }

    /// Returns who has this name and password; `None` where nobody has.
    pub async fn sign_in(&self, username: &str, password: &str) -> Result<Option<Person>, DirectoryFault> {
        // A bind without a password succeeds as nobody (RFC 4513, section 5.1.2).
        if username.is_empty() || password.is_empty() {
            return Ok(None);
        }
        let password = Zeroizing::new(password.to_owned());
        let asked = async {
            let _turn = self.turns.acquire().await.map_err(|_| DirectoryFault::TimedOut)?;
            let (connection, ldap) = self.connect().await?;
            // The connection is carried as long as it is asked.
            tokio::select! {
                biased;
                found = self.ask(ldap, username, &password) => found,
                carried = connection.drive() => Err(carried.err().map_or(DirectoryFault::TimedOut, DirectoryFault::Ldap)),
            }
        };
        tokio::time::timeout(self.settings.timeout, asked).await.map_err(|_| DirectoryFault::TimedOut)?
    }

    async fn connect(&self) -> Result<(LdapConnAsync, Ldap), DirectoryFault> {
        let DirectorySettings { url, has_starttls, authorities, timeout, .. } = &self.settings;
        let mut settings = LdapConnSettings::new().set_conn_timeout(*timeout).set_starttls(*has_starttls);
        if *has_starttls || url.starts_with("ldaps:") {
            let config = if authorities.is_empty() {
                fetch::of_system()
                    .await
                    .ok_or_else(|| DirectoryFault::Tls("the operating system trusts nobody".to_owned()))?
            } else {
                tls::client_config_with_ca(authorities).map_err(|cause| DirectoryFault::Tls(cause.to_string()))?
            };
            settings = settings.set_config(Arc::clone(&config));
        }
        Ok(LdapConnAsync::with_settings(settings, url).await?)
    }

    async fn ask(&self, mut ldap: Ldap, username: &str, password: &str) -> Result<Option<Person>, DirectoryFault> {
        let settings = &self.settings;
        if !settings.bind_dn.is_empty() {
            ldap.simple_bind(&settings.bind_dn, &settings.bind_password).await?.success()?;
        }
        let filter = settings.user_filter.replace(USERNAME, &ldap_escape(username));
        let wanted = [settings.email_attribute.as_str()];
        let found = search(&mut ldap, &settings.user_base, &filter, &wanted, 2).await?;
        if found.len() > 1 {
            return Err(DirectoryFault::Ambiguous(found.len()));
        }
        let user = found.into_iter().next();
        let groups = match &user {
            Some(user) if !settings.group_base.is_empty() => self.groups(&mut ldap, &user.dn, username).await?,
            _ => Vec::new(),
        };
        // Also where there is no such user, so that the time does not tell.
        let nobody = || format!("cn={},{}", dn_escape(username), settings.user_base);
        let bound = ldap.simple_bind(&user.as_ref().map_or_else(nobody, |user| user.dn.clone()), password).await?;
        let Some(user) = user else { return Ok(None) };
        if bound.rc == INVALID_CREDENTIALS {
            return Ok(None);
        }
        bound.success()?;
        let email = user.attrs.get(&settings.email_attribute).and_then(|values| values.first()).cloned();
        Ok(Some(Person { email: email.unwrap_or_default(), groups }))
    }

    async fn groups(&self, ldap: &mut Ldap, dn: &str, username: &str) -> Result<Vec<String>, DirectoryFault> {
        let settings = &self.settings;
        let filter = settings.group_filter.replace(DN, &ldap_escape(dn)).replace(USERNAME, &ldap_escape(username));
        let wanted = [settings.group_attribute.as_str()];
        let found = search(ldap, &settings.group_base, &filter, &wanted, GROUPS_MAX).await?;
        Ok(found.into_iter().filter_map(|mut group| group.attrs.remove(&settings.group_attribute)).flatten().collect())
    }

    /// Returns the roles that groups are here.
    pub fn roles_of(&self, groups: &[String]) -> Vec<portcullis_model::Role> {
        let mapped =
            self.settings.roles.iter().filter(|(group, _)| groups.iter().any(|one| one.eq_ignore_ascii_case(group)));
        mapped.map(|(_, role)| portcullis_model::Role(role.clone())).collect()
    }
}

async fn search(
    ldap: &mut Ldap,
    base: &str,
    filter: &str,
    attributes: &[&str],
    max: i32,
) -> Result<Vec<SearchEntry>, DirectoryFault> {
    let options = SearchOptions::new().sizelimit(max);
    let found = ldap.with_search_options(options).search(base, Scope::Subtree, filter, attributes).await?;
    let (entries, _) = found.success()?;
    Ok(entries.into_iter().filter(|entry| !entry.is_ref()).map(SearchEntry::construct).collect())
}
