//! Many texts any of which a value may have in it.
use aho_corasick::{AhoCorasick, BuildError};

/// The texts and the automaton that finds them in one pass.
#[derive(Clone, Debug)]
pub struct Literals {
    finder: AhoCorasick,
    texts: Vec<Box<[u8]>>,
}

impl Literals {
    /// Of texts.
    ///
    /// # Errors
    /// Together they are longer than an automaton can be.
    pub fn new(texts: Vec<Box<[u8]>>) -> Result<Self, BuildError> {
        Ok(Self { finder: AhoCorasick::new(&texts)?, texts })
    }

    /// All of them.
    #[must_use]
    pub fn texts(&self) -> &[Box<[u8]>] {
        &self.texts
    }

    /// Whether a value has any of them in it.
    #[must_use]
    pub fn is_in(&self, value: &[u8]) -> bool {
        self.finder.is_match(value)
    }
}
