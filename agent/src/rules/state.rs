//! The last good ruleset on disk, so that a restart arms at once, whatever else is away.
//!
//! Format of `ruleset.state`: one line of text, then the ruleset as the engine encodes it, compressed by zstd:
//!
//! ```text
//! eyas-ruleset 1 <SHA-256 of what follows, hex> <its length in bytes>\n
//! ```
//! Invariants: written aside, synced and renamed, so that a file is whole or not there; read with a bound on both sizes
//! and believed only when the sum is right.
use engine::ruleset::{self, Ruleset, RulesetError};
use sha2::{Digest, Sha256};
use std::{
    fmt::Write as _,
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

const FILE: &str = "ruleset.state";
const MAGIC: &str = "eyas-ruleset";
const VERSION: &str = "1";
/// The most that a state file may hold, compressed.
const MAX_FILE: u64 = 32 << 20;
const LEVEL: i32 = 3;

/// The state file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The disk says no.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Not what was written.
    #[error("{path} is damaged ({reason}); it is left out, and written anew with the next ruleset", path = path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// In which way.
        reason: String,
    },
    /// Another version of Eyas wrote it.
    #[error("{path} has format {found:?}, this agent reads {VERSION}; it is left out", path = path.display())]
    Version {
        /// Which file.
        path: PathBuf,
        /// Its version.
        found: String,
    },
    /// The sum is right, but the ruleset is none that this agent knows.
    #[error("{path}: {source}", path = path.display())]
    Ruleset {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: RulesetError,
    },
}

/// Keeps `ruleset` in `dir`, in place of what was kept before.
///
/// # Errors
/// The folder cannot be written. What was kept before is then still there.
pub fn save(dir: &Path, ruleset: &Ruleset) -> Result<(), StateError> {
    let path = dir.join(FILE);
    let packed = zstd::bulk::compress(&ruleset::encode(ruleset), LEVEL);
    packed.and_then(|packed| write(dir, &path, &packed)).map_err(|source| StateError::Io { path, source })
}

fn write(dir: &Path, path: &Path, packed: &[u8]) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    let aside = path.with_extension("new");
    let mut file = File::create(&aside)?;
    writeln!(file, "{MAGIC} {VERSION} {} {}", sum(packed), packed.len())?;
    file.write_all(packed)?;
    file.sync_all()?;
    fs::rename(&aside, path)?;
    // The rename itself is on disk only when the folder is.
    File::open(dir)?.sync_all()
}

/// Reads what [`save`] kept; `None` when nothing was.
///
/// # Errors
/// The file is there and cannot be read, or is not what was written.
pub fn load(dir: &Path) -> Result<Option<Ruleset>, StateError> {
    let path = dir.join(FILE);
    let mut bytes = Vec::new();
    match File::open(&path).and_then(|f| f.take(MAX_FILE + 1).read_to_end(&mut bytes)) {
        Ok(_) => {}
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(StateError::Io { path, source }),
    }
    let damaged = |reason: &str| StateError::Damaged { path: path.clone(), reason: reason.to_owned() };
    if bytes.len() as u64 > MAX_FILE {
        return Err(damaged("larger than any ruleset"));
    }
    let end = bytes.iter().take(200).position(|b| *b == b'\n').ok_or_else(|| damaged("no first line"))?;
    let line = std::str::from_utf8(&bytes[..end]).map_err(|_| damaged("the first line is not text"))?;
    let packed = &bytes[end + 1..];
    let words: Vec<&str> = line.split(' ').collect();
    let [MAGIC, version, expected, length] = words[..] else {
        return Err(damaged("the first line is not that of a state file"));
    };
    if version != VERSION {
        return Err(StateError::Version { path, found: version.to_owned() });
    }
    if length.parse() != Ok(packed.len()) {
        return Err(damaged("cut short"));
    }
    if sum(packed) != expected {
        return Err(damaged("the sum is wrong"));
    }
    let text = crds::ruleset_map::unpack(packed).map_err(|e| damaged(&e.to_string()))?;
    ruleset::decode(&text).map(Some).map_err(|source| StateError::Ruleset { path, source })
}

fn sum(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut hex, b| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{b:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use engine::{compile::compile, source::Sources};
    use proptest::prelude::*;

    fn ruleset() -> Ruleset {
        compile(&Sources { system_namespace: "eyas-system".into(), ..Sources::default() }, None).ruleset
    }

    #[test]
    fn what_is_saved_is_read_and_replaced_whole() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("not/yet/there");
        assert!(load(&dir).unwrap().is_none());
        save(&dir, &ruleset()).unwrap();
        save(&dir, &ruleset()).unwrap();
        assert_eq!(load(&dir).unwrap().unwrap(), ruleset());
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
    }

    #[test]
    fn damage_is_told_apart_in_words() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        save(dir.path(), &ruleset()).unwrap();
        let good = fs::read(&path).unwrap();
        let say = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            load(dir.path()).unwrap_err().to_string()
        };
        assert!(say(&good[..good.len() - 1]).contains("cut short"));
        let mut flipped = good.clone();
        *flipped.last_mut().unwrap() ^= 1;
        assert!(say(&flipped).contains("the sum is wrong"));
        assert!(say(b"").contains("no first line"));
        assert!(say(b"something else\nand more").contains("not that of a state file"));
        let bomb = zstd::bulk::compress(&vec![b' '; engine::ruleset::MAX_ENCODED + 1], LEVEL).unwrap();
        write(dir.path(), &path, &bomb).unwrap();
        assert!(load(dir.path()).unwrap_err().to_string().contains("unpacks to more than"));
        let text = String::from_utf8_lossy(&good[..20]).replacen(" 1 ", " 9 ", 1);
        let newer = [text.as_bytes(), &good[20..]].concat();
        assert!(say(&newer).contains("format \"9\""));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_damage_is_believed(at in any::<prop::sample::Index>(), bit in 0u8..8, cut in any::<bool>()) {
            let dir = tempfile::tempdir().unwrap();
            save(dir.path(), &ruleset()).unwrap();
            let path = dir.path().join(FILE);
            let mut bytes = fs::read(&path).unwrap();
            let at = at.index(bytes.len());
            if cut { bytes.truncate(at) } else { bytes[at] ^= 1 << bit }
            fs::write(&path, bytes).unwrap();
            prop_assert!(load(dir.path()).is_err());
        }
    }
}
