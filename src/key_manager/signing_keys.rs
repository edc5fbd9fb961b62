//! Lists, rotates and retires the keys that sign tokens.

use std::time::Duration;

use actix::Message;
use portcullis_database::command::{RetireSigningKey as RetireCommand, RotateSigningKey as RotateCommand};
use portcullis_database::{Apimgtdb, Caller, SubmitError};
use portcullis_jose::Algorithm;
use portcullis_model::{NodeId, SigningKeyId, Timestamp};

use crate::authority::Authority;
use crate::keyring::{self, NoSigningKey, SigningKeyStanding};

/// Asks for the signing keys, the newest first.
#[derive(Message)]
#[rtype(result = "Vec<SigningKeyRow>")]
pub struct ListSigningKeys;

/// A signing key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningKeyRow {
    /// The id, `kid` in tokens.
    pub id: SigningKeyId,
    /// The algorithm.
    pub algorithm: String,
    /// What it does now.
    pub standing: SigningKeyStanding,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it begins to sign, where that is not when it was made.
    pub signs_from: Option<Timestamp>,
    /// When it stops signing or stopped.
    pub retired_at: Option<Timestamp>,
}

/// Makes a new key that takes the place of the one of its algorithm.
#[derive(Message)]
#[rtype(result = "Result<RotatedSigningKey, SigningKeyFault>")]
pub struct RotateSigningKey {
    /// Who asks.
    pub caller: Caller,
    /// The algorithm; `None` for the one that tokens are signed with where their client does not say.
    pub algorithm: Option<Algorithm>,
    /// After how long the new key signs.
    pub overlap: Duration,
}

/// A key that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RotatedSigningKey {
    /// The new key.
    pub id: SigningKeyId,
    /// Its algorithm.
    pub algorithm: Algorithm,
    /// Those that it takes the place of.
    pub replaces: Vec<SigningKeyId>,
    /// The index of the write.
    pub index: u64,
}

/// Removes a key: nothing that it signed is accepted any more.
#[derive(Message)]
#[rtype(result = "Result<(u64, Vec<NodeId>), SigningKeyFault>")]
pub struct RetireSigningKey {
    /// Who asks.
    pub caller: Caller,
    /// The key.
    pub id: SigningKeyId,
    /// Whether it goes though it signs.
    pub is_forced: bool,
}

/// Why keys did not change.
#[derive(Debug, thiserror::Error)]
pub enum SigningKeyFault {
    /// The write was refused or could not be made.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// No key could be made.
    #[error("no signing key could be made")]
    CannotMake,
}

impl Authority {
    /// Returns the signing keys.
    pub fn list_signing_keys(&self) -> Vec<SigningKeyRow> {
        let view = self.handle.view();
        let now = self.now(&view);
        let tables = view.read::<Apimgtdb>();
        let row = |key: &portcullis_model::oauth::SigningKey| SigningKeyRow {
            id: key.id,
            algorithm: key.algorithm.clone(),
            standing: keyring::standing(&view, key, now),
            created_at: key.created_at,
            signs_from: tables.signing_starts.get(&key.id).copied(),
            retired_at: key.retired_at,
        };
        let mut rows: Vec<SigningKeyRow> = tables.signing_keys.values().map(|key| row(key)).collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.created_at));
        rows
    }

    /// Makes a new key.
    pub async fn rotate_signing_key(&self, request: RotateSigningKey) -> Result<RotatedSigningKey, SigningKeyFault> {
        let algorithm = request.algorithm.unwrap_or(self.settings.signing_algorithm);
        let key = keyring::new_key(algorithm, &self.key).await.map_err(|error| match error {
            NoSigningKey::Submit(cause) => cause.into(),
            NoSigningKey::CannotOpen(_) | NoSigningKey::CannotMake => SigningKeyFault::CannotMake,
        })?;
        let id = key.id;
        let overlap_ms = u64::try_from(request.overlap.as_millis()).unwrap_or(u64::MAX);
        let committed = self.handle.submit(RotateCommand { key, overlap_ms }, &request.caller).await?;
        Ok(RotatedSigningKey { id, algorithm, replaces: committed.reply, index: committed.index })
    }

    /// Removes a key.
    pub async fn retire_signing_key(&self, request: RetireSigningKey) -> Result<(u64, Vec<NodeId>), SigningKeyFault> {
        let command = RetireCommand { key: request.id, is_forced: request.is_forced };
        let committed = self.handle.submit(command, &request.caller).await?;
        Ok((committed.index, committed.unreached))
    }
}
