//! The kernel side: loading, arming, records, counters.
//!
//! ```text
//! Probe::load   kernel BTF -> offsets -> .rodata -> verifier -> programs (nothing attached yet)
//! widen         attach what is newly needed, let old and new through   | then the caller swaps its rules
//! narrow        only the new, detach what is no longer needed          |
//! Ring          drain -> bytes -> record::decode -> Record
//! canaries      a harmless call per hook; its record in the ring proves the hook
//! ```
//!
//! Invariants: per hook `seen = filtered + shed + dropped + submitted`; records never pass undecoded; own events are left
//! out but for canaries, which are counted apart.
//!
//! `btf` and `symbols` find out what the kernel looks like, `loader` loads, `gate` sets filters, `arm` attaches, `ring` reads
//! what `mapped` maps.

mod arm;
mod btf;
mod canary;
mod error;
mod gate;
mod loader;
mod mapped;
pub mod record;
mod ring;
mod symbols;
mod types;

pub use arm::{Probe, check};
pub use canary::is_canary_child;
pub use error::ProbeError;
pub use ring::Ring;
pub use types::{Backend, HookCheck, HookCounters, HookStatus, KernelFilter, LoadedProgram, Options};
