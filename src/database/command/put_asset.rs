use std::sync::Arc;

use portcullis_model::asset::{ASSET_BYTES_MAX, ASSET_NAME_CHARS_MAX, ASSETS_MAX, Asset};
use portcullis_model::{AssetId, Refused, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::state::{Apimgtdb, State};
use crate::{api_history, assets};

/// Adds something that a tenant keeps, or replaces it. Replies with its id, which is another where the request is a
/// retry.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PutAsset {
    /// The asset; who made it is kept where it is replaced, and the times are set here.
    pub asset: Asset,
    /// Whether it must be new (`true`) or must exist (`false`).
    pub is_new: bool,
    /// When the one that the caller saw was last changed, if the caller insists on that one.
    pub expected: Option<Timestamp>,
}

impl<C: Component> SubmittedBy<C> for PutAsset where C: Writes<Apimgtdb> {}

impl Command for PutAsset {
    type Reply = AssetId;

    fn subject(&self) -> String {
        format!("{} {}", self.asset.kind.noun(), self.asset.name)
    }

    fn apply(self, state: &mut State, moment: &Moment) -> Result<AssetId, Refused> {
        let mut asset = self.asset;
        let (noun, id, key) = (asset.kind.noun(), asset.id, (asset.kind, asset.tenant.clone(), asset.id));
        check(&asset)?;
        let before = state.apimgt.assets.get(&key).cloned();
        match (&before, self.is_new) {
            (Some(_), true) => return Err(Refused::exists(noun, &asset.name)),
            (None, false) => return Err(Refused::not_found(noun, id)),
            _ => {}
        }
        if before.as_ref().is_some_and(|before| self.expected.is_some_and(|expected| expected != before.updated_at)) {
            return Err(Refused::Stale { noun: noun.to_owned(), key: id.to_string() });
        }
        if asset.api.is_some_and(|api| state.apimgt.apis.get(&api).is_none_or(|api| api.tenant != asset.tenant)) {
            return Err(Refused::not_found("API", asset.api.map(|api| api.to_string()).unwrap_or_default()));
        }
        let name = asset.name.to_lowercase();
        let all = || assets::of_tenant(&state.apimgt, &asset.tenant, asset.kind);
        if all().any(|other| other.id != id && other.api == asset.api && other.name.to_lowercase() == name) {
            return Err(Refused::exists(noun, &asset.name));
        }
        if self.is_new && all().count() >= ASSETS_MAX {
            return Err(Refused::LimitReached { what: format!("assets of the kind {noun}"), max: ASSETS_MAX as u64 });
        }
        (asset.created_at, asset.updated_at) = (moment.now, moment.now);
        if let Some(before) = before {
            (asset.created_by, asset.created_at) = (before.created_by.clone(), before.created_at);
            // Later than before also where the clock stands still, so that versions are told apart.
            asset.updated_at = api_history::time_of_change(moment, before.updated_at);
        }
        state.apimgt.assets.insert(key, Arc::new(asset));
        Ok(id)
    }
}

