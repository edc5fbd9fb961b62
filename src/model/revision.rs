//! Revisions: immutable copies of an API, and where they are deployed.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::api::Api;
use crate::id::{ApiId, RevisionId};
use crate::time::Timestamp;

/// An immutable copy of an API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revision {
    /// The id.
    pub id: RevisionId,
    /// The API it is a copy of.
    pub api: ApiId,
    /// 1 for the first revision ever made of the API; never used again.
    pub number: u32,
    /// What the publisher says about it.
    pub description: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// The API as it was then.
    pub content: Arc<Api>,
    /// The API's definition (OpenAPI document) as it was then.
    pub definition: Arc<str>,
    /// Where it is deployed.
    pub deployments: Vec<Deployment>,
}

/// One place where a revision is deployed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// The gateway environment's name, such as `Default`.
    pub environment: String,
    /// The virtual host, such as `localhost`.
    pub vhost: String,
    /// Whether the Store shows this address.
    pub is_displayed: bool,
    /// When it was deployed.
    pub deployed_at: Timestamp,
}
