use std::sync::Arc;

use portcullis_model::limit::{
    APPLICATION_DESCRIPTION_CHARS_MAX, APPLICATION_NAME_CHARS_MAX, APPLICATIONS_PER_OWNER_MAX,
};
use portcullis_model::mutant::{self, Mutant};
use portcullis_model::task::{TaskKind, TaskSubject};
use portcullis_model::{Application, ApplicationId, ApplicationState, PolicyLevel, Principal, Refused, TenantDomain, Username};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::state::{Apimgtdb, State};
use crate::tasks::{self, Question};

/// Registers an application.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CreateApplication {
    /// The application with its id; `created_at` and `updated_at` are set here.
    pub application: Application,
}

impl<C: Component> SubmittedBy<C> for CreateApplication where C: Writes<Apimgtdb> {}

impl Command for CreateApplication {
    type Reply = Application;

    fn subject(&self) -> String {
        self.application.name.clone()
    }

    fn apply(self, state: &mut State, moment: &Moment) -> Result<Application, Refused> {
        let mut application = self.application;
        check_words(&application.name, &application.description)?;
        check_policy(state, &application.tenant, &application.policy)?;
        if state.apimgt.applications.contains_key(&application.id) {
            return Err(Refused::exists("application", application.id));
        }
        let name_key = name_key(&application.tenant, &application.owner, &application.name);
        if state.apimgt.application_names.contains_key(&name_key) && !mutant::is(Mutant::IgnoreNames) {
            return Err(Refused::exists("application", &application.name));
        }
        if count_of(state, &application.tenant, &application.owner) >= APPLICATIONS_PER_OWNER_MAX {
            let what = format!("applications of {}", application.owner);
            return Err(Refused::LimitReached { what, max: APPLICATIONS_PER_OWNER_MAX as u64 });
        }
        let task = question(state, &application).map(|question| tasks::draft(state, moment, question)).transpose()?;
        application.created_at = moment.now;
        application.updated_at = moment.now;
        if let Some(task) = task {
            application.state = ApplicationState::Created;
            tasks::open(state, task);
        }
        state.apimgt.application_names.insert(name_key, application.id);
        state.apimgt.applications.insert(application.id, Arc::new(application.clone()));
        Ok(application)
    }
}

/// Returns what is asked before an application may be used, where its tenant wants that.
fn question(state: &State, application: &Application) -> Option<Question> {
    let Application { id, tenant, owner, name, policy, .. } = application;
    tasks::are_wanted(state, tenant, TaskKind::ApplicationCreation).then(|| Question {
        tenant: tenant.clone(),
        subject: TaskSubject::Application(*id),
        about: id.to_string(),
        description: format!(
            "Approve application [{name}] creation request from application creator - {owner} with throttling tier - {policy}"
        ),
        properties: vec![("applicationName", name.clone()), ("userName", owner.0.clone()), ("applicationTier", policy.clone())],
        asked_by: Principal { tenant: tenant.clone(), username: owner.clone() },
    })
}

/// Returns the key of the index of application names, which are unique per owner whatever their case.
pub(super) fn name_key(tenant: &TenantDomain, owner: &Username, name: &str) -> (TenantDomain, Username, String) {
    (tenant.clone(), owner.clone(), name.to_lowercase())
}

fn count_of(state: &State, tenant: &TenantDomain, owner: &Username) -> usize {
    let first = (tenant.clone(), owner.clone(), String::new());
    let names = state.apimgt.application_names.range(first..);
    names.take_while(|((of, whose, _), _)| of == tenant && whose == owner).count()
}

/// Refuses a name or description that the contract has no room for.
pub(super) fn check_words(name: &str, description: &str) -> Result<(), Refused> {
    let length = name.chars().count();
    if length == 0 || length > APPLICATION_NAME_CHARS_MAX {
        let reason = format!("must have 1 to {APPLICATION_NAME_CHARS_MAX} characters, not {length}");
        return Err(Refused::invalid("name", reason));
    }
    if name.trim() != name || name.chars().any(char::is_control) {
        let reason = "must not begin or end with white space, nor hold control characters";
        return Err(Refused::invalid("name", reason));
    }
    let length = description.chars().count();
    if length > APPLICATION_DESCRIPTION_CHARS_MAX {
        let reason = format!("may have at most {APPLICATION_DESCRIPTION_CHARS_MAX} characters, not {length}");
        return Err(Refused::invalid("description", reason));
    }
    Ok(())
}

/// Refuses a policy that does not exist at the application level.
pub(super) fn check_policy(state: &State, tenant: &TenantDomain, policy: &str) -> Result<(), Refused> {
    let key = (tenant.clone(), PolicyLevel::Application, policy.to_owned());
    if state.apimgt.policies.contains_key(&key) {
        return Ok(());
    }
    Err(Refused::invalid("throttlingPolicy", format!("there is no application policy {policy}")))
}

/// Returns an application, where it exists and belongs to `owned_by`; whoever it belongs to where that is `None`.
pub(super) fn find_application(
    state: &State,
    id: ApplicationId,
    owned_by: Option<&Principal>,
) -> Result<Arc<Application>, Refused> {
    let application = state.apimgt.applications.get(&id).ok_or_else(|| Refused::not_found("application", id))?;
    match owned_by {
        Some(owner) if application.owner != owner.username || application.tenant != owner.tenant => {
            let reason = format!("you do not have permission to access the application with id {id}");
            Err(Refused::NotAllowed { reason })
        }
        _ => Ok(Arc::clone(application)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::store_fixture::{Fixture, application};
    use super::*;

    #[test]
    fn a_name_is_taken_whatever_its_case_but_only_for_its_owner() {
        let mut fixture = Fixture::new();
        fixture.apply(CreateApplication { application: application(1, "Shop") }).unwrap();
        let again = fixture.apply(CreateApplication { application: application(2, "sHOP") });
        assert_eq!(again, Err(Refused::exists("application", "sHOP")));
        let mut others = application(3, "shop");
        others.owner = Username("mary".to_owned());
        fixture.apply(CreateApplication { application: others }).unwrap();
        assert_eq!(fixture.state.apimgt.applications.len(), 2);
    }

    #[test]
    fn an_unknown_policy_or_a_bad_name_changes_nothing() {
        let mut fixture = Fixture::new();
        let digest = crate::digest::digest(&fixture.state).unwrap();
        for (name, policy) in
            [("Shop", "Nothing"), ("", "Unlimited"), (" Shop", "Unlimited"), (&"x".repeat(101), "Unlimited")]
        {
            let mut wrong = application(1, name);
            wrong.policy = policy.to_owned();
            let refused = fixture.apply(CreateApplication { application: wrong });
            assert!(matches!(refused, Err(Refused::Invalid { .. })), "{name:?} {policy} {refused:?}");
        }
        assert_eq!(crate::digest::digest(&fixture.state).unwrap(), digest);
    }
}
