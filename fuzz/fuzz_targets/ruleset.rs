//! Any bytes as a ruleset: refused with a reason, or planned.
#![no_main]
use engine::{plan::Plan, ruleset::decode};
use libfuzzer_sys::fuzz_target;
use std::sync::Arc;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(ruleset) = decode(bytes) {
        let _ = Plan::new(Arc::new(ruleset));
    }
});
