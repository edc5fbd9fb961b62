use std::sync::Arc;

use portcullis_model::{Api, ApiId, ApiKind, Refused};
use serde::{Deserialize, Serialize};

use super::create_api::CreateApi;
use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::state::{Apimgtdb, Regdb, State};

/// Creates an API product, as [`CreateApi`] creates an API. A command of its own: nodes that know no products must not be
/// sent one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CreateProduct {
    /// The product; tenant, lifecycle, times and numbers are set here.
    pub product: Api,
    /// Its definition (OpenAPI document).
    pub definition: Arc<str>,
}

impl<C: Component> SubmittedBy<C> for CreateProduct where C: Writes<Apimgtdb> + Writes<Regdb> {}

impl Command for CreateProduct {
    type Reply = ApiId;

    fn subject(&self) -> String {
        format!("{}:{}", self.product.name, self.product.version)
    }

    fn apply(self, state: &mut State, moment: &Moment) -> Result<ApiId, Refused> {
        if self.product.kind != ApiKind::Product {
            return Err(Refused::invalid("type", "is not that of a product"));
        }
        CreateApi { api: self.product, definition: self.definition }.apply(state, moment)
    }
}
