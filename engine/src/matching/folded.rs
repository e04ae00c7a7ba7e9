//! `icontains`: a text in another, in any ASCII case.
use memchr::{memchr_iter, memchr2_iter};

/// A text in lower case, looked for by its rarest byte.
#[derive(Clone, Debug)]
pub struct Folded {
    text: Box<[u8]>,
    /// Where its rarest byte is.
    rarest: usize,
}

impl Folded {
    /// Prepares a text of any case.
    #[must_use]
    pub fn new(text: &[u8]) -> Self {
        let text = text.to_ascii_lowercase();
        let rarest = (0..text.len()).min_by_key(|at| frequency(text[*at])).unwrap_or_default();
        Self { text: text.into(), rarest }
    }

    /// The text, in lower case.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// Whether a value has it.
    #[must_use]
    pub fn is_in(&self, value: &[u8]) -> bool {
        let Some(&rare) = self.text.get(self.rarest) else { return true };
        let Some(last) = value.len().checked_sub(self.text.len()) else { return false };
        // The rarest byte of a match lies here.
        let span = &value[self.rarest..=last + self.rarest];
        let fits = |at: usize| value[at..at + self.text.len()].eq_ignore_ascii_case(&self.text);
        if rare.is_ascii_lowercase() {
            memchr2_iter(rare, rare.to_ascii_uppercase(), span).any(fits)
        } else {
            memchr_iter(rare, span).any(fits)
        }
    }
}

/// How often a byte (in lower case) is seen in paths and command lines, roughly: less is rarer.
const fn frequency(byte: u8) -> u8 {
    match byte {
        b' ' | b'/' | b'e' | b'-' | b'.' => 9,
        b'a' | b's' | b't' | b'i' | b'n' | b'o' | b'r' | b'l' => 8,
        b'c' | b'd' | b'p' | b'u' | b'm' | b'b' | b'=' | b'0'..=b'9' => 6,
        b'f' | b'g' | b'h' | b'v' | b'y' | b'w' | b'k' | b'_' | b':' => 4,
        b'x' | b'j' | b'q' | b'z' => 2,
        _ => 1,
    }
}
