//! Notes of what happened to an API: lifecycle events, and when it was last changed. It decides nothing.

use std::sync::Arc;

use portcullis_model::{ApiId, Lifecycle, Timestamp};

use crate::command::Moment;
use crate::state::{LifecycleEvent, State};

/// Notes that an API moved from one state of its life to another; `from` is `None` for a new one.
pub(crate) fn record_lifecycle(state: &mut State, api: ApiId, from: Option<Lifecycle>, to: Lifecycle, moment: &Moment) {
    let last = state.apimgt.lifecycle_events.range((api, 0)..=(api, u64::MAX)).next_back();
    let number = last.map_or(1, |((_, number), _)| number + 1);
    let event = LifecycleEvent { from, to, user: moment.principal.username.clone(), at: moment.now };
    state.apimgt.lifecycle_events.insert((api, number), Arc::new(event));
}

/// Returns the time of a change, always later than the change before, so that a caller can tell versions apart.
pub(crate) fn time_of_change(moment: &Moment, before: Timestamp) -> Timestamp {
    moment.now.max(Timestamp(before.0.saturating_add(1)))
}
