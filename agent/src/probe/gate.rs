//! Which filter is in force: two slots and an index that the programs read once per event.
//!
//! Invariants: the slot that is written is not the active one, and since a grace period passes after each switch, no program
//! still reads it. What was lost is charged to the generation that was in force: a slot's counters are read once no program
//! adds to them any more, before it is filled anew.
use super::{
    KernelFilter, Lost, ProbeError,
    loader::{FilterMaps, Value, chain},
    tables::Literal,
};
use agent_abi::{
    Wire as _,
    map::{CLASSES, FilterSlot, LEVELS},
    record::hook,
};
use aya::maps::{MapError, lpm_trie::Key};
use engine::event::Hook;
use std::{collections::BTreeMap, time::Duration};

/// Every running program has ended by then where `membarrier` is not to be had. Programs run for microseconds.
const GRACE: Duration = Duration::from_millis(50);

/// What is known of a slot.
struct Slot {
    filter: KernelFilter,
    /// Literals that are in its trie.
    loaded: BTreeMap<Literal, u64>,
    /// Of its loss counters: what has been charged, by hook.
    charged: Vec<[u64; CLASSES]>,
}

/// The two slots.
pub(super) struct Gate {
    maps: FilterMaps,
    slots: [Slot; 2],
    current: usize,
    lost: Vec<Lost>,
}

impl Gate {
    /// Nothing passes yet: maps begin as zeroes.
    pub(super) fn new(maps: FilterMaps) -> Self {
        let slot = || Slot {
            filter: KernelFilter::default(),
            loaded: BTreeMap::new(),
            charged: vec![[0; CLASSES]; hook::COUNT],
        };
        Self { maps, slots: [slot(), slot()], current: 0, lost: Vec::new() }
    }

    /// The filter in force.
    pub(super) fn filter(&self) -> &KernelFilter {
        &self.slots[self.current].filter
    }

    /// Puts another filter in force; when this returns, every event is judged by it. `kept`: see [`FilterSlot::kept`].
    pub(super) fn set(&mut self, filter: KernelFilter, kept: u64) -> Result<(), ProbeError> {
        let failed = |e: MapError| ProbeError::Map { what: "set the kernel filter", reason: chain(&e) };
        let (before, next) = (self.current, self.current ^ 1);
        self.load_literals(next, filter.classes.literals()).map_err(failed)?;
        self.maps.slots.set(next as u32, Value(FilterSlot { kept, ..slot(&filter) }), 0).map_err(failed)?;
        self.maps.active.set(0, next as u64, 0).map_err(failed)?;
        self.current = next;
        self.slots[next].filter = filter;
        wait_for_programs();
        if let Err(error) = self.read_lost(before) {
            tracing::warn!(%error, "losses of the rules before are not charged to them");
        }
        Ok(())
    }

    /// Makes the trie of a slot that is not active the same as `wanted`.
    fn load_literals(&mut self, slot: usize, wanted: &BTreeMap<Literal, u64>) -> Result<(), MapError> {
        let (trie, loaded) = (&mut self.maps.literals[slot], &mut self.slots[slot].loaded);
        let key = |literal: &Literal| {
            let (length, rest) = literal.key();
            Key::new(length, rest)
        };
        let gone: Vec<Literal> = loaded.keys().filter(|literal| !wanted.contains_key(literal)).copied().collect();
        for literal in gone {
            trie.remove(&key(&literal))?;
            loaded.remove(&literal);
        }
        for (literal, classes) in wanted {
            if loaded.get(literal) != Some(classes) {
                trie.insert(&key(literal), classes, 0)?;
                loaded.insert(*literal, *classes);
            }
        }
        Ok(())
    }

    /// What was lost since it was last asked, by generation, hook and class.
    pub(super) fn take_lost(&mut self) -> Result<Vec<Lost>, ProbeError> {
        self.read_lost(self.current).map_err(|e| ProbeError::Map { what: "read what was lost", reason: chain(&e) })?;
        Ok(std::mem::take(&mut self.lost))
    }

    fn read_lost(&mut self, slot: usize) -> Result<(), MapError> {
        for hook in Hook::ALL {
            let row = (slot * hook::COUNT + *hook as usize) as u32;
            let per_cpu = self.maps.lost.get(&row, 0)?;
            let state = &mut self.slots[slot];
            for (class, charged) in state.charged[*hook as usize].iter_mut().enumerate() {
                let now: u64 = per_cpu.iter().map(|v| v.0.classes[class]).sum();
                let events = now.saturating_sub(*charged);
                *charged = now;
                if events > 0 {
                    self.lost.push(Lost { generation: state.filter.generation, hook: *hook, class, events });
                }
            }
        }
        Ok(())
    }

    /// See [`Probe::set_shed_level`](super::Probe::set_shed_level).
    pub(super) fn set_shed_level(&mut self, level: u8) -> Result<(), ProbeError> {
        let level = u64::from(level).min(LEVELS as u64 - 1);
        self.maps
            .shed
            .set(0, level, 0)
            .map_err(|e| ProbeError::Map { what: "set the level of shedding", reason: chain(&e) })
    }
}

/// A filter as the programs read it.
fn slot(filter: &KernelFilter) -> FilterSlot {
    let types = filter.types.bits();
    let mut slot = FilterSlot {
        hooks: filter.hooks().fold(0, |bits, hook| bits | 1 << hook as u32),
        types: [types as u64, (types >> 64) as u64],
        generation: filter.generation,
        threads: u32::from(filter.threads),
        ..FilterSlot::zeroed()
    };
    filter.classes.fill(&mut slot);
    slot
}

/// Returns when every program that was running has ended. Programs on tracepoints run inside an RCU read section, and
/// `MEMBARRIER_CMD_GLOBAL` waits for those (kernel/sched/membarrier.c: synchronize_rcu).
pub(super) fn wait_for_programs() {
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
