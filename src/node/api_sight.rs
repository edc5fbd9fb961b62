//! Says for the statistics which APIs somebody may see: as the Publisher says it, also on nodes that do not serve it.

use std::sync::Arc;

use portcullis_database::access::Publisher;
use portcullis_database::{Apimgtdb, Handle};
use portcullis_model::port::{ApiSight, Identity};
use portcullis_model::{ApiId, api_sight};

/// Looks into the registry with the Publisher's rights.
pub(crate) struct ApisOfPublishers(Handle<Publisher>);

impl ApisOfPublishers {
    pub(crate) fn new(handle: Handle<Publisher>) -> Arc<Self> {
        Arc::new(Self(handle))
    }
}

impl ApiSight for ApisOfPublishers {
    fn may_see(&self, identity: &Identity, api: ApiId) -> Option<bool> {
        let view = self.0.view();
        view.read::<Apimgtdb>().apis.get(&api).map(|api| api_sight::may_see(identity, api))
    }
}
