//! Schemas of GraphQL: the operations of their APIs are the fields of their root types.

use std::sync::Arc;

use portcullis_graphql::{Schema, Wrong};
use portcullis_model::ApiKind;
use portcullis_model::api::{Operation, OperationAuth};
use portcullis_model::graphql::{FIELD_COST_MAX, FIELD_COSTS_MAX, FieldCost};
use portcullis_model::limit::API_OPERATIONS_MAX;
use serde_json::{Map, Value};

use super::{Design, Language, check_size, refuse};
use crate::dto::fields::Fields;
use crate::dto::operations::UNLIMITED;
use crate::fault::{FieldFault, PublisherError};

const NAME_CHARS_MAX: usize = 255;

/// Reads a schema.
///
/// # Errors
/// [`PublisherError::Definition`] with what is wrong, by line and column.
pub(crate) fn read(text: &str) -> Result<Design, PublisherError> {
    let (text, schema) = parse(text)?;
    let one = |(kind, field): (portcullis_graphql::OperationKind, &str)| Operation {
        verb: kind.as_verb().to_owned(),
        target: field.to_owned(),
        auth: OperationAuth::Any,
        policy: UNLIMITED.to_owned(),
        scopes: Vec::new(),
    };
    let operations: Vec<Operation> = schema.operations().map(one).collect();
    if operations.len() > API_OPERATIONS_MAX {
        let reason = format!("there are {} operations; at most {API_OPERATIONS_MAX} are accepted", operations.len());
        return Err(refuse("", reason));
    }
    Ok(Design {
        language: Language::Graphql,
        text: Arc::from(text),
        kind: ApiKind::Graphql,
        operations,
        scopes: Vec::new(),
        fields: Map::new(),
    })
}

/// Parses a schema, and returns the text that was meant.
///
/// # Errors
/// [`PublisherError::Definition`] with what is wrong, by line and column.
pub(crate) fn parse(text: &str) -> Result<(&str, Schema), PublisherError> {
    check_size(text.len())?;
    let text = text.trim_start_matches('\u{feff}');
    if text.trim().is_empty() {
        return Err(refuse("", "the schema is empty"));
    }
    let fault = |wrong: Wrong| {
        let place =
            if wrong.line == 0 { String::new() } else { format!("line {}, column {}", wrong.line, wrong.column) };
        FieldFault::new(place, wrong.reason)
    };
    let schema = Schema::parse(text);
    let schema = schema.map_err(|wrongs| PublisherError::Definition(wrongs.into_iter().map(fault).collect()))?;
    Ok((text, schema))
}

/// Reads what fields cost (`GraphQLQueryComplexityInfo`), against the schema that has them.
///
/// # Errors
/// What is wrong with it, by field.
pub(crate) fn read_costs(body: Map<String, Value>, schema: &Schema) -> Result<Vec<FieldCost>, PublisherError> {
    let mut fields = Fields::new("", body);
    let items = fields.list("list", FIELD_COSTS_MAX).unwrap_or_default();
    fields.finish().map_err(PublisherError::Fields)?;
    let (mut costs, mut faults) = (Vec::<FieldCost>::new(), Vec::new());
    for (number, item) in items.into_iter().enumerate() {
        let place = format!("list[{number}]");
        let Value::Object(item) = item else {
            faults.push(FieldFault::new(place, "must be an object with type, field and complexityValue"));
            continue;
        };
        let mut fields = Fields::new(format!("{place}."), item);
        let (kind, field) = (fields.text("type", NAME_CHARS_MAX), fields.text("field", NAME_CHARS_MAX));
        let cost = fields.number("complexityValue").and_then(|cost| u32::try_from(cost).ok());
        fields.finish_into(&mut faults);
        let (Some(kind), Some(field), Some(cost)) = (kind, field, cost.filter(|cost| *cost <= FIELD_COST_MAX)) else {
            let reason = format!("type, field and complexityValue must be there, the last from 0 to {FIELD_COST_MAX}");
            faults.push(FieldFault::new(place, reason));
            continue;
        };
        let cost = FieldCost { kind, field, cost };
        if !schema.has_field(&cost) {
            let reason = format!("the schema has no field {} in a type {}", cost.field, cost.kind);
            faults.push(FieldFault::new(place, reason));
        } else if costs.iter().any(|one| one.kind == cost.kind && one.field == cost.field) {
            faults.push(FieldFault::new(place, format!("{}.{} is there twice", cost.kind, cost.field)));
        } else {
            costs.push(cost);
        }
    }
    if faults.is_empty() { Ok(costs) } else { Err(PublisherError::Fields(faults)) }
}
