//! What the Publisher can be asked about what tenants keep besides APIs, and about how APIs are judged by that.

use std::collections::BTreeMap;
use std::sync::Arc;

use actix::Message;
use portcullis_model::api_endpoint::ApiEndpoint;
use portcullis_model::asset::{Asset, AssetKind};
use portcullis_model::external_store::ExternalStore;
use portcullis_model::gateway_policy::GatewayPolicy;
use portcullis_model::lambda::LambdaEndpoint;
use portcullis_model::port::Secret;
use portcullis_model::{AssetId, Timestamp};
use serde_json::{Map, Value};

use super::{Asker, Seen, Written};
use crate::external_stores::Publication;
use crate::fault::PublisherError;
use crate::governance::judge::Judgement;

/// By which key functions of AWS Lambda are listed, and where.
#[derive(Clone, Debug)]
pub struct FunctionKey {
    /// Where, and the id of the key.
    pub endpoint: LambdaEndpoint,
    /// The key.
    pub secret: Secret,
}

messages! {
    /// Returns by which key the functions of an API, or of a revision of one, are called.
    GetFunctionKey {
        /// The id of either.
        id: String,
    } -> Seen<FunctionKey>;
    /// Returns what the tenant keeps of a kind, by name.
    ListAssets {
        /// Of which kind.
        kind: AssetKind,
        /// The API that they belong to; `None` for those of the whole tenant.
        api: Option<String>,
    } -> Seen<Vec<Arc<Asset>>>;
    /// Adds something that the tenant keeps, or replaces it.
    PutAsset {
        /// What it is.
        kind: AssetKind,
        /// Which one is replaced; `None` to add one.
        id: Option<AssetId>,
        /// The API that it belongs to.
        api: Option<String>,
        /// Its name.
        name: String,
        /// What is said of it, JSON.
        document: String,
        /// What it is made from.
        content: String,
        /// When the one that the caller saw was last changed, if the caller insists on that one.
        expected: Option<Timestamp>,
    } -> Written<Arc<Asset>>;
    /// Deletes something that the tenant keeps.
    DeleteAsset {
        /// What it is.
        kind: AssetKind,
        /// Which.
        id: AssetId,
        /// The API that it belongs to.
        api: Option<String>,
    } -> Written<()>;
    /// Adds a gateway policy, or changes what one does where it is in force.
    PutGatewayPolicy {
        /// Which one is changed; `None` to add one.
        id: Option<AssetId>,
        /// What it is. Where it is in force stays as it is.
        policy: GatewayPolicy,
    } -> Written<Arc<Asset>>;
    /// Has a gateway policy be in force in environments, or no longer. Returns what was done.
    DeployGatewayPolicy {
        /// Which.
        id: AssetId,
        /// Environments by name, and whether it is to be in force there.
        deployments: Vec<(String, bool)>,
    } -> Written<Vec<(String, bool)>>;
    /// Deletes a gateway policy that is in force nowhere.
    DeleteGatewayPolicy {
        /// Which.
        id: AssetId,
    } -> Written<()>;
    /// Returns the endpoints of an API, or of a revision of it, that have names.
    ListApiEndpoints {
        /// The API.
        api: String,
    } -> Seen<Vec<ApiEndpoint>>;
    /// Adds an endpoint to an API, or changes one.
    PutApiEndpoint {
        /// The API.
        api: String,
        /// Which; `None` to have one made up.
        id: Option<String>,
        /// Whether it may be new.
        is_new: bool,
        /// Its fields, as the contract has them.
        fields: Map<String, Value>,
    } -> Written<ApiEndpoint>;
    /// Deletes an endpoint of an API that the API has not chosen.
    DeleteApiEndpoint {
        /// The API.
        api: String,
        /// Which.
        id: String,
    } -> Written<()>;
    /// Returns what is other of an API in one environment.
    GetEnvironmentProperties {
        /// The API.
        api: String,
        /// The environment, by its id or its name.
        environment: String,
    } -> Seen<BTreeMap<String, String>>;
    /// Sets what is other of an API in one environment.
    PutEnvironmentProperties {
        /// The API.
        api: String,
        /// The environment, by its id or its name.
        environment: String,
        /// Texts by name.
        properties: BTreeMap<String, String>,
    } -> Written<BTreeMap<String, String>>;
    /// Makes a key with which the asker tries out an API.
    GenerateInternalKey {
        /// The API.
        api: String,
    } -> Seen<String>;
    /// Returns the stores of other systems that the tenant's configuration names.
    ListExternalStores {} -> Seen<Vec<ExternalStore>>;
    /// Returns the stores of other systems that an API is published to, with when that was.
    ListPublications {
        /// The API.
        api: String,
    } -> Seen<Vec<Publication>>;
    /// Has an API be published to these stores of other systems and to no others.
    PublishElsewhere {
        /// The API.
        api: String,
        /// The stores, by id.
        stores: Vec<String>,
    } -> Written<Vec<Publication>>;
    /// Returns the rules for the pages that write definitions, as the tenant's configuration has them.
    GetLinterRules {} -> Seen<Option<String>>;
    /// Finds out how far APIs keep to what governance says.
    JudgeApis {
        /// The one API that is meant.
        only: Option<String>,
        /// From where on, and how many; all of them where that is not said.
        part: Option<(usize, usize)>,
    } -> Seen<Judgement>;
}
