//! Records that were taken out of the ring before their turn, so that the programs have room while the reader is behind.
//!
//! Invariants: first in, first out; bounded in bytes; what was read of it goes back to the allocator, so that memory is as before
//! once the reader has caught up.
use std::collections::VecDeque;

/// Bytes that are allocated at once; longer than any record.
const CHUNK: usize = 1 << 20;
/// In front of each record: its length.
const HEADER: usize = size_of::<u32>();

/// See the module.
#[derive(Debug)]
pub(super) struct Aside {
    chunks: VecDeque<Vec<u8>>,
    /// Where the next record stands in the first chunk.
    at: usize,
    /// Most chunks.
    most: usize,
}

impl Aside {
    /// For at most about `bytes`.
    pub(super) fn new(bytes: usize) -> Self {
        Self { chunks: VecDeque::new(), at: 0, most: bytes.div_ceil(CHUNK) }
    }

    /// Whether a record of any length still fits.
    pub(super) fn has_room(&self) -> bool {
        self.chunks.len() < self.most
    }

    /// Takes a record, which is shorter than a chunk. To be called while there is room.
    pub(super) fn push(&mut self, record: &[u8]) {
        let needed = HEADER + record.len();
        if self.chunks.back().is_none_or(|chunk| chunk.len() + needed > CHUNK) {
            self.chunks.push_back(Vec::with_capacity(CHUNK.max(needed)));
        }
        if let Some(chunk) = self.chunks.back_mut() {
            chunk.extend_from_slice(&u32::try_from(record.len()).unwrap_or_default().to_ne_bytes());
            chunk.extend_from_slice(record);
        }
    }

    /// Passes the oldest on; false when there is none.
    pub(super) fn next(&mut self, each: impl FnOnce(&[u8])) -> bool {
        let Some(chunk) = self.chunks.front() else { return false };
        let Some((len, rest)) = chunk.get(self.at..).and_then(<[u8]>::split_first_chunk::<HEADER>) else {
            return false;
        };
        let len = u32::from_ne_bytes(*len) as usize;
        each(rest.get(..len).unwrap_or_default());
        self.at += HEADER + len;
        if self.at >= chunk.len() {
            self.chunks.pop_front();
            self.at = 0;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn first_in_first_out_whatever_the_lengths(steps in proptest::collection::vec((any::<bool>(), 0..200_000_usize), 1..200)) {
            let mut aside = Aside::new(8 * CHUNK);
            let mut expected = VecDeque::new();
            for (number, (push, len)) in steps.into_iter().enumerate() {
                if push && aside.has_room() {
                    let record = vec![number.to_le_bytes()[0]; len];
                    aside.push(&record);
                    expected.push_back(record);
                } else {
                    let wanted = expected.pop_front();
                    let mut got = None;
                    prop_assert_eq!(aside.next(|bytes| got = Some(bytes.to_vec())), wanted.is_some());
                    prop_assert_eq!(got, wanted);
                }
                prop_assert!(aside.chunks.len() <= 8);
            }
            while aside.next(|bytes| assert_eq!(Some(bytes), expected.pop_front().as_deref())) {}
            prop_assert!(expected.is_empty() && aside.chunks.is_empty());
        }
    }
}
