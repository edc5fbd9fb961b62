//! The PROXY protocol, versions 1 and 2: what a balancer that passes bytes on says of the client, before the client's
//! first byte.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

/// Bytes of a header of version 1.
const TEXT_BYTES_MAX: usize = 107;
/// Bytes of a header of version 2 that are read: addresses and a few extras.
const BINARY_BYTES_MAX: usize = 16 + 2048;
/// What a header of version 2 begins with.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header {
    /// The client; `None` where the balancer speaks for itself.
    client: Option<SocketAddr>,
    /// Bytes of the header.
    length: usize,
}

/// The connection does not begin with a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the connection of a trusted proxy does not begin with a PROXY protocol header")]
struct NoHeader;

/// Reads the header and returns the client's address; `None` where the balancer speaks for itself.
///
/// # Errors
/// Where there is no header, or the connection fails.
pub(crate) async fn read(stream: &mut TcpStream) -> io::Result<Option<SocketAddr>> {
    let mut bytes = vec![0; BINARY_BYTES_MAX];
    let mut seen = 0;
    loop {
        // Looked at, not taken: what follows the header is the client's.
        stream.readable().await?;
        let count = match stream.peek(&mut bytes).await {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => count,
            Err(error) => return Err(error),
        };
        let parsed = parse(&bytes[..count]).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        if let Some(header) = parsed {
            stream.read_exact(&mut bytes[..header.length]).await?;
            return Ok(header.client);
        }
        if count == seen {
            // The rest is on its way; peeking again at once would find the same.
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        seen = count;
    }
}

/// Reads a header; `None` where more must be read first.
fn parse(bytes: &[u8]) -> Result<Option<Header>, NoHeader> {
    let begins = |with: &[u8]| bytes.iter().zip(with).all(|(byte, expected)| byte == expected);
    if begins(&SIGNATURE) {
        return if bytes.len() < 16 { Ok(None) } else { parse_binary(bytes) };
    }
    if begins(b"PROXY ") { parse_text(bytes) } else { Err(NoHeader) }
}

fn parse_text(bytes: &[u8]) -> Result<Option<Header>, NoHeader> {
    let Some(end) = bytes.windows(2).take(TEXT_BYTES_MAX).position(|pair| pair == b"\r\n") else {
        return if bytes.len() < TEXT_BYTES_MAX { Ok(None) } else { Err(NoHeader) };
    };
    let line = std::str::from_utf8(&bytes[..end]).map_err(|_| NoHeader)?;
    let mut words = line.split(' ').skip(1);
    let family = words.next().ok_or(NoHeader)?;
    let length = end + 2;
    if family == "UNKNOWN" {
        return Ok(Some(Header { client: None, length }));
    }
    let [Some(source), Some(_), Some(port), Some(_), None] = [(); 5].map(|()| words.next()) else {
        return Err(NoHeader);
    };
    let source: IpAddr = match family {
        "TCP4" => source.parse::<Ipv4Addr>().map_err(|_| NoHeader)?.into(),
        "TCP6" => source.parse::<Ipv6Addr>().map_err(|_| NoHeader)?.into(),
        _ => return Err(NoHeader),
    };
    let port = port.parse().map_err(|_| NoHeader)?;
    Ok(Some(Header { client: Some(SocketAddr::new(source, port)), length }))
}

fn parse_binary(bytes: &[u8]) -> Result<Option<Header>, NoHeader> {
    let (version_and_command, family) = (bytes[12], bytes[13]);
    let length = 16 + usize::from(u16::from_be_bytes([bytes[14], bytes[15]]));
    if version_and_command >> 4 != 2 || length > BINARY_BYTES_MAX {
        return Err(NoHeader);
    }
    let Some(body) = bytes.get(16..length) else { return Ok(None) };
    let client = match (version_and_command & 0x0f, family) {
        // The balancer's own connection, a health check.
        (0, _) => None,
        (1, 0x11) => {
            let body: &[u8; 12] = body.first_chunk().ok_or(NoHeader)?;
            let address = Ipv4Addr::new(body[0], body[1], body[2], body[3]);
            Some(SocketAddr::new(address.into(), u16::from_be_bytes([body[8], body[9]])))
        }
        (1, 0x21) => {
            let body: &[u8; 36] = body.first_chunk().ok_or(NoHeader)?;
            let mut address = [0; 16];
            address.copy_from_slice(&body[..16]);
            Some(SocketAddr::new(Ipv6Addr::from(address).into(), u16::from_be_bytes([body[32], body[33]])))
        }
        // Another family than TCP's: as if nothing were said.
        (1, _) => None,
        _ => return Err(NoHeader),
    };
    Ok(Some(Header { client, length }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Header, NoHeader, SIGNATURE, parse};

    fn binary(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[0x20 | command, family], &length, body].concat()
    }

    #[test]
    fn headers_of_both_versions_name_the_client() {
        let v4 = binary(1, 0x11, &[203, 0, 113, 7, 10, 0, 0, 1, 0x12, 0x34, 0, 80, 1, 0, 1, 9]);
        let mut address = [0; 36];
        address[..2].copy_from_slice(&[0x20, 0x01]);
        address[15] = 1;
        address[32..34].copy_from_slice(&[0, 99]);
        let cases = [
            (b"PROXY TCP4 203.0.113.7 10.0.0.1 4711 80\r\n".to_vec(), Some("203.0.113.7:4711")),
            (b"PROXY TCP6 2001::1 ::1 99 80\r\n".to_vec(), Some("[2001::1]:99")),
            (b"PROXY UNKNOWN whatever follows\r\n".to_vec(), None),
            (v4, Some("203.0.113.7:4660")),
            (binary(1, 0x21, &address), Some("[2001::1]:99")),
            (binary(0, 0, &[]), None),
            (binary(1, 0x31, &[0; 216]), None),
        ];
        for (bytes, client) in cases {
            for short in 1..bytes.len() {
                assert_eq!(parse(&bytes[..short]), Ok(None), "{bytes:?} up to {short}");
            }
            let client = client.map(|client| client.parse().unwrap());
            let with_more = [&bytes[..], b"GET / HTTP/1.1"].concat();
            assert_eq!(parse(&with_more), Ok(Some(Header { client, length: bytes.len() })));
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for bytes in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"PROXY TCP4 evil 10.0.0.1 1 2\r\n",
            b"PROXY TCP4 1.2.3.4 10.0.0.1 99999 2\r\n",
            b"PROXY TCP4 1.2.3.4\r\n",
            b"PROXY TCP5 1.2.3.4 10.0.0.1 1 2\r\n",
        ] {
            assert_eq!(parse(bytes), Err(NoHeader), "{}", String::from_utf8_lossy(bytes));
        }
        assert_eq!(parse(&[b"PROXY TCP4 ".as_slice(), &[b'1'; 200]].concat()), Err(NoHeader));
        assert_eq!(parse(&binary(1, 0x11, &[1, 2])), Err(NoHeader));
        assert_eq!(parse(&binary(7, 0x11, &[0; 12])), Err(NoHeader));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
            let _ = parse(&[&SIGNATURE[..], &bytes].concat());
        }
    }
}
