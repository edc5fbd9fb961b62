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

/// Bytes between two moments at which a thread lets others run: some hundred microseconds of work. A thread that gives
/// way is otherwise still left on its core until its slice of some milliseconds is over, and a call would wait for that.
const BYTES_AT_A_TIME: usize = 32 << 10;

/// Reads or writes, and lets others run now and then.
#[derive(Debug)]
pub(crate) struct GivesWay<T> {
    inner: T,
    done: usize,
}

impl<T> GivesWay<T> {
    pub(crate) fn new(inner: T) -> Self {
        Self { inner, done: 0 }
    }

    fn note(&mut self, bytes: usize) {
        self.done += bytes;
        if self.done >= BYTES_AT_A_TIME {
            self.done = 0;
            thread::yield_now();
        }
    }
}

impl<T: io::Read> io::Read for GivesWay<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.inner.read(buffer)?;
        self.note(bytes);
        Ok(bytes)
    }
}

impl<T: io::Write> io::Write for GivesWay<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.note(written);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
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
