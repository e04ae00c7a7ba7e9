//! Many texts that a value may begin (or end) with, looked up by one binary search.
//!
//! The texts are sorted, and each knows the longest other one that it begins with. All texts that a value begins with lie
//! on one chain of such links: from the last text that does not sort after the value, downwards.
use std::cmp::Ordering;

/// Which end of the value counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum End {
    /// Prefixes.
    #[default]
    Front,
    /// Suffixes.
    Back,
}

/// Texts, each with what it stands for.
#[derive(Clone, Debug, PartialEq)]
pub struct Affixes<V> {
    end: End,
    /// Sorted, read from the end that counts.
    entries: Vec<Entry<V>>,
}

#[derive(Clone, Debug, PartialEq)]
struct Entry<V> {
    text: Box<[u8]>,
    /// The longest other text that this one begins with.
    within: Option<u32>,
    value: V,
}

impl<V> Affixes<V> {
    /// Of texts and values; equal texts keep one value each, joined by `join`.
    pub fn new(end: End, texts: impl IntoIterator<Item = (Box<[u8]>, V)>, join: impl Fn(&mut V, V)) -> Self {
        let mut sorted: Vec<(Box<[u8]>, V)> = texts.into_iter().collect();
        sorted.sort_by(|(a, _), (b, _)| compare(end, a, b));
        let mut entries: Vec<Entry<V>> = Vec::with_capacity(sorted.len());
        for (text, value) in sorted {
            match entries.last_mut() {
                Some(last) if last.text == text => join(&mut last.value, value),
                last => {
                    let mut within = last.is_some().then(|| entries.len() - 1);
                    while let Some(at) = within.filter(|at| !is_affix(end, &entries[*at].text, &text)) {
                        within = entries[at].within.map(|at| at as usize);
                    }
                    // Rulesets are bounded far below 32 bits.
                    let within = within.and_then(|at| u32::try_from(at).ok());
                    entries.push(Entry { text, within, value });
                }
            }
        }
        Self { end, entries }
    }

    /// What stands for each text that the value begins (ends) with, the longest first.
    pub fn find<'s>(&'s self, value: &'s [u8]) -> impl Iterator<Item = &'s V> {
        let after = self.entries.partition_point(|e| compare(self.end, &e.text, value) != Ordering::Greater);
        let mut next = after.checked_sub(1);
        std::iter::from_fn(move || {
            loop {
                let entry = &self.entries[next?];
                next = entry.within.map(|at| at as usize);
                if is_affix(self.end, &entry.text, value) {
                    return Some(&entry.value);
                }
            }
        })
    }

    /// All texts.
    pub fn texts(&self) -> impl Iterator<Item = &[u8]> {
        self.entries.iter().map(|entry| &*entry.text)
    }

    /// Whether they are prefixes.
    #[must_use]
    pub fn is_front(&self) -> bool {
        self.end == End::Front
    }
}

fn compare(end: End, a: &[u8], b: &[u8]) -> Ordering {
    match end {
        End::Front => a.cmp(b),
        End::Back => a.iter().rev().cmp(b.iter().rev()),
    }
}

fn is_affix(end: End, text: &[u8], of: &[u8]) -> bool {
    match end {
        End::Front => of.starts_with(text),
        End::Back => of.ends_with(text),
    }
}
