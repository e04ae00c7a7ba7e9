//! One record on disk, and finding the next whole one among damaged bytes.
//!
//! ```text
//! magic 4 | length u32 | sequence u64 | stamp u64 | crc32 u32 | payload (length bytes)      all little-endian
//! ```
//! The checksum covers length, sequence, stamp and payload. The magic is not valid UTF-8, so no JSON payload contains it:
//! a search for the next frame never mistakes a payload for one.
use super::Record;

/// Begins each frame; `FF` and `FE` occur in no UTF-8 text.
const MAGIC: [u8; 4] = [0xFF, 0xFE, b'e', b'y'];
/// Bytes before the payload.
pub(super) const HEADER: usize = 4 + 4 + 8 + 8 + 4;

/// What stands at the beginning of some bytes.
#[derive(Debug)]
pub(super) enum Parsed<'a> {
    /// A whole, intact frame.
    Whole { sequence: u64, stamp: u64, payload: &'a [u8], size: usize },
    /// The bytes end within the frame.
    Short,
    /// No frame, or a damaged one.
    Damaged,
}

/// Appends one frame to `out`.
pub(super) fn encode(sequence: u64, stamp: u64, payload: &[u8], out: &mut Vec<u8>) {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    out.reserve(HEADER + payload.len());
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&sequence.to_le_bytes());
    out.extend_from_slice(&stamp.to_le_bytes());
    out.extend_from_slice(&checksum(length, sequence, stamp, payload).to_le_bytes());
    out.extend_from_slice(payload);
}

/// Reads the frame at the beginning of `bytes`; a payload longer than `max` counts as damage.
pub(super) fn parse(bytes: &[u8], max: usize) -> Parsed<'_> {
    let head = &bytes[..bytes.len().min(MAGIC.len())];
    if !MAGIC.starts_with(head) {
        return Parsed::Damaged;
    }
    let (Some(length), Some(sequence), Some(stamp), Some(crc)) =
        (u32_at(bytes, 4), u64_at(bytes, 8), u64_at(bytes, 16), u32_at(bytes, 24))
    else {
        return Parsed::Short;
    };
    let size = length as usize;
    if size > max {
        return Parsed::Damaged;
    }
    let Some(payload) = bytes.get(HEADER..HEADER + size) else { return Parsed::Short };
    if checksum(length, sequence, stamp, payload) == crc {
        Parsed::Whole { sequence, stamp, payload, size: HEADER + size }
    } else {
        Parsed::Damaged
    }
}

/// Everything that can still be read in a segment.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// Numbers of the intact frames, strictly growing.
    pub sequences: Vec<u64>,
    /// One past the last intact frame: what stands behind is a torn write.
    pub end: u64,
    /// Greatest stamp.
    pub stamp: u64,
}

/// Walks a whole segment. Damaged stretches are skipped; the sequence numbers tell how many records they held.
pub(super) fn scan(bytes: &[u8], first: u64, max: usize) -> Scan {
    let mut scan = Scan::default();
    let mut at = 0;
    while at < bytes.len() {
        match parse(&bytes[at..], max) {
            Parsed::Whole { sequence, stamp, size, .. } => {
                if sequence >= scan.sequences.last().map_or(first, |s| s.saturating_add(1)) {
                    scan.sequences.push(sequence);
                }
                scan.stamp = scan.stamp.max(stamp);
                at += size;
                scan.end = at as u64;
            }
            Parsed::Short | Parsed::Damaged => match next_magic(bytes, at + 1) {
                Some(next) => at = next,
                None => break,
            },
        }
    }
    scan
}

/// The record at `at`, or the next intact one behind it; with the offset behind it. `None`: none is left.
pub(super) fn next(bytes: &[u8], mut at: usize, max: usize) -> Option<(Record, usize)> {
    while at < bytes.len() {
        if let Parsed::Whole { sequence, stamp, payload, size } = parse(&bytes[at..], max) {
            return Some((Record { sequence, stamp, payload: payload.to_vec() }, at + size));
        }
        at = next_magic(bytes, at + 1)?;
    }
    None
}

fn next_magic(bytes: &[u8], from: usize) -> Option<usize> {
    bytes.get(from..)?.windows(MAGIC.len()).position(|w| w == MAGIC).map(|i| from + i)
}

fn checksum(length: u32, sequence: u64, stamp: u64, payload: &[u8]) -> u32 {
    let mut h = crc32fast::Hasher::new();
    h.update(&length.to_le_bytes());
    h.update(&sequence.to_le_bytes());
    h.update(&stamp.to_le_bytes());
    h.update(payload);
    h.finalize()
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}
