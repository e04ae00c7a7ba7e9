//! Whether a path that a call was given is plain: the same text that user space makes of it, after its directory and a slash when it
//! is relative.
//!
//! User space takes `.`, `..`, doubled slashes and a slash at the end out of the text. A path with none of these needs no such
//! work, so that the programs can compare it as it is; of the others they know nothing. Both sides have this code, word by word
//! (as they lie in memory of a little-endian machine).

/// Bytes of the longest path that is looked at, with its NUL.
pub const LOOKED_AT: usize = 256;

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x80 * ONES;

/// The high bit of each byte that is zero.
#[inline(always)]
const fn zeroes(word: u64) -> u64 {
    !(((word & !HIGH) + !HIGH) | word | !HIGH)
}

/// What is asked of a word's bytes: the high bit of each that ends a component, and of each that is a dot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    slashes: u64,
    nuls: u64,
    dots: u64,
}

impl Marks {
    /// Of eight bytes.
    #[inline(always)]
    #[must_use]
    pub const fn of(word: u64) -> Self {
        Self {
            slashes: zeroes(word ^ (b'/' as u64 * ONES)),
            nuls: zeroes(word),
            dots: zeroes(word ^ (b'.' as u64 * ONES)),
        }
    }

    /// Whether the text ends in this word.
    #[inline(always)]
    #[must_use]
    pub const fn ends(self) -> bool {
        self.nuls != 0
    }

    /// Whether a component that begins behind a slash of this word (or at its first byte, at the `start` of a path) is empty, `.` or
    /// `..`. `next`: those of the word behind it.
    #[inline(always)]
    #[must_use]
    pub const fn odd(self, next: Self, start: bool) -> bool {
        let (ends, ends_next) = (self.slashes | self.nuls, next.slashes | next.nuls);
        let (end1, end2, end3) = (behind(ends, ends_next, 1), behind(ends, ends_next, 2), behind(ends, ends_next, 3));
        let (dot1, dot2) = (behind(self.dots, next.dots, 1), behind(self.dots, next.dots, 2));
        // Up to the NUL: behind it is another text.
        let slashes = self.slashes & (self.nuls ^ self.nuls.wrapping_sub(1));
        let inside = slashes & (end1 | dot1 & (end2 | dot2 & end3));
        let first = self.nuls | self.dots & (end1 | dot1 & end2);
        inside != 0 || start && first & 0x80 != 0
    }
}

/// The marks of the bytes `n` further on.
#[inline(always)]
const fn behind(marks: u64, next: u64, n: u32) -> u64 {
    marks >> (8 * n) | next << (64 - 8 * n)
}

/// Whether a path is plain; not of one that is too long to be looked at.
#[must_use]
pub fn is_plain(path: &[u8]) -> bool {
    if path.is_empty() || path.len() >= LOOKED_AT || path.contains(&0) {
        return false;
    }
    let mut text = [0; LOOKED_AT + 8];
    text[..path.len()].copy_from_slice(path);
    let mut words = text.chunks_exact(8).map(|word| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(word);
        Marks::of(u64::from_le_bytes(bytes))
    });
    let mut marks = words.next().unwrap_or_default();
    let mut start = true;
    for next in words {
        if marks.odd(next, start) {
            return false;
        }
        if marks.ends() {
            return true;
        }
        (marks, start) = (next, false);
    }
    false
}
