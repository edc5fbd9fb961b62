use std::sync::Arc;

use portcullis_model::call_log::{CallLog, CallLogLevel};
use portcullis_model::{ApiId, Refused, TenantDomain};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::state::{Apimgtdb, Generation, State};

/// Says how much gateways log of the calls of an API, or of one of its operations. In force on every gateway when the
/// answer comes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SetCallLog {
    /// The API's tenant.
    pub tenant: TenantDomain,
    /// The API.
    pub api: ApiId,
    /// The operation, by verb and URI template; `None` for all that have no level of their own.
    pub operation: Option<(String, String)>,
    /// How much.
    pub level: CallLogLevel,
}

impl<C: Component> SubmittedBy<C> for SetCallLog where C: Writes<Apimgtdb> {}

impl Command for SetCallLog {
    type Reply = ();
    const EVERYWHERE: bool = true;

    fn subject(&self) -> String {
        self.api.to_string()
    }

    fn apply(self, state: &mut State, _moment: &Moment) -> Result<(), Refused> {
        let found = state.apimgt.apis.get(&self.api).filter(|api| api.tenant == self.tenant);
        let api = found.ok_or_else(|| Refused::not_found("API", self.api))?;
        let mut log = state.deployed.call_logs.get(&self.api).map(|log| CallLog::clone(log)).unwrap_or_default();
        match self.operation {
            None => log.all = self.level,
            Some((verb, target)) => {
                if !api.operations.iter().any(|one| one.verb == verb && one.target == target) {
                    return Err(Refused::invalid("resourcePath", format!("the API has no operation {verb} {target}")));
                }
                log.operations.insert((verb, target), self.level);
            }
        }
        // An operation as all others needs no word of its own, nor does one that is there no more.
        let all = log.all;
        let is_there = |(verb, target): &(String, String)| {
            api.operations.iter().any(|one| one.verb == *verb && one.target == *target)
        };
        log.operations.retain(|operation, level| *level != all && is_there(operation));
        if log.is_silent() {
            state.deployed.call_logs.remove(&self.api);
        } else {
            state.deployed.call_logs.insert(self.api, Arc::new(log));
        }
        state.deployed.advance(Generation::Routes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use portcullis_model::{Operation, OperationAuth};

    use super::super::store_fixture::{self, Fixture};
    use super::*;

    #[test]
    fn a_level_is_of_the_api_or_of_an_operation() {
        let mut fixture = Fixture::new();
        let mut api = store_fixture::api(1);
        api.operations.push(Operation {
            verb: "GET".to_owned(),
            target: "/menu".to_owned(),
            auth: OperationAuth::Any,
            policy: "Unlimited".to_owned(),
            scopes: Vec::new(),
        });
        let id = api.id;
        fixture.publish(api);
        let set = |operation: Option<&str>, level| SetCallLog {
            tenant: TenantDomain::super_tenant(),
            api: id,
            operation: operation.map(|target| ("GET".to_owned(), target.to_owned())),
            level,
        };
        let level = |fixture: &Fixture| {
            fixture.state.deployed.call_logs.get(&id).map_or(CallLogLevel::Off, |log| log.of("GET", "/menu"))
        };
        fixture.apply(set(None, CallLogLevel::Basic)).unwrap();
        assert_eq!(level(&fixture), CallLogLevel::Basic);
        fixture.apply(set(Some("/menu"), CallLogLevel::Full)).unwrap();
        assert_eq!(level(&fixture), CallLogLevel::Full);
        assert!(matches!(fixture.apply(set(Some("/nowhere"), CallLogLevel::Full)), Err(Refused::Invalid { .. })));
        let stranger = SetCallLog { tenant: TenantDomain("else.example".to_owned()), ..set(None, CallLogLevel::Full) };
        assert!(fixture.apply(stranger).is_err());
        fixture.apply(set(None, CallLogLevel::Full)).unwrap();
        assert!(fixture.state.deployed.call_logs[&id].operations.is_empty());
        fixture.apply(set(None, CallLogLevel::Off)).unwrap();
        assert!(!fixture.state.deployed.call_logs.contains_key(&id));
    }
}
