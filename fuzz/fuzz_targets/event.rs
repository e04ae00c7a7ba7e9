//! Any JSON as the event of a test, against rules with every kind of operator.
#![no_main]
use engine::{
    compile::check_condition,
    source::Sources,
    testing::{MapEvent, explain},
};
use libfuzzer_sys::fuzz_target;

const CONDITION: &str = "evt.type = open and (fd.name glob /e*/[a-z]? or proc.aname in (a) or fd.num > 3 \
     or fd.snet in (10.0.0.0/8) or len(proc.args) > 2 or b64(proc.name) regex \"a.*\" or proc.name = val(proc.pname))";

fuzz_target!(|bytes: &[u8]| {
    let Ok(map) = serde_json::from_slice(bytes) else { return };
    if let Ok(event) = MapEvent::from_map(&map) {
        let (expr, _) = check_condition(CONDITION, &Sources::default()).expect("the condition compiles");
        let _ = explain(&expr, &event);
    }
});
