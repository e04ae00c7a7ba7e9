//! Names of Kubernetes objects for rules, which have names of their own.
use sha2::{Digest as _, Sha256};
use std::collections::HashSet;

/// Longest name that is made: a DNS label.
const MAX_NAME: usize = 63;

/// A name for each title, lower-case letters, digits and hyphens: the title's own words. Of titles that come to the same
/// name the first keeps it, the others get a suffix that depends on the title alone.
#[must_use]
pub fn object_names<'t>(titles: impl IntoIterator<Item = &'t str>) -> Vec<String> {
    let mut taken = HashSet::new();
    titles
        .into_iter()
        .map(|title| {
            let plain = words(title);
            let mut name =
                if plain.is_empty() || plain.len() > MAX_NAME { with_hash(&plain, title, 8) } else { plain.clone() };
            let mut digits = 8;
            while !taken.insert(name.clone()) && digits < 64 {
                name = with_hash(&plain, title, digits);
                digits += 4;
            }
            name
        })
        .collect()
}

fn words(title: &str) -> String {
    let mut name = String::with_capacity(title.len());
    for c in title.chars() {
        match c {
            c if c.is_ascii_alphanumeric() => name.push(c.to_ascii_lowercase()),
            _ if name.ends_with('-') || name.is_empty() => {}
            _ => name.push('-'),
        }
    }
    name.truncate(name.trim_end_matches('-').len());
    name
}

fn with_hash(plain: &str, title: &str, digits: usize) -> String {
    let hash: String = Sha256::digest(title.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    let digits = digits.min(MAX_NAME - 2);
    let room = MAX_NAME - digits - 1;
    let cut = plain.get(..room.min(plain.len())).unwrap_or_default().trim_end_matches('-');
    let cut = if cut.is_empty() { "rule" } else { cut };
    let cut = cut.get(..room.min(cut.len())).unwrap_or_default();
    format!("{cut}-{}", &hash[..digits])
}
