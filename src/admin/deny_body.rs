//! Deny policies in the form of the Admin v4 contract, checked on the way in.

use portcullis_http::time::{from_rfc3339, rfc3339};
use portcullis_model::throttle::condition::check_range;
use portcullis_model::{DenyCondition, DenyPolicy, PolicyId, Refused, TenantDomain, Timestamp, Username};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::condition_body::{read_address, read_network, write_network};

/// Characters of a condition's text.
const VALUE_CHARS_MAX: usize = 512;

/// A deny policy. `expiresAt` is ours: the original's never end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DenyBody {
    #[serde(skip_serializing_if = "Option::is_none")]
    condition_id: Option<String>,
    condition_type: String,
    condition_value: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    condition_status: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
}

/// What of a deny policy can be changed.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DenyStatusBody {
    pub(crate) condition_status: Option<bool>,
    /// Absent leaves it, `null` takes it away.
    #[serde(default, deserialize_with = "some_or_null")]
    pub(crate) expires_at: Option<Option<String>>,
}

fn some_or_null<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::<String>::deserialize(deserializer).map(Some)
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct AddressValue {
    fixed_ip: Option<String>,
    starting_ip: Option<String>,
    ending_ip: Option<String>,
    invert: bool,
}

impl DenyBody {
    /// Checks the fields and returns the deny policy.
    pub(crate) fn into_policy(self, tenant: &TenantDomain, id: PolicyId) -> Result<DenyPolicy, Refused> {
        let condition = self.condition(tenant)?;
        Ok(DenyPolicy {
            id,
            tenant: tenant.clone(),
            condition,
            is_active: self.condition_status.unwrap_or(true),
            expires_at: self.expires_at.as_deref().map(read_time).transpose()?,
            created_at: Timestamp(0),
            created_by: Username(String::new()),
        })
    }

    fn condition(&self, tenant: &TenantDomain) -> Result<DenyCondition, Refused> {
        match self.condition_type.as_str() {
            "API" => {
                let context = self.text()?;
                if !context.starts_with('/') {
                    return Err(invalid("must be the context of an API with its version, as /pizza/1.0.0"));
                }
                Ok(DenyCondition::Api(context.trim_end_matches('/').to_owned()))
            }
            "APPLICATION" => {
                let (owner, name) = self
                    .text()?
                    .split_once(':')
                    .filter(|(owner, name)| !owner.is_empty() && !name.is_empty())
                    .ok_or_else(|| invalid("must be OWNER:NAME of an application"))?;
                Ok(DenyCondition::Application { owner: user_in(owner, tenant), name: name.to_owned() })
            }
            "USER" => Ok(DenyCondition::User { tenant: tenant.clone(), username: user_in(self.text()?, tenant) }),
            "IP" => {
                let value = self.addresses()?;
                let network = read_network("conditionValue.fixedIp", value.fixed_ip.as_deref())?;
                Ok(DenyCondition::Ip { network, is_inverted: value.invert })
            }
            "IPRANGE" => {
                let value = self.addresses()?;
                let from = read_address("conditionValue.startingIp", value.starting_ip.as_deref())?;
                let to = read_address("conditionValue.endingIp", value.ending_ip.as_deref())?;
                check_range(from, to).map_err(|bad| invalid(&bad.to_string()))?;
                Ok(DenyCondition::IpRange { from, to, is_inverted: value.invert })
            }
            "TENANT" => {
                let domain = TenantDomain(self.text()?.to_owned());
                if !tenant.is_super() && domain != *tenant {
                    return Err(Refused::NotAllowed {
                        reason: "only the first tenant may turn away another".to_owned(),
                    });
                }
                Ok(DenyCondition::Tenant(domain))
            }
            other => {
                let reason = format!("`{other}` is none; there are API, APPLICATION, IP, IPRANGE, USER and TENANT");
                Err(Refused::invalid("conditionType", reason))
            }
        }
    }

    fn text(&self) -> Result<&str, Refused> {
        let text = self.condition_value.as_str().map(str::trim).filter(|text| !text.is_empty());
        let text = text.ok_or_else(|| invalid("must be a text"))?;
        if text.chars().count() > VALUE_CHARS_MAX {
            return Err(invalid(&format!("must be at most {VALUE_CHARS_MAX} characters")));
        }
        Ok(text)
    }

    fn addresses(&self) -> Result<AddressValue, Refused> {
        let wanted = "must be an object: {\"fixedIp\": …, \"invert\": false} for IP, {\"startingIp\": …, \"endingIp\": …, \
                      \"invert\": false} for IPRANGE";
        match &self.condition_value {
            Value::String(text) => Ok(AddressValue { fixed_ip: Some(text.clone()), ..AddressValue::default() }),
            value => serde_json::from_value(value.clone()).map_err(|_| invalid(wanted)),
        }
    }

    /// Returns a deny policy in the contract's form.
    pub(crate) fn of(policy: &DenyPolicy) -> Self {
        Self {
            condition_id: Some(policy.id.to_string()),
            condition_type: policy.condition.kind().to_owned(),
            condition_value: value_of(&policy.condition),
            condition_status: Some(policy.is_active),
            expires_at: policy.expires_at.map(rfc3339),
        }
    }

    /// Says whether it is one that a search asks for.
    pub(crate) fn is_found_by(&self, kind: Option<&str>, value: Option<&str>) -> bool {
        let text = match &self.condition_value {
            Value::String(text) => text.clone(),
            value => value.to_string(),
        };
        kind.is_none_or(|kind| self.condition_type.eq_ignore_ascii_case(kind))
            && value.is_none_or(|value| text.contains(value))
    }
}

fn value_of(condition: &DenyCondition) -> Value {
    match condition {
        DenyCondition::Api(context) => json!(context),
        DenyCondition::Application { owner, name } => json!(format!("{owner}:{name}")),
        DenyCondition::User { tenant, username } => json!(format!("{username}@{tenant}")),
        DenyCondition::Tenant(tenant) => json!(tenant.0),
        DenyCondition::Ip { network, is_inverted } => {
            json!({"fixedIp": write_network(*network), "invert": is_inverted})
        }
        DenyCondition::IpRange { from, to, is_inverted } => {
            json!({"startingIp": from, "endingIp": to, "invert": is_inverted})
        }
    }
}

/// Returns the user of `tenant` whom a text names: `mia`, or with the tenant `mia@carbon.super`.
fn user_in(text: &str, tenant: &TenantDomain) -> Username {
    let name = text.strip_suffix(tenant.0.as_str()).and_then(|text| text.strip_suffix('@'));
    Username(name.filter(|name| !name.is_empty()).unwrap_or(text).to_owned())
}

/// Reads when a deny policy ends.
pub(crate) fn read_time(text: &str) -> Result<Timestamp, Refused> {
    from_rfc3339(text).ok_or_else(|| Refused::invalid("expiresAt", "must be a time as 2027-01-31T12:00:00Z"))
}

fn invalid(reason: &str) -> Refused {
    Refused::invalid("conditionValue", reason)
}
