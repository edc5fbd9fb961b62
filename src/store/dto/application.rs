//! Applications in the contract.

use std::collections::BTreeMap;

use portcullis_model::{Application, TokenType};
use serde::{Deserialize, Serialize};

use super::key::KeyDto;
use super::name_of_user;
use crate::dto::api::ScopeDto;

/// An application as a caller sends it. What the contract calls read-only may be sent and is not looked at.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ApplicationBody {
    /// The name.
    pub name: String,
    /// Name of the application policy.
    pub throttling_policy: String,
    /// The description.
    pub description: Option<String>,
    /// Form of access tokens.
    pub token_type: Option<TokenTypeWord>,
    /// Groups it is shared with.
    pub groups: Option<Vec<String>>,
    /// Further attributes.
    pub attributes: Option<BTreeMap<String, String>>,
    /// Who sees it; only its owner, here.
    pub visibility: Option<VisibilityWord>,
}

/// The contract's words for the form of access tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) enum TokenTypeWord {
    /// Opaque.
    #[serde(rename = "OAUTH")]
    Oauth,
    /// Signed.
    #[serde(rename = "JWT")]
    Jwt,
}

impl From<TokenTypeWord> for TokenType {
    fn from(word: TokenTypeWord) -> Self {
        match word {
            TokenTypeWord::Oauth => Self::Opaque,
            TokenTypeWord::Jwt => Self::Jwt,
        }
    }
}

/// The contract's words for who sees an application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) enum VisibilityWord {
    /// Its owner.
    #[serde(rename = "PRIVATE")]
    Private,
    /// The owner's organisation, which needs organisations.
    #[serde(rename = "SHARED_WITH_ORG")]
    SharedWithOrg,
}

/// An application in a list.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ApplicationInfoDto {
    pub application_id: String,
    pub name: String,
    pub throttling_policy: String,
    pub description: String,
    pub status: &'static str,
    pub groups: Vec<String>,
    pub subscription_count: usize,
    pub attributes: BTreeMap<String, String>,
    pub owner: String,
    pub token_type: &'static str,
    pub created_time: String,
    pub updated_time: String,
}

impl ApplicationInfoDto {
    /// Makes the body.
    pub(crate) fn new(application: &Application, subscription_count: usize) -> Self {
        Self {
            application_id: application.id.to_string(),
            name: application.name.clone(),
            throttling_policy: application.policy.clone(),
            description: application.description.clone(),
            status: application.state.as_contract(),
            groups: application.groups.clone(),
            subscription_count,
            attributes: application.attributes.clone(),
            owner: name_of_user(&application.tenant, &application.owner),
            token_type: application.token_type.as_contract(),
            created_time: application.created_at.to_string(),
            updated_time: application.updated_at.to_string(),
        }
    }
}

/// An application with everything that belongs to it.
#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ApplicationDto {
    #[serde(flatten)]
    pub info: ApplicationInfoDto,
    pub keys: Vec<KeyDto>,
    pub subscription_scopes: Vec<ScopeDto>,
    pub hash_enabled: bool,
    pub visibility: &'static str,
    /// For the `Location` header.
    #[serde(skip)]
    pub id: portcullis_model::ApplicationId,
}

impl ApplicationDto {
    /// Makes the body.
    pub(crate) fn new(
        application: &Application,
        subscription_count: usize,
        keys: Vec<KeyDto>,
        subscription_scopes: Vec<ScopeDto>,
    ) -> Self {
        Self {
            info: ApplicationInfoDto::new(application, subscription_count),
            keys,
            subscription_scopes,
            hash_enabled: false,
            visibility: "PRIVATE",
            id: application.id,
        }
    }
}
