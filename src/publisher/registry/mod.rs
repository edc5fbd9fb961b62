//! What the Publisher does with the databases: finds what is asked for, checks a request against a snapshot, submits
//! the command. The rules that must hold in the state are the commands'; the shape of requests is [`crate::dto`]'s.

mod ai_apis;
mod api_endpoints;
mod apis;
mod approvals;
mod assets;
mod certificates;
mod comments;
mod definitions;
mod designs;
mod documents;
mod endpoint_certificates;
mod environment_properties;
mod environments;
mod find_all;
mod functions;
mod gateway_policies;
mod headings;
mod internal_keys;
mod mocks;
mod monetization;
mod organizations;
mod products;
mod revisions;
mod scopes;
mod search;
mod sequences;
mod subscriptions;
mod tasks;

use std::sync::Arc;

use portcullis_database::handle::{View, random_bytes};
use portcullis_database::ordered_apis::OrderedApis;
use portcullis_database::tasks as waiting;
use portcullis_database::{Apimgtdb, ClusterKey, Committed, Handle, Regdb, access};
use portcullis_model::asset::AssetKind;
use portcullis_model::port::{Identity, Secret};
use portcullis_model::{Api, ApiId, Refused, Revision, RevisionId, Sealed};

use crate::catalogue::digest_of;
use crate::dto::api_body::kept_fields;
use crate::dto::websub;
use crate::fault::PublisherError;
use crate::messages::{ApiView, Asker, Consistency, PREFERRED_WAIT, READ_WAIT, Seen, Written, api_id};
use crate::rest::apis::{CREATE, VIEW};

pub(crate) use apis::pretty;
pub(crate) use designs::properties;
pub(crate) use endpoint_certificates::has_endpoint_at;
pub(crate) use portcullis_model::api_sight::{ADMIN_ROLE, may_see};

pub(crate) type Snapshot = View<access::Publisher>;

/// The Publisher's access to the databases.
#[derive(Debug)]
pub struct Registry {
    pub(crate) handle: Handle<access::Publisher>,
    key: ClusterKey,
    /// Lists of APIs, by what decides on them.
    lists: OrderedApis<apis::ListKey>,
}

impl Registry {
    /// Makes a registry.
    #[must_use]
    pub fn new(handle: Handle<access::Publisher>, key: ClusterKey) -> Self {
        Self { handle, key, lists: OrderedApis::default() }
    }

    /// Opens a secret that was sealed with the cluster's key; `None` where it was not.
    pub(crate) fn opened(&self, sealed: &str) -> Option<String> {
        let secret = self.key.open(&Sealed::of_text(sealed)?).ok()?;
        String::from_utf8(secret.to_vec()).ok()
    }

    /// Returns a snapshot as fresh as the asker wants it.
    pub(crate) async fn snapshot(&self, asker: &Asker) -> Result<Snapshot, PublisherError> {
        match asker.consistency {
            Consistency::Stale => Ok(self.handle.view()),
            Consistency::Linearizable => Ok(self.handle.linearizable_view(READ_WAIT).await?),
            Consistency::Preferred => match self.handle.linearizable_view(PREFERRED_WAIT).await {
                Ok(view) => Ok(view),
                Err(error) => {
                    tracing::debug!(%error, "a read is answered from this node's own state");
                    Ok(self.handle.view())
                }
            },
        }
    }

    /// Adds to a view what only those are shown who may read or make APIs, not who may just publish or export them.
    pub(crate) fn unsealed(&self, mut view: ApiView, identity: &Identity) -> ApiView {
        if identity.has_any(VIEW) || identity.has_any(CREATE) {
            view.websub_secret = websub::secret_of(&view.api, &self.key).map(Secret);
        }
        view
    }

    /// Returns a snapshot to base a write on: it must hold what was acknowledged before.
    pub(crate) async fn snapshot_to_write(&self) -> Result<Snapshot, PublisherError> {
        Ok(self.handle.linearizable_view(READ_WAIT).await?)
    }
}

fn written<R, T>(committed: Committed<R>, value: impl FnOnce(R) -> T) -> Written<T> {
    Written { value: value(committed.reply), index: committed.index, unreached: committed.unreached }
}