fn check(asset: &Asset) -> Result<(), Refused> {
    let chars = asset.name.chars().count();
    if chars == 0 || chars > ASSET_NAME_CHARS_MAX || asset.name.chars().any(char::is_control) {
        let reason = format!("must have 1 to {ASSET_NAME_CHARS_MAX} visible characters, not {chars}");
        return Err(Refused::invalid("name", reason));
    }
    let bytes = asset.document.len() + asset.content.len();
    if bytes > ASSET_BYTES_MAX {
        let reason = format!("may have at most {ASSET_BYTES_MAX} bytes with what it is made from, not {bytes}");
        return Err(Refused::invalid(asset.kind.noun(), reason));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use portcullis_model::asset::AssetKind;
    use portcullis_model::{ApiId, Username};

    use super::super::store_fixture::{Fixture, api, user};
    use super::super::{DeleteApi, DeleteAsset};
    use super::*;

    fn asset(number: u8, of: Option<ApiId>, name: &str) -> Asset {
        Asset {
            id: AssetId::from_random([number; 16]),
            tenant: api(7).tenant,
            kind: AssetKind::OperationPolicy,
            api: of,
            name: name.to_owned(),
            document: "{}".to_owned(),
            content: String::new(),
            created_by: Username("cyd".to_owned()),
            created_at: Timestamp::default(),
            updated_by: Username("cyd".to_owned()),
            updated_at: Timestamp::default(),
        }
    }

    fn put(asset: Asset, is_new: bool) -> PutAsset {
        PutAsset { asset, is_new, expected: None }
    }

    #[test]
    fn names_are_unique_among_those_of_the_tenant_and_among_those_of_an_api() {
        let mut fixture = Fixture::new();
        fixture.publish(api(7));
        let of = Some(api(7).id);
        fixture.apply(put(asset(1, None, "Stamp:v1"), true)).unwrap();
        fixture.apply(put(asset(2, of, "Stamp:v1"), true)).unwrap();
        let twice = fixture.apply(put(asset(3, of, "stamp:V1"), true));
        assert!(matches!(twice, Err(Refused::AlreadyExists { .. })), "{twice:?}");
        let of_nothing = fixture.apply(put(asset(3, Some(api(8).id), "x"), true));
        assert!(matches!(of_nothing, Err(Refused::NotFound { .. })), "{of_nothing:?}");
        // What belongs to an API goes with it; what is the tenant's stays.
        fixture.apply(DeleteApi { api: api(7).id }).unwrap();
        assert_eq!(fixture.state.apimgt.assets.len(), 1);
    }

    #[test]
    fn who_made_it_stays_and_who_saw_an_older_one_is_refused() {
        let mut fixture = Fixture::new();
        fixture.apply(put(asset(1, None, "a"), true)).unwrap();
        let key = (AssetKind::OperationPolicy, api(7).tenant, asset(1, None, "a").id);
        let first = fixture.state.apimgt.assets.get(&key).unwrap().clone();
        let changed = Asset { created_by: Username("eve".to_owned()), ..asset(1, None, "b") };
        let insists = PutAsset { expected: Some(first.updated_at), ..put(changed, false) };
        fixture.apply(insists.clone()).unwrap();
        let now = fixture.state.apimgt.assets.get(&key).unwrap();
        assert_eq!((&now.created_by, now.created_at, &*now.name), (&first.created_by, first.created_at, "b"));
        assert!(matches!(fixture.apply(insists), Err(Refused::Stale { .. })));
        let delete = DeleteAsset { tenant: key.1.clone(), kind: key.0, id: key.2 };
        fixture.apply(delete.clone()).unwrap();
        assert!(matches!(fixture.apply(delete), Err(Refused::NotFound { .. })));
        let gone = fixture.apply(put(asset(1, None, "a"), false));
        assert!(matches!(gone, Err(Refused::NotFound { .. })), "{gone:?}");
    }

    #[test]
    fn who_saw_an_older_one_is_refused_where_the_clock_stands_still_too() {
        let mut fixture = Fixture::new();
        let mut at_once = |command: PutAsset| {
            let moment = Moment { now: Timestamp(5_000), index: 1, random: [0; 32], principal: user("sam") };
            command.apply(&mut fixture.state, &moment)
        };
        at_once(put(asset(1, None, "a"), true)).unwrap();
        let insists = PutAsset { expected: Some(Timestamp(5_000)), ..put(asset(1, None, "b"), false) };
        at_once(insists.clone()).unwrap();
        assert!(matches!(at_once(insists), Err(Refused::Stale { .. })));
    }

    #[test]
    fn what_is_too_large_is_refused() {
        let mut fixture = Fixture::new();
        let large = Asset { content: "x".repeat(ASSET_BYTES_MAX), ..asset(1, None, "a") };
        for bad in [asset(1, None, ""), asset(1, None, "a\n"), large] {
            let refused = fixture.apply(put(bad, true));
            assert!(matches!(refused, Err(Refused::Invalid { .. })), "{refused:?}");
        }
    }
}
