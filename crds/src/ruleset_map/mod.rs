//! A ruleset as the content of a ConfigMap, and back.
//!
//! ```text
//! data        revision, checksum (SHA-256 of the compressed bytes), schema, size, rules [, chunks]
//! binaryData  ruleset.json.zst
//! ```
//! Above [`MAX_INLINE`] the compressed bytes go into immutable chunk ConfigMaps named by content, `data.chunks` lists
//! them in order, and the index is written last, so that a reader never sees half a ruleset.
//!
//! Invariants of [`decode`]: it never panics, never allocates more than the bounds say, and yields only a ruleset whose
//! schema, checksum and revision all fit.
mod read;

pub use read::{MapError, chunk_names, decode, unpack};

use engine::ruleset::{Ruleset, SCHEMA_VERSION};
use k8s_openapi::{ByteString, api::core::v1::ConfigMap, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use sha2::{Digest as _, Sha256};
use std::{collections::BTreeMap, fmt::Write as _, io};

/// Name of the index ConfigMap.
pub const NAME: &str = "eyas-ruleset";
/// Label on the index and on chunks; its value is `index` or `chunk`.
pub const LABEL: &str = "eyas.dev/ruleset";
/// Key of the compressed ruleset, in the index or in a chunk.
pub const KEY: &str = "ruleset.json.zst";
/// Most compressed bytes in one ConfigMap. Kubernetes takes 1 MiB with base64 not counted; the rest is room for metadata.
pub const MAX_INLINE: usize = 900 << 10;
/// Most chunks: far above what [`engine::ruleset::MAX_ENCODED`] compresses to.
pub const MAX_CHUNKS: usize = 128;

/// What to write: chunks first, the index last.
#[derive(Clone, Debug, PartialEq)]
pub struct Encoded {
    /// The ConfigMap `eyas-ruleset`.
    pub index: ConfigMap,
    /// Immutable ConfigMaps; empty when all fits into the index.
    pub chunks: Vec<ConfigMap>,
}

/// The ConfigMaps of a ruleset.
///
/// # Errors
/// Compression failed (out of memory).
pub fn encode(ruleset: &Ruleset, namespace: &str) -> io::Result<Encoded> {
    encode_in(ruleset, namespace, MAX_INLINE)
}

fn encode_in(ruleset: &Ruleset, namespace: &str, max: usize) -> io::Result<Encoded> {
    let json = engine::ruleset::encode(ruleset);
    let bytes = zstd::bulk::compress(&json, 3)?;
    let mut data: BTreeMap<String, String> = [
        ("revision", ruleset.revision.clone()),
        ("checksum", hex(&Sha256::digest(&bytes))),
        ("schema", SCHEMA_VERSION.to_string()),
        ("size", json.len().to_string()),
        ("rules", ruleset.rules.len().to_string()),
    ]
    .into_iter()
    .map(|(k, v)| (k.to_owned(), v))
    .collect();
    let mut chunks = Vec::new();
    let mut binary = None;
    if bytes.len() <= max {
        binary = Some([(KEY.to_owned(), ByteString(bytes))].into());
    } else {
        chunks = bytes.chunks(max).map(|part| chunk(part, namespace)).collect();
        let names: Vec<_> = chunks.iter().filter_map(|c| c.metadata.name.clone()).collect();
        data.insert("chunks".to_owned(), names.join("\n"));
    }
    let index = ConfigMap {
        metadata: named(NAME.to_owned(), namespace, "index"),
        data: Some(data),
        binary_data: binary,
        immutable: None,
    };
    Ok(Encoded { index, chunks })
}

fn chunk(bytes: &[u8], namespace: &str) -> ConfigMap {
    let hash = hex(&Sha256::digest(bytes));
    ConfigMap {
        metadata: named(format!("{NAME}-{}", hash.get(..16).unwrap_or(&hash)), namespace, "chunk"),
        binary_data: Some([(KEY.to_owned(), ByteString(bytes.to_vec()))].into()),
        immutable: Some(true),
        data: None,
    }
}

fn named(name: String, namespace: &str, role: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(namespace.to_owned()),
        labels: Some(
            [(LABEL, role), ("app.kubernetes.io/part-of", "eyas"), ("app.kubernetes.io/managed-by", "eyas-operator")]
                .into_iter()
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .collect(),
        ),
        ..ObjectMeta::default()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests;
