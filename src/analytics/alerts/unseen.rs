//! Alerts about addresses from which an application did not call lately: what the state machine found unseen.

use std::time::Duration;

use portcullis_database::Statdb;
use portcullis_model::alert::AlertKind as Kind;
use portcullis_model::statistics::no_api;
use portcullis_model::{ApplicationId, CallerNetwork, Timestamp};

use super::rules::{Alert, Thresholds};

/// How far back is looked at least: a node may tell late.
const BACK_MIN: Duration = Duration::from_secs(300);

/// Returns what there is to tell, the newest first. `every` is how often is looked.
pub(super) fn look(stat: &Statdb, now: Timestamp, every: Duration, thresholds: &Thresholds) -> Vec<Alert> {
    if thresholds.unseen_days == 0 {
        return Vec::new();
    }
    let back = u64::try_from(BACK_MIN.max(every * 2).as_millis()).unwrap_or(u64::MAX);
    let first = (Timestamp(now.0.saturating_sub(back)), ApplicationId(no_api().0), CallerNetwork::V4([0; 4]));
    let found = stat.unseen_networks.range(first..);
    let mut alerts: Vec<Alert> = found
        .map(|((_, application, network), unseen)| {
            let named = stat.apis.get(&unseen.api);
            let (api_name, api_version) = named.map(|api| (api.name.clone(), api.version.clone())).unwrap_or_default();
            let application_name = stat.applications.get(application).map(|known| known.name.clone());
            let who = application_name.clone().unwrap_or_else(|| application.to_string());
            let (user, days) = (&unseen.user, thresholds.unseen_days);
            let text = format!(
                "{api_name} {api_version}: {who} (for {user}) called from {network}, from where it had not called in \
                 {days} days"
            );
            Alert {
                kind: Kind::UnseenAddress,
                api: unseen.api,
                api_name,
                api_version,
                application: Some(*application),
                application_name,
                network: Some(*network),
                value: 1,
                usual: 0,
                text,
            }
        })
        .collect();
    alerts.reverse();
    alerts
}
