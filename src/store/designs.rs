//! Definitions in other languages than OpenAPI, as subscribers see them: schemas of GraphQL, AsyncAPI documents, WSDL.

use std::sync::Arc;

use portcullis_database::Regdb;
use portcullis_graphql::Schema;
use portcullis_http::contract::wsdl::{self, Kept};
use portcullis_http::page::Page;
use portcullis_http::{List, Stamped};
use portcullis_model::graphql::{costs_of, write_costs};
use portcullis_model::{Api, ApiId, ApiKind, Refused};
use serde_json::{Value, json};

use crate::actor::{Desk, Request, StoreView};
use crate::apis::{endpoint_urls, find_visible, meant, stamped};
use crate::aside::aside;
use crate::definition::asyncapi_for_subscribers;
use crate::error::StoreError;
use crate::messages::{GetAsyncapi, GetFieldCosts, GetSchema, GetWsdl, ListSchemaTypes, ListTopics, Visitor};

/// Finds an API of one of some types, with its definition.
fn find(
    view: &StoreView,
    visitor: &Visitor,
    api: ApiId,
    (noun, kinds): (&'static str, &[ApiKind]),
) -> Result<(Arc<Api>, Arc<str>), Refused> {
    let api = find_visible(view, visitor, api)?;
    if !kinds.contains(&api.kind) {
        return Err(Refused::not_found(noun, api.id));
    }
    let text = view.read::<Regdb>().definitions.get(&api.id).cloned();
    Ok((api, text.unwrap_or_else(|| Arc::from(""))))
}

const GRAPHQL: (&str, &[ApiKind]) = ("GraphQL schema of API", &[ApiKind::Graphql]);
const ASYNCAPI: (&str, &[ApiKind]) = ("AsyncAPI definition of API", &[ApiKind::Ws, ApiKind::Sse, ApiKind::Websub]);
const WSDL: (&str, &[ApiKind]) = ("WSDL of API", &[ApiKind::Soap]);

impl Request for GetSchema {
    type Reply = Stamped<Arc<str>>;

    async fn answer(self, desk: Desk) -> Result<Self::Reply, StoreError> {
        let view = desk.view();
        let (_, text) = find(&view, &self.visitor, self.api, GRAPHQL)?;
        Ok(stamped(text, &view))
    }
}

impl Request for GetFieldCosts {
    type Reply = Stamped<Value>;

    async fn answer(self, desk: Desk) -> Result<Self::Reply, StoreError> {
        let view = desk.view();
        let (api, _) = find(&view, &self.visitor, self.api, GRAPHQL)?;
        Ok(stamped(json!({ "list": write_costs(&costs_of(&api)) }), &view))
    }
}

impl Request for ListSchemaTypes {
    type Reply = Stamped<Value>;

    async fn answer(self, desk: Desk) -> Result<Self::Reply, StoreError> {
        let view = desk.view();
        let (api, text) = find(&view, &self.visitor, self.api, GRAPHQL)?;
        // What was kept was read once; a large one takes a while.
        let types = aside(move || {
            let schema = Schema::parse(&text).ok()?;
            let one = |(name, fields): (&str, Vec<&str>)| json!({ "type": name, "fieldList": fields });
            Some(schema.types().map(one).collect::<Vec<Value>>())
        });
        let types = types.await?.ok_or_else(|| Refused::not_found(GRAPHQL.0, api.id))?;
        Ok(stamped(json!({ "typeList": types }), &view))
    }
}

impl Request for GetAsyncapi {
    type Reply = Stamped<Value>;

    async fn answer(self, desk: Desk) -> Result<Self::Reply, StoreError> {
        let view = desk.view();
        let (api, text) = find(&view, &self.visitor, self.api, ASYNCAPI)?;
        let endpoints = endpoint_urls(&view, &api, &desk.settings());
        let endpoint = meant(&endpoints, self.environment.as_deref())?;
        Ok(stamped(asyncapi_for_subscribers(&text, &api, endpoint), &view))
    }
}

impl Request for ListTopics {
    type Reply = Stamped<List<Value>>;

    async fn answer(self, desk: Desk) -> Result<Self::Reply, StoreError> {
        let view = desk.view();
        let (api, _) = find(&view, &self.visitor, self.api, ASYNCAPI)?;
        let one = |operation: &portcullis_model::Operation| {
            let kind = operation.verb.to_ascii_lowercase();
            json!({ "apiId": api.id.to_string(), "name": operation.target, "type": kind })
        };
        let topics: Vec<Value> = api.operations.iter().map(one).collect();
        let (total, page) = (topics.len(), Page { limit: topics.len(), offset: 0 });
        Ok(stamped(List::part(topics, total, page), &view))
    }
}

impl Request for GetWsdl {
    type Reply = Stamped<Kept>;

    async fn answer(self, desk: Desk) -> Result<Self::Reply, StoreError> {
        let view = desk.view();
        let (api, text) = find(&view, &self.visitor, self.api, WSDL)?;
        let endpoints = endpoint_urls(&view, &api, &desk.settings());
        let endpoint = meant(&endpoints, self.environment.as_deref())?;
        // Where it is not deployed it has no address; its backend's is not for subscribers.
        let address = endpoint.and_then(|one| one.urls.https.clone().or_else(|| one.urls.http.clone()));
        let moved = aside(move || wsdl::kept(&text)?.at(&address.unwrap_or_default()).ok()).await?;
        let moved = moved.ok_or_else(|| Refused::not_found(WSDL.0, api.id))?;
        Ok(stamped(moved, &view))
    }
}
