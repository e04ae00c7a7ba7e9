//! Text from events made fit for an API object.

/// What stands where something was cut.
const MARK: &str = "…";

/// At most `max` bytes, cut between characters, with a mark. Control characters become spaces: events carry whatever a
/// process put into its arguments, and JSON would need six bytes for each.
pub(super) fn cut(text: &str, max: usize) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    if text.len() <= max {
        return text.chars().map(clean).collect();
    }
    let room = max.saturating_sub(MARK.len());
    let end = (0..=room).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    text[..end].chars().map(clean).chain(MARK.chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::cut;
    use proptest::prelude::*;

    #[test]
    fn what_fits_stays_and_what_does_not_is_marked() {
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("abcdef", 5), "ab…");
        assert_eq!(cut("äöü", 5), "ä…");
        assert_eq!(cut("a\n\u{1b}[31mb", 20), "a  [31mb");
    }

    proptest! {
        #[test]
        fn never_longer_than_asked(text in "\\PC*", max in 3..300_usize) {
            prop_assert!(cut(&text, max).len() <= max);
        }
    }
}
