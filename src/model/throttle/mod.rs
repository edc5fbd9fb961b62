//! Policies compiled for the request path: which counters a call is held to, and who is turned away.
//!
//! Everything is compiled when policies or APIs change; nothing here counts, waits or, once compiled, allocates for a
//! call. What is left of a limit is the Traffic Manager's to say.

pub mod advanced;
pub mod call;
pub mod condition;
pub mod custom;
pub mod deny_list;
pub mod expression;
mod expression_compile;
pub mod key_template;
pub mod plan;
pub mod siddhi;
mod siddhi_words;
#[cfg(test)]
mod tests;

pub use advanced::{AdvancedPlan, Groups};
pub use call::{Call, Caller, TokenClaims};
pub use condition::BadCondition;
pub use custom::CustomPlan;
pub use deny_list::DenyList;
pub use expression::{BadExpression, Expression};
pub use key_template::{BadTemplate, KeyTemplate};
pub use plan::{ApiPlan, MetLimit, PolicySource, Subscriber};
pub use siddhi::{SiddhiRule, UnknownShape};
