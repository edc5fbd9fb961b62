//! Tenants: their life, by the original's tenant management; their configuration and system scopes, by the Admin
//! contract; and signing up to them.

mod config_rest;
mod handlers;
mod messages;
mod recovery;
mod sign_up_rest;
mod tenants_rest;

pub(crate) use config_rest::routes as config_routes;
pub(crate) use messages::{
    CreateTenant, KnownTenant, ListTenants, MakeResetCode, PutConfig, ReadConfig, SetTenantActive, SignUp,
};
pub(crate) use recovery::Recovery;
pub(crate) use sign_up_rest::routes as sign_up_routes;
pub(crate) use tenants_rest::routes as tenant_routes;
