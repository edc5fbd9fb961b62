//! Condition groups of advanced policies in the form of the Admin v4 contract, checked on the way in.

use std::net::IpAddr;

use ipnet::IpNet;
use portcullis_model::policy_rules::{CONDITIONS_MAX, Condition, ConditionGroup, GROUPS_MAX, GroupCondition};
use portcullis_model::throttle::condition::CompiledCondition;
use portcullis_model::{PolicyLevel, Refused};
use serde::{Deserialize, Serialize};

use crate::limit_body::LimitBody;

/// Characters of a group's description.
const DESCRIPTION_CHARS_MAX: usize = 1024;

/// A group of conditions with its limit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct GroupBody {
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    conditions: Vec<ConditionBody>,
    limit: LimitBody,
}

/// One condition of any type; which field a type has is decided by [`ConditionBody::read`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ConditionBody {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    invert_condition: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    header_condition: Option<HeaderBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip_condition: Option<IpBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwt_claims_condition: Option<ClaimBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    query_parameter_condition: Option<QueryBody>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct HeaderBody {
    header_name: String,
    header_value: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct IpBody {
    #[serde(skip_serializing_if = "Option::is_none")]
    ip_condition_type: Option<String>,
    #[serde(rename = "specificIP", skip_serializing_if = "Option::is_none")]
    specific_ip: Option<String>,
    #[serde(rename = "startingIP", skip_serializing_if = "Option::is_none")]
    starting_ip: Option<String>,
    #[serde(rename = "endingIP", skip_serializing_if = "Option::is_none")]
    ending_ip: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClaimBody {
    claim_url: String,
    attribute: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct QueryBody {
    parameter_name: String,
    parameter_value: String,
}

/// Checks groups and returns them.
pub(crate) fn read_groups(bodies: &[GroupBody]) -> Result<Vec<ConditionGroup>, Refused> {
    if bodies.len() > GROUPS_MAX {
        let reason = format!("must be at most {GROUPS_MAX}; there are {}", bodies.len());
        return Err(Refused::invalid("conditionalGroups", reason));
    }
    let place = |number: usize| format!("conditionalGroups[{number}]");
    bodies.iter().enumerate().map(|(number, body)| body.read(&place(number))).collect()
}

impl GroupBody {
    fn read(&self, place: &str) -> Result<ConditionGroup, Refused> {
        let description = self.description.clone().unwrap_or_default();
        if description.chars().count() > DESCRIPTION_CHARS_MAX {
            let reason = format!("must be at most {DESCRIPTION_CHARS_MAX} characters");
            return Err(Refused::invalid(&format!("{place}.description"), reason));
        }
        if !(1..=CONDITIONS_MAX).contains(&self.conditions.len()) {
            let reason = format!("must be 1 to {CONDITIONS_MAX}");
            return Err(Refused::invalid(&format!("{place}.conditions"), reason));
        }
        let conditions = self.conditions.iter().enumerate();
        let conditions: Result<_, _> =
            conditions.map(|(number, body)| body.read(&format!("{place}.conditions[{number}]"))).collect();
        let (quota, window) = self.limit.read(PolicyLevel::Advanced, &format!("{place}.limit"))?;
        Ok(ConditionGroup { description, conditions: conditions?, quota, window })
    }

    /// Returns a group in the contract's form.
    pub(crate) fn of(group: &ConditionGroup) -> Self {
        Self {
            description: Some(group.description.clone()).filter(|text| !text.is_empty()),
            conditions: group.conditions.iter().map(ConditionBody::of).collect(),
            limit: LimitBody::of(group.quota, group.window),
        }
    }
}

impl ConditionBody {
    fn read(&self, place: &str) -> Result<GroupCondition, Refused> {
        let missing = |field: &str| {
            Refused::invalid(&format!("{place}.{field}"), format!("is missing, though the type is {}", self.kind))
        };
        let condition = match self.kind.as_str() {
            "IPCONDITION" => self.ip_condition.as_ref().ok_or_else(|| missing("ipCondition"))?.read(place)?,
            "HEADERCONDITION" => {
                let body = self.header_condition.as_ref().ok_or_else(|| missing("headerCondition"))?;
                Condition::Header { name: body.header_name.to_ascii_lowercase(), pattern: body.header_value.clone() }
            }
            "QUERYPARAMETERCONDITION" => {
                let body = self.query_parameter_condition.as_ref();
                let body = body.ok_or_else(|| missing("queryParameterCondition"))?;
                Condition::Query { name: body.parameter_name.clone(), pattern: body.parameter_value.clone() }
            }
            "JWTCLAIMSCONDITION" => {
                let body = self.jwt_claims_condition.as_ref().ok_or_else(|| missing("jwtClaimsCondition"))?;
                Condition::Claim { name: body.claim_url.clone(), pattern: body.attribute.clone() }
            }
            other => {
                let reason = format!(
                    "`{other}` is not a type of condition; there are IPCONDITION, HEADERCONDITION, \
                     QUERYPARAMETERCONDITION and JWTCLAIMSCONDITION"
                );
                return Err(Refused::invalid(&format!("{place}.type"), reason));
            }
        };
        let condition = GroupCondition { condition, is_inverted: self.invert_condition };
        CompiledCondition::compile(&condition).map_err(|bad| Refused::invalid(place, bad.to_string()))?;
        Ok(condition)
    }

    fn of(from: &GroupCondition) -> Self {
        let body = Self { invert_condition: from.is_inverted, ..Self::default() };
        let kind = |kind: &str| kind.to_owned();
        match &from.condition {
            Condition::Ip(network) => {
                let ip = IpBody {
                    ip_condition_type: Some("IPSPECIFIC".to_owned()),
                    specific_ip: Some(write_network(*network)),
                    ..IpBody::default()
                };
                Self { kind: kind("IPCONDITION"), ip_condition: Some(ip), ..body }
            }
            Condition::IpRange { from, to } => {
                let ip = IpBody {
                    ip_condition_type: Some("IPRANGE".to_owned()),
                    starting_ip: Some(from.to_string()),
                    ending_ip: Some(to.to_string()),
                    ..IpBody::default()
                };
                Self { kind: kind("IPCONDITION"), ip_condition: Some(ip), ..body }
            }
            Condition::Header { name, pattern } => {
                let header = HeaderBody { header_name: name.clone(), header_value: pattern.clone() };
                Self { kind: kind("HEADERCONDITION"), header_condition: Some(header), ..body }
            }
            Condition::Query { name, pattern } => {
                let query = QueryBody { parameter_name: name.clone(), parameter_value: pattern.clone() };
                Self { kind: kind("QUERYPARAMETERCONDITION"), query_parameter_condition: Some(query), ..body }
            }
            Condition::Claim { name, pattern } => {
                let claim = ClaimBody { claim_url: name.clone(), attribute: pattern.clone() };
                Self { kind: kind("JWTCLAIMSCONDITION"), jwt_claims_condition: Some(claim), ..body }
            }
        }
    }
}

impl IpBody {
    fn read(&self, place: &str) -> Result<Condition, Refused> {
        let field = |name: &str| format!("{place}.ipCondition.{name}");
        match self.ip_condition_type.as_deref() {
            Some("IPSPECIFIC") => read_network(&field("specificIP"), self.specific_ip.as_deref()).map(Condition::Ip),
            Some("IPRANGE") => Ok(Condition::IpRange {
                from: read_address(&field("startingIP"), self.starting_ip.as_deref())?,
                to: read_address(&field("endingIP"), self.ending_ip.as_deref())?,
            }),
            _ => Err(Refused::invalid(&field("ipConditionType"), "must be IPSPECIFIC or IPRANGE")),
        }
    }
}

/// Returns the address that a text names.
pub(crate) fn read_address(field: &str, text: Option<&str>) -> Result<IpAddr, Refused> {
    let text = text.map(str::trim).filter(|text| !text.is_empty());
    let text = text.ok_or_else(|| Refused::invalid(field, "is missing"))?;
    let address: Result<IpAddr, _> = text.parse();
    let reason = || format!("`{text}` is not an IPv4 or IPv6 address");
    address.map(|address| address.to_canonical()).map_err(|_| Refused::invalid(field, reason()))
}

/// Returns the network that a text names: one address, or a network as `10.0.0.0/8`.
pub(crate) fn read_network(field: &str, text: Option<&str>) -> Result<IpNet, Refused> {
    match text.map(str::trim) {
        Some(text) if text.contains('/') => {
            let reason = || format!("`{text}` is not a network; one is written as 10.0.0.0/8 or 2001:db8::/32");
            let network: IpNet = text.parse().map_err(|_| Refused::invalid(field, reason()))?;
            Ok(network.trunc())
        }
        text => read_address(field, text).map(IpNet::from),
    }
}

/// Writes a network so that [`read_network`] reads it: an address alone without its prefix.
pub(crate) fn write_network(network: IpNet) -> String {
    let is_one = network.prefix_len() == network.max_prefix_len();
    if is_one { network.addr().to_string() } else { network.to_string() }
}
