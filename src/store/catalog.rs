//! What surrounds APIs in the Store: tags, categories, tenants, key managers, settings.

use std::collections::BTreeMap;

use portcullis_database::{Apimgtdb, Userdb, headings, organizations, people};
use portcullis_http::contract::organization::write_information;
use portcullis_http::{List, Stamped};
use portcullis_model::heading::HeadingKind;
use serde_json::Value;

use crate::actor::{Desk, Request};
use crate::apis::{listed, stamped};
use crate::dto::catalog::{CategoryDto, KeyManagerDto, SettingsDto, TagDto, TenantDto, WholeList};
use crate::error::StoreError;
use crate::mapped_keys::key_managers_of;
use crate::messages::{GetOrganization, GetSettings, IsOpen, ListCategories, ListKeyManagers, ListTags, ListTenants};

impl Request for ListTags {
    type Reply = Stamped<List<TagDto>>;

    async fn answer(self, desk: Desk) -> Result<Self::Reply, StoreError> {
        let view = desk.view();
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for tag in listed(&view, &self.visitor).flat_map(|api| &api.tags) {
            *counts.entry(tag).or_default() += 1;
        }
        let tags = counts.into_iter().map(|(value, count)| TagDto { value: value.to_owned(), count }).collect();
        Ok(stamped(List::of(tags, self.page), &view))
    }
}

impl Request for ListCategories {
    type Reply = Stamped<WholeList<CategoryDto>>;

    async fn answer(self, desk: Desk) -> Result<Self::Reply, StoreError> {
        let view = desk.view();
        let database = view.read::<Apimgtdb>();
        let mut all: Vec<_> = headings::of_tenant(database, &self.visitor.tenant, HeadingKind::Category).collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        let list = all.into_iter().map(|category| CategoryDto::from(category.as_ref())).collect();
        Ok(stamped(WholeList::new(list), &view))
    }
}

impl Request for ListTenants {
    type Reply = Stamped<List<TenantDto>>;

    async fn answer(self, desk: Desk) -> Result<Self::Reply, StoreError> {
        let view = desk.view();
        let data = view.read::<Userdb>();
        let tenants = data.tenants.keys().filter(|tenant| people::is_active(data, tenant) == self.is_active);
        let status = if self.is_active { "active" } else { "inactive" };
        let tenants = tenants.map(|tenant| TenantDto { domain: tenant.to_string(), status }).collect();
        Ok(stamped(List::of(tenants, self.page), &view))
    }
}

impl Request for IsOpen {
    type Reply = bool;

    async fn answer(self, desk: Desk) -> Result<Self::Reply, StoreError> {
        let view = desk.view();
        let data = view.read::<Userdb>();
        Ok(data.tenants.contains_key(&self.tenant) && people::is_active(data, &self.tenant))
    }
}

impl Request for GetSettings {
    type Reply = Stamped<SettingsDto>;

    async fn answer(self, desk: Desk) -> Result<Self::Reply, StoreError> {
        let view = desk.view();
        let has_organizations = organizations::of_tenant(view.read::<Apimgtdb>(), &self.tenant).next().is_some();
        let settings = SettingsDto {
            org_access_control_enabled: has_organizations,
            password_policy_min_length: desk.passwords.policy.min_chars,
            ..SettingsDto::new(&desk.settings())
        };
        Ok(stamped(settings, &view))
    }
}

impl Request for GetOrganization {
    type Reply = Stamped<Value>;

    async fn answer(self, desk: Desk) -> Result<Self::Reply, StoreError> {
        let view = desk.view();
        let found = organizations::of_user(view.read::<Apimgtdb>(), view.read::<Userdb>(), &self.user);
        Ok(stamped(write_information(found.as_ref()), &view))
    }
}

impl Request for ListKeyManagers {
    type Reply = Stamped<WholeList<KeyManagerDto>>;

    async fn answer(self, desk: Desk) -> Result<Self::Reply, StoreError> {
        let view = desk.view();
        let mut all = vec![KeyManagerDto::resident(&desk.settings())];
        all.extend(key_managers_of(&view, &self.tenant).iter().map(|one| KeyManagerDto::other(one)));
        Ok(stamped(WholeList::new(all), &view))
    }
}
