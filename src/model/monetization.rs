//! What the use of APIs costs: the prices of business plans, and which use was told to whoever bills it. Nothing is charged
//! here, and no money moves.

mod amount;
mod cycle;
mod usage_book;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::policy::QuotaPolicy;
use crate::refused::Refused;

pub use amount::Amount;
pub use cycle::{Cycle, date_of};
pub use usage_book::{Batch, OPEN_DAYS, RECORDS_MAX, Usage, UsageBook};

/// Under which name an API's other fields say whether it is monetized.
pub const FIELD: &str = "monetization";
/// The currency of a plan that names none.
const CURRENCY: &str = "USD";

/// What a business plan costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Whether each call costs something (`DYNAMICRATE`), or only the subscription itself (`FIXEDRATE`).
    pub is_by_call: bool,
    /// What a subscription costs in each cycle.
    pub fixed_price: Amount,
    /// What a call costs that was answered without a fault.
    pub price_per_request: Amount,
    /// The currency, three letters (ISO 4217).
    pub currency: String,
    /// How often it is billed.
    pub cycle: Cycle,
}

impl Terms {
    /// Returns what a plan costs; `None` where it is free, or nothing is said of it.
    #[must_use]
    pub fn of(policy: &QuotaPolicy) -> Option<Self> {
        if policy.billing_plan != "COMMERCIAL" {
            return None;
        }
        let others: Value = serde_json::from_str(&policy.other_fields).ok()?;
        let said = others.get(FIELD)?.as_object()?;
        let properties = said.get("properties")?.as_object()?;
        read(said.get("monetizationPlan").and_then(Value::as_str), properties).ok()
    }

    /// Returns what so many calls cost, without what the subscription itself costs.
    #[must_use]
    pub fn of_calls(&self, calls: u64) -> Amount {
        if self.is_by_call { self.price_per_request.times(calls) } else { Amount::default() }
    }

    /// Returns it as the DevPortal's contract has it (`MonetizationInfo`).
    #[must_use]
    pub fn properties(&self) -> BTreeMap<String, String> {
        let kind = if self.is_by_call { "dynamicRate" } else { "fixedPrice" };
        let texts = [
            ("billingType", kind.to_owned()),
            ("billingCycle", self.cycle.name().to_owned()),
            ("fixedPrice", self.fixed_price.to_string()),
            ("pricePerRequest", self.price_per_request.to_string()),
            ("currencyType", self.currency.clone()),
        ];
        texts.into_iter().map(|(name, text)| (name.to_owned(), text)).collect()
    }
}

/// Reads what a policy says of its price: the plan (`FIXEDRATE`, `DYNAMICRATE`) and the properties `fixedPrice`,
/// `pricePerRequest`, `currencyType` and `billingCycle`, as the original's Admin portal names them. Others are kept and not
/// understood.
///
/// # Errors
/// The field that cannot be what it is.
pub fn read(plan: Option<&str>, properties: &Map<String, Value>) -> Result<Terms, Refused> {
    let text = |name: &str| match properties.get(name) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.trim().to_owned(),
        Some(other) => other.to_string(),
    };
    let amount = |name: &str| match text(name).as_str() {
        "" => Ok(Amount::default()),
        written => Amount::parse(written).ok_or_else(|| {
            let reason = "must be an amount such as 0.002: at most 12 digits before the point and 6 after it";
            Refused::invalid(&format!("monetization.properties.{name}"), reason)
        }),
    };
    let (fixed_price, price_per_request) = (amount("fixedPrice")?, amount("pricePerRequest")?);
    let is_by_call = match plan.unwrap_or_default().to_ascii_uppercase().as_str() {
        "DYNAMICRATE" => true,
        "FIXEDRATE" => false,
        "" => price_per_request != Amount::default(),
        _ => return Err(Refused::invalid("monetization.monetizationPlan", "must be FIXEDRATE or DYNAMICRATE")),
    };
    let currency = match text("currencyType").to_ascii_uppercase() {
        none if none.is_empty() => CURRENCY.to_owned(),
        name if name.len() == 3 && name.bytes().all(|byte| byte.is_ascii_uppercase()) => name,
        _ => {
            let reason = "must be the three letters of a currency, such as USD (ISO 4217)";
            return Err(Refused::invalid("monetization.properties.currencyType", reason));
        }
    };
    let cycle = match text("billingCycle").as_str() {
        "" => Cycle::Month,
        written => Cycle::named(written).ok_or_else(|| {
            Refused::invalid("monetization.properties.billingCycle", "must be day, week, month or year")
        })?,
    };
    Ok(Terms { is_by_call, fixed_price, price_per_request, currency, cycle })
}

