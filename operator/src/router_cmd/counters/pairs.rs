//! Maps by object as lists of pairs: JSON has only text for keys.
use engine::source::ObjectRef;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;

pub(super) fn serialize<V: Serialize, S: Serializer>(map: &BTreeMap<ObjectRef, V>, to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(map)
}

pub(super) fn deserialize<'de, V: Deserialize<'de>, D: Deserializer<'de>>(
    from: D,
) -> Result<BTreeMap<ObjectRef, V>, D::Error> {
    Ok(Vec::<(ObjectRef, V)>::deserialize(from)?.into_iter().collect())
}
