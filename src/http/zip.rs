//! Zip files (PKWARE's APPNOTE 6.3): what is stored or deflated, without encryption, without zip64. Everything is bounded,
//! and no name leads out of the archive.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;

/// Files of an archive.
const FILES_MAX: usize = 5_000;
/// Bytes of all files of an archive, unpacked.
const BYTES_MAX: usize = 64 << 20;
/// Bytes of a file's name.
const NAME_BYTES_MAX: usize = 1_024;

const END: [u8; 4] = *b"PK\x05\x06";
const END_BYTES: usize = 22;
const LISTED: [u8; 4] = *b"PK\x01\x02";
const LISTED_BYTES: usize = 46;
const LOCAL: [u8; 4] = *b"PK\x03\x04";
const LOCAL_BYTES: usize = 30;
const STORED: u16 = 0;
const DEFLATED: u16 = 8;
/// 1 January 1980, the first day that there is: an archive of the same content is the same.
const DATE: u16 = 0x21;
/// Version 2.0: deflate.
const VERSION: u16 = 20;
/// Names are UTF-8.
const UTF8: u16 = 1 << 11;

/// What is in an archive, by name with slashes.
pub type Files = BTreeMap<String, Vec<u8>>;

/// Reads an archive.
///
/// # Errors
/// Why it is not acceptable, in words for whoever sent it.
pub fn read(archive: &[u8]) -> Result<Files, String> {
    read_within(archive, BYTES_MAX)
}

/// Reads an archive whose files may have `bytes_max` bytes together, unpacked; no file beyond them is unpacked.
///
/// # Errors
/// Why it is not acceptable, in words for whoever sent it.
pub fn read_within(archive: &[u8], bytes_max: usize) -> Result<Files, String> {
    let mut files = Files::new();
    let mut bytes_left = bytes_max.min(BYTES_MAX);
    let (count, mut at) = list(archive)?;
    for _ in 0..count {
        let head = part(archive, at, LISTED_BYTES)?;
        if head[..4] != LISTED {
            return Err("its list of files is broken".to_owned());
        }
        let [name_bytes, extra, comment] = [28, 30, 32].map(|place| usize::from(short(head, place)));
        let name = part(archive, at + LISTED_BYTES, name_bytes)?;
        at += LISTED_BYTES + name_bytes + extra + comment;
        let name = checked_name(name)?;
        if name.ends_with('/') {
            continue;
        }
        // The upper half holds the kind of file on Unix.
        if long(head, 38) >> 28 == 0xa {
            return Err(format!("{name} is a link to another file"));
        }
        let size = long(head, 24) as usize;
        bytes_left =
            bytes_left.checked_sub(size).ok_or_else(|| format!("its files have more than {bytes_max} bytes"))?;
        let content = unpacked(archive, head, &name, size)?;
        if files.insert(name.clone(), content).is_some() {
            return Err(format!("{name} is in it twice"));
        }
    }
    Ok(files)
}

/// Finds the list of files: how many there are, and where it begins.
fn list(archive: &[u8]) -> Result<(usize, usize), String> {
    let from = archive.len().saturating_sub(END_BYTES + usize::from(u16::MAX));
    let found = archive[from..].windows(END_BYTES).rposition(|window| window[..4] == END);
    let at = found.ok_or("it is not a zip file")?;
    let end = &archive[from + at..];
    let count = usize::from(short(end, 10));
    if count > FILES_MAX {
        return Err(format!("it has {count} files; at most {FILES_MAX} are accepted"));
    }
    Ok((count, long(end, 16) as usize))
}

fn checked_name(name: &[u8]) -> Result<String, String> {
    let name = std::str::from_utf8(name).map_err(|_| "the name of a file is not UTF-8")?;
    let is_inside =
        !name.starts_with('/') && !name.contains(['\\', '\0', ':']) && name.split('/').all(|part| part != "..");
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !is_inside {
        let shown: String = name.chars().take(100).collect();
        return Err(format!("the name {shown:?} leads out of the archive, or is too long"));
    }
    Ok(name.to_owned())
}

fn unpacked(archive: &[u8], head: &[u8], name: &str, size: usize) -> Result<Vec<u8>, String> {
    if short(head, 8) & 1 != 0 {
        return Err(format!("{name} is encrypted"));
    }
    let (packed_size, local) = (long(head, 20) as usize, long(head, 42) as usize);
    let local_head = part(archive, local, LOCAL_BYTES)?;
    if local_head[..4] != LOCAL {
        return Err(format!("{name} is not where the list of files says"));
    }
    let begin = local + LOCAL_BYTES + usize::from(short(local_head, 26)) + usize::from(short(local_head, 28));
    let packed = part(archive, begin, packed_size)?;
    let mut content = Vec::with_capacity(size);
    match short(head, 10) {
        STORED => content.extend_from_slice(packed),
        DEFLATED => {
            // One byte more than was said is enough to notice.
            let read = DeflateDecoder::new(packed).take(size as u64 + 1).read_to_end(&mut content);
            read.map_err(|error| format!("{name} cannot be unpacked: {error}"))?;
        }
        other => return Err(format!("{name} is packed by method {other}; stored and deflated files are accepted")),
    }
    if content.len() != size || crc32fast::hash(&content) != long(head, 16) {
        return Err(format!("{name} is damaged"));
    }
    Ok(content)
}

