//! Any bytes as the kernel's type information: refused with a reason, or asked for members, which are found or not, and soon. The
//! reader is taken in as source, as in `record`.
#![no_main]
#![allow(dead_code, reason = "taken in whole, used in part")]
use libfuzzer_sys::fuzz_target;

#[path = "../../agent/src/probe/btf.rs"]
mod btf;

fuzz_target!(|bytes: &[u8]| {
    let Ok(btf) = btf::Btf::parse(bytes.to_vec()) else { return };
    for structure in ["outer", "a", "e"] {
        for path in ["first", "inner", "absent", "a.b", "a.a.a.a", "inner.first.b"] {
            let _ = btf.offset_of(structure, path);
        }
        let _ = (btf.size_of(structure), btf.enumerator(structure, "A"), btf.enumerator(structure, "absent"));
    }
});
