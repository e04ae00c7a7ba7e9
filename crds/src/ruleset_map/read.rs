//! From ConfigMaps to a ruleset, believing nothing.
use super::{KEY, MAX_CHUNKS, MAX_INLINE, NAME, hex};
use engine::ruleset::{MAX_ENCODED, Ruleset, RulesetError, SCHEMA_VERSION};
use k8s_openapi::api::core::v1::ConfigMap;
use sha2::{Digest as _, Sha256};
use std::{
    collections::BTreeMap,
    io::{self, Read as _},
};

/// Largest window that a compressed ruleset may ask of its reader: 2^24 bytes. What we write needs far less.
const WINDOW_LOG: u32 = 24;

/// Why ConfigMaps hold no ruleset that can be armed. The last good one stays.
#[derive(Debug, thiserror::Error)]
pub enum MapError {
    /// Something is not there.
    #[error("ConfigMap {NAME} has no {0}; it was altered by hand, or by something older: the operator writes it anew")]
    Missing(&'static str),
    /// The schema version is another one.
    #[error(
        "ruleset schema version {found}, this reader knows {SCHEMA_VERSION}; upgrade the older of operator and agent"
    )]
    Schema {
        /// As written.
        found: String,
    },
    /// A chunk has not arrived, or is not the one that its name says.
    #[error("chunk ConfigMap {0} is missing or altered; the operator writes it anew")]
    Chunk(String),
    /// Too many chunks, or a name that is none of ours.
    #[error("the list of chunks is no list of ours: {0}")]
    Chunks(String),
    /// The bytes are not those that were written.
    #[error("checksum {is}, expected {expected}; the content was altered or cut")]
    Checksum {
        /// In the ConfigMap.
        expected: String,
        /// Computed.
        is: String,
    },
    /// No zstd.
    #[error("cannot be decompressed: {0}")]
    Decompress(#[source] io::Error),
    /// It unpacks to more than is allowed.
    #[error("it unpacks to more than {MAX_ENCODED} bytes")]
    TooLarge,
    /// The ruleset itself is bad.
    #[error(transparent)]
    Ruleset(#[from] RulesetError),
    /// The revision in the ConfigMap is not the one in the ruleset.
    #[error("ConfigMap says revision {said}, the ruleset in it is {is}")]
    Revision {
        /// In the ConfigMap.
        said: String,
        /// In the ruleset.
        is: String,
    },
}

/// Names of the chunk ConfigMaps that [`decode`] needs beside the index, in order; empty when all is in the index.
///
/// # Errors
/// More than [`MAX_CHUNKS`], or a name that the operator would not give.
pub fn chunk_names(index: &ConfigMap) -> Result<Vec<String>, MapError> {
    let Some(text) = value(index, "chunks") else { return Ok(Vec::new()) };
    let names: Vec<String> = text.lines().map(str::to_owned).collect();
    if names.is_empty() || names.len() > MAX_CHUNKS {
        return Err(MapError::Chunks(format!("{} names", names.len())));
    }
    for name in &names {
        let hash = name.strip_prefix(NAME).and_then(|n| n.strip_prefix('-'));
        if !hash.is_some_and(|h| h.len() == 16 && h.bytes().all(|b| b.is_ascii_hexdigit())) {
            return Err(MapError::Chunks(name.chars().take(64).collect()));
        }
    }
    Ok(names)
}

/// The ruleset of an index ConfigMap and its chunks (by name).
///
/// # Errors
/// Anything that does not fit: see [`MapError`].
pub fn decode(index: &ConfigMap, chunks: &BTreeMap<String, ConfigMap>) -> Result<Ruleset, MapError> {
    let schema = value(index, "schema").ok_or(MapError::Missing("schema"))?;
    if schema != SCHEMA_VERSION.to_string() {
        return Err(MapError::Schema { found: schema.chars().take(32).collect() });
    }
    let expected = value(index, "checksum").ok_or(MapError::Missing("checksum"))?;
    let revision = value(index, "revision").ok_or(MapError::Missing("revision"))?;
    let names = chunk_names(index)?;
    let bytes = if names.is_empty() {
        bytes(index).ok_or(MapError::Missing(KEY))?.to_vec()
    } else {
        let mut all = Vec::new();
        for name in names {
            let part = chunks.get(&name).and_then(bytes).filter(|part| part.len() <= MAX_INLINE);
            let part = part.ok_or_else(|| MapError::Chunk(name.clone()))?;
            if hex(&Sha256::digest(part)).get(..16) != name.get(NAME.len() + 1..) {
                return Err(MapError::Chunk(name));
            }
            all.extend_from_slice(part);
        }
        all
    };
    let is = hex(&Sha256::digest(&bytes));
    if is != expected {
        return Err(MapError::Checksum { expected: expected.chars().take(64).collect(), is });
    }
    let ruleset = engine::ruleset::decode(&unpack(&bytes)?)?;
    if ruleset.revision != revision {
        return Err(MapError::Revision { said: revision.chars().take(64).collect(), is: ruleset.revision });
    }
    Ok(ruleset)
}

/// A compressed ruleset's JSON, read as a stream: it allocates what comes, at most [`MAX_ENCODED`] bytes, whatever the
/// frame says of its size.
///
/// # Errors
/// It is no zstd, or too large.
pub fn unpack(bytes: &[u8]) -> Result<Vec<u8>, MapError> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(bytes).map_err(MapError::Decompress)?;
    decoder.window_log_max(WINDOW_LOG).map_err(MapError::Decompress)?;
    let mut json = Vec::new();
    decoder.take(MAX_ENCODED as u64 + 1).read_to_end(&mut json).map_err(MapError::Decompress)?;
    if json.len() > MAX_ENCODED { Err(MapError::TooLarge) } else { Ok(json) }
}

fn value<'a>(map: &'a ConfigMap, key: &str) -> Option<&'a str> {
    map.data.as_ref()?.get(key).map(String::as_str)
}

fn bytes(map: &ConfigMap) -> Option<&[u8]> {
    map.binary_data.as_ref()?.get(KEY).map(|b| b.0.as_slice())
}
