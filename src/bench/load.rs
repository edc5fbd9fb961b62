//! Callers that call at a given rate, whatever the answers, and count what they get by window.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::cluster::PATH;
use crate::now_ms;

/// Calls of one caller that one connection makes in a second at most: each may wait for a grant.
const CALLS_PER_CONNECTION: f64 = 25.0;
/// How long one call may take.
const CALL_WAIT: Duration = Duration::from_secs(2);
/// How long the window is.
pub(crate) const WINDOW_MS: u64 = 60_000;

/// Where calls go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spread {
    Even,
    OneNode,
    /// To the next node every quarter of a window.
    Moving,
}

impl Spread {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Even => "even",
            Self::OneNode => "one node",
            Self::Moving => "moving",
        }
    }
}

/// What callers got.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// Calls admitted and refused, by the number of the window that the gateway named.
    pub(crate) windows: BTreeMap<u64, (u64, u64)>,
    /// Calls without an answer: they may have been admitted.
    pub(crate) in_doubt: u64,
    /// Calls that could not be made, because no node took the connection.
    pub(crate) unmade: u64,
    /// Answers other than admitted and refused.
    pub(crate) others: u64,
    /// Times of admitted calls, in microseconds.
    pub(crate) times: Vec<u32>,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        for (window, (admitted, refused)) in other.windows {
            let own = self.windows.entry(window).or_default();
            *own = (own.0 + admitted, own.1 + refused);
        }
        self.in_doubt += other.in_doubt;
        self.unmade += other.unmade;
        self.others += other.others;
        self.times.extend(other.times);
    }

    pub(crate) fn admitted(&self) -> u64 {
        self.windows.values().map(|(admitted, _)| admitted).sum()
    }

    /// Returns the time that `permille` of the admitted calls did not take longer than, in microseconds.
    pub(crate) fn percentile(&mut self, permille: usize) -> u32 {
        self.times.sort_unstable();
        let at = (self.times.len() * permille / 1000).min(self.times.len().saturating_sub(1));
        self.times.get(at).copied().unwrap_or(0)
    }
}

/// One caller's load.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    pub(crate) gateways: Vec<SocketAddr>,
    pub(crate) token: String,
    pub(crate) per_second: f64,
    pub(crate) spread: Spread,
}

impl Load {
    /// Calls until `until`, and returns what came of it.
    pub(crate) async fn offer(&self, until: Instant) -> Tally {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small number")]
        let per_gateway = (self.per_second / CALLS_PER_CONNECTION).ceil().max(1.0) as usize;
        let count = per_gateway.max(if self.spread == Spread::Even { self.gateways.len() } else { 1 });
        let mut callers = JoinSet::new();
        for number in 0..count {
            let load = self.clone();
            callers.spawn(async move { load.call_all(number, count, until).await });
        }
        let mut tally = Tally::default();
        while let Some(ended) = callers.join_next().await {
            tally.add(ended.unwrap_or_default());
        }
        tally
    }

    async fn call_all(&self, number: usize, count: usize, until: Instant) -> Tally {
        #[allow(clippy::cast_precision_loss, reason = "a small number")]
        let interval = Duration::from_secs_f64(count as f64 / self.per_second);
        let mut due = Instant::now()
            + interval
                .mul_f64(f64::from(u32::try_from(number).unwrap_or(0)) / f64::from(u32::try_from(count).unwrap_or(1)));
        let mut tally = Tally::default();
        let mut lines: BTreeMap<SocketAddr, Line> = BTreeMap::new();
        while due < until {
            tokio::time::sleep_until(due).await;
            let target = self.target(number);
            call(&mut lines, target, &self.token, &mut tally).await;
            due += interval;
            // One that is far behind does not make up for it: the load is what it is meant to be.
            due = due.max(Instant::now().checked_sub(Duration::from_secs(1)).unwrap_or(due));
        }
        tally
    }

