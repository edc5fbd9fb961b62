//! The head of a snapshot file: `PCRSNP`, format (u16), length and CRC-32 of the position and membership that follow
//! (u32 each). Little-endian.

const MAGIC: &[u8; 6] = b"PCRSNP";
/// The newest format: the state in checked chunks.
pub(super) const FORMAT: u16 = 2;
/// The format of feature level 1: the state as one piece.
pub(super) const FORMAT_OF_LEVEL_1: u16 = 1;
pub(super) const HEAD_BYTES: usize = 16;
/// Bytes of the position and membership: thousands of nodes fit.
pub(super) const META_BYTES_MAX: u32 = 1 << 20;

/// What the head says.
#[derive(Clone, Copy, Debug)]
pub(super) struct FileHead {
    pub(super) format: u16,
    pub(super) meta_bytes: u32,
    pub(super) meta_checksum: u32,
}

impl FileHead {
    pub(super) fn parse(head: &[u8; HEAD_BYTES]) -> Option<Self> {
        let number = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let format = u16::from_le_bytes([head[6], head[7]]);
        (&head[..6] == MAGIC).then(|| Self { format, meta_bytes: number(8), meta_checksum: number(12) })
    }

    pub(super) fn to_bytes(self) -> [u8; HEAD_BYTES] {
        let mut head = [0; HEAD_BYTES];
        head[..6].copy_from_slice(MAGIC);
        head[6..8].copy_from_slice(&self.format.to_le_bytes());
        head[8..12].copy_from_slice(&self.meta_bytes.to_le_bytes());
        head[12..].copy_from_slice(&self.meta_checksum.to_le_bytes());
        head
    }

    pub(super) fn has_chunks(self) -> bool {
        self.format > FORMAT_OF_LEVEL_1
    }
}
