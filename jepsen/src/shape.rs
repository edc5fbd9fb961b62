//! A router between the nodes for packets that are to be late, out of order, twice, or too many for their line. While it
//! is in use, each node sends what is for the others to a TUN device, whose other end is here. Needs nothing of the kernel
//! but `/dev/net/tun`: netem and the queues of the packet filter are not in every kernel.

use std::cmp::Ordering as Order;
use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tokio::sync::Notify;
use tun_rs::{AsyncDevice, DeviceBuilder};

use crate::net;
use crate::random::Random;

const DEVICE: &str = "shape0";
const PACKET_MAX: usize = 65_536;
/// Packets on their way at a time; what is more is dropped, as by a router.
const QUEUE_MAX: usize = 20_000;
/// What waits for a narrow line at most; what would wait longer is dropped.
const LINE_WAIT_MAX: Duration = Duration::from_millis(300);

/// What is done to packets.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shape {
    /// How late each is at least.
    pub delay: Duration,
    /// By how much more it may be late; the order stays.
    pub jitter: Duration,
    /// How many of a hundred are held back, so that later ones overtake them.
    pub reordered_percent: usize,
    /// How many of a hundred come again.
    pub doubled_percent: usize,
    /// Bytes a second that each node can send; no bound where 0.
    pub bytes_per_second: u64,
}

/// How many packets met what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Met {
    /// Delayed.
    pub delayed: u64,
    /// Held back while others overtook them.
    pub reordered: u64,
    /// Sent twice.
    pub doubled: u64,
    /// Delayed or dropped because the line was full.
    pub squeezed: u64,
}

/// The router.
pub struct Shaper {
    shared: Arc<Shared>,
    namespaces: Vec<String>,
}

struct Shared {
    shape: Mutex<Shape>,
    lines: Vec<Mutex<Line>>,
    queue: Mutex<BinaryHeap<Late>>,
    is_earlier: Notify,
    devices: Vec<AsyncDevice>,
    random: Mutex<Random>,
    met: [AtomicU64; 4],
    sequence: AtomicU64,
}

/// What a node sends on.
#[derive(Default)]
struct Line {
    /// When it is free again.
    free_at: Option<Instant>,
    /// When the last packet arrives that must not be overtaken.
    last_at: Option<Instant>,
}

struct Late {
    at: Instant,
    sequence: u64,
    to: usize,
    packet: Vec<u8>,
}

impl PartialEq for Late {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Order::Equal
    }
}

impl Eq for Late {}

impl PartialOrd for Late {
    fn partial_cmp(&self, other: &Self) -> Option<Order> {
        Some(self.cmp(other))
    }
}

