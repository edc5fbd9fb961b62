//! Gateway policies: what is done to the calls of every API in an environment.

use std::sync::Arc;

use portcullis_database::command::{
    DeleteGatewayPolicy as DeleteGatewayPolicyCommand, PutGatewayPolicy as PutGatewayPolicyCommand,
};
use portcullis_database::handle::random_bytes;
use portcullis_database::{Apimgtdb, gateway_policies};
use portcullis_model::asset::{Asset, AssetKind};
use portcullis_model::gateway_policy::GatewayPolicy;
use portcullis_model::mediation::Kind;
use portcullis_model::{ApiKind, AssetId, Refused, TenantDomain, Timestamp};
use serde_json::{Map, json};

use super::environments::open_to;
use super::{Registry, Snapshot, written};
use crate::dto::policies;
use crate::fault::{FieldFault, PublisherError};
use crate::messages::{Asker, DeleteGatewayPolicy, DeployGatewayPolicy, PutGatewayPolicy, Written};
use crate::own_policy::apply::Lookup;

/// Under which name the policies of an API are, as which these are read.
const API_POLICIES: &str = "apiPolicies";
/// Where they are in the contract.
const MAPPING: &str = "policyMapping";

impl Registry {
    pub(crate) async fn put_gateway_policy(
        &self,
        message: PutGatewayPolicy,
    ) -> Result<Written<Arc<Asset>>, PublisherError> {
        let PutGatewayPolicy { asker, id, mut policy } = message;
        let snapshot = self.snapshot_to_write().await?;
        let tenant = &asker.identity.principal.tenant;
        let mut fields = Map::from_iter([(API_POLICIES.to_owned(), policy.policy_mapping)]);
        Lookup { snapshot: &snapshot, tenant, current: None }.resolve(&mut fields).map_err(in_mapping)?;
        policy.policy_mapping = fields.shift_remove(API_POLICIES).unwrap_or_default();
        let mut faults = Vec::new();
        policies::check(MAPPING, &policy.policy_mapping, ApiKind::Http, &mut faults);
        if policy.flows().request.iter().any(|one| Kind::named(&one.name).is_some_and(Kind::is_for_ai)) {
            let reason = "policies that choose models are for AI APIs; apply them there";
            faults.push(FieldFault::new(MAPPING, reason));
        }
        if !faults.is_empty() {
            return Err(PublisherError::Fields(faults));
        }
        let before = id.and_then(|id| find(&snapshot, tenant, id));
        policy.applied_gateway_labels = before.as_deref().map(gateway_policies::labels_of).unwrap_or_default();
        let open = open_to(&snapshot, &asker.identity);
        let is_closed = |label: &&String| !open.iter().any(|one| one.name == **label);
        if let Some(label) = policy.applied_gateway_labels.iter().find(is_closed) {
            let reason = format!("the gateway policy is in force in {label}, to which you may not deploy");
            return Err(Refused::NotAllowed { reason }.into());
        }
        let expected = before.map(|before| before.updated_at);
        self.keep(&asker, id, &policy, expected).await
    }

    pub(crate) async fn deploy_gateway_policy(
        &self,
        message: DeployGatewayPolicy,
    ) -> Result<Written<Vec<(String, bool)>>, PublisherError> {
        let DeployGatewayPolicy { asker, id, deployments } = message;
        let snapshot = self.snapshot_to_write().await?;
        let tenant = &asker.identity.principal.tenant;
        let before = find(&snapshot, tenant, id);
        let before = before.ok_or_else(|| Refused::not_found(AssetKind::GatewayPolicy.noun(), id))?;
        let database = snapshot.read::<Apimgtdb>();
        let mut policy = GatewayPolicy::of_document(&before.document);
        let labels = &mut policy.applied_gateway_labels;
        let open = open_to(&snapshot, &asker.identity);
        let mut done = Vec::new();
        for (label, is_deployed) in deployments {
            if !open.iter().any(|one| one.name == label) {
                return Err(Refused::not_found("gateway environment", label).into());
            }
            // As in the original, what an environment has stays there until it is undeployed.
            let there = gateway_policies::in_force(database, tenant, &label);
            if is_deployed && there.is_some_and(|other| other.id != id) {
                continue;
            }
            labels.retain(|other| *other != label);
            if is_deployed {
                labels.push(label.clone());
            }
            done.push((label, is_deployed));
        }
        labels.sort();
        let kept = self.keep(&asker, Some(id), &policy, Some(before.updated_at)).await?;
        Ok(Written { value: done, index: kept.index, unreached: kept.unreached })
    }

    pub(crate) async fn delete_gateway_policy(
        &self,
        message: DeleteGatewayPolicy,
    ) -> Result<Written<()>, PublisherError> {
        let tenant = message.asker.identity.principal.tenant.clone();
        let command = DeleteGatewayPolicyCommand { tenant, id: message.id };
        Ok(written(self.handle.submit(command, &message.asker.caller()).await?, |()| ()))
    }

    async fn keep(
        &self,
        asker: &Asker,
        id: Option<AssetId>,
        policy: &GatewayPolicy,
        expected: Option<Timestamp>,
    ) -> Result<Written<Arc<Asset>>, PublisherError> {
        let principal = &asker.identity.principal;
        let (is_new, kind) = (id.is_none(), AssetKind::GatewayPolicy);
        let id = id.unwrap_or_else(|| AssetId::from_random(random_bytes()));
        let asset = Asset {
            id,
            tenant: principal.tenant.clone(),
            kind,
            api: None,
            // Display names may be the same.
            name: id.to_string(),
            document: json!(policy).to_string(),
            content: String::new(),
            created_by: principal.username.clone(),
            created_at: Timestamp::default(),
            updated_by: principal.username.clone(),
            updated_at: Timestamp::default(),
        };
        let command = PutGatewayPolicyCommand { asset, is_new, expected };
        let committed = self.handle.submit(command, &asker.caller()).await?;
        let key = (kind, principal.tenant.clone(), committed.reply);
        let asset = self.handle.view().read::<Apimgtdb>().assets.get(&key).cloned();
        let asset = asset.ok_or_else(|| Refused::not_found(kind.noun(), committed.reply))?;
        Ok(written(committed, |_| asset))
    }
}

/// Says where something is wrong as the contract has it.
fn in_mapping(error: PublisherError) -> PublisherError {
    let PublisherError::Fields(mut faults) = error else { return error };
    for fault in &mut faults {
        fault.place = fault.place.replacen(API_POLICIES, MAPPING, 1);
    }
    PublisherError::Fields(faults)
}

fn find(snapshot: &Snapshot, tenant: &TenantDomain, id: AssetId) -> Option<Arc<Asset>> {
    let key = (AssetKind::GatewayPolicy, tenant.clone(), id);
    snapshot.read::<Apimgtdb>().assets.get(&key).cloned()
}
