use portcullis_model::task::{TaskKind, TaskSubject};
use portcullis_model::{Principal, Refused, User, UserId};
use serde::{Deserialize, Serialize};

use super::{Command, CreateUser, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::state::{Apimgtdb, State, Userdb};
use crate::tasks::{self, Question};

/// Creates a user who signs up. Where the tenant wants that decided about, the user is locked until then.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SignUpUser {
    /// The user; `created_at` is set here.
    pub user: User,
    /// Further attributes, as a JSON object in the form of SCIM.
    pub attributes: String,
}

impl<C: Component> SubmittedBy<C> for SignUpUser where C: Writes<Userdb> + Writes<Apimgtdb> {}

impl Command for SignUpUser {
    type Reply = UserId;
    const EVERYWHERE: bool = true;

    fn subject(&self) -> String {
        self.user.username.to_string()
    }

    fn apply(self, state: &mut State, moment: &Moment) -> Result<UserId, Refused> {
        let Self { user, attributes } = self;
        let waits = tasks::are_wanted(state, &user.tenant, TaskKind::UserSignUp);
        let (tenant, username) = (user.tenant.clone(), user.username.clone());
        let question = waits.then(|| Question {
            subject: TaskSubject::User(username.clone()),
            about: username.0.clone(),
            description: format!("Approve the sign-up of {}", username.0),
            properties: vec![("userName", username.0.clone()), ("email", user.email.clone())],
            asked_by: Principal { tenant: tenant.clone(), username: username.clone() },
            tenant,
        });
        let task = question.map(|question| tasks::draft(state, moment, question)).transpose()?;
        let id = CreateUser { user: User { is_locked: waits, ..user }, attributes }.apply(state, moment)?;
        if let Some(task) = task {
            tasks::open(state, task);
        }
        Ok(id)
    }
}