impl Ord for Late {
    fn cmp(&self, other: &Self) -> Order {
        // The heap gives the greatest first: the earliest must be it.
        (other.at, other.sequence).cmp(&(self.at, self.sequence))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Everything that is kept is whole after every step.
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Shaper {
    /// Gives every node a device. Nothing goes over it before `begin`.
    ///
    /// # Errors
    /// Where the machine does not allow it.
    pub fn create(run: &str, nodes: usize, random: Random) -> Result<Self> {
        let namespaces: Vec<String> = (1..=nodes).map(|number| net::node_name(run, number)).collect();
        let mut devices = Vec::new();
        for (place, namespace) in namespaces.iter().enumerate() {
            let name = format!("shape{}", place + 1);
            devices.push(DeviceBuilder::new().name(&name).enable(false).build_async().context("/dev/net/tun")?);
            net::ip(&["link", "set", &name, "netns", namespace])?;
            net::ip(&["-n", namespace, "link", "set", &name, "name", DEVICE])?;
            net::ip(&["-n", namespace, "link", "set", DEVICE, "mtu", "1500", "up"])?;
        }
        let shared = Arc::new(Shared {
            shape: Mutex::default(),
            lines: (0..nodes).map(|_| Mutex::default()).collect(),
            queue: Mutex::default(),
            is_earlier: Notify::new(),
            devices,
            random: Mutex::new(random),
            met: Default::default(),
            sequence: AtomicU64::new(0),
        });
        for from in 0..nodes {
            let shared = Arc::clone(&shared);
            tokio::spawn(async move { shared.receive(from).await });
        }
        let sender = Arc::clone(&shared);
        tokio::spawn(async move { sender.send().await });
        Ok(Self { shared, namespaces })
    }

    /// Has all packets between nodes go through here.
    ///
    /// # Errors
    /// Where routes cannot be set.
    pub fn begin(&self, shape: Shape) -> Result<()> {
        *lock(&self.shared.shape) = shape;
        self.route("replace")
    }

    /// Has packets go directly again. What is late still arrives.
    ///
    /// # Errors
    /// Where routes cannot be set.
    pub fn end(&self) -> Result<()> {
        self.route("delete")?;
        *lock(&self.shared.shape) = Shape::default();
        Ok(())
    }

    /// Returns how many packets met what since the beginning.
    pub fn met(&self) -> Met {
        let [delayed, reordered, doubled, squeezed] =
            [0, 1, 2, 3].map(|one: usize| self.shared.met[one].load(Ordering::Relaxed));
        Met { delayed, reordered, doubled, squeezed }
    }

    fn route(&self, verb: &str) -> Result<()> {
        for (place, namespace) in self.namespaces.iter().enumerate() {
            for other in (0..self.namespaces.len()).filter(|other| *other != place) {
                let to = format!("{}/32", net::address(other + 1));
                let from = net::address(place + 1);
                net::ip(&["-n", namespace, "route", verb, &to, "dev", DEVICE, "src", &from])?;
            }
        }
        Ok(())
    }
}

impl Shared {
    async fn receive(&self, from: usize) {
        let mut buffer = vec![0; PACKET_MAX];
        // The device ends with the program.
        while let Ok(length) = self.devices[from].recv(&mut buffer).await {
            let packet = &buffer[..length];
            // An IPv4 packet has its receiver at this place; ours differ in the last byte.
            let Some(to) = packet.get(19).filter(|_| packet[0] >> 4 == 4) else { continue };
            let to = usize::from(*to);
            if to >= 1 && to <= self.devices.len() && to != from + 1 {
                self.take(from, to - 1, packet);
            }
        }
    }

    fn take(&self, from: usize, to: usize, packet: &[u8]) {
        let shape = *lock(&self.shape);
        let now = Instant::now();
        let (is_held_back, is_doubled, part) = {
            let mut random = lock(&self.random);
            let part = random.below(1000) as f64 / 1000.0;
            (random.chance(shape.reordered_percent), random.chance(shape.doubled_percent), part)
        };
        let mut at = now + shape.delay + shape.jitter.mul_f64(part);
        {
            let mut line = lock(&self.lines[from]);
            if shape.bytes_per_second > 0 {
                let free = line.free_at.unwrap_or(now).max(now);
                if free > now {
                    self.met[3].fetch_add(1, Ordering::Relaxed);
                }
                if free - now > LINE_WAIT_MAX {
                    return;
                }
                let takes = Duration::from_secs_f64(packet.len() as f64 / shape.bytes_per_second as f64);
                line.free_at = Some(free + takes);
                at = at.max(free + takes);
            }
            if is_held_back {
                at += Duration::from_millis(20) + shape.jitter;
                self.met[1].fetch_add(1, Ordering::Relaxed);
            } else {
                at = at.max(line.last_at.unwrap_or(at));
                line.last_at = Some(at);
            }
        }
        if at > now + Duration::from_millis(1) {
            self.met[0].fetch_add(1, Ordering::Relaxed);
        }
        self.put(at, to, packet);
        if is_doubled {
            self.met[2].fetch_add(1, Ordering::Relaxed);
            self.put(at + Duration::from_millis(5), to, packet);
        }
    }

    fn put(&self, at: Instant, to: usize, packet: &[u8]) {
        let mut queue = lock(&self.queue);
        if queue.len() < QUEUE_MAX {
            let sequence = self.sequence.fetch_add(1, Ordering::Relaxed);
            queue.push(Late { at, sequence, to, packet: packet.to_owned() });
            self.is_earlier.notify_one();
        }
    }

    async fn send(&self) {
        loop {
            let due = {
                let mut queue = lock(&self.queue);
                match queue.peek().map(|late| late.at) {
                    Some(at) if at <= Instant::now() => Ok(queue.pop()),
                    other => Err(other),
                }
            };
            match due {
                Ok(Some(late)) => {
                    // A device that is not up loses it, as a wire does.
                    let _ = self.devices[late.to].send(&late.packet).await;
                }
                Ok(None) => {}
                Err(next) => {
                    let next = next.unwrap_or_else(|| Instant::now() + Duration::from_secs(1));
                    tokio::select! {
                        () = tokio::time::sleep_until(next.into()) => {}
                        () = self.is_earlier.notified() => {}
                    }
                }
            }
        }
    }
}
