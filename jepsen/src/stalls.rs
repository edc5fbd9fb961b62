//! Watches the machine: a thread that should wake twenty times a second notes when it did not. A machine that stalls
//! makes elections and slow answers of its own, which are not the product's.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const EVERY: Duration = Duration::from_millis(50);
/// A gap from which on a run says nothing good: heartbeats come every 100 ms, and elections begin after 300 to 600 ms.
pub const NOISY: Duration = Duration::from_millis(500);

/// The watch.
pub struct Watch {
    is_over: Arc<AtomicBool>,
    gaps: Arc<Mutex<Vec<(Duration, Duration)>>>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Starts the watch.
    pub fn start() -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let gaps = Arc::new(Mutex::new(Vec::new()));
        let (over, noted) = (Arc::clone(&is_over), Arc::clone(&gaps));
        let thread = std::thread::spawn(move || {
            let start = Instant::now();
            let mut last = start;
            while !over.load(Ordering::Relaxed) {
                std::thread::sleep(EVERY);
                let gap = last.elapsed().saturating_sub(EVERY);
                last = Instant::now();
                if gap >= NOISY / 10
                    && let Ok(mut gaps) = noted.lock()
                {
                    gaps.push((start.elapsed(), gap));
                }
            }
        });
        Self { is_over, gaps, thread: Some(thread) }
    }

    /// Ends the watch, and returns the gaps of 50 ms and more: when each ended, and how long it was.
    pub fn finish(mut self) -> Vec<(Duration, Duration)> {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // The thread does nothing that can panic.
            let _ = thread.join();
        }
        self.gaps.lock().map(|gaps| gaps.clone()).unwrap_or_default()
    }
}
