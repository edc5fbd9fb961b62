//! Produces a backup of a state on a thread of its own, as fast as it is taken away.

use std::io;
use std::time::Duration;

use portcullis_database::handle::{random_bytes, wall_clock};
use portcullis_database::{ClusterKey, State, snapshot};
use portcullis_model::port::PortFuture;
use portcullis_model::safekeeping::{BackupEncryption, BackupStream};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::timeout;

use super::contents;
use super::head::{Encryption, Head};
use super::key;
use super::seal::CIPHER;
use crate::background;
use crate::identity::Identity;

/// Pieces that wait to be taken away.
const PIECES: usize = 8;
/// Bytes of a piece, roughly.
const PIECE_BYTES: usize = 128 << 10;
/// How long a piece waits before the backup is given up: whoever asked for it has gone.
const TAKEN_WITHIN: Duration = Duration::from_secs(60);

/// Begins a backup. `permit` is given back when it is over.
pub(crate) fn produce(
    identity: &Identity,
    cluster_key: ClusterKey,
    state: State,
    encryption: Option<BackupEncryption>,
    permit: OwnedSemaphorePermit,
) -> Box<dyn BackupStream> {
    let salt: [u8; 32] = random_bytes();
    let head = Head {
        cluster_id: identity.cluster_id,
        cluster_name: identity.cluster_name.clone(),
        node: identity.node,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        created_at: wall_clock(),
        applied_index: state.applied_index,
        feature_level: state.feature_level(),
        encryption: encryption.as_ref().map(|wish| Encryption {
            cipher: CIPHER.to_owned(),
            salt: hex::encode(salt),
            derivation: wish.derivation.clone(),
        }),
    };
    let (pieces, taken) = mpsc::channel(PIECES);
    let runtime = Handle::current();
    let produce = move || {
        let _permit = permit;
        // For the time limits below.
        let _context = runtime.enter();
        let out = PieceWriter { pieces: pieces.clone(), runtime: runtime.clone(), piece: Vec::new() };
        let own_key = encryption.map(|wish| key::of_backup(&wish.key, &salt));
        let secrets = own_key.as_ref().map(|key| (&**key, &cluster_key));
        let written = contents::write(out, &head, secrets, |out| snapshot::write(&state, out));
        if let Err(e) = written.map_err(|e| e.to_string()).and_then(|mut out| out.put().map_err(|e| e.to_string())) {
            tracing::warn!(error = %e, "a backup was not finished");
            // Where nobody takes anything away any more, nobody is to be told.
            drop(runtime.block_on(timeout(TAKEN_WITHIN, pieces.send(Err(e)))));
        }
    };
    if let Err(e) = background::spawn("backup", produce) {
        tracing::error!(error = %e, "a backup cannot be begun");
    }
    Box::new(Pieces(taken))
}

/// Hands what is written on in pieces.
struct PieceWriter {
    pieces: mpsc::Sender<Result<Vec<u8>, String>>,
    runtime: Handle,
    piece: Vec<u8>,
}

impl PieceWriter {
    fn put(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::take(&mut self.piece);
        let sent = self.runtime.block_on(timeout(TAKEN_WITHIN, self.pieces.send(Ok(piece))));
        match sent {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(io::Error::new(io::ErrorKind::BrokenPipe, "nobody takes it any more")),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "it was not taken away in time")),
        }
    }
}

impl io::Write for PieceWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE_BYTES {
            self.put()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Pieces(mpsc::Receiver<Result<Vec<u8>, String>>);

impl BackupStream for Pieces {
    fn next(&mut self) -> PortFuture<'_, Option<Result<Vec<u8>, String>>> {
        Box::pin(self.0.recv())
    }
}
