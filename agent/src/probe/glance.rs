//! How literals begin, for a look before a path is put together: the first eight bytes of each, as few as a filter has room for.
//!
//! Invariant: a text that one of the literals begins fits a glance with that literal's classes. Where there are too many
//! different beginnings, shorter ones stand for several.
use agent_abi::{
    Wire as _,
    map::{GLANCES, Glance},
};
use std::collections::BTreeMap;

/// Bytes of a glance.
const BYTES: usize = size_of::<u64>();

/// Of literals (whole bytes, and the classes that each satisfies).
pub(super) fn glances<'a>(literals: &(impl Iterator<Item = (&'a [u8], u64)> + Clone)) -> [Glance; GLANCES] {
    let mut all = [Glance::zeroed(); GLANCES];
    for width in (0..=BYTES).rev() {
        let mut by_beginning: BTreeMap<&[u8], u64> = BTreeMap::new();
        for (text, classes) in literals.clone() {
            *by_beginning.entry(&text[..text.len().min(width)]).or_default() |= classes;
        }
        if by_beginning.len() > GLANCES {
            continue;
        }
        for (glance, (text, classes)) in all.iter_mut().zip(by_beginning) {
            let (mut value, mut mask) = ([0; BYTES], [0; BYTES]);
            value[..text.len()].copy_from_slice(text);
            mask[..text.len()].fill(u8::MAX);
            *glance = Glance { value: u64::from_ne_bytes(value), mask: u64::from_ne_bytes(mask), classes };
        }
        break;
    }
    all
}

/// The programs' look: classes of the glances that what is known of a text (a bit mask) fits.
#[cfg(test)]
pub(super) fn at(glances: &[Glance; GLANCES], text: u64, known: u64) -> u64 {
    let fits = |g: &&Glance| (text ^ g.value) & g.mask & known == 0;
    glances.iter().filter(fits).fold(0, |classes, glance| classes | glance.classes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    fn texts() -> impl Strategy<Value = Vec<(Vec<u8>, u64)>> {
        let text = proptest::collection::vec(97..100_u8, 0..12);
        proptest::collection::vec((text, (0..64_u32).prop_map(|n| 1 << n)), 0..60)
    }

    proptest! {
        #[test]
        fn what_a_literal_begins_fits_a_glance_of_its_classes(literals in texts(), tail in "[a-z]{0,9}", known in 0..9_usize) {
            let all = glances(&literals.iter().map(|(text, classes)| (text.as_slice(), *classes)));
            for (text, classes) in &literals {
                let mut bytes = [0; BYTES];
                for (byte, of) in bytes.iter_mut().zip(text.iter().copied().chain(tail.bytes())) {
                    *byte = of;
                }
                let mut mask = [0; BYTES];
                mask[..known].fill(u8::MAX);
                prop_assert_eq!(at(&all, u64::from_ne_bytes(bytes), u64::from_ne_bytes(mask)) & classes, *classes);
            }
        }
    }

    #[test]
    fn few_literals_are_told_apart_and_many_share_their_beginnings() {
        let few = [(b"/etc/shadow\0".as_slice(), 1), (b"/etc/sudoers", 2), (b"/root/", 4)];
        let all = glances(&few.into_iter());
        let look = |text: &[u8; 8]| at(&all, u64::from_ne_bytes(*text), u64::MAX);
        assert_eq!([look(b"/etc/sha"), look(b"/etc/sud"), look(b"/root/.s"), look(b"/usr/lib")], [1, 2, 4, 0]);
        let names: Vec<String> = (0..100).map(|n| format!("/{n:02}")).collect();
        let all = glances(&names.iter().map(|name| (name.as_bytes(), 1)));
        assert_eq!(all.iter().filter(|g| g.classes != 0).count(), 10);
        assert_eq!(at(&all, u64::from_ne_bytes(*b"/99     "), u64::MAX), 1);
        assert_eq!(at(&all, u64::from_ne_bytes(*b"/x99    "), u64::MAX), 0);
    }
}
