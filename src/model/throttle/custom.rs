//! A custom rule, compiled: does it count a call, and by which key?

use super::call::Call;
use super::expression::{BadExpression, Expression};
use super::key_template::{BadTemplate, KeyTemplate};
use crate::counter::{CounterKey, CounterSubject};
use crate::policy::{QuotaPolicy, QuotaUnit};
use crate::policy_rules::CustomRule;
use crate::tenant::TenantDomain;

/// Custom rules of a cluster: each is asked for every call.
pub const CUSTOM_RULES_MAX: usize = 100;

/// A custom rule ready for calls.
#[derive(Clone, Debug)]
pub struct CustomPlan {
    tenant: TenantDomain,
    policy: String,
    expression: Option<Expression>,
    template: KeyTemplate,
    unit: QuotaUnit,
}

/// Why a custom rule cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRule {
    /// Because of its expression.
    #[error("{0}")]
    Expression(#[from] BadExpression),
    /// Because of its template.
    #[error("{0}")]
    Template(#[from] BadTemplate),
}

impl CustomPlan {
    /// Compiles a rule; `None` where it limits nothing.
    ///
    /// # Errors
    /// Where the expression or the template cannot be used.
    pub fn compile(policy: &QuotaPolicy, rule: &CustomRule) -> Result<Option<Self>, BadRule> {
        let unit = policy.quota.unit();
        let text = rule.expression.trim();
        let expression = if text.is_empty() { None } else { Some(Expression::compile(text)?) };
        let template = KeyTemplate::compile(&rule.key_template)?;
        let (tenant, name) = (policy.tenant.clone(), policy.name.clone());
        let is_bound = policy.quota.bound(unit).is_some();
        Ok(is_bound.then_some(Self { tenant, policy: name, expression, template, unit }))
    }

    /// Returns the policy's name.
    #[must_use]
    pub fn policy(&self) -> &str {
        &self.policy
    }

    /// Returns what it counts.
    #[must_use]
    pub fn unit(&self) -> QuotaUnit {
        self.unit
    }

    /// Says whether it may count two calls with one token to one API differently. Where not, the outcome can be kept
    /// beside the token.
    #[must_use]
    pub fn depends_on_call(&self) -> bool {
        self.template.depends_on_call() || self.expression.as_ref().is_some_and(Expression::depends_on_call)
    }

    /// Writes the key by which a call is counted into `key` and returns true, or returns false where it is not counted.
    pub fn key(&self, call: &Call<'_>, key: &mut String) -> bool {
        let is_meant = self.expression.as_ref().is_none_or(|expression| expression.is_true_of(call));
        if is_meant {
            self.template.expand(call, key);
        }
        is_meant
    }

    /// Returns the counter of a key that [`CustomPlan::key`] wrote.
    #[must_use]
    pub fn counter(&self, key: &str) -> CounterKey {
        let subject = CounterSubject::Custom(key.to_owned());
        CounterKey { tenant: self.tenant.clone(), policy: self.policy.clone(), subject }
    }
}
