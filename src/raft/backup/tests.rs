use std::fs;

use portcullis_database::digest::digest;
use portcullis_database::snapshot;
use portcullis_model::safekeeping::KeyDerivation;
use portcullis_model::{NodeId, Timestamp};
use tempfile::TempDir;

use super::head::Encryption;
use super::seal::CIPHER;
use super::*;

/// A state with a row in every table of the first feature level.
fn state() -> State {
    let sample = include_bytes!("../../../tests/compatibility/level-1/snapshot.bin");
    snapshot::read(sample.as_slice()).unwrap()
}

fn head(encryption: Option<Encryption>) -> Head {
    Head {
        cluster_id: uuid::Uuid::nil(),
        cluster_name: "sample".to_owned(),
        node: NodeId(1),
        version: "0".to_owned(),
        created_at: Timestamp(0),
        applied_index: 9,
        feature_level: 1,
        encryption,
    }
}

fn key() -> BackupKey {
    BackupKey::from_file(&"5a".repeat(32)).unwrap()
}

fn write(is_encrypted: bool, state: &State) -> Vec<u8> {
    let salt = [7; 32];
    let encryption = is_encrypted.then(|| Encryption {
        cipher: CIPHER.to_owned(),
        salt: hex::encode(salt),
        derivation: KeyDerivation::KeyFile,
    });
    let own = super::key::of_backup(&[0x5a; 32], &salt);
    let cluster_key = ClusterKey::new([3; 32]);
    let secrets = is_encrypted.then_some((&*own, &cluster_key));
    contents::write(Vec::new(), &head(encryption), secrets, |out| snapshot::write(state, out)).unwrap()
}

fn file(directory: &TempDir, bytes: &[u8]) -> PathBuf {
    let path = directory.path().join("a.backup");
    fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn what_was_backed_up_comes_back_whole_and_the_cluster_key_only_where_it_was_encrypted() {
    let directory = TempDir::new().unwrap();
    let before = state();
    for is_encrypted in [false, true] {
        let path = file(&directory, &write(is_encrypted, &before));
        let back = unpack(&path, Some(&key())).unwrap();
        assert_eq!(digest(&back.state).unwrap(), digest(&before).unwrap());
        assert_eq!(back.cluster_key.map(|key| *key.as_bytes()), is_encrypted.then_some([3; 32]));
        assert_eq!(back.head.encryption.is_some(), is_encrypted);
        let verified = verify(&path, Some(&key())).unwrap();
        let rows: u64 = verified.summary.unwrap().tables.iter().map(|table| table.rows).sum();
        assert!(rows > 90, "{rows} rows");
    }
}

#[test]
fn a_backup_that_was_cut_off_or_changed_anywhere_is_told_from_a_whole_one_without_its_key() {
    let directory = TempDir::new().unwrap();
    for is_encrypted in [false, true] {
        let whole = write(is_encrypted, &state());
        for length in (0..whole.len()).step_by(whole.len() / 60) {
            let path = file(&directory, &whole[..length]);
            assert!(verify(&path, None).is_err(), "cut off at {length} of {}", whole.len());
        }
        for at in (0..whole.len()).step_by(whole.len() / 120) {
            let mut changed = whole.clone();
            changed[at] ^= 0x20;
            assert!(verify(&file(&directory, &changed), None).is_err(), "byte {at} changed");
        }
        let mut longer = whole.clone();
        longer.push(0);
        assert!(verify(&file(&directory, &longer), None).is_err());
        assert!(verify(&file(&directory, &whole), None).is_ok());
    }
}

#[test]
fn an_encrypted_backup_shows_nothing_and_opens_with_its_key_alone() {
    let directory = TempDir::new().unwrap();
    let bytes = write(true, &state());
    let shows = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
    assert!(!shows(b"client1") && !shows(&[3; 32]));
    let path = file(&directory, &bytes);
    assert!(matches!(unpack(&path, None), Err(BackupError::NeedsKey(_))));
    assert!(verify(&path, None).unwrap().summary.is_none(), "checked, not read");
    let other = BackupKey::from_file(&"5b".repeat(32)).unwrap();
    assert!(matches!(unpack(&path, Some(&other)), Err(BackupError::WrongKey(_))));
    let passphrase = BackupKey::passphrase("not what it was made with".to_owned());
    assert!(matches!(unpack(&path, Some(&passphrase)), Err(BackupError::Key(KeyError::OtherKind { .. }))));
    assert!(matches!(BackupKey::from_file("5a5a"), Err(KeyError::NotAKey)));
}

/// Whoever can write the file can also make its checksums right: the cipher must notice.
#[test]
fn chunks_of_an_encrypted_backup_cannot_be_left_out_though_every_checksum_is_right() {
    let directory = TempDir::new().unwrap();
    // Enough rows of noise for several chunks.
    let mut large = state();
    for number in 0..40_000_u64 {
        let digest = portcullis_model::TokenDigest(
            sha2::Digest::finalize(sha2::Digest::chain_update(sha2::Sha256::default(), number.to_be_bytes())).into(),
        );
        large.apimgt.revoked_tokens.insert(digest, Timestamp(number));
    }
    let whole = write(true, &large);
    let (_, start) = head::read(&mut whole.as_slice(), Path::new("a")).unwrap();
    let mut frames = frame::FrameReader::new(&whole[start.len()..], &start);
    let (mut chunks, mut chunk) = (Vec::new(), Vec::new());
    while frames.next(&mut chunk).unwrap() {
        chunks.push(chunk.clone());
    }
    assert!(chunks.len() > 3, "{} chunks", chunks.len());
    let forge = |chunks: &[Vec<u8>]| {
        let mut out = frame::FrameWriter::new(Vec::new(), &start).unwrap();
        for chunk in chunks {
            out.chunk(chunk).unwrap();
        }
        file(&directory, &out.finish().unwrap())
    };
    assert!(unpack(&forge(&chunks), Some(&key())).is_ok());
    let mut swapped = chunks.clone();
    swapped.swap(0, 1);
    for forged in [&chunks[..chunks.len() - 1], &chunks[1..], &swapped] {
        let path = forge(forged);
        assert!(verify(&path, None).is_ok(), "the checksums are right");
        assert!(matches!(unpack(&path, Some(&key())), Err(BackupError::WrongKey(_))));
    }
}

#[test]
fn a_passphrase_makes_the_same_key_from_what_the_head_says_and_a_head_cannot_ask_for_too_much() {
    let key = BackupKey::passphrase("correct horse battery staple".to_owned());
    assert!(matches!(BackupKey::passphrase("short".to_owned()).for_new_backup(), Err(KeyError::TooShort(5))));
    let derivation = KeyDerivation::Argon2id { salt: hex::encode([1; 16]), memory_kib: 64, passes: 1, lanes: 1 };
    assert_eq!(*key.derive(&derivation).unwrap(), *key.derive(&derivation).unwrap());
    let other = BackupKey::passphrase("correct horse battery stable".to_owned());
    assert_ne!(*key.derive(&derivation).unwrap(), *other.derive(&derivation).unwrap());
    for (memory_kib, passes, lanes) in [(u32::MAX, 1, 1), (64, u32::MAX, 1), (64, 1, u32::MAX), (0, 0, 0)] {
        let greedy = KeyDerivation::Argon2id { salt: hex::encode([1; 16]), memory_kib, passes, lanes };
        assert_eq!(key.derive(&greedy).unwrap_err(), KeyError::Derivation);
    }
}
