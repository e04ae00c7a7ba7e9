//! Paths as text: made absolute, normalised, taken apart.
//!
//! Links are not followed here: where the kernel told the object's own path, that one is used instead.
use crate::probe::record::{Given, Open};
use std::{borrow::Cow, ops::Range};

/// The file's own path where the open succeeded, else what was asked for.
pub(super) fn of_open<'a>(open: &Open<'a>, cwd: &[u8]) -> Option<Cow<'a, [u8]>> {
    if open.resolved {
        return Some(Cow::Borrowed(open.path));
    }
    let base = if open.base.is_empty() && open.dirfd == libc::AT_FDCWD { cwd } else { open.base };
    absolute(open.path, base)
}

/// What a call was given.
pub(super) fn of_given<'a>(given: Given<'a>) -> Option<Cow<'a, [u8]>> {
    absolute(given.path, given.base)
}

/// A path that starts from `base` when it is relative; `None` where that is not known.
pub(super) fn absolute<'a>(path: &'a [u8], base: &[u8]) -> Option<Cow<'a, [u8]>> {
    let base = match path {
        [] => return None,
        [b'/', ..] if is_normal(path) => return Some(Cow::Borrowed(path)),
        [b'/', ..] => &[][..],
        _ if base.starts_with(b"/") => base,
        _ => return None,
    };
    Some(Cow::Owned(normalize(base, path)))
}

/// Absolute, without `.`, `..`, doubled slashes and a slash at the end.
fn is_normal(path: &[u8]) -> bool {
    let mut parts = path.split(|b| *b == b'/');
    path == b"/" || parts.next() == Some(b"") && parts.all(|p| !matches!(p, b"" | b"." | b".."))
}

/// `.`, `..` and doubled slashes are taken out of the text.
fn normalize(base: &[u8], path: &[u8]) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in base.split(|b| *b == b'/').chain(path.split(|b| *b == b'/')) {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    let mut whole = Vec::with_capacity(base.len() + path.len() + 1);
    for part in parts {
        whole.push(b'/');
        whole.extend_from_slice(part);
    }
    if whole.is_empty() {
        whole.push(b'/');
    }
    whole
}

/// Where the directory part and the last part lie. The directory of `/x` is `/`.
pub(super) fn split(path: &[u8]) -> (Range<usize>, Range<usize>) {
    match path.iter().rposition(|b| *b == b'/') {
        Some(at) => (0..at.max(1), at + 1..path.len()),
        None => (0..0, 0..path.len()),
    }
}

/// A part of a path, borrowed where the path is.
pub(super) fn cut(path: Cow<'_, [u8]>, range: impl FnOnce(&[u8]) -> Range<usize>) -> Cow<'_, [u8]> {
    let range = range(&path);
    match path {
        Cow::Borrowed(b) => Cow::Borrowed(&b[range]),
        Cow::Owned(b) => Cow::Owned(b[range].to_vec()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths_are_made_absolute() {
        assert_eq!(normalize(b"/home/ada", b"../bob/./x//y"), b"/home/bob/x/y");
        assert_eq!(normalize(b"", b"/../.."), b"/");
        assert_eq!(split(b"/etc/shadow"), (0..4, 5..11));
        assert_eq!(split(b"/x"), (0..1, 1..2));
        assert_eq!(absolute(b"x", b""), None);
        assert_eq!(absolute(b"", b"/tmp"), None);
        assert!(matches!(absolute(b"/etc/shadow", b""), Some(Cow::Borrowed(b"/etc/shadow"))));
        assert_eq!(absolute(b"/etc/", b"/tmp").unwrap().as_ref(), b"/etc");
    }

    proptest! {
        #[test]
        fn normal_paths_stay_normal(path in "[a./]{0,40}") {
            let once = normalize(b"/b", path.as_bytes());
            prop_assert_eq!(normalize(b"", &once), once.clone());
            prop_assert!(is_normal(&once));
        }

        /// What the programs compare.
        #[test]
        fn a_plain_path_is_only_put_behind_its_directory(
            base in "(/[ab.]{1,3}){0,2}", path in "[a./]{0,40}", noise in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let base = normalize(b"", base.as_bytes());
            let noise: Vec<u8> = noise.into_iter().map(|b| if b == 0 { b'/' } else { b }).collect();
            for path in [path.as_bytes(), &noise] {
                let slash: &[u8] = if base == b"/" { b"" } else { b"/" };
                let made = if path.starts_with(b"/") { path.to_vec() } else { [&base, slash, path].concat() };
                // Only for what has to be taken out, and for length, it is not plain.
                let same = !path.is_empty() && absolute(path, &base).unwrap() == made && path != b"/";
                prop_assert_eq!(agent_abi::plain::is_plain(path), same && path.len() < 256, "{:?}", path);
            }
        }

        #[test]
        fn what_is_borrowed_is_what_would_be_made(path in "/[a./]{0,20}") {
            let made = normalize(b"", path.as_bytes());
            prop_assert_eq!(absolute(path.as_bytes(), b"/b").unwrap().into_owned(), made);
        }
    }
}
