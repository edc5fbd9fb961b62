//! The network of a run: a namespace per node and one hub with a bridge, where the clients live and where packets
//! between nodes are dropped. Nodes cannot see the rules.

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::nemesis::mode::Needs;

/// The address of the clients and of the backend, on the bridge.
pub const HUB: &str = "10.77.0.254";
/// What the names of all namespaces begin with.
pub const PREFIX: &str = "pcj-";

/// Returns the address of node `number`, counted from 1.
pub fn address(number: usize) -> String {
    format!("10.77.0.{number}")
}

/// Says what is missing on this machine for a run with these needs, empty where nothing is.
pub fn missing(needs: Needs) -> Vec<String> {
    let mut missing = Vec::new();
    if !cfg!(target_os = "linux") {
        missing.push("Linux".to_owned());
    }
    if !rustix::process::geteuid().is_root() {
        missing.push("root".to_owned());
    }
    let mut programs = vec![("ip", "iproute2"), ("nft", "nftables")];
    if needs.disks {
        programs.extend([("mkfs.ext4", "e2fsprogs"), ("losetup", "mount"), ("mount", "mount"), ("xfs_io", "xfsprogs")]);
    }
    if needs.preload {
        programs.push(("cc", "gcc libc6-dev"));
    }
    for (program, package) in programs {
        let mut command = Command::new(program);
        command.arg("-V").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if command.status().is_err() {
            missing.push(format!("the program {program} (Debian: apt-get install {package})"));
        }
    }
    if needs.disks && !std::path::Path::new("/dev/loop-control").exists() {
        missing.push("loop devices (/dev/loop-control)".to_owned());
    }
    if needs.shaper && !std::path::Path::new("/dev/net/tun").exists() {
        missing.push("TUN devices (/dev/net/tun)".to_owned());
    }
    missing
}

/// The namespaces of one run. Gone, with every process in them, when this is dropped.
pub struct Namespaces {
    run: String,
    nodes: usize,
}

impl Namespaces {
    /// Makes a hub and `nodes` namespaces, joined by a bridge.
    ///
    /// # Errors
    /// Where the machine does not allow it.
    pub fn create(nodes: usize) -> Result<Self> {
        let made = Self { run: format!("{PREFIX}{}", std::process::id()), nodes };
        let hub = made.hub();
        ip(&["netns", "add", &hub])?;
        ip(&["-n", &hub, "link", "set", "lo", "up"])?;
        ip(&["-n", &hub, "link", "add", "br0", "type", "bridge"])?;
        ip(&["-n", &hub, "addr", "add", &format!("{HUB}/24"), "dev", "br0"])?;
        ip(&["-n", &hub, "link", "set", "br0", "up"])?;
        for number in 1..=nodes {
            let node = node_name(&made.run, number);
            let port = format!("v{number}");
            ip(&["netns", "add", &node])?;
            ip(&["-n", &node, "link", "set", "lo", "up"])?;
            ip(&["-n", &hub, "link", "add", &port, "type", "veth", "peer", "name", "eth0", "netns", &node])?;
            ip(&["-n", &hub, "link", "set", &port, "master", "br0", "up"])?;
            ip(&["-n", &node, "addr", "add", &format!("{}/24", address(number)), "dev", "eth0"])?;
            ip(&["-n", &node, "link", "set", "eth0", "up"])?;
        }
        Ok(made)
    }

    /// Returns what the names of this run's namespaces begin with.
    pub fn run(&self) -> &str {
        &self.run
    }

    /// Returns the name of the hub.
    pub fn hub(&self) -> String {
        format!("{}-hub", self.run)
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        for number in 1..=self.nodes {
            remove(&node_name(&self.run, number));
        }
        remove(&self.hub());
    }
}

/// Returns the name of a node's namespace.
pub fn node_name(run: &str, number: usize) -> String {
    format!("{run}-n{number}")
}

/// Ends every process in a namespace and removes it; nothing happens where there is none.
fn remove(name: &str) {
    let quiet = |arguments: &[&str]| Command::new("ip").args(arguments).stderr(Stdio::null()).output();
    if let Ok(pids) = quiet(&["netns", "pids", name]) {
        for pid in String::from_utf8_lossy(&pids.stdout).split_whitespace() {
            let pid = pid.parse().ok().and_then(rustix::process::Pid::from_raw);
            if let Some(pid) = pid {
                // It may have ended meanwhile.
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
    }
    // It may never have been made.
    let _ = quiet(&["netns", "delete", name]);
}

/// Removes what runs left behind that were themselves killed.
pub fn sweep() {
    let Ok(listed) = Command::new("ip").args(["netns", "list"]).output() else { return };
    for line in String::from_utf8_lossy(&listed.stdout).lines() {
        let name = line.split_whitespace().next().unwrap_or_default();
        let Some(pid) = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next()) else { continue };
        if !std::path::Path::new("/proc").join(pid).exists() {
            remove(name);
        }
    }
}

/// Runs `ip`.
///
/// # Errors
/// Where it refuses.
pub fn ip(arguments: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(arguments).output().context("ip")?;
    if !output.status.success() {
        bail!("ip {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// Packets that are dropped on the bridge, from one node to another; `percent` of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The sender, counted from 1.
    pub from: usize,
    /// The receiver, counted from 1.
    pub to: usize,
    /// How many of a hundred.
    pub percent: u8,
}

/// Drops packets between nodes; must be called inside the hub.
///
/// # Errors
/// Where nft refuses.
pub fn drop_packets(rules: &[Cut]) -> Result<()> {
    let mut text = String::from("table bridge pcj {}\ndelete table bridge pcj\ntable bridge pcj {\n");
    text += " chain relay {\n  type filter hook forward priority 0; policy accept;\n";
    for Cut { from, to, percent } in rules {
        let chance = if *percent >= 100 { String::new() } else { format!("numgen random mod 100 < {percent} ") };
        text += &format!("  iifname \"v{from}\" oifname \"v{to}\" {chance}counter drop\n");
    }
    text += " }\n}\n";
    nft(&text)
}

/// Lets every packet pass again.
///
/// # Errors
/// Where nft refuses.
pub fn pass_packets() -> Result<()> {
    nft("table bridge pcj {}\ndelete table bridge pcj\n")
}

/// Returns how many packets each rule has dropped, in the order of the rules.
///
/// # Errors
/// Where nft cannot be asked.
pub fn dropped() -> Result<Vec<u64>> {
    let output = Command::new("nft").args(["list", "table", "bridge", "pcj"]).output().context("nft")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let count = |line: &str| line.split("packets ").nth(1)?.split(' ').next()?.parse().ok();
    Ok(text.lines().filter_map(count).collect())
}

fn nft(text: &str) -> Result<()> {
    let mut child =
        Command::new("nft").args(["-f", "-"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().context("nft")?;
    child.stdin.take().context("nft's input")?.write_all(text.as_bytes())?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("nft: {}\n{text}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