    fn target(&self, number: usize) -> SocketAddr {
        let at = match self.spread {
            Spread::Even => number,
            Spread::OneNode => 0,
            Spread::Moving => usize::try_from(now_ms() / (WINDOW_MS / 4)).unwrap_or(0),
        };
        self.gateways[at % self.gateways.len()]
    }
}

/// Makes one call, on a connection that is kept.
pub(crate) async fn call(lines: &mut BTreeMap<SocketAddr, Line>, target: SocketAddr, token: &str, tally: &mut Tally) {
    let line = match lines.entry(target) {
        Entry::Occupied(line) => line.into_mut(),
        Entry::Vacant(place) => {
            let Ok(Ok(line)) = tokio::time::timeout(CALL_WAIT, Line::open(target, token)).await else {
                tally.unmade += 1;
                return;
            };
            place.insert(line)
        }
    };
    let began = Instant::now();
    match tokio::time::timeout(CALL_WAIT, line.call()).await {
        Ok(Ok(answer)) => {
            let window = answer.window();
            match answer.status {
                200 => {
                    tally.windows.entry(window).or_default().0 += 1;
                    tally.times.push(u32::try_from(began.elapsed().as_micros()).unwrap_or(u32::MAX));
                }
                429 => tally.windows.entry(window).or_default().1 += 1,
                _ => tally.others += 1,
            }
        }
        _ => {
            tally.in_doubt += 1;
            lines.remove(&target);
        }
    }
}

/// One connection.
pub(crate) struct Line {
    stream: TcpStream,
    request: Vec<u8>,
    buffer: Vec<u8>,
}

/// What an answer says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Until when the window lasts, in whole seconds from now, rounded up.
    resets_in_s: Option<u64>,
    at_ms: u64,
}

impl Answer {
    /// Returns the number of the window. The gateway says in how many seconds it ends, rounded up.
    fn window(self) -> u64 {
        match self.resets_in_s {
            Some(seconds) => ((self.at_ms + seconds * 1000) / WINDOW_MS).saturating_sub(1),
            None => self.at_ms / WINDOW_MS,
        }
    }
}

impl Line {
    pub(crate) async fn open(target: SocketAddr, token: &str) -> std::io::Result<Self> {
        let stream = TcpStream::connect(target).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, request: request(token), buffer: Vec::with_capacity(4096) })
    }

    /// Shows another token from now on.
    pub(crate) fn show(&mut self, token: &str) {
        self.request = request(token);
    }

    pub(crate) async fn call(&mut self) -> std::io::Result<Answer> {
        self.stream.write_all(&self.request).await?;
        loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            let Some(end) = self.buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { continue };
            let head = String::from_utf8_lossy(&self.buffer[..end]).to_ascii_lowercase();
            let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
            let length: usize = field("content-length:").and_then(|value| value.parse().ok()).unwrap_or(0);
            let whole = end + 4 + length;
            while self.buffer.len() < whole {
                if self.stream.read_buf(&mut self.buffer).await? == 0 {
                    return Err(std::io::ErrorKind::UnexpectedEof.into());
                }
            }
            let status = head.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(0);
            let resets = field("ratelimit:").and_then(|value| value.split("t=").nth(1));
            let digits = resets.map(|rest| rest.chars().take_while(char::is_ascii_digit).collect::<String>());
            let resets_in_s =
                digits.or_else(|| field("retry-after:").map(str::to_owned)).and_then(|text| text.parse().ok());
            self.buffer.drain(..whole);
            return Ok(Answer { status, resets_in_s, at_ms: now_ms() });
        }
    }
}

fn request(token: &str) -> Vec<u8> {
    format!("GET {PATH} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n\r\n").into_bytes()
}

/// Waits for the beginning of the next window, and a little.
pub(crate) async fn next_window() -> u64 {
    let next = now_ms() / WINDOW_MS + 1;
    let wait = next * WINDOW_MS + 200 - now_ms();
    tokio::time::sleep(Duration::from_millis(wait)).await;
    next
}
