use super::*;

#[test]
fn a_snapshot_that_was_sent_and_not_wanted_leaves_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let snapshots = Snapshots::open(directory.path()).unwrap();
    let wanted = snapshots.write(&SnapshotMeta::default(), &State::default()).unwrap();
    let (path, _) = snapshots.incoming().unwrap();
    let refused = Snapshots::received(&path).unwrap();
    drop(refused);
    assert!(!path.exists());
    drop(wanted);
    assert!(snapshots.current().is_some_and(|(_, current)| current.load().is_ok()));
}

fn whole(passing: &mut Passing, bytes: &[u8], piece: usize) -> io::Result<bool> {
    for part in bytes.chunks(piece) {
        passing.pass(part)?;
    }
    Ok(passing.is_complete())
}

/// A state of feature level 2 with more rows than fit into a chunk.
fn large() -> State {
    let mut state = State::default();
    let facts = portcullis_database::state::ClusterFacts {
        id: uuid::Uuid::nil(),
        name: "test".to_owned(),
        created_at: portcullis_model::Timestamp(0),
        feature_level: 2,
        ca_certificate: String::new(),
        ca_key: portcullis_model::Sealed(Vec::new()),
        node_ids_given: 1,
    };
    state.system.cluster.insert((), Arc::new(facts));
    for number in 0..40_000_u64 {
        let tenant = portcullis_model::TenantDomain::super_tenant();
        let api = portcullis_model::ApiId::from_random(u128::from(number).to_be_bytes());
        state.apimgt.contexts.insert((tenant, format!("/{number}")), api);
    }
    state
}

#[test]
fn a_flipped_bit_in_a_snapshot_is_noticed_in_the_chunk_where_it_is_by_whoever_passes_it_on() {
    let directory = tempfile::tempdir().unwrap();
    let snapshots = Snapshots::open(directory.path()).unwrap();
    let file = snapshots.write(&SnapshotMeta::default(), &large()).unwrap();
    let bytes = fs::read(file.path()).unwrap();
    assert!(bytes.len() > 3 * CHUNK_BYTES, "{} bytes", bytes.len());
    for piece in [1000, CHUNK_BYTES, bytes.len()] {
        assert!(whole(&mut Passing::new(), &bytes, piece).unwrap());
        assert!(!whole(&mut Passing::new(), &bytes[..bytes.len() - 1], piece).unwrap());
    }
    for at in (0..bytes.len()).step_by(bytes.len() / 97) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 4;
        let mut passing = Passing::new();
        let noticed_at = flipped.chunks(CHUNK_BYTES).position(|part| passing.pass(part).is_err());
        let is_early = noticed_at.is_some_and(|chunk| (chunk * CHUNK_BYTES).abs_diff(at) <= 2 * CHUNK_BYTES);
        assert!(is_early || !passing.is_complete(), "the bit flipped at {at} was noticed at chunk {noticed_at:?}");
        fs::write(file.path(), &flipped).unwrap();
        assert!(inspect_snapshot(file.path()).is_err(), "byte {at}");
        assert!(SnapshotFile::open(file.path()).unwrap().load().is_err(), "byte {at}");
    }
    fs::write(file.path(), &bytes).unwrap();
    let report = inspect_snapshot(file.path()).unwrap();
    let summary = report.summary.unwrap();
    assert_eq!((report.format, summary.feature_level), (2, 2));
    assert!(summary.tables.iter().any(|table| table.name == Some("contexts") && table.rows == 40_000));
}

#[test]
fn a_damaged_snapshot_gives_way_to_another_of_the_same_position() {
    let directory = tempfile::tempdir().unwrap();
    let snapshots = Snapshots::open(directory.path()).unwrap();
    let damaged = snapshots.write(&SnapshotMeta::default(), &large()).unwrap();
    let mut bytes = fs::read(damaged.path()).unwrap();
    bytes[300_000] ^= 1;
    fs::write(damaged.path(), &bytes).unwrap();
    let kept = snapshots.write(&SnapshotMeta::default(), &large()).unwrap();
    assert!(
        snapshots.current().unwrap().1.load().is_err(),
        "a snapshot no newer does not take the place of a good one"
    );
    drop(kept);
    snapshots.report_damage(&damaged);
    snapshots.write(&SnapshotMeta::default(), &large()).unwrap();
    assert!(snapshots.current().unwrap().1.load().is_ok());
}
