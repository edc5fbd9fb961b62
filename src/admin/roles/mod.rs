//! Roles of a tenant and who holds them, for the pages. SCIM has its own way to them.

mod handlers;

pub(crate) use handlers::{ChangeRole, CreateRole, DeleteRole, ListHolders, ListRoles};
