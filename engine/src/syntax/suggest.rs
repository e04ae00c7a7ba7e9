//! "Did you mean ...?"

/// The candidate closest to a word, when it is close enough that it may have been meant.
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let letters = word.chars().count();
    let near = candidates.into_iter().filter_map(|candidate| {
        // A name cut off (`proc.cmd`), or a slip (`proc.nmae`).
        let cut_off = word.len() > 3 && candidate.starts_with(word);
        // No distance is below the difference in length: most candidates need no closer look.
        if !cut_off && candidate.chars().count().abs_diff(letters) > slips(word.len()) {
            return None;
        }
        let distance = strsim::osa_distance(word, candidate);
        let fits = cut_off || distance <= slips(word.len());
        fits.then(|| (!cut_off, distance, strsim::jaro_winkler(word, candidate), candidate))
    });
    near.min_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)).then(b.2.total_cmp(&a.2))).map(|(_, _, _, candidate)| candidate)
}

/// How many letters may be wrong in a word of a length.
const fn slips(length: usize) -> usize {
    match length {
        0..4 => 1,
        4..12 => 2,
        _ => length / 4,
    }
}

/// "did you mean ...?" with the candidate whose key (a part of it) is the word; else the closest candidate.
pub fn closest_by<'a>(
    word: &str,
    candidates: impl Iterator<Item = &'a str> + Clone,
    key: impl Fn(&str) -> &str,
) -> Option<String> {
    let by_key = candidates.clone().filter(|c| key(c) == word).min_by_key(|c| (!c.starts_with("proc."), c.len()));
    by_key.or_else(|| closest(word, candidates)).map(|c| format!("did you mean {c}?"))
}
