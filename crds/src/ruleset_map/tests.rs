#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use super::{read::MapError, *};
use engine::{
    priority::Priority,
    source::{Meta, ObjectRef, RouteSource},
};

fn ruleset(routes: usize) -> Ruleset {
    let routes = (0..routes)
        .map(|i| RouteSource {
            meta: Meta {
                id: ObjectRef { namespace: "eyas-system".to_owned(), name: format!("route-{i}") },
                // Noise, so that it does not compress to nothing.
                uid: hex(&Sha256::digest(i.to_le_bytes())),
                ..Meta::default()
            },
            min_priority: Some(Priority::Warning),
            ..RouteSource::default()
        })
        .collect();
    let mut ruleset =
        Ruleset { schema: SCHEMA_VERSION, revision: String::new(), rules: Vec::new(), exceptions: Vec::new(), routes };
    ruleset.revision = ruleset.content_revision();
    ruleset
}

fn by_name(chunks: &[ConfigMap]) -> BTreeMap<String, ConfigMap> {
    chunks.iter().map(|c| (c.metadata.name.clone().unwrap(), c.clone())).collect()
}

fn set(map: &mut ConfigMap, key: &str, value: &str) {
    map.data.as_mut().unwrap().insert(key.to_owned(), value.to_owned());
}

#[test]
fn what_was_written_is_read() {
    let ruleset = ruleset(3);
    let encoded = encode(&ruleset, "eyas-system").unwrap();
    assert!(encoded.chunks.is_empty());
    assert_eq!(encoded.index.metadata.name.as_deref(), Some(NAME));
    assert_eq!(decode(&encoded.index, &BTreeMap::new()).unwrap(), ruleset);
    assert_eq!(encode(&ruleset, "eyas-system").unwrap(), encoded, "equal rulesets give equal ConfigMaps");
}

#[test]
fn a_large_one_is_split_and_read_back_only_with_every_chunk() {
    let ruleset = ruleset(2000);
    let encoded = encode_in(&ruleset, "eyas-system", 20 << 10).unwrap();
    assert!(encoded.chunks.len() > 2, "{}", encoded.chunks.len());
    let mut chunks = by_name(&encoded.chunks);
    assert_eq!(chunk_names(&encoded.index).unwrap().len(), encoded.chunks.len());
    assert_eq!(decode(&encoded.index, &chunks).unwrap(), ruleset);
    let (last, mut altered) = chunks.pop_last().unwrap();
    assert!(matches!(decode(&encoded.index, &chunks), Err(MapError::Chunk(name)) if name == last));
    altered.binary_data.as_mut().unwrap().get_mut(KEY).unwrap().0[0] ^= 1;
    chunks.insert(last.clone(), altered);
    assert!(matches!(decode(&encoded.index, &chunks), Err(MapError::Chunk(name)) if name == last));
}

#[test]
fn every_alteration_is_refused_and_says_why() {
    let good = encode(&ruleset(3), "eyas-system").unwrap().index;
    let refused = |alter: &dyn Fn(&mut ConfigMap)| {
        let mut map = good.clone();
        alter(&mut map);
        decode(&map, &BTreeMap::new()).unwrap_err().to_string()
    };
    let bytes = |map: &mut ConfigMap, change: &dyn Fn(&mut Vec<u8>)| {
        change(&mut map.binary_data.as_mut().unwrap().get_mut(KEY).unwrap().0);
    };
    assert!(refused(&|m| m.data = None).contains("no schema"));
    assert!(refused(&|m| m.binary_data = None).contains("no ruleset.json.zst"));
    assert!(refused(&|m| set(m, "schema", "99")).contains("version 99"));
    assert!(refused(&|m| set(m, "revision", "0")).contains("says revision 0"));
    assert!(refused(&|m| set(m, "checksum", "0")).contains("expected 0"));
    assert!(refused(&|m| set(m, "chunks", "../etc/passwd")).contains("no list of ours"));
    assert!(refused(&|m| bytes(m, &|b| b.truncate(b.len() / 2))).contains("altered or cut"));
    assert!(refused(&|m| bytes(m, &|b| b[20] ^= 0x55)).contains("altered or cut"));
}

#[test]
fn a_bomb_and_garbage_with_a_right_checksum_are_refused() {
    let mut map = encode(&ruleset(1), "eyas-system").unwrap().index;
    let mut put = |bytes: Vec<u8>| {
        set(&mut map, "checksum", &hex(&Sha256::digest(&bytes)));
        map.binary_data.as_mut().unwrap().insert(KEY.to_owned(), ByteString(bytes));
        decode(&map, &BTreeMap::new()).unwrap_err()
    };
    let bomb = zstd::bulk::compress(&vec![b' '; engine::ruleset::MAX_ENCODED + 4096], 3).unwrap();
    assert!(bomb.len() < 64 << 10);
    assert!(matches!(put(bomb), MapError::TooLarge));
    assert!(matches!(put(b"not zstd".to_vec()), MapError::Decompress(_)));
    assert!(matches!(put(zstd::bulk::compress(b"[]", 3).unwrap()), MapError::Ruleset(_)));
}

proptest::proptest! {
    /// Whatever stands in the ConfigMap, with a checksum that fits: an error, never a panic.
    #[test]
    fn any_bytes_are_refused(garbage in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200), packed: bool) {
        let mut map = encode(&ruleset(1), "eyas-system").unwrap().index;
        let bytes = if packed { zstd::bulk::compress(&garbage, 1).unwrap() } else { garbage };
        set(&mut map, "checksum", &hex(&Sha256::digest(&bytes)));
        map.binary_data.as_mut().unwrap().insert(KEY.to_owned(), ByteString(bytes));
        proptest::prop_assert!(decode(&map, &BTreeMap::new()).is_err());
    }
}