pub(crate) fn seen<T>(snapshot: &Snapshot, value: T) -> Seen<T> {
    Seen { value, index: snapshot.applied_index() }
}

fn new_api_id() -> ApiId {
    ApiId::from_random(random_bytes())
}

fn new_revision_id() -> RevisionId {
    RevisionId::from_random(random_bytes())
}

/// Finds an API that the asker may see.
fn find(snapshot: &Snapshot, identity: &Identity, text: &str) -> Result<Arc<Api>, PublisherError> {
    let api = snapshot.read::<Apimgtdb>().apis.get(&api_id(text)?).filter(|api| may_see(identity, api));
    api.cloned().ok_or_else(|| Refused::not_found("API", text).into())
}

/// Finds an API, or a revision of one, by an id that may mean either.
pub(crate) fn find_view(snapshot: &Snapshot, identity: &Identity, text: &str) -> Result<ApiView, PublisherError> {
    let database = snapshot.read::<Apimgtdb>();
    let revision = text.parse::<RevisionId>().ok().and_then(|id| database.revision_ids.get(&id));
    if let Some(revision) = revision.and_then(|key| database.revisions.get(key))
        && may_see(identity, &revision.content)
    {
        let live = database.apis.get(&revision.api).ok_or_else(|| Refused::not_found("API", text))?;
        let api = Api { lifecycle: live.lifecycle, ..(*revision.content).clone() };
        let definition = Arc::clone(&revision.definition);
        let (has_thumbnail, waits) = (has_thumbnail(snapshot, api.id), waits(snapshot, &api));
        let is_service_outdated = is_service_outdated(snapshot, &api);
        let revision = Some(Arc::clone(revision));
        return Ok(ApiView {
            api: Arc::new(api),
            definition,
            revision,
            has_thumbnail,
            waits,
            is_service_outdated,
            websub_secret: None,
        });
    }
    let api = find(snapshot, identity, text)?;
    Ok(view_of(snapshot, api))
}

fn view_of(snapshot: &Snapshot, api: Arc<Api>) -> ApiView {
    let definition = snapshot.read::<Regdb>().definitions.get(&api.id).cloned().unwrap_or_else(|| Arc::from(""));
    let (has_thumbnail, waits) = (has_thumbnail(snapshot, api.id), waits(snapshot, &api));
    let is_service_outdated = is_service_outdated(snapshot, &api);
    ApiView { api, definition, revision: None, has_thumbnail, waits, is_service_outdated, websub_secret: None }
}

/// Says whether the service that an API is made from is another by now. What is not known, because the API was made before
/// that was kept or the service is gone, is not.
fn is_service_outdated(snapshot: &Snapshot, api: &Api) -> bool {
    if !api.other_fields.contains("serviceInfo") {
        return false;
    }
    let info = kept_fields(api).shift_remove("serviceInfo").unwrap_or_default();
    let (Some(key), Some(then)) = (info["key"].as_str(), info["md5"].as_str()) else { return false };
    let mut services =
        portcullis_database::assets::of_tenant(snapshot.read::<Apimgtdb>(), &api.tenant, AssetKind::Service);
    services.find(|service| service.name == key).is_some_and(|service| digest_of(service) != then)
}

/// Says whether a change of an API's state waits for a decision.
fn waits(snapshot: &Snapshot, api: &Api) -> bool {
    waiting::state_change(snapshot.read::<Apimgtdb>(), api).is_some()
}

fn has_thumbnail(snapshot: &Snapshot, api: ApiId) -> bool {
    snapshot.read::<Regdb>().thumbnails.contains_key(&api)
}

fn find_revision(snapshot: &Snapshot, api: ApiId, id: RevisionId) -> Result<Arc<Revision>, PublisherError> {
    let database = snapshot.read::<Apimgtdb>();
    let key = database.revision_ids.get(&id).filter(|(its_api, _)| *its_api == api);
    let revision = key.and_then(|key| database.revisions.get(key)).cloned();
    revision.ok_or_else(|| Refused::not_found("revision", id).into())
}
