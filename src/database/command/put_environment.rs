use std::collections::BTreeSet;
use std::sync::Arc;

use portcullis_model::environment::{
    DEFAULT_ENVIRONMENT, ENVIRONMENTS_MAX, Environment, VHOSTS_MAX, is_environment_name, is_host_name,
};
use portcullis_model::{EnvironmentId, Refused};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::environments;
use crate::state::{Apimgtdb, State};

/// Creates a gateway environment, or changes one. Its name stays, and so do hosts and keys that something deployed there
/// needs. Replies with its id, which is another where the request is a retry.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PutEnvironment {
    /// The environment.
    pub environment: Environment,
    /// Whether it must be new (`true`) or must exist (`false`).
    pub is_new: bool,
}

impl<C: Component> SubmittedBy<C> for PutEnvironment where C: Writes<Apimgtdb> {}

impl Command for PutEnvironment {
    type Reply = EnvironmentId;

    fn subject(&self) -> String {
        format!("environment {}", self.environment.name)
    }

    fn apply(self, state: &mut State, _moment: &Moment) -> Result<EnvironmentId, Refused> {
        let environment = self.environment;
        check(&environment)?;
        let key = (environment.tenant.clone(), environment.id);
        let all = environments::of_tenant(&state.apimgt, &environment.tenant);
        if self.is_new {
            if environment.name.eq_ignore_ascii_case(DEFAULT_ENVIRONMENT)
                || all.iter().any(|other| other.name.eq_ignore_ascii_case(&environment.name))
            {
                return Err(Refused::exists("gateway environment", &environment.name));
            }
            if all.len() >= ENVIRONMENTS_MAX {
                let what = "gateway environments".to_owned();
                return Err(Refused::LimitReached { what, max: ENVIRONMENTS_MAX as u64 });
            }
        } else {
            let before = state.apimgt.environments.get(&key);
            let before = before.ok_or_else(|| Refused::not_found("gateway environment", environment.id))?;
            check_change(state, before, &environment)?;
        }
        state.apimgt.environments.insert(key, Arc::new(environment.clone()));
        Ok(environment.id)
    }
}

fn check(environment: &Environment) -> Result<(), Refused> {
    if !is_environment_name(&environment.name) {
        return Err(Refused::invalid("name", "must have 1 to 255 letters, digits, `_` and `-`"));
    }
    if environment.vhosts.is_empty() || environment.vhosts.len() > VHOSTS_MAX {
        return Err(Refused::invalid("vhosts", format!("must have 1 to {VHOSTS_MAX} virtual hosts")));
    }
    let mut hosts = BTreeSet::new();
    for vhost in &environment.vhosts {
        if !is_host_name(&vhost.host) {
            return Err(Refused::invalid("vhosts.host", format!("`{}` is not a host name", vhost.host)));
        }
        if !hosts.insert(vhost.host.to_ascii_lowercase()) {
            return Err(Refused::invalid("vhosts.host", format!("{} is there twice", vhost.host)));
        }
    }
    Ok(())
}

