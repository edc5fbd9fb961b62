//! Writes a file that tells countries of addresses, in the form of MaxMind DB 2.0, with networks that a test chooses. It
//! was made for this project and holds nothing of MaxMind's data.

use std::net::IpAddr;

/// Bytes between the search tree and what it leads to.
const GAP: usize = 16;

/// A node of the search tree: what follows where the next bit is 0, or 1.
type Node = [Next; 2];

#[derive(Clone, Copy)]
enum Next {
    Nothing,
    Node(usize),
    /// Where the record is in the data.
    Record(usize),
}

/// Returns the bytes of a file in which the networks are in these countries.
pub fn country_file(networks: &[(&str, &str)]) -> Vec<u8> {
    let (mut nodes, mut data): (Vec<Node>, Vec<u8>) = (vec![[Next::Nothing; 2]], Vec::new());
    for (network, code) in networks {
        let (bits, length) = bits_of(network);
        let record = data.len();
        put_map(&mut data, 1);
        put_text(&mut data, "country");
        put_map(&mut data, 1);
        put_text(&mut data, "iso_code");
        put_text(&mut data, code);
        let mut at = 0;
        for place in 0..length {
            let bit = usize::from(bits & (1 << (127 - place)) != 0);
            if place + 1 == length {
                nodes[at][bit] = Next::Record(record);
                continue;
            }
            at = match nodes[at][bit] {
                Next::Node(next) => next,
                _ => {
                    nodes.push([Next::Nothing; 2]);
                    let next = nodes.len() - 1;
                    nodes[at][bit] = Next::Node(next);
                    next
                }
            };
        }
    }
    let mut file = Vec::new();
    for next in nodes.iter().flatten() {
        let number = match next {
            Next::Nothing => nodes.len(),
            Next::Node(node) => *node,
            Next::Record(at) => nodes.len() + GAP + at,
        };
        file.extend_from_slice(&u32::try_from(number).expect("a small file").to_be_bytes()[1..]);
    }
    file.extend_from_slice(&[0; GAP]);
    file.extend_from_slice(&data);
    file.extend_from_slice(b"\xab\xcd\xefMaxMind.com");
    put_about(&mut file, nodes.len());
    file
}

/// Returns the bits of a network and how many of them count; IPv4 is below `::/96`.
fn bits_of(network: &str) -> (u128, usize) {
    let (address, length) = network.split_once('/').expect("ADDRESS/LENGTH");
    let length: usize = length.parse().expect("a number");
    match address.parse().expect("an address") {
        IpAddr::V4(address) => (u128::from(u32::from(address)), 96 + length),
        IpAddr::V6(address) => (u128::from(address), length),
    }
}

fn put_about(out: &mut Vec<u8>, nodes: usize) {
    put_map(out, 9);
    for (name, bytes, number) in [
        ("node_count", 4, nodes),
        ("record_size", 2, 24),
        ("ip_version", 2, 6),
        ("binary_format_major_version", 2, 2),
        ("binary_format_minor_version", 2, 0),
    ] {
        put_text(out, name);
        put_number(out, bytes, number);
    }
    put_text(out, "database_type");
    put_text(out, "Portcullis-Test-Country");
    put_text(out, "languages");
    // An array of none.
    out.extend_from_slice(&[0, 4]);
    put_text(out, "build_epoch");
    // A number of eight bytes, of which one is written.
    out.extend_from_slice(&[1, 2, 1]);
    put_text(out, "description");
    put_map(out, 0);
}

fn put_map(out: &mut Vec<u8>, pairs: u8) {
    out.push(7 << 5 | pairs);
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.push(2 << 5 | u8::try_from(text.len()).ok().filter(|length| *length < 29).expect("a short text"));
    out.extend_from_slice(text.as_bytes());
}

/// Writes a number of two or four bytes.
fn put_number(out: &mut Vec<u8>, bytes: u8, number: usize) {
    let kind = if bytes == 2 { 5 } else { 6 };
    out.push(kind << 5 | bytes);
    let all = u32::try_from(number).expect("a small number").to_be_bytes();
    out.extend_from_slice(&all[4 - usize::from(bytes)..]);
}