fn part(archive: &[u8], at: usize, length: usize) -> Result<&[u8], String> {
    let end = at.checked_add(length);
    end.and_then(|end| archive.get(at..end)).ok_or_else(|| "it ends too early".to_owned())
}

fn short(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn long(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Writes an archive.
///
/// # Errors
/// Where a file is larger than an archive may have.
pub fn write(files: &Files) -> Result<Vec<u8>, String> {
    let (mut archive, mut listed) = (Vec::new(), Vec::new());
    for (name, content) in files {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        let packed = encoder.write_all(content).and_then(|()| encoder.finish()).map_err(|error| error.to_string())?;
        let size = |bytes: usize| u32::try_from(bytes).map_err(|_| format!("{name} is too large"));
        let mut common = Vec::new();
        for field in [VERSION, UTF8, DEFLATED, 0, DATE] {
            common.extend(field.to_le_bytes());
        }
        for field in [crc32fast::hash(content), size(packed.len())?, size(content.len())?] {
            common.extend(field.to_le_bytes());
        }
        common.extend(u16::try_from(name.len()).map_err(|_| format!("the name {name} is too long"))?.to_le_bytes());
        common.extend(0_u16.to_le_bytes());
        let at = size(archive.len())?;
        archive.extend(LOCAL);
        archive.extend(&common);
        archive.extend(name.as_bytes());
        archive.extend(packed);
        listed.extend(LISTED);
        listed.extend(VERSION.to_le_bytes());
        listed.extend(&common);
        // No comment, disk or attributes.
        listed.extend([0; 10]);
        listed.extend(at.to_le_bytes());
        listed.extend(name.as_bytes());
    }
    let count = u16::try_from(files.len()).map_err(|_| "there are too many files")?;
    let large = |_| "the archive is too large".to_owned();
    let (listed_bytes, listed_at) =
        (u32::try_from(listed.len()).map_err(large)?, u32::try_from(archive.len()).map_err(large)?);
    archive.extend(listed);
    archive.extend(END);
    archive.extend([0; 4]);
    archive.extend(count.to_le_bytes());
    archive.extend(count.to_le_bytes());
    archive.extend(listed_bytes.to_le_bytes());
    archive.extend(listed_at.to_le_bytes());
    archive.extend([0; 2]);
    Ok(archive)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(all: &[(&str, &[u8])]) -> Files {
        all.iter().map(|(name, content)| ((*name).to_owned(), content.to_vec())).collect()
    }

    #[test]
    fn what_was_written_is_read() {
        let all = files(&[("a/api.yaml", b"x: 1"), ("a/Image/icon.png", &[7; 100_000]), ("empty", b"")]);
        let archive = write(&all).unwrap();
        assert!(archive.len() < 2_000, "it is packed");
        assert_eq!(read(&archive).unwrap(), all);
        assert_eq!(archive, write(&all).unwrap());
    }

    #[test]
    fn names_that_lead_out_and_more_than_was_said_are_refused() {
        for name in ["../x", "a/../../x", "/etc/x", "a\\b", "C:x"] {
            let refused = read(&write(&files(&[(name, b"1")])).unwrap()).unwrap_err();
            assert!(refused.contains("leads out"), "{refused}");
        }
        let good = write(&files(&[("bomb", &[0; 1_000_000])])).unwrap();
        let said = good.windows(4).rposition(|window| window == 1_000_000_u32.to_le_bytes()).unwrap();
        let with_size = |size: u32| {
            let mut bad = good.clone();
            bad[said..said + 4].copy_from_slice(&size.to_le_bytes());
            read(&bad).unwrap_err()
        };
        assert!(with_size(10).contains("damaged"));
        assert!(with_size(u32::MAX).contains("more than"));
    }

    #[test]
    fn a_file_beyond_what_was_asked_for_is_not_unpacked() {
        let mut archive = write(&files(&[("large", &[7; 2_000])])).unwrap();
        assert!(read_within(&archive, 2_000).is_ok());
        // Where its content were looked at, it would be found damaged.
        archive[LOCAL_BYTES + "large".len()] ^= 0xff;
        assert!(!read_within(&archive, 2_000).unwrap_err().contains("more than"));
        assert!(read_within(&archive, 1_999).unwrap_err().contains("more than 1999 bytes"));
    }

    #[test]
    fn nothing_that_is_sent_is_read_beyond_its_end() {
        let good = write(&files(&[("a", b"hello"), ("b", b"world")])).unwrap();
        for end in 0..good.len() {
            assert!(read(&good[..end]).is_err(), "cut at {end}");
        }
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0xff;
            // Whatever comes of it, it is an answer.
            let _ = read(&bad);
        }
    }
}
