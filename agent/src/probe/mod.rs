//! The kernel side: loading, arming, records, counters.
//!
//! ```text
//! Probe::load   kernel BTF -> offsets -> .rodata -> verifier -> programs (nothing attached yet)
//! widen         attach what is newly needed              | then the caller adds its rules to those in force
//! narrow        switch filters, detach what is not needed | and each record is judged by the rules whose filter passed it
//! Ring          drain -> bytes -> record::decode -> Record
//! canaries      a harmless call per hook; its record in the ring proves the hook
//! ```
//!
//! Invariants: per hook `seen = filtered + shed + dropped + submitted`; records never pass undecoded; own events are left
//! out but for canaries, which are counted apart.
//!
//! `btf`, `symbols` and `trial` find out what the kernel is like, `loader` loads `programs`, `tables` compiles filters, `gate` sets them, `sides`
//! tells what cgroups are, `arm` attaches, `ring` reads what `mapped` maps.

mod arm;
mod aside;
mod btf;
mod canary;
mod error;
mod gate;
mod glance;
mod loader;
mod mapped;
mod programs;
pub mod record;
mod ring;
mod ring_canary;
mod sides;
mod symbols;
mod tables;
mod trial;
mod types;

pub use arm::Probe;
pub use canary::is_canary_child;
pub use error::ProbeError;
pub use ring::Ring;
pub use sides::Sides;
pub use tables::Tables;
pub use types::{Backend, HookCheck, HookCounters, HookStatus, KernelFilter, LoadedProgram, Lost, Options};