fn check_change(state: &State, before: &Environment, after: &Environment) -> Result<(), Refused> {
    if before.name != after.name {
        return Err(Refused::invalid("name", format!("stays {}: gateways know the environment by it", before.name)));
    }
    let mut served = environments::served(state, &before.tenant, &before.name);
    let in_the_way = served.find(|api| before.kind != after.kind || after.vhost(&api.vhost).is_none());
    if let Some(api) = in_the_way {
        let reason = format!(
            "API {} {} is deployed to {} at {}; undeploy it before you change the type or take the host away",
            api.name, api.version, before.name, api.vhost
        );
        return Err(Refused::wrong_state(reason));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use portcullis_model::environment::EnvironmentKind;
    use portcullis_model::{Api, Deployment, Revision, RevisionId};

    use super::super::store_fixture::{Fixture, api};
    use super::super::{DeleteEnvironment, DeployRevision, UndeployRevision};
    use super::*;

    fn environment(number: u8, name: &str, hosts: &[&str]) -> Environment {
        let usual = Environment::default_of(&api(7).tenant);
        let host = |host: &&str| {
            portcullis_model::environment::VirtualHost { host: (*host).to_owned(), ..usual.vhosts[0].clone() }
        };
        let vhosts = hosts.iter().map(host).collect();
        Environment { id: EnvironmentId::from_random([number; 16]), name: name.to_owned(), vhosts, ..usual.clone() }
    }

    fn put(environment: Environment, is_new: bool) -> PutEnvironment {
        PutEnvironment { environment, is_new }
    }

    fn fixture_with_revision() -> (Fixture, RevisionId) {
        let mut fixture = Fixture::new();
        fixture.at_level(crate::level::HIGHEST);
        fixture.publish(api(7));
        let id = RevisionId::from_random([9; 16]);
        let revision = Revision {
            id,
            api: api(7).id,
            number: 1,
            description: String::new(),
            created_at: api(7).created_at,
            content: Arc::new(Api { ..api(7) }),
            definition: Arc::from("{}"),
            deployments: Vec::new(),
        };
        fixture.state.apimgt.revision_ids.insert(id, (api(7).id, 1));
        fixture.state.apimgt.revisions.insert((api(7).id, 1), Arc::new(revision));
        (fixture, id)
    }

    fn deploy(revision: RevisionId, name: &str, host: &str) -> DeployRevision {
        let deployment = Deployment {
            environment: name.to_owned(),
            vhost: host.to_owned(),
            is_displayed: true,
            deployed_at: api(7).created_at,
        };
        DeployRevision { api: api(7).id, revision, deployments: vec![deployment] }
    }

    #[test]
    fn names_are_taken_once_and_hosts_are_host_names() {
        let mut fixture = Fixture::new();
        fixture.apply(put(environment(1, "us", &["us.example.com"]), true)).unwrap();
        for taken in ["us", "US", "default", "Default"] {
            let refused = fixture.apply(put(environment(2, taken, &["x"]), true));
            assert!(matches!(refused, Err(Refused::AlreadyExists { .. })), "{taken}: {refused:?}");
        }
        for hosts in [&[][..], &["a:80"], &["a", "A"]] {
            let refused = fixture.apply(put(environment(2, "eu", hosts), true));
            assert!(matches!(refused, Err(Refused::Invalid { .. })), "{hosts:?}: {refused:?}");
        }
        let renamed = fixture.apply(put(environment(1, "usa", &["us.example.com"]), false));
        assert!(matches!(renamed, Err(Refused::Invalid { .. })), "{renamed:?}");
    }

    #[test]
    fn apis_are_deployed_to_what_is_there_and_hold_it() {
        let (mut fixture, revision) = fixture_with_revision();
        let missing = fixture.apply(deploy(revision, "us", "us.example.com"));
        assert!(matches!(missing, Err(Refused::Invalid { .. })), "{missing:?}");
        fixture.apply(put(environment(1, "us", &["us.example.com", "usa.example.com"]), true)).unwrap();
        let elsewhere = fixture.apply(deploy(revision, "us", "localhost"));
        assert!(matches!(elsewhere, Err(Refused::Invalid { .. })), "{elsewhere:?}");
        fixture.apply(deploy(revision, "us", "usa.example.com")).unwrap();
        let without = fixture.apply(put(environment(1, "us", &["us.example.com"]), false));
        assert!(matches!(without, Err(Refused::WrongState { .. })), "{without:?}");
        let narrowed = Environment { kind: EnvironmentKind::Production, ..environment(1, "us", &["usa.example.com"]) };
        assert!(matches!(fixture.apply(put(narrowed, false)), Err(Refused::WrongState { .. })));
        let delete = DeleteEnvironment { tenant: api(7).tenant, id: EnvironmentId::from_random([1; 16]) };
        assert!(matches!(fixture.apply(delete.clone()), Err(Refused::WrongState { .. })));
        let undeploy = UndeployRevision { api: api(7).id, revision, environments: None };
        fixture.apply(undeploy).unwrap();
        fixture.apply(delete.clone()).unwrap();
        assert!(matches!(fixture.apply(delete), Err(Refused::NotFound { .. })));
    }
}
