use portcullis_model::asset::{Asset, AssetKind};
use portcullis_model::gateway_policy::{GATEWAY_LABELS_MAX, GatewayPolicy};
use portcullis_model::{AssetId, Refused, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, PutAsset, SubmittedBy};
use crate::access::{Component, Writes};
use crate::environments;
use crate::gateway_policies;
use crate::state::{Apimgtdb, State};

/// Adds a gateway policy, changes it, or has it in force in other environments than before. Replies with its id, which is
/// another where the request is a retry. In force on every gateway when the answer comes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PutGatewayPolicy {
    /// The asset; who made it is kept where it is replaced, and the times are set here.
    pub asset: Asset,
    /// Whether it must be new (`true`) or must exist (`false`).
    pub is_new: bool,
    /// When the one that the caller saw was last changed, if the caller insists on that one.
    pub expected: Option<Timestamp>,
}

impl<C: Component> SubmittedBy<C> for PutGatewayPolicy where C: Writes<Apimgtdb> {}

impl Command for PutGatewayPolicy {
    type Reply = AssetId;
    const EVERYWHERE: bool = true;

    fn subject(&self) -> String {
        format!("gateway policy {}", GatewayPolicy::of_document(&self.asset.document).display_name)
    }

    fn apply(self, state: &mut State, moment: &Moment) -> Result<AssetId, Refused> {
        let Self { asset, is_new, expected } = self;
        if asset.kind != AssetKind::GatewayPolicy || asset.api.is_some() {
            return Err(Refused::invalid("kind", "must be a gateway policy of the whole tenant"));
        }
        let labels = gateway_policies::labels_of(&asset);
        if labels.len() > GATEWAY_LABELS_MAX {
            let what = "environments of a gateway policy".to_owned();
            return Err(Refused::LimitReached { what, max: GATEWAY_LABELS_MAX as u64 });
        }
        let before = state.apimgt.assets.get(&(asset.kind, asset.tenant.clone(), asset.id));
        let before = before.map(|before| gateway_policies::labels_of(before)).unwrap_or_default();
        let is_there = |label: &String| environments::of_name(&state.apimgt, &asset.tenant, label).is_some();
        if let Some(missing) = labels.iter().find(|label| !before.contains(label) && !is_there(label)) {
            return Err(Refused::not_found("gateway environment", missing));
        }
        if let Some(label) = gateway_policies::taken(&state.apimgt, &asset.tenant, &labels, asset.id) {
            let reason = format!("another gateway policy is in force in {label}; undeploy that first");
            return Err(Refused::wrong_state(reason));
        }
        let tenant = asset.tenant.clone();
        let id = PutAsset { asset, is_new, expected }.apply(state, moment)?;
        gateway_policies::refresh(state, &tenant);
        Ok(id)
    }
}

#[cfg(test)]
mod tests {
    use portcullis_model::mediation::Flow;
    use portcullis_model::{TenantDomain, Username};
    use serde_json::json;

    use super::super::DeleteGatewayPolicy;
    use super::super::store_fixture::Fixture;
    use super::*;

    fn put(number: u8, labels: &[&str], header: &str, is_new: bool) -> PutGatewayPolicy {
        let parameters = json!({"headerName": header, "headerValue": "1"});
        let policy = json!({"policyName": "addHeader", "policyVersion": "v1", "parameters": parameters});
        let document = json!({"policyMapping": {"request": [policy]}, "appliedGatewayLabels": labels});
        let asset = Asset {
            id: AssetId::from_random([number; 16]),
            tenant: TenantDomain::super_tenant(),
            kind: AssetKind::GatewayPolicy,
            api: None,
            name: format!("policy {number}"),
            document: document.to_string(),
            content: String::new(),
            created_by: Username("cyd".to_owned()),
            created_at: Timestamp::default(),
            updated_by: Username("cyd".to_owned()),
            updated_at: Timestamp::default(),
        };
        PutGatewayPolicy { asset, is_new, expected: None }
    }

    fn headers(fixture: &Fixture) -> Vec<String> {
        let rows = fixture.state.deployed.gateway_policies.iter();
        rows.flat_map(|((_, label), flows)| {
            flows.of(Flow::Request).iter().map(move |one| format!("{label} {}", one.parameters["headerName"]))
        })
        .collect()
    }

    #[test]
    fn gateways_know_what_is_in_force_and_nothing_else() {
        let mut fixture = Fixture::new();
        fixture.apply(put(1, &[], "x-one", true)).unwrap();
        assert!(headers(&fixture).is_empty());
        fixture.apply(put(1, &["Default"], "x-one", false)).unwrap();
        assert_eq!(headers(&fixture), ["Default x-one"]);
        fixture.apply(put(1, &["Default"], "x-two", false)).unwrap();
        assert_eq!(headers(&fixture), ["Default x-two"], "a change of one in force is in force");
        let id = put(1, &[], "", false).asset.id;
        let delete = DeleteGatewayPolicy { tenant: TenantDomain::super_tenant(), id };
        let refused = fixture.apply(delete.clone());
        assert!(matches!(refused, Err(Refused::WrongState { .. })), "{refused:?}");
        fixture.apply(put(1, &[], "x-two", false)).unwrap();
        assert!(headers(&fixture).is_empty());
        fixture.apply(delete).unwrap();
        assert!(fixture.state.apimgt.assets.is_empty());
    }

    #[test]
    fn an_environment_has_one_at_most_and_must_be_there() {
        let mut fixture = Fixture::new();
        fixture.apply(put(1, &["Default"], "x-one", true)).unwrap();
        let second = fixture.apply(put(2, &["Default"], "x-two", true));
        assert!(matches!(second, Err(Refused::WrongState { .. })), "{second:?}");
        let nowhere = fixture.apply(put(2, &["Nowhere"], "x-two", true));
        assert!(matches!(nowhere, Err(Refused::NotFound { .. })), "{nowhere:?}");
        assert_eq!(headers(&fixture), ["Default x-one"]);
    }
}
