//! Any bytes as what the state file and the ConfigMap carry: refused with a reason, or planned. The revision, a sum of the
//! content, is made to fit where the rest is a ruleset: no mutation would else get past it.
#![no_main]
use engine::{
    plan::Plan,
    ruleset::{Ruleset, SCHEMA_VERSION, decode, encode},
};
use libfuzzer_sys::fuzz_target;
use std::sync::Arc;

fuzz_target!(|bytes: &[u8]| {
    let _ = decode(bytes);
    if let Ok(mut ruleset) = serde_json::from_slice::<Ruleset>(bytes) {
        // Another version is refused, as it should be, before anything else is looked at.
        ruleset.schema = SCHEMA_VERSION;
        ruleset.revision = ruleset.content_revision();
        let read = decode(&encode(&ruleset)).expect("what is written is read");
        assert_eq!(read, ruleset);
        let _ = Plan::new(Arc::new(read));
    }
});
