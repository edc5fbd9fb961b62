//! The Publisher as an actor: gives each message to the registry, which does the work. It keeps nothing itself.

use std::sync::Arc;

use actix::{Actor, Context, Handler, ResponseFuture};
use portcullis_model::client_certificate::ClientCertificate;

use crate::fault::PublisherError;
use crate::messages::{
    ApiView, ChangeLifecycle, CopyApi, CreateApi, CreateRevision, DeleteApi, DeleteClientCertificate, DeleteRevision,
    DeleteSharedScope, DeployRevision, GetApi, GetLifecycleHistory, HasRole, ImportOpenapi, IsTaken, ListApis,
    ListClientCertificates, ListPolicies, ListRevisions, ListScopeUsers, ListSharedScopes, ListSubscriptions,
    ListTenants, PutClientCertificate, PutDefinition, PutSharedScope, RestoreRevision, Seen, SetSubscriptionState,
    SubscriptionView, UndeployRevision, UpdateApi, Written,
};
use crate::registry::Registry;

/// The actor.
#[derive(Debug)]
pub struct Publisher {
    registry: Arc<Registry>,
}

impl Publisher {
    /// Makes the actor over a registry.
    #[must_use]
    pub fn new(registry: Arc<Registry>) -> Self {
        Self { registry }
    }
}

impl Actor for Publisher {
    type Context = Context<Self>;
}

macro_rules! handlers {
    ($($message:ident => $method:ident -> $reply:ty;)*) => {$(
        impl Handler<$message> for Publisher {
            type Result = ResponseFuture<Result<$reply, PublisherError>>;

            fn handle(&mut self, message: $message, _context: &mut Context<Self>) -> Self::Result {
                let registry = Arc::clone(&self.registry);
                Box::pin(async move { registry.$method(message).await })
            }
        }
    )*};
}

handlers! {
    CreateApi => create_api -> Written<ApiView>;
    ImportOpenapi => import_openapi -> Written<ApiView>;
    GetApi => get_api -> Seen<ApiView>;
    ListApis => list_apis -> Seen<Vec<Arc<portcullis_model::Api>>>;
    UpdateApi => update_api -> Written<ApiView>;
    DeleteApi => delete_api -> Written<()>;
    CopyApi => copy_api -> Written<ApiView>;
    PutDefinition => put_definition -> Written<ApiView>;
    IsTaken => is_taken -> Seen<bool>;
    ChangeLifecycle => change_lifecycle -> Written<portcullis_model::Lifecycle>;
    GetLifecycleHistory => get_lifecycle_history -> Seen<Vec<Arc<portcullis_database::state::LifecycleEvent>>>;
    ListRevisions => list_revisions -> Seen<Vec<Arc<portcullis_model::Revision>>>;
    CreateRevision => create_revision -> Written<Arc<portcullis_model::Revision>>;
    DeleteRevision => delete_revision -> Written<Vec<Arc<portcullis_model::Revision>>>;
    DeployRevision => deploy_revision -> Written<Arc<portcullis_model::Revision>>;
    UndeployRevision => undeploy_revision -> Written<Arc<portcullis_model::Revision>>;
    RestoreRevision => restore_revision -> Written<ApiView>;
    ListSubscriptions => list_subscriptions -> Seen<Vec<SubscriptionView>>;
    SetSubscriptionState => set_subscription_state -> Written<SubscriptionView>;
    ListPolicies => list_policies -> Seen<Vec<Arc<portcullis_model::QuotaPolicy>>>;
    HasRole => has_role -> Seen<bool>;
    ListClientCertificates => list_client_certificates -> Seen<Vec<Arc<ClientCertificate>>>;
    PutClientCertificate => put_client_certificate -> Written<Arc<ClientCertificate>>;
    DeleteClientCertificate => delete_client_certificate -> Written<()>;
    ListSharedScopes => list_shared_scopes -> Seen<Vec<Arc<portcullis_model::SharedScope>>>;
    PutSharedScope => put_shared_scope -> Written<Arc<portcullis_model::SharedScope>>;
    DeleteSharedScope => delete_shared_scope -> Written<()>;
    ListScopeUsers => list_scope_users -> Seen<Vec<Arc<portcullis_model::Api>>>;
    ListTenants => list_tenants -> Seen<Vec<String>>;
}
