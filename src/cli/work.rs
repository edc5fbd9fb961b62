//! Shows on standard error how far something is that takes longer than a second: bytes done, of how many, and how long it may
//! still take. On a terminal one line that changes; elsewhere a line now and then.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::output;

/// What is over sooner needs no word.
const AFTER: Duration = Duration::from_secs(1);
/// How often a line changes on a terminal.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How often a line is written elsewhere.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// How it is known how far something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// By what is told to [`Work::add`].
    Added,
    /// By what this process reads, of a file of so many bytes. Only its time where the system does not say that.
    Read(u64),
    /// By its time alone: somebody else does it.
    Time,
}

/// Something that takes its time. What is shown of it ends when this is dropped.
pub struct Work {
    shared: Arc<Shared>,
    shower: Option<JoinHandle<()>>,
}

struct Shared {
    what: String,
    measure: Measure,
    began: Instant,
    done: AtomicU64,
    is_over: Mutex<bool>,
    ended: Condvar,
}

impl Work {
    /// Begins to show something, `what` in the words of a sentence: `checking the backup`.
    #[must_use]
    pub fn begin(what: impl Into<String>, measure: Measure) -> Self {
        if output::is_quiet() {
            return Self::shown(what.into(), measure, None);
        }
        let is_terminal = std::io::stderr().is_terminal();
        let every = if is_terminal { LOOK_EVERY } else { SAY_EVERY };
        let show = move |line: &str| {
            if is_terminal {
                // Where standard error is closed there is nobody to tell.
                let _ = write!(anstream::stderr().lock(), "\r\x1b[2K{line}");
            } else if !line.is_empty() {
                output::say(line);
            }
        };
        Self::shown(what.into(), measure, Some((AFTER, every, Box::new(show))))
    }

    fn shown(what: String, measure: Measure, shower: Option<Shower>) -> Self {
        let before = bytes_read().unwrap_or_default();
        let shared = Arc::new(Shared {
            what,
            measure,
            began: Instant::now(),
            done: AtomicU64::new(0),
            is_over: Mutex::new(false),
            ended: Condvar::new(),
        });
        let of_thread = Arc::clone(&shared);
        let shower = shower.map(|(after, every, show)| {
            std::thread::spawn(move || of_thread.show_until_over(before, after, every, show.as_ref()))
        });
        Self { shared, shower }
    }

    /// Counts bytes that are done.
    pub fn add(&self, bytes: u64) {
        self.shared.done.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// When something is shown for the first time, how often then, and by what.
type Shower = (Duration, Duration, Box<dyn Fn(&str) + Send>);

impl Drop for Work {
    fn drop(&mut self) {
        *self.shared.is_over.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.shared.ended.notify_all();
        if let Some(shower) = self.shower.take() {
            // A line that could not be shown is no fault of the work.
            let _ = shower.join();
        }
    }
}

impl Shared {
    fn show_until_over(&self, before: u64, after: Duration, every: Duration, show: &dyn Fn(&str)) {
        let mut pause = after;
        let mut is_over = self.is_over.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let waited = self.ended.wait_timeout_while(is_over, pause, |is_over| !*is_over);
            is_over = waited.unwrap_or_else(PoisonError::into_inner).0;
            if *is_over {
                if pause == every {
                    show("");
                }
                return;
            }
            show(&self.line(before));
            pause = every;
        }
    }

    fn line(&self, before: u64) -> String {
        let (done, total) = match self.measure {
            Measure::Added => (Some(self.done.load(Ordering::Relaxed)), None),
            Measure::Read(total) => (bytes_read().map(|read| read.saturating_sub(before)), Some(total)),
            Measure::Time => (None, None),
        };
        line(&self.what, done, total, self.began.elapsed())
    }
}

/// Returns how many bytes this process has read in all.
fn bytes_read() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/io").ok()?;
    text.lines().find_map(|line| line.strip_prefix("rchar: "))?.trim().parse().ok()
}

fn line(what: &str, done: Option<u64>, total: Option<u64>, elapsed: Duration) -> String {
    let elapsed_s = elapsed.as_secs();
    match (done, total.filter(|total| *total > 0)) {
        (None, _) => format!("{what}: {elapsed_s} s"),
        (Some(done), None) => format!("{what}: {} in {elapsed_s} s", megabytes(done)),
        (Some(done), Some(total)) => {
            // More may be read than the file has: its head is looked at before.
            let done = done.min(total);
            let left_ms = u128::from(total - done) * elapsed.as_millis() / u128::from(done.max(1));
            let left = if done == 0 { String::new() } else { format!(", about {} s left", left_ms.div_ceil(1_000)) };
            let percent = u128::from(done) * 100 / u128::from(total);
            format!("{what}: {} of {} ({percent} %){left}", megabytes(done), megabytes(total))
        }
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_line_says_how_much_is_done_and_how_long_it_may_still_take() {
        let second = Duration::from_secs(1);
        assert_eq!(line("waiting", None, None, 3 * second), "waiting: 3 s");
        assert_eq!(line("writing f", Some(12_345_678), None, 2 * second), "writing f: 12.3 MB in 2 s");
        assert_eq!(line("writing f", Some(5), Some(0), second), "writing f: 0.0 MB in 1 s", "an empty file");
        let wanted = "checking f: 25.0 MB of 100.0 MB (25 %), about 6 s left";
        assert_eq!(line("checking f", Some(25_000_000), Some(100_000_000), 2 * second), wanted);
        let wanted = "checking f: 1.0 MB of 1.0 MB (100 %), about 0 s left";
        assert_eq!(line("checking f", Some(1_200_000), Some(1_000_000), second), wanted);
        assert!(line("checking f", Some(0), Some(10), second).ends_with("(0 %)"));
    }

    #[test]
    fn what_takes_long_is_shown_until_it_ends_and_what_does_not_is_not() {
        let (sender, lines) = mpsc::channel();
        let shower = |sender: mpsc::Sender<String>, after: Duration| -> Shower {
            let show = move |line: &str| sender.send(line.to_owned()).unwrap();
            (after, Duration::from_millis(1), Box::new(show))
        };
        drop(Work::shown("quick".to_owned(), Measure::Added, Some(shower(sender.clone(), Duration::from_secs(60)))));
        let work = Work::shown("slow".to_owned(), Measure::Added, Some(shower(sender, Duration::from_millis(1))));
        work.add(700_000);
        let wanted = "slow: 0.7 MB in 0 s";
        assert!(lines.iter().any(|line| line == wanted), "it is shown with what was added");
        drop(work);
        let rest: Vec<String> = lines.iter().collect();
        assert_eq!(rest.last().map(String::as_str), Some(""), "the line is taken away at the end");
        assert!(rest.iter().all(|line| !line.starts_with("quick")));
    }

    #[test]
    fn what_this_process_reads_is_known() {
        let before = bytes_read().expect("Linux says it");
        std::fs::read("/proc/self/exe").unwrap();
        assert!(bytes_read().unwrap() > before + 1_000_000);
    }
}
