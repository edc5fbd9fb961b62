//! What belongs to APIs of the type GRAPHQL besides their operations: the schema and what its fields cost.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::api::{Api, ApiKind};

/// Fields of one API that have a cost of their own.
pub const FIELD_COSTS_MAX: usize = 5_000;
/// What a field may cost.
pub const FIELD_COST_MAX: u32 = 1_000_000;
/// Under which name costs are kept among an API's other fields.
const FIELD: &str = "graphqlComplexity";

/// What a field costs in queries (`GraphQLCustomComplexityInfo` in the REST contracts).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldCost {
    /// The type that has the field.
    pub kind: String,
    /// The field.
    pub field: String,
    /// What it costs; other fields cost 1.
    pub cost: u32,
}

/// What a gateway needs of an API of the type GRAPHQL, besides what it needs of all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GraphqlRules {
    /// The schema, in the schema definition language.
    pub schema: Arc<str>,
    /// What its fields cost, where that is not 1.
    pub costs: Vec<FieldCost>,
}

impl GraphqlRules {
    /// Returns those of an API with a definition; `None` for an API of another type.
    #[must_use]
    pub fn of(api: &Api, definition: &Arc<str>) -> Option<Self> {
        (api.kind == ApiKind::Graphql).then(|| Self { schema: Arc::clone(definition), costs: costs_of(api) })
    }
}

/// Returns what the fields of an API cost.
#[must_use]
pub fn costs_of(api: &Api) -> Vec<FieldCost> {
    let fields: Value = serde_json::from_str(&api.other_fields).unwrap_or_default();
    let kept = fields.get(FIELD).and_then(Value::as_array).into_iter().flatten();
    kept.filter_map(|one| {
        let text = |name: &str| one.get(name).and_then(Value::as_str).map(str::to_owned);
        let cost = one.get("complexityValue").and_then(Value::as_u64).and_then(|cost| u32::try_from(cost).ok())?;
        Some(FieldCost { kind: text("type")?, field: text("field")?, cost })
    })
    .collect()
}

/// Writes costs as the REST contracts have them.
#[must_use]
pub fn write_costs(costs: &[FieldCost]) -> Value {
    costs.iter().map(|one| json!({"type": one.kind, "field": one.field, "complexityValue": one.cost})).collect()
}

/// Puts costs among an API's other fields.
pub fn set_costs(fields: &mut Map<String, Value>, costs: &[FieldCost]) {
    match costs {
        [] => fields.shift_remove(FIELD),
        costs => fields.insert(FIELD.to_owned(), write_costs(costs)),
    };
}

/// Takes costs, which have a path of their own, out of an API's other fields.
pub fn hide_costs(fields: &mut Map<String, Value>) -> Option<Value> {
    fields.shift_remove(FIELD)
}

/// Costs by type and field.
#[derive(Clone, Debug, Default)]
pub struct FieldCosts(HashMap<String, HashMap<String, u32>>);

impl FieldCosts {
    /// Makes the table.
    pub fn new(costs: impl IntoIterator<Item = FieldCost>) -> Self {
        let mut all = Self::default();
        for one in costs {
            all.0.entry(one.kind).or_default().insert(one.field, one.cost);
        }
        all
    }

    /// Returns what a field of a type costs.
    #[must_use]
    pub fn of(&self, kind: &str, field: &str) -> u64 {
        self.0.get(kind).and_then(|fields| fields.get(field)).map_or(1, |cost| u64::from(*cost))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_costs_one_unless_its_api_says_more() {
        let mut fields = Map::new();
        let cost = FieldCost { kind: "Dish".to_owned(), field: "price".to_owned(), cost: 7 };
        set_costs(&mut fields, std::slice::from_ref(&cost));
        assert_eq!(fields[FIELD][0]["complexityValue"], 7);
        let costs = FieldCosts::new([cost]);
        assert_eq!((costs.of("Dish", "price"), costs.of("Dish", "id"), costs.of("Chef", "price")), (7, 1, 1));
        set_costs(&mut fields, &[]);
        assert!(fields.is_empty());
    }
}
