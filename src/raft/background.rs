//! Long work on threads of their own that give way to everything else: writing and loading snapshots and backups, while
//! API calls go on.

use std::io;
use std::thread;

use tokio::sync::oneshot;

/// How much less such a thread gets of a busy core: as with `nice`, about a tenth.
const NICE: i32 = 10;

/// Runs `work` on a thread that gives way, named `name`.
///
/// # Errors
/// Where there can be no further thread, or `work` panicked.
pub(crate) async fn run<T: Send + 'static>(name: &str, work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    #[cfg(test)]
    if crate::simulation::is_here() {
        return Ok(work());
    }
    let (give, take) = oneshot::channel();
    spawn(name, || drop(give.send(work())))?;
    take.await.map_err(|_| io::Error::other("the thread did not end well"))
}

/// Starts `work` on a thread that gives way.
///
/// # Errors
/// Where there can be no further thread.
pub(crate) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let give_way_and_work = || {
        if let Err(e) = rustix::process::nice(NICE) {
            tracing::debug!(error = %e, "a thread for long work does not give way");
        }
        work();
    };
    thread::Builder::new().name(name.to_owned()).spawn(give_way_and_work).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn long_work_gives_way_and_only_that() {
        let nice = || rustix::process::nice(0).unwrap();
        let before = nice();
        assert_eq!(run("long", nice).await.unwrap(), (before + NICE).min(19));
        assert_eq!(nice(), before);
        let failed = run("fails", || -> u8 { panic!("on purpose") }).await;
        failed.unwrap_err();
    }
}
