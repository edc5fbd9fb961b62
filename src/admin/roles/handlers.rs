//! Handles what is asked about roles.

use std::sync::Arc;

use actix::{Context, Handler, Message, ResponseFuture};
use portcullis_database::{Caller, Committed, Userdb, command, people};
use portcullis_model::{Refused, Role, RoleId, RoleRecord, TenantDomain, User, Username};

use crate::actor::Admin;
use crate::admin_error::AdminError;

/// Characters of a role's name.
const NAME_CHARS_MAX: usize = 255;

/// A role, and what is known of it.
#[derive(Clone, Debug)]
pub(crate) struct KnownRole {
    pub(crate) role: Role,
    pub(crate) record: Arc<RoleRecord>,
}

/// Asks for the roles of a tenant, by name.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Vec<KnownRole>")]
pub(crate) struct ListRoles {
    pub(crate) tenant: TenantDomain,
}

/// Asks who holds a role: a part of them, by name.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<Holders, AdminError>")]
pub(crate) struct ListHolders {
    pub(crate) tenant: TenantDomain,
    pub(crate) role: Role,
    pub(crate) offset: usize,
    pub(crate) limit: usize,
}

/// Who holds a role.
#[derive(Clone, Debug)]
pub(crate) struct Holders {
    pub(crate) role: KnownRole,
    pub(crate) shown: Vec<Arc<User>>,
    pub(crate) total: usize,
}

/// Creates a role that nobody holds yet.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<Committed<RoleId>, AdminError>")]
pub(crate) struct CreateRole {
    pub(crate) caller: Caller,
    pub(crate) role: Role,
}

/// Changes a role's name, or who holds it.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<Committed<()>, AdminError>")]
pub(crate) struct ChangeRole {
    pub(crate) caller: Caller,
    pub(crate) role: Role,
    pub(crate) new_name: Option<Role>,
    pub(crate) add: Vec<Username>,
    pub(crate) remove: Vec<Username>,
}

/// Deletes a role, and takes it from whoever holds it.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<Committed<()>, AdminError>")]
pub(crate) struct DeleteRole {
    pub(crate) caller: Caller,
    pub(crate) role: Role,
}

impl Handler<ListRoles> for Admin {
    type Result = Vec<KnownRole>;

    fn handle(&mut self, message: ListRoles, _context: &mut Context<Self>) -> Self::Result {
        let view = self.handle.view();
        let data = view.read::<Userdb>();
        let roles = people::roles_of(data, &message.tenant);
        roles.filter_map(|role| known(data, &message.tenant, role)).collect()
    }
}

fn known(data: &Userdb, tenant: &TenantDomain, role: &Role) -> Option<KnownRole> {
    Some(KnownRole { role: role.clone(), record: people::role_record(data, tenant, role)? })
}

impl Handler<ListHolders> for Admin {
    type Result = Result<Holders, AdminError>;

    fn handle(&mut self, message: ListHolders, _context: &mut Context<Self>) -> Self::Result {
        let ListHolders { tenant, role, offset, limit } = message;
        let view = self.handle.view();
        let data = view.read::<Userdb>();
        let role = known(data, &tenant, &role).ok_or_else(|| Refused::not_found("role", &role))?;
        let (mut shown, mut total) = (Vec::new(), 0);
        for user in people::users_of(data, &tenant).filter(|user| people::holds(user, &role.role)) {
            if total >= offset && shown.len() < limit {
                shown.push(Arc::clone(user));
            }
            total += 1;
        }
        Ok(Holders { role, shown, total })
    }
}

impl Handler<CreateRole> for Admin {
    type Result = ResponseFuture<Result<Committed<RoleId>, AdminError>>;

    fn handle(&mut self, message: CreateRole, _context: &mut Context<Self>) -> Self::Result {
        let handle = self.handle.clone();
        Box::pin(async move {
            let CreateRole { caller, role } = message;
            check_name(&role)?;
            let command = command::CreateRole { tenant: caller.principal.tenant.clone(), role, members: Vec::new() };
            Ok(handle.submit(command, &caller).await?)
        })
    }
}

impl Handler<ChangeRole> for Admin {
    type Result = ResponseFuture<Result<Committed<()>, AdminError>>;

    fn handle(&mut self, message: ChangeRole, _context: &mut Context<Self>) -> Self::Result {
        let handle = self.handle.clone();
        Box::pin(async move {
            let ChangeRole { caller, role, new_name, add, remove } = message;
            new_name.as_ref().map_or(Ok(()), check_name)?;
            let change = command::ChangeRole::of(caller.principal.tenant.clone(), role);
            Ok(handle.submit(command::ChangeRole { new_name, add, remove, ..change }, &caller).await?)
        })
    }
}

impl Handler<DeleteRole> for Admin {
    type Result = ResponseFuture<Result<Committed<()>, AdminError>>;

    fn handle(&mut self, message: DeleteRole, _context: &mut Context<Self>) -> Self::Result {
        let handle = self.handle.clone();
        Box::pin(async move {
            let DeleteRole { caller, role } = message;
            let tenant = caller.principal.tenant.clone();
            Ok(handle.submit(command::DeleteRole { tenant, role, expected_version: None }, &caller).await?)
        })
    }
}

/// Refuses what SCIM refuses as a name too.
fn check_name(role: &Role) -> Result<(), Refused> {
    let is_odd = |one: char| one.is_control() || ",\"'<>;".contains(one);
    let length = role.0.chars().count();
    if role.0.contains(is_odd) || role.0.trim() != role.0 || !(1..=NAME_CHARS_MAX).contains(&length) {
        let reason = format!("must be 1 to {NAME_CHARS_MAX} characters, without spaces around and , ; < > or quotes");
        return Err(Refused::invalid("name", reason));
    }
    Ok(())
}
