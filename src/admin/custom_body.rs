//! Custom rules in the form of the Admin v4 contract, checked on the way in: a Siddhi query of the common shape, or an
//! expression and a limit of ours.

use portcullis_model::policy_rules::CustomRule;
use portcullis_model::throttle::{Expression, KeyTemplate, SiddhiRule};
use portcullis_model::{PolicyLevel, Quota, Refused, Window};

use crate::limit_body::LimitBody;

/// What a custom rule says.
pub(crate) struct ReadRule {
    pub(crate) rule: CustomRule,
    pub(crate) quota: Quota,
    pub(crate) window: Window,
}

/// A rule whose content is gone, which a policy of this level never is stored without.
pub(crate) fn nothing() -> CustomRule {
    CustomRule { key_template: String::new(), expression: String::new(), siddhi_query: String::new() }
}

/// Checks the fields of a rule and returns what it says. A query, where there is one, says the limit and the condition;
/// what the same rule says in the other fields is what it was read as before.
pub(crate) fn read(
    siddhi_query: Option<&str>,
    key_template: Option<&str>,
    expression: Option<&str>,
    limit: Option<&LimitBody>,
) -> Result<ReadRule, Refused> {
    let key_template = key_template.unwrap_or_default().trim().to_owned();
    KeyTemplate::compile(&key_template).map_err(|bad| Refused::invalid("keyTemplate", bad.to_string()))?;
    let query = siddhi_query.unwrap_or_default().trim();
    if !query.is_empty() {
        let read = SiddhiRule::read(query).map_err(|unknown| Refused::invalid("siddhiQuery", unknown.to_string()))?;
        check("siddhiQuery", &read.expression)?;
        let rule = CustomRule { key_template, expression: read.expression, siddhi_query: query.to_owned() };
        return Ok(ReadRule { rule, quota: read.quota, window: read.window });
    }
    let expression = expression.unwrap_or_default().trim().to_owned();
    check("expression", &expression)?;
    let missing =
        "is missing: a custom rule has either a siddhiQuery, or a defaultLimit and an expression (empty: all calls)";
    let limit = limit.ok_or_else(|| Refused::invalid("siddhiQuery", missing))?;
    let (quota, window) = limit.read(PolicyLevel::Custom, "defaultLimit")?;
    let rule = CustomRule { key_template, expression, siddhi_query: String::new() };
    Ok(ReadRule { rule, quota, window })
}

fn check(field: &str, expression: &str) -> Result<(), Refused> {
    if expression.is_empty() {
        return Ok(());
    }
    Expression::compile(expression).map(drop).map_err(|bad| Refused::invalid(field, bad.to_string()))
}
