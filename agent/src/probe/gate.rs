//! Which filter is in force: two slots and an index that the programs read once per event.
//!
//! Invariant: the slot that is written is not the active one, and since a grace period passes after each switch, no program
//! still reads it.
use super::{
    KernelFilter, ProbeError,
    loader::{Value, chain},
};
use agent_abi::map::FilterSlot;
use aya::maps::{Array, MapData, MapError};
use std::time::Duration;

/// Every running program has ended by then where `membarrier` is not to be had. Programs run for microseconds.
const GRACE: Duration = Duration::from_millis(50);

/// The two slots.
pub(super) struct Gate {
    slots: Array<MapData, Value<FilterSlot>>,
    active: Array<MapData, u64>,
    current: u64,
    filter: KernelFilter,
}

impl Gate {
    /// Nothing passes yet: maps begin as zeroes.
    pub(super) fn new(slots: Array<MapData, Value<FilterSlot>>, active: Array<MapData, u64>) -> Self {
        Self { slots, active, current: 0, filter: KernelFilter::default() }
    }

    /// The filter in force.
    pub(super) fn filter(&self) -> &KernelFilter {
        &self.filter
    }

    /// Puts another filter in force; when this returns, every event is judged by it.
    pub(super) fn set(&mut self, filter: KernelFilter) -> Result<(), ProbeError> {
        let failed = |e: MapError| ProbeError::Map { what: "set the kernel filter", reason: chain(&e) };
        let next = self.current ^ 1;
        self.slots.set(next as u32, Value(slot(&filter)), 0).map_err(failed)?;
        self.active.set(0, next, 0).map_err(failed)?;
        self.current = next;
        self.filter = filter;
        wait_for_programs();
        Ok(())
    }
}

/// A filter as the programs read it.
fn slot(filter: &KernelFilter) -> FilterSlot {
    let types = filter.types.bits();
    FilterSlot {
        hooks: filter.hooks().fold(0, |bits, hook| bits | 1 << hook as u32),
        types: [types as u64, (types >> 64) as u64],
        generation: filter.generation,
        open: u32::from(filter.open.bits()),
        threads: u32::from(filter.threads),
        reserved: 0,
    }
}

/// Returns when every program that was running has ended. Programs on tracepoints run inside an RCU read section, and
/// `MEMBARRIER_CMD_GLOBAL` waits for those (kernel/sched/membarrier.c: synchronize_rcu).
fn wait_for_programs() {
    const MEMBARRIER_CMD_GLOBAL: libc::c_int = 1;
    // SAFETY: membarrier takes three integers and touches no memory of ours.
    if unsafe { libc::syscall(libc::SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) } != 0 {
        std::thread::sleep(GRACE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use agent_abi::map::open;
    use engine::{
        event::{EventType, Hook},
        plan::OpenFilter,
    };

    #[test]
    fn life_cycle_hooks_always_pass() {
        let types = [EventType::Connect, EventType::Sendfile].into_iter().collect();
        let slot = slot(&KernelFilter { types, ..KernelFilter::default() });
        assert_eq!(slot.hooks, 0b1_0111 | 1 << Hook::Splice as u32);
        assert_eq!(slot.types, [1 << EventType::Connect as u32, 1 << (EventType::Sendfile as u32 - 64)]);
    }

    #[test]
    fn classes_of_opens_are_the_engines() {
        for class in 0..16 {
            let bit = |b: u32| class & b != 0;
            let engine = OpenFilter::class(bit(open::READ), bit(open::WRITE), bit(open::CREATE), bit(open::FAILED));
            assert_eq!(engine, class);
        }
    }
}
