//! Minutes, as quotas per minute see them.

use std::time::{Duration, SystemTime};

use super::until;

/// Returns the number of the present minute, and what is left of it.
pub fn minute() -> (u64, Duration) {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    (now.as_secs() / 60, Duration::from_secs(60) - Duration::from_secs(now.as_secs() % 60))
}

/// Waits until at least `left` of the present minute are left, and returns its number.
pub async fn wait_for_room_in_minute(left: Duration) -> u64 {
    until("a minute with room", async || {
        let (number, rest) = minute();
        (rest > left).then_some(number)
    })
    .await
}
