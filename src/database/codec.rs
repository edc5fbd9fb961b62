//! The one place that names the wire codec (bincode): every stored or sent record goes through here, always with a
//! limit, so that a corrupt length can never make a node ask for more memory than a record may have.

use bincode::config::{Configuration, Fixint, Limit, LittleEndian};
use portcullis_model::limit::RECORD_BYTES_MAX;
use serde::Serialize;
use serde::de::DeserializeOwned;

const CONFIGURATION: Configuration<LittleEndian, Fixint, Limit<RECORD_BYTES_MAX>> =
    bincode::config::legacy().with_limit::<RECORD_BYTES_MAX>();

/// A record that cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The value does not fit into a record.
    #[error("the value cannot be written as a record of at most {RECORD_BYTES_MAX} bytes")]
    Encode(#[source] bincode::error::EncodeError),
    /// The bytes are not such a record.
    #[error("the bytes are not a record of the expected type")]
    Decode(#[source] bincode::error::DecodeError),
    /// There is more than one record in the bytes.
    #[error("{0} bytes follow the record")]
    Trailing(usize),
}

/// Returns `value` as bytes.
///
/// # Errors
/// [`CodecError::Encode`] where it is larger than [`RECORD_BYTES_MAX`].
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, CodecError> {
    let bytes = bincode::serde::encode_to_vec(value, CONFIGURATION).map_err(CodecError::Encode)?;
    if bytes.len() > RECORD_BYTES_MAX {
        return Err(CodecError::Encode(bincode::error::EncodeError::UnexpectedEnd));
    }
    Ok(bytes)
}

/// Returns how many bytes `value` is as a record; [`usize::MAX`] where it is none.
#[must_use]
pub fn encoded_len<T: Serialize>(value: &T) -> usize {
    /// Counts what is written.
    #[derive(Default)]
    struct Counter(usize);

    impl bincode::enc::write::Writer for Counter {
        fn write(&mut self, bytes: &[u8]) -> Result<(), bincode::error::EncodeError> {
            self.0 += bytes.len();
            Ok(())
        }
    }

    let mut counter = Counter::default();
    let written = bincode::serde::encode_into_writer(value, &mut counter, CONFIGURATION);
    written.map_or(usize::MAX, |()| counter.0)
}

/// Returns the value that `bytes`, all of them, hold.
///
/// # Errors
/// [`CodecError::Decode`] where they do not hold one; [`CodecError::Trailing`] where they hold more.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    let (value, read) = bincode::serde::decode_from_slice(bytes, CONFIGURATION).map_err(CodecError::Decode)?;
    match bytes.len() - read {
        0 => Ok(value),
        rest => Err(CodecError::Trailing(rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forged_length_is_an_error_and_not_an_allocation() {
        let forged = [0xff_u8; 12];
        assert!(matches!(decode::<String>(&forged), Err(CodecError::Decode(_))));
    }

    #[test]
    fn bytes_after_a_record_are_refused() {
        let mut bytes = encode(&7_u64).unwrap();
        bytes.push(0);
        assert!(matches!(decode::<u64>(&bytes), Err(CodecError::Trailing(1))));
    }
}