/// Says whether an API's other fields have it monetized.
#[must_use]
pub fn is_enabled(others: &Map<String, Value>) -> bool {
    others.get(FIELD).is_some_and(|said| said["enabled"] == true)
}

/// Makes an API's other fields say of it what others say, or nothing where those say nothing: only `monetize` changes it.
pub fn take_over(fields: &mut Map<String, Value>, from: &Map<String, Value>) {
    match from.get(FIELD) {
        None => fields.shift_remove(FIELD),
        Some(said) => fields.insert(FIELD.to_owned(), said.clone()),
    };
}

/// As [`take_over`], of other fields as they are kept; `None` where both say the same.
#[must_use]
pub fn taken_over(fields: &str, from: &str) -> Option<String> {
    // Most say nothing of it, and are not read.
    if ![fields, from].iter().any(|text| text.contains(FIELD)) {
        return None;
    }
    let read = |text: &str| serde_json::from_str::<Map<String, Value>>(text).unwrap_or_default();
    let (mut taken, from) = (read(fields), read(from));
    if taken.get(FIELD) == from.get(FIELD) {
        return None;
    }
    take_over(&mut taken, &from);
    Some(Value::Object(taken).to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read_of(plan: Option<&str>, properties: &Value) -> Result<Terms, Refused> {
        read(plan, properties.as_object().unwrap())
    }

    #[test]
    fn what_others_say_is_taken_over_also_where_they_say_nothing() {
        let (on, off, none) =
            (r#"{"a":1,"monetization":{"enabled":true}}"#, r#"{"monetization":{"enabled":false},"a":2}"#, r#"{"a":3}"#);
        assert_eq!(taken_over(on, off).as_deref(), Some(r#"{"a":1,"monetization":{"enabled":false}}"#));
        assert_eq!(taken_over(on, none).as_deref(), Some(r#"{"a":1}"#));
        assert_eq!(taken_over(none, on).as_deref(), Some(r#"{"a":3,"monetization":{"enabled":true}}"#));
        assert_eq!((taken_over(none, "{}"), taken_over(on, on)), (None, None));
    }

    #[test]
    fn prices_are_read_as_the_originals_portal_writes_them() {
        let said = json!({"pricePerRequest": "0.002", "fixedPrice": 5, "currencyType": "eur", "billingCycle": "Week"});
        let terms = read_of(Some("DYNAMICRATE"), &said).unwrap();
        assert_eq!((terms.of_calls(1_500).to_string(), &*terms.currency), ("3.00".to_owned(), "EUR"));
        assert_eq!((terms.fixed_price.to_string(), terms.cycle), ("5.00".to_owned(), Cycle::Week));
        let fixed = read_of(Some("FIXEDRATE"), &said).unwrap();
        assert_eq!(fixed.of_calls(1_500), Amount::default());
        let least = read_of(None, &json!({})).unwrap();
        assert_eq!((least.is_by_call, &*least.currency, least.cycle), (false, "USD", Cycle::Month));
        for (plan, wrong, field) in [
            (None, json!({"fixedPrice": "-1"}), "fixedPrice"),
            (None, json!({"pricePerRequest": "a lot"}), "pricePerRequest"),
            (None, json!({"currencyType": "euros"}), "currencyType"),
            (None, json!({"billingCycle": "fortnight"}), "billingCycle"),
            (Some("SOMETIMES"), json!({}), "monetizationPlan"),
        ] {
            assert!(read_of(plan, &wrong).unwrap_err().to_string().contains(field), "{wrong}");
        }
    }
}
