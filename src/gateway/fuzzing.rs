//! Doors for fuzz targets (`fuzz/`), behind the feature `fuzzing`: each takes bytes as a stranger could send them, and
//! panics where a promise is broken. It is in no release.

use bytes::BytesMut;
use http::{HeaderMap, HeaderValue, Method};
use portcullis_model::mediation::threat::{Forbidden, JsonLimits, XmlLimits};

use crate::downstream;
use crate::downstream::head::Memory;
use crate::http1::framing::Piece;
use crate::mediation;
use crate::packing;
use crate::proof;
use crate::route::operations::Found;
use crate::route::path;
use crate::route::templates::Templates;
use crate::upstream::UpstreamError;
use crate::upstream::head;

/// A path: what passes has no way up, and the same segments raw and decoded.
pub fn path(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(decoded) = path::check(text) else { return };
    let segments = |path: &[u8]| path.iter().filter(|byte| **byte == b'/').count();
    assert_eq!(segments(text.as_bytes()), segments(&decoded), "raw and decoded path have other segments");
    assert!(!decoded.split(|byte| *byte == b'/').any(|one| one == b"." || one == b".."), "a way up was let pass");
    assert!(!decoded.iter().any(|byte| byte.is_ascii_control() || *byte == b'\\'), "a bad character was let pass");
    for count in 0..4 {
        let ends = [path::end_of_segments(text.as_bytes(), count), path::end_of_segments(&decoded, count)];
        assert_eq!(ends[0].is_some(), ends[1].is_some());
    }
}

/// Templates of operations and a path: what is found fits, whatever the templates are.
pub fn templates(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut lines = text.lines();
    let Some(asked) = lines.next() else { return };
    let mut operations = Templates::default();
    let mut count = 0;
    for template in lines.take(32) {
        if operations.add(Method::GET, template, count).is_ok() {
            count += 1;
        }
        mediation::fuzzing::rewrite(template, asked);
    }
    let operations = operations.into_operations();
    if asked.is_empty() || asked.starts_with('/') {
        if let Found::Operation(number) = operations.find(&Method::GET, asked.as_bytes()) {
            assert!(number < count, "an operation was found that is not there");
        }
        assert!(!matches!(operations.find(&Method::POST, asked.as_bytes()), Found::Operation(_)));
    }
}

/// An answer of a backend: the same whether it comes at once or byte by byte.
pub fn answer(bytes: &[u8]) {
    let at_once = read(bytes, bytes.len().max(1), true);
    let piecemeal = read(bytes, 1, false);
    match (&at_once, &piecemeal) {
        (Ok(one), Ok(other)) => assert_eq!(one, other, "an answer depends on how it is cut"),
        (Err(_), Err(_)) => {}
        _ => panic!("an answer is good or bad by how it is cut: {at_once:?} {piecemeal:?}"),
    }
}

/// Requests of a client on one connection: the same ones whether they come at once or byte by byte, and whether or not
/// anything is kept of one for the next.
pub fn requests(bytes: &[u8]) {
    let whole = bytes.len().max(1);
    let (at_once, piecemeal) = (read_requests(bytes, whole, true), read_requests(bytes, 1, true));
    assert_eq!(at_once, piecemeal, "requests depend on how they are cut");
    assert_eq!(at_once, read_requests(bytes, whole, false), "requests depend on those before them");
    let again = bytes.repeat(2);
    let twice = read_requests(&again, whole, true);
    assert!(twice.starts_with(&at_once), "requests depend on those behind them");
    assert_eq!(twice, read_requests(&again, whole, false), "requests that come again are others");
}

/// A request as it was read: verb, target, fields, body.
type Read = (String, String, Vec<(String, Vec<u8>)>, Vec<u8>);

/// Reads requests until one is not taken, or not whole; where it `remembers`, by what was kept of those before.
fn read_requests(bytes: &[u8], step: usize, remembers: bool) -> Vec<Read> {
    let mut pieces = bytes.chunks(step);
    let (mut read, mut memory, mut all) = (BytesMut::new(), Memory::default(), Vec::new());
    let mut more = |read: &mut BytesMut| pieces.next().map(|piece| read.extend_from_slice(piece)).is_some();
    loop {
        let mut head = match downstream::head::parse(&mut read, &mut memory, 100) {
            Ok(Some(head)) if head.doubt.is_none() => head,
            Ok(None) if more(&mut read) => continue,
            _ => return all,
        };
        let mut body = Vec::new();
        loop {
            match head.framing.next(&mut read) {
                Ok(Piece::Data(data)) => body.extend_from_slice(&data),
                Ok(Piece::Trailers(_) | Piece::End) => break,
                Ok(Piece::NeedsMore) if more(&mut read) => {}
                Ok(Piece::NeedsMore) | Err(_) => return all,
            }
        }
        let fields = head.parts.headers.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()));
        all.push((head.parts.method.to_string(), head.parts.uri.to_string(), fields.collect(), body));
        if !head.keeps_alive {
            return all;
        }
        if remembers {
            memory.recycle(head);
        } else {
            memory = Memory::default();
        }
    }
}

/// Reads an answer; where `takes_lines`, without a map of its fields if it is an ordinary one.
fn read(bytes: &[u8], step: usize, takes_lines: bool) -> Result<(u16, Vec<u8>), UpstreamError> {
    let mut pieces = bytes.chunks(step);
    let (mut read, mut memory) = (BytesMut::new(), head::Memory::default());
    let mut head = loop {
        match head::parse(&mut read, &mut memory, &Method::GET, takes_lines)? {
            Some(head) => break head,
            None => read.extend_from_slice(pieces.next().ok_or(UpstreamError::CutOff)?),
        }
    };
    let mut body = Vec::new();
    loop {
        match head.framing.next(&mut read)? {
            Piece::Data(data) => body.extend_from_slice(&data),
            Piece::Trailers(_) | Piece::End => return Ok((head.status.as_u16(), body)),
            Piece::NeedsMore => match pieces.next() {
                Some(piece) => read.extend_from_slice(piece),
                None => {
                    head.framing.connection_ended()?;
                    return Ok((head.status.as_u16(), body));
                }
            },
        }
    }
}

/// A body that policies look into: what a guard lets pass is of its kind, and what is turned into the other form can be
/// read in it.
pub fn bodies(bytes: &[u8]) {
    let json = JsonLimits { depth: 20, members: 50, name_chars: 50, text_chars: 200, items: 50 };
    let xml = XmlLimits {
        depth: 20,
        elements: 100,
        children: 50,
        attributes: 10,
        attribute_chars: 100,
        references: 50,
        has_document_type: bytes.len().is_multiple_of(2),
        has_external_entities: false,
    };
    let forbidden = Forbidden { pattern: "(a+)+b".to_owned(), in_body: true, in_headers: true, in_target: true };
    mediation::fuzzing::guards(json, xml, forbidden, bytes);
    mediation::fuzzing::conversions(bytes);
    for coding in ["gzip", "deflate"] {
        if let Ok(unpacked) = packing::unpack(coding, bytes, 1 << 16) {
            assert!(unpacked.len() <= 1 << 16);
        }
    }
    assert_eq!(packing::unpack("gzip", &packing::pack(bytes), bytes.len()).ok().as_deref(), Some(bytes));
}

/// A challenge of a backend, answered.
pub fn challenge(bytes: &[u8]) {
    if let Ok(value) = HeaderValue::from_bytes(bytes) {
        proof::fuzzing::challenge(&HeaderMap::from_iter([(http::header::WWW_AUTHENTICATE, value)]));
    }
}
