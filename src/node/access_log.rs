//! Writes the access log: a thread of its own appends what the gateway's workers hand on to a file or to standard output.
//! Nobody waits for it: where the disk is slower than the calls, lines are dropped and counted. The file is opened anew when
//! the configuration is read again, so that it can be moved away first.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use portcullis_model::access_log::AccessLines;

/// Lots of lines that may wait, each 64 KiB or what a worker gathered in a tick.
const LOTS_MAX: usize = 256;
/// How long is waited between two looks at whether all is written.
const END_PAUSE: Duration = Duration::from_millis(5);
/// Who may read a file that is made: it says who called what from where.
const FILE_MODE: u32 = 0o640;
/// The name that means standard output.
const STANDARD_OUTPUT: &str = "-";

/// The access log of this node.
pub(crate) struct AccessLogFile {
    queue: SyncSender<Message>,
    written: Arc<AtomicU64>,
    dropped: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

/// What the thread is told.
enum Message {
    Lines(Vec<u8>, u64),
    Reopen,
    End,
}

/// How the access log stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccessLogFigures {
    /// Lines that were written.
    pub written: u64,
    /// Calls whose lines were not: too many waited, or they could not be written.
    pub dropped: u64,
}

/// Where lines are written.
enum Place {
    File(PathBuf, File),
    StandardOutput,
}

impl AccessLogFile {
    /// Opens the file, and makes it where it is not there; `-` is standard output.
    ///
    /// # Errors
    /// Where it cannot be opened to be appended to.
    pub(crate) fn open(path: &str) -> io::Result<Arc<Self>> {
        let place = Place::open(path)?;
        let (queue, messages) = sync_channel(LOTS_MAX);
        let (written, dropped) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let mut writer = Writer { place, is_well: true, written: Arc::clone(&written), dropped: Arc::clone(&dropped) };
        let thread = std::thread::Builder::new().name("access-log".to_owned()).spawn(move || writer.run(&messages))?;
        Ok(Arc::new(Self { queue, written, dropped, thread }))
    }

    /// Has the file opened anew, by its name.
    pub(crate) fn reopen(&self) {
        if self.queue.try_send(Message::Reopen).is_err() {
            tracing::warn!("the access log is not opened anew: it is behind; have the configuration read again");
        }
    }

    /// Writes what waits, and ends; says whether that was done in time. A disk, or who reads the output, may hang.
    pub(crate) async fn end(&self, within: Duration) -> bool {
        let deadline = Instant::now() + within;
        let mut is_told = false;
        while !self.thread.is_finished() {
            is_told = is_told || self.queue.try_send(Message::End).is_ok();
            if Instant::now() >= deadline {
                return false;
            }
            tokio::time::sleep(END_PAUSE).await;
        }
        true
    }

    pub(crate) fn figures(&self) -> AccessLogFigures {
        AccessLogFigures {
            written: self.written.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
        }
    }
}

impl AccessLines for AccessLogFile {
    fn take(&self, lines: Vec<u8>, count: u64, dropped: u64) {
        let is_taken = self.queue.try_send(Message::Lines(lines, count)).is_ok();
        self.dropped.fetch_add(if is_taken { dropped } else { count + dropped }, Ordering::Relaxed);
    }
}

/// What the thread has.
struct Writer {
    place: Place,
    /// Whether the last lines could be written: that they cannot is said once.
    is_well: bool,
    written: Arc<AtomicU64>,
    dropped: Arc<AtomicU64>,
}

impl Writer {
    fn run(&mut self, messages: &Receiver<Message>) {
        for message in messages {
            match message {
                Message::Lines(lines, count) => self.write(&lines, count),
                Message::Reopen => self.place.reopen(),
                Message::End => return,
            }
        }
    }

    fn write(&mut self, lines: &[u8], count: u64) {
        let outcome = match &mut self.place {
            Place::File(_, file) => file.write_all(lines),
            Place::StandardOutput => io::stdout().lock().write_all(lines).and_then(|()| io::stdout().flush()),
        };
        match outcome {
            Ok(()) => {
                self.written.fetch_add(count, Ordering::Relaxed);
                if !std::mem::replace(&mut self.is_well, true) {
                    tracing::info!("the access log is written again");
                }
            }
            Err(cause) => {
                self.dropped.fetch_add(count, Ordering::Relaxed);
                if std::mem::replace(&mut self.is_well, false) {
                    tracing::error!(%cause, "the access log cannot be written; calls go on without it");
                }
            }
        }
    }
}

impl Place {
    fn open(path: &str) -> io::Result<Self> {
        if path == STANDARD_OUTPUT {
            return Ok(Self::StandardOutput);
        }
        let path = PathBuf::from(path);
        let file = appended(&path)?;
        Ok(Self::File(path, file))
    }

    /// Goes on with the old file where the new one cannot be opened.
    fn reopen(&mut self) {
        if let Self::File(path, file) = self {
            match appended(path) {
                Ok(opened) => *file = opened,
                Err(cause) => tracing::error!(path = %path.display(), %cause, "the access log cannot be opened anew"),
            }
        }
    }
}

fn appended(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(FILE_MODE).open(path)
}
