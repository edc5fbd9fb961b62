//! Against Redis: a gateway that asks a Redis server for each request (a Lua script: INCR, and EXPIRE for the first), on
//! the same machine, in turn with this one. That gateway does nothing else: no token, no routes, no policies.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::cluster::Cluster;
use crate::load::{Tally, call};
use crate::{BenchError, Settings, table};

const CLIENTS: usize = 32;
const ROUNDS: usize = 3;
const ROUND: Duration = Duration::from_secs(4);
/// Connections to Redis that calls share.
const REDIS_LINES: usize = 16;
const SCRIPT: &str =
    "local n = redis.call('INCR', KEYS[1]) if n == 1 then redis.call('EXPIRE', KEYS[1], 60) end return n";
const REFUSAL: &[u8] = b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\n\r\n";

/// A Redis server of its own; it ends when this is dropped.
struct Redis {
    child: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Redis {
    async fn start(settings: &Settings) -> Result<Self, BenchError> {
        let folder = tempfile::tempdir().map_err(BenchError::io("a temporary directory cannot be made"))?;
        let free = TcpListener::bind("127.0.0.1:0").await.map_err(BenchError::io("no port is free"))?;
        let address = free.local_addr().map_err(BenchError::io("no port is free"))?;
        drop(free);
        let port = address.port().to_string();
        let child = Command::new(&settings.redis_server)
            .args(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(BenchError::io(format!("{} does not run", settings.redis_server.display())))?;
        let redis = Self { child, address, _folder: folder };
        let began = Instant::now();
        while TcpStream::connect(address).await.is_err() {
            if began.elapsed() > Duration::from_secs(10) {
                return Err(BenchError::Node("the Redis server does not answer".to_owned()));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(redis)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

pub(crate) async fn measure(settings: &Settings) -> Result<String, BenchError> {
    let cluster = Cluster::start(&settings.program, 1).await?;
    let callers = cluster.publish(&[("bench-0".to_owned(), 100_000_000, "min")]).await?;
    let token = callers.first().map(|caller| caller.token.clone()).unwrap_or_default();
    let redis = Redis::start(settings).await?;
    let other = gateway(redis.address, cluster.backend.address).await?;
    let (mut own_tally, mut other_tally) = (Tally::default(), Tally::default());
    for _ in 0..ROUNDS {
        own_tally.add(close_loop(cluster.gateway(0), &token).await);
        other_tally.add(close_loop(other, &token).await);
    }
    let seconds = ROUND.as_secs() * ROUNDS as u64;
    let row = |name: &str, tally: &mut Tally| {
        let count = tally.times.len() as u64;
        vec![
            name.to_owned(),
            (count / seconds).to_string(),
            format!("{} µs", tally.percentile(500)),
            format!("{} µs", tally.percentile(990)),
            (tally.others + tally.in_doubt).to_string(),
        ]
    };
    let rows = [row("Portcullis", &mut own_tally), row("bare gateway + Redis per request", &mut other_tally)];
    let heads = ["gateway", "requests/s", "p50", "p99", "failed"];
    Ok(table(&format!("Against Redis, {CLIENTS} clients, the same machine, in turn"), &heads, &rows))
}

/// Calls as fast as answers come.
async fn close_loop(gateway: SocketAddr, token: &str) -> Tally {
    let until = Instant::now() + ROUND;
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let token = token.to_owned();
        clients.spawn(async move {
            let (mut lines, mut tally) = (std::collections::BTreeMap::new(), Tally::default());
            while Instant::now() < until {
                call(&mut lines, gateway, &token, &mut tally).await;
            }
            tally
        });
    }
    let mut tally = Tally::default();
    while let Some(ended) = clients.join_next().await {
        tally.add(ended.unwrap_or_default());
    }
    tally
}

/// Starts the gateway that asks Redis for each request.
async fn gateway(redis: SocketAddr, backend: SocketAddr) -> Result<SocketAddr, BenchError> {
    let failed = || BenchError::io("the gateway before Redis cannot be started");
    let mut lines = Vec::new();
    for _ in 0..REDIS_LINES {
        lines.push(Mutex::new(TcpStream::connect(redis).await.map_err(failed())?));
    }
    let lines = Arc::new(lines);
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(failed())?;
    let address = listener.local_addr().map_err(failed())?;
    let turn = Arc::new(AtomicUsize::new(0));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (lines, turn) = (Arc::clone(&lines), Arc::clone(&turn));
            // A connection that breaks ends with its client.
            tokio::spawn(async move { carry(stream, backend, &lines, &turn).await.ok() });
        }
    });
    Ok(address)
}

async fn carry(
    mut client: TcpStream,
    backend: SocketAddr,
    lines: &[Mutex<TcpStream>],
    turn: &AtomicUsize,
) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    let mut upstream = TcpStream::connect(backend).await?;
    upstream.set_nodelay(true)?;
    let (mut request, mut answer) = (Vec::with_capacity(4096), Vec::with_capacity(4096));
    loop {
        read_message(&mut client, &mut request).await?;
        let line = &lines[turn.fetch_add(1, Ordering::Relaxed) % lines.len()];
        if count(line, now_key()).await? > 100_000_000 {
            client.write_all(REFUSAL).await?;
        } else {
            upstream.write_all(&request).await?;
            read_message(&mut upstream, &mut answer).await?;
            client.write_all(&answer).await?;
        }
        request.clear();
        answer.clear();
    }
}

fn now_key() -> u64 {
    crate::now_ms() / 60_000
}

/// Reads a head and the body it announces.
async fn read_message(stream: &mut TcpStream, message: &mut Vec<u8>) -> std::io::Result<()> {
    loop {
        if stream.read_buf(message).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let Some(end) = message.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&message[..end]).to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
        let length: usize = length.and_then(|length| length.trim().parse().ok()).unwrap_or(0);
        if message.len() >= end + 4 + length {
            return Ok(());
        }
    }
}

/// Counts one call in Redis, and returns how many there are.
async fn count(line: &Mutex<TcpStream>, window: u64) -> std::io::Result<u64> {
    let key = format!("bench:{window}");
    let parts = ["EVAL", SCRIPT, "1", &key];
    let mut command = format!("*{}\r\n", parts.len());
    for part in parts {
        command.push_str(&format!("${}\r\n{part}\r\n", part.len()));
    }
    let mut stream = line.lock().await;
    stream.write_all(command.as_bytes()).await?;
    let mut reply = Vec::with_capacity(64);
    while !reply.ends_with(b"\r\n") {
        if stream.read_buf(&mut reply).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    let text = String::from_utf8_lossy(&reply);
    let number = text.trim().strip_prefix(':').and_then(|number| number.parse().ok());
    number.ok_or_else(|| std::io::Error::new(std::io::ErrorKind::InvalidData, text.into_owned()))
}
