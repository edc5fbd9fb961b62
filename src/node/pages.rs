//! What the web pages show: reads the state through the handles of the components whose pages they are.

use std::collections::HashSet;
use std::sync::Arc;

use portcullis_database::access::{Admin, Publisher, Store};
use portcullis_database::{Apimgtdb, Handle};
use portcullis_http::page::Page;
use portcullis_model::cluster::{ClusterControl, ClusterStatus};
use portcullis_model::port::PortFuture;
use portcullis_model::{Api, ApiId, TenantDomain};
use portcullis_portal::{Addresses, ApiRow, Data, PolicyRow, PublishedApi, Rows};

use crate::components;
use crate::places::Places;

/// The pages' view of the system: a handle of each component whose pages this node serves.
pub(crate) struct Pages {
    pub(crate) publisher: Option<Handle<Publisher>>,
    pub(crate) store: Option<Handle<Store>>,
    pub(crate) admin: Option<Handle<Admin>>,
    pub(crate) cluster: Arc<dyn ClusterControl>,
    pub(crate) places: Places,
}

/// What a page shows that this node does not serve.
fn nothing<T>() -> Rows<T> {
    Rows { rows: Vec::new(), total: 0 }
}

/// Returns a tenant's APIs by name and version.
fn apis_of<'a>(tables: &'a Apimgtdb, tenant: &'a TenantDomain) -> impl Iterator<Item = &'a Arc<Api>> {
    let from = (tenant.clone(), String::new(), String::new());
    let names = tables.api_names.range(from..).take_while(move |((owner, ..), _)| owner == tenant);
    names.filter_map(|(_, id): (_, &ApiId)| tables.apis.get(id))
}

impl Data for Pages {
    fn apis(&self, tenant: &TenantDomain, page: Page) -> Rows<ApiRow> {
        let Some(view) = self.publisher.as_ref().map(Handle::view) else { return nothing() };
        let deployed: HashSet<&ApiId> = view.deployed().apis.keys().map(|(_, id)| id).collect();
        let all: Vec<&Arc<Api>> = apis_of(view.read::<Apimgtdb>(), tenant).collect();
        let of_page = all.iter().skip(page.offset).take(page.limit);
        let rows = of_page.map(|api| ApiRow::of(api, deployed.contains(&api.id)));
        Rows { rows: rows.collect(), total: all.len() }
    }

    fn published_apis(&self, page: Page) -> Rows<PublishedApi> {
        let Some(view) = self.store.as_ref().map(Handle::view) else { return nothing() };
        let addresses = self.addresses();
        let tenant = TenantDomain::super_tenant();
        let shown: Vec<&Arc<Api>> =
            apis_of(view.read::<Apimgtdb>(), &tenant).filter(|api| PublishedApi::is_shown(api)).collect();
        let of_page = shown.iter().skip(page.offset).take(page.limit);
        Rows { rows: of_page.filter_map(|api| PublishedApi::of(api, &addresses)).collect(), total: shown.len() }
    }

    fn policies(&self, tenant: &TenantDomain) -> Vec<PolicyRow> {
        let Some(view) = self.admin.as_ref().map(Handle::view) else { return Vec::new() };
        let policies = view.read::<Apimgtdb>().policies.iter().filter(|((owner, ..), _)| owner == tenant);
        policies.map(|(_, policy)| PolicyRow::of(policy)).collect()
    }

    fn cluster(&self) -> PortFuture<'_, ClusterStatus> {
        self.cluster.status()
    }

    fn addresses(&self) -> Addresses {
        components::page_addresses(&self.places)
    }
}
