//! How the Store's pages look: what is published for an API or for the portal, else the tenant's theme, else plain.

use std::sync::Arc;

use portcullis_database::{Apimgtdb, assets};
use portcullis_http::contract::theme::{TENANT_THEME, Theme};
use portcullis_model::asset::{Asset, AssetKind};
use portcullis_model::{ApiId, AssetId};

use crate::actor::{Desk, Request};
use crate::error::StoreError;
use crate::messages::{FindLook, GetLook};

/// A theme that pages look by.
#[derive(Clone, Debug)]
pub(crate) struct Worn {
    /// The theme.
    pub theme: Theme,
    /// What tells one version of it from another.
    pub version: u64,
}

impl Worn {
    fn of(asset: &Asset) -> Option<Self> {
        let theme = Theme::of(asset).filter(|theme| theme.is_published && !theme.look.is_empty())?;
        Some(Self { theme, version: asset.updated_at.0 })
    }
}

impl Request for FindLook {
    type Reply = Option<Worn>;

    async fn answer(self, desk: Desk) -> Result<Self::Reply, StoreError> {
        let view = desk.view();
        let all: Vec<&Arc<Asset>> =
            assets::of_tenant(view.read::<Apimgtdb>(), &self.tenant, AssetKind::Theme).collect();
        let published = |api: Option<ApiId>, is_of_tenant: bool| {
            let meant = all.iter().filter(|asset| asset.api == api && (asset.name == TENANT_THEME) == is_of_tenant);
            meant.filter_map(|asset| Worn::of(asset)).max_by_key(|worn| worn.version)
        };
        let of_api = self.api.and_then(|api| published(Some(api), false));
        Ok(of_api.or_else(|| published(None, false)).or_else(|| published(None, true)))
    }
}

impl Request for GetLook {
    type Reply = Option<Worn>;

    async fn answer(self, desk: Desk) -> Result<Self::Reply, StoreError> {
        let view = desk.view();
        let id: AssetId = self.id;
        let key = (AssetKind::Theme, self.tenant, id);
        Ok(view.read::<Apimgtdb>().assets.get(&key).and_then(|asset| Worn::of(asset)))
    }
}
