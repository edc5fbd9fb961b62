//! What queries of an API of GraphQL are read by, compiled: its schema, what fields cost, and which rule each operation
//! has.

use std::collections::HashMap;
use std::sync::Arc;

use portcullis_graphql::{OperationKind, Schema};
use portcullis_model::graphql::FieldCosts;
use portcullis_model::{DeployedApi, Operation, OperationAuth};
use tracing::warn;

use super::api::{More, Rule};
use super::endpoint::Origins;
use crate::mediation::{Choices, Plan};

/// What an API of GraphQL has besides what all have.
#[derive(Debug)]
pub(crate) struct Graphql {
    /// `None` where it cannot be read: nothing is served then.
    pub(crate) schema: Option<Arc<Schema>>,
    pub(crate) costs: FieldCosts,
    /// What holds for every query, whatever it asks for.
    pub(crate) entry: Rule,
    /// No operation is open to callers without a key.
    pub(crate) is_closed: bool,
    /// The numbers of the operations' rules, by kind and field.
    rules: HashMap<(OperationKind, String), usize>,
}

impl Graphql {
    /// Compiles it; `rules` are those of the API's operations.
    pub(crate) fn new(
        api: &DeployedApi,
        more: &More,
        rules: &[Rule],
        (choices, origins): (&mut Choices<'_>, &mut Origins),
    ) -> Self {
        let designed = more.graphql.as_deref();
        let known = more.schema.clone().map(Ok);
        let schema =
            known.or_else(|| designed.map(|designed| Schema::parse(&designed.schema).map(Arc::new))).transpose();
        let schema = schema.unwrap_or_else(|wrong| {
            let why = wrong.first().map(ToString::to_string).unwrap_or_default();
            warn!(api = %api.id, %why, "API not served: its schema cannot be read");
            None
        });
        let by_field = rules.iter().enumerate().filter_map(|(number, rule)| {
            let (verb, field) = rule.resource.split_once(' ')?;
            let kind = OperationKind::ALL.into_iter().find(|kind| kind.as_verb() == verb)?;
            Some(((kind, field.to_owned()), number))
        });
        let is_open_to_all = !rules.is_empty() && rules.iter().all(|rule| rule.auth == OperationAuth::None);
        let auth = if is_open_to_all { OperationAuth::None } else { OperationAuth::Any };
        Self {
            schema,
            costs: FieldCosts::new(designed.into_iter().flat_map(|designed| designed.costs.iter().cloned())),
            entry: entry(auth, more, (choices, origins)),
            is_closed: rules.iter().all(|rule| rule.auth != OperationAuth::None),
            rules: by_field.collect(),
        }
    }

    /// Returns the number of an operation's rule; `None` where the API has no such operation.
    pub(crate) fn rule(&self, kind: OperationKind, field: &str) -> Option<usize> {
        // A few bytes beside a whole query that was read.
        self.rules.get(&(kind, field.to_owned())).copied()
    }
}

/// Makes the rule of queries as such. Its number is that of no operation, so that no operation's policy is counted by it.
fn entry(auth: OperationAuth, more: &More, by: (&mut Choices<'_>, &mut Origins)) -> Rule {
    let all =
        Operation { verb: "POST".to_owned(), target: "/*".to_owned(), auth, policy: String::new(), scopes: Vec::new() };
    Rule {
        operation: usize::MAX,
        resource: "POST /*".into(),
        auth,
        scopes: Vec::new(),
        part: None,
        plan: Plan::new((more.gateway.as_deref(), more.mediation.as_deref(), None), None, &all, by),
        log: more.log.as_deref().map(|log| log.all).unwrap_or_default(),
    }
}
