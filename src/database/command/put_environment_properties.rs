use portcullis_model::asset::{Asset, AssetKind};
use portcullis_model::{Refused, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, PutAsset, SubmittedBy};
use crate::access::{Component, Writes};
use crate::state::{Apimgtdb, State};
use crate::{api_rules, assets, environments, projection};

/// Sets what is other of an API in one environment. In force on every gateway when the answer comes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PutEnvironmentProperties {
    /// The asset of the API: its name is that of the environment, its document the properties. Whether there is one yet,
    /// and its id and times, are seen to here.
    pub asset: Asset,
    /// When the ones that the caller saw were last changed, if the caller insists on those.
    pub expected: Option<Timestamp>,
}

impl<C: Component> SubmittedBy<C> for PutEnvironmentProperties where C: Writes<Apimgtdb> {}

impl Command for PutEnvironmentProperties {
    type Reply = ();
    const EVERYWHERE: bool = true;

    fn subject(&self) -> String {
        let api = self.asset.api.map(|api| api.to_string()).unwrap_or_default();
        format!("environment {} of API {api}", self.asset.name)
    }

    fn apply(self, state: &mut State, moment: &Moment) -> Result<(), Refused> {
        let Self { mut asset, expected } = self;
        let id = asset.api.filter(|_| asset.kind == AssetKind::EnvironmentProperties);
        let id = id.ok_or_else(|| Refused::invalid("api", "must be named"))?;
        let api = api_rules::find(state, moment, id)?;
        if environments::of_name(&state.apimgt, &api.tenant, &asset.name).is_none() {
            return Err(Refused::not_found("gateway environment", &asset.name));
        }
        let there = assets::environment_properties(&state.apimgt, &api.tenant, id, &asset.name);
        let is_new = there.is_none();
        if let Some(there) = there {
            asset.id = there.id;
        }
        PutAsset { asset, is_new, expected }.apply(state, moment)?;
        projection::refresh(state, &api.tenant, &api.name, id);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use portcullis_model::{AssetId, Username};

    use super::super::store_fixture::{Fixture, api};
    use super::*;

    fn put(environment: &str, document: &str) -> PutEnvironmentProperties {
        let asset = Asset {
            id: AssetId::from_random([9; 16]),
            tenant: api(7).tenant,
            kind: AssetKind::EnvironmentProperties,
            api: Some(api(7).id),
            name: environment.to_owned(),
            document: document.to_owned(),
            content: String::new(),
            created_by: Username("cyd".to_owned()),
            created_at: Timestamp::default(),
            updated_by: Username("cyd".to_owned()),
            updated_at: Timestamp::default(),
        };
        PutEnvironmentProperties { asset, expected: None }
    }

    #[test]
    fn there_is_one_set_for_each_environment_and_the_later_one_counts() {
        let mut fixture = Fixture::new();
        fixture.publish(api(7));
        fixture.apply(put("Default", "{}")).unwrap();
        fixture.apply(put("Default", r#"{"a": "b"}"#)).unwrap();
        let kept: Vec<_> = fixture.state.apimgt.assets.values().map(|asset| asset.document.clone()).collect();
        assert_eq!(kept, [r#"{"a": "b"}"#]);
        let nowhere = fixture.apply(put("Nowhere", "{}"));
        assert!(matches!(nowhere, Err(Refused::NotFound { .. })), "{nowhere:?}");
    }
}
