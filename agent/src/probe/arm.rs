//! The loaded programs: attaching, widening, narrowing, counters, status.
use super::{
    Backend, HookCheck, HookCounters, HookStatus, KernelFilter, LoadedProgram, Lost, Options, ProbeError, Ring, Sides,
    canary::{self, Board, CanaryMap},
    gate::{Gate, wait_for_programs},
    loader::{self, Kept, Loaded, Value, chain},
    programs::{self, Link, Place, Program},
};
use agent_abi::{call, map};
use aya::{
    Ebpf,
    maps::{HashMap, MapData, PerCpuArray},
};
use engine::event::{EventType, Hook};
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc};

/// The loaded programs and their maps. Dropping it detaches all.
pub struct Probe {
    ebpf: Ebpf,
    gate: Gate,
    counters: PerCpuArray<MapData, Value<map::HookCounters>>,
    canaries: CanaryMap,
    board: Arc<Board>,
    ring: Option<(MapData, usize)>,
    sides: Option<Sides>,
    attached: BTreeMap<Program, Link>,
    kept: Kept,
    refused: Vec<(Program, String)>,
    slow_reads: Option<String>,
    /// See [`Loaded::untold`].
    untold: Vec<EventType>,
}

impl std::fmt::Debug for Probe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Probe").field("filter", self.gate.filter()).finish_non_exhaustive()
    }
}

/// The program that serves a hook.
const fn program(hook: Hook) -> Program {
    match hook {
        Hook::Exec => Program::Exec,
        Hook::Fork => Program::Fork,
        Hook::Exit => Program::Exit,
        _ => Program::SysExit,
    }
}

/// A further program that serves a hook, where this kernel takes it.
fn second_program(hook: Hook) -> Option<Program> {
    call::is_in_rings(hook as u8).then_some(Program::IoUring)
}

/// All programs that serve a hook for a filter.
fn programs(filter: &KernelFilter, hook: Hook) -> impl Iterator<Item = Program> {
    let failed = (hook == Hook::Exec && filter.wants_failed_execs()).then_some(Program::SysExit);
    keepers(hook).chain([program(hook)]).chain(second_program(hook)).chain(failed)
}

/// The programs that keep what the kernel used in a hook's calls.
fn keepers(hook: Hook) -> impl Iterator<Item = Program> {
    Program::ALL.into_iter().filter(move |p| p.keeps_for().contains(&hook))
}

impl Probe {
    /// Loads the programs; attaches nothing.
    ///
    /// # Errors
    /// No BTF, no permission, or the kernel refuses a life-cycle program. Other refused programs show in
    /// [`Self::hook_status`].
    pub fn load(options: &Options) -> Result<Self, ProbeError> {
        let Loaded { ebpf, maps, refused, slow_reads, untold } = loader::load(options)?;
        let life_cycle = Hook::ALL.iter().copied().filter(|h| h.is_life_cycle());
        for hook in life_cycle {
            if let Some((_, reason)) = refused.iter().find(|(p, _)| *p == program(hook)) {
                return Err(ProbeError::Hook { hook, reason: reason.clone() });
            }
        }
        if let Some((_, reason)) = refused.iter().find(|(p, _)| *p == Program::IoUring) {
            tracing::warn!(reason, "what processes ask an io_uring for is not seen on this kernel");
        }
        Ok(Self {
            ebpf,
            gate: Gate::new(maps.filters),
            sides: Some(maps.sides),
            counters: maps.counters,
            canaries: Mutex::new(maps.canaries),
            board: Arc::default(),
            ring: Some((maps.ring, maps.ring_size)),
            kept: maps.kept,
            attached: BTreeMap::new(),
            refused,
            slow_reads,
            untold,
        })
    }

    /// Why kernel memory is read by calls of a helper, which costs more; None where it is read directly.
    #[must_use]
    pub fn slow_reads(&self) -> Option<&str> {
        self.slow_reads.as_deref()
    }

    /// Attaches what `filter` newly needs; what passes stays as it is. The caller then adds its rules to those in force and
    /// calls [`Self::narrow`]. Hooks that this kernel cannot serve are left out; [`Self::hook_status`] names them.
    ///
    /// # Errors
    /// A program cannot be attached.
    pub fn widen(&mut self, filter: &KernelFilter) -> Result<(), ProbeError> {
        for hook in filter.hooks() {
            for which in programs(filter, hook) {
                self.attach(hook, which)?;
            }
        }
        Ok(())
    }

    /// Lets through what `filter` wants, from one event to the next, stamped with its generation; then detaches what it does not
    /// need. When this returns, no record of an older generation is put into the ring any more.
    ///
    /// # Errors
    /// The filter cannot be set; the one before is still in force.
    pub fn narrow(&mut self, filter: &KernelFilter) -> Result<(), ProbeError> {
        let is_kept =
            |hook: &Hook| keepers(*hook).next().is_some() && keepers(*hook).all(|p| self.attached.contains_key(&p));
        let kept = filter.hooks().filter(is_kept).fold(0, |bits, hook| bits | 1 << hook as u32);
        self.gate.set(filter.clone(), kept)?;
        let unneeded: Vec<Program> = self
            .attached
            .keys()
            .copied()
            .filter(|p| !filter.hooks().any(|h| programs(filter, h).any(|of| of == *p)))
            .collect();
        for program in unneeded {
            let Some(link) = self.attached.remove(&program) else { continue };
            if let Err(error) = programs::detach(self.program(program)?, link) {
                tracing::warn!(error = chain(&error), "a program that no rule needs stays attached");
            }
        }
        self.forget_kept();
        Ok(())
    }

    /// Detaches everything. When this returns, no record is made any more and the counters are final.
    ///
    /// # Errors
    /// A program stays attached.
    pub fn detach(&mut self) -> Result<(), ProbeError> {
        while let Some((which, link)) = self.attached.pop_first() {
            let failed = |e| ProbeError::Object(format!("{} stays attached: {}", which.symbol(), chain(&e)));
            programs::detach(self.program(which)?, link).map_err(failed)?;
        }
        wait_for_programs();
        Ok(())
    }

    /// What was lost since this was last asked: charged to the generation whose filter let it through, also over changes.
    ///
    /// # Errors
    /// The counters cannot be read.
    pub fn take_lost(&mut self) -> Result<Vec<Lost>, ProbeError> {
        self.gate.take_lost()
    }

    /// The least level of shedding from now on, however empty the ring is. 0: none; 1: what only rules of priority Debug want is
    /// left out, and counted as shed; 2: Informational, too; 3: Notice, too.
    ///
    /// # Errors
    /// The kernel cannot be told.
    pub fn set_shed_level(&mut self, level: u8) -> Result<(), ProbeError> {
        self.gate.set_shed_level(level)
    }

    /// The means to tell the kernel which cgroups are containers'; there is one. `None` from the second call on.
    pub fn take_sides(&mut self) -> Option<Sides> {
        self.sides.take()
    }

    fn program(&mut self, which: Program) -> Result<&mut aya::programs::Program, ProbeError> {
        self.ebpf
            .program_mut(which.symbol())
            .ok_or_else(|| ProbeError::Object(format!("no program {} in it", which.symbol())))
    }

    fn attach(&mut self, hook: Hook, which: Program) -> Result<(), ProbeError> {
        if self.attached.contains_key(&which) || self.refused.iter().any(|(p, _)| *p == which) {
            return Ok(());
        }
        match programs::attach(self.program(which)?) {
            Ok(link) => {
                self.attached.insert(which, link);
                Ok(())
            }
            // The hook does without.
            Err(error) if which.keeps() => {
                let reason = chain(&error);
                tracing::warn!(
                    reason,
                    function = which.place_name(),
                    "a program on a function of the kernel cannot be attached"
                );
                self.refused.push((which, reason));
                Ok(())
            }
            Err(error) => Err(ProbeError::Hook { hook, reason: chain(&error) }),
        }
    }

    /// Forgets what is kept of calls: of those that a change of filters has left in the middle nobody else would. What is under way
    /// is then told as the baseline does.
    fn forget_kept(&mut self) {
        fn clear<V: aya::Pod>(map: &mut HashMap<MapData, u32, V>) {
            let threads: Vec<u32> = map.keys().filter_map(Result::ok).collect();
            for thread in threads {
                // It may have ended its call meanwhile.
                let _ = map.remove(&thread);
            }
        }
        if self.attached.keys().any(|p| p.keeps()) {
            clear(&mut self.kept.paths);
            clear(&mut self.kept.addresses);
        }
    }

    /// What the verifier said of each loaded program.
    pub fn programs(&mut self) -> Vec<LoadedProgram> {
        let mut loaded: Vec<_> = Program::ALL
            .into_iter()
            .filter_map(|which| {
                let program = self.program(which).ok()?;
                let (verified, missed) = (program.info().ok()?.verified_instruction_count(), programs::missed(program));
                let attached = self.attached.contains_key(&which);
                Some(LoadedProgram { name: which.symbol(), verified, missed, attached })
            })
            .collect();
        loaded.sort_by_key(|p| p.name);
        loaded
    }

    /// Counters of all hooks.
    ///
    /// # Errors
    /// The map cannot be read.
    pub fn counters(&self) -> Result<Vec<HookCounters>, ProbeError> {
        Hook::ALL.iter().map(|hook| self.counters_of(*hook)).collect()
    }

    fn counters_of(&self, hook: Hook) -> Result<HookCounters, ProbeError> {
        let per_cpu = self
            .counters
            .get(&(hook as u32), 0)
            .map_err(|e| ProbeError::Map { what: "read the counters", reason: chain(&e) })?;
        let sum = |f: fn(&map::HookCounters) -> u64| per_cpu.iter().map(|v| f(&v.0)).sum();
        Ok(HookCounters {
            hook,
            seen: sum(|c| c.seen),
            filtered: sum(|c| c.filtered),
            shed: sum(|c| c.shed),
            dropped: sum(|c| c.dropped),
            submitted: sum(|c| c.submitted),
            truncated: sum(|c| c.truncated),
            compat: sum(|c| c.compat),
            canaries: sum(|c| c.canaries),
            unsure: sum(|c| c.unsure),
        })
    }

    /// The reader's end; there is one. `None` from the second call on.
    ///
    /// # Errors
    /// The ring cannot be polled.
    pub fn take_ring(&mut self) -> Result<Option<Ring>, ProbeError> {
        self.ring.take().map(|(map, size)| Ring::new(map, size, Arc::clone(&self.board))).transpose()
    }

    /// Sets off a canary for each attached hook and one through an io_uring, from the calling thread (blocks for some milliseconds, not to be called
    /// by the thread that drains). Whether it came through shows in [`Self::hook_status`] once the ring was drained.
    ///
    /// # Errors
    /// A canary could not be set off; the others have been.
    pub fn fire_canaries(&self) -> Result<(), ProbeError> {
        let hooks: Vec<Hook> = Hook::ALL.iter().copied().filter(|h| self.is_attached(*h)).collect();
        let ring = hooks.contains(&Hook::Open) && self.attached.contains_key(&Program::IoUring);
        canary::fire(&self.canaries, &self.board, &hooks, ring)
    }

    fn is_attached(&self, hook: Hook) -> bool {
        self.attached.contains_key(&program(hook)) && self.gate.filter().wants(hook)
    }

    /// How each hook stands.
    #[must_use]
    pub fn hook_status(&self) -> Vec<HookStatus> {
        let status = |hook: &Hook| {
            let HookCheck { hook, mut backend, mut reason } = self.check(*hook);
            let (attached, proof) = (self.is_attached(hook), self.board.last_proof(hook));
            if let Some(proof) = proof.filter(|p| backend == Backend::Primary && !p.used) {
                backend = Backend::Baseline;
                reason.push_str(if proof.refused {
                    "; but its canary was refused (EPERM), which may be before anything is kept: so that is not proven"
                } else {
                    "; but of its canary nothing was kept: names and addresses are the caller's at the call's end"
                });
            }
            HookStatus { hook, backend, reason, attached, last_proven: proof.map(|p| p.at) }
        };
        Hook::ALL.iter().map(status).collect()
    }

    fn check(&self, hook: Hook) -> HookCheck {
        let which = program(hook);
        match self.refused.iter().find(|(p, _)| *p == which) {
            Some((_, reason)) => HookCheck { hook, backend: Backend::Unavailable, reason: reason.clone() },
            None => {
                let tracepoint = which.place_name();
                let (backend, kept) = self.kept(hook);
                let further: String = [kept, self.in_rings(hook), self.failed_execs(hook)]
                    .into_iter()
                    .flatten()
                    .map(|told| format!("; {told}"))
                    .collect();
                let reason = format!("the raw tracepoint {tracepoint} takes our program{further}");
                HookCheck { hook, backend, reason }
            }
        }
    }

    /// By what means what the kernel used is told.
    fn kept(&self, hook: Hook) -> (Backend, Option<String>) {
        let refused = keepers(hook).find_map(|p| self.refused.iter().find(|(refused, _)| *refused == p));
        if let Some((which, reason)) = refused {
            let why =
                format!("names and addresses are the caller's at the call's end: {}: {reason}", which.place_name());
            return (Backend::Baseline, Some(why));
        }
        let places: Vec<String> = keepers(hook)
            .map(|p| match p.place() {
                Place::Tracepoint(_) => p.place_name().to_owned(),
                Place::Begin(function) => format!("fentry on {function}"),
                Place::End(function) => format!("fexit on {function}"),
            })
            .collect();
        if places.is_empty() {
            return (Backend::Baseline, None);
        }
        (Backend::Primary, Some(format!("what the kernel used is kept by {}", places.join(" and "))))
    }

    /// That execs which fail are not seen.
    fn failed_execs(&self, hook: Hook) -> Option<String> {
        let (_, reason) = self.refused.iter().find(|(p, _)| hook == Hook::Exec && *p == Program::SysExit)?;
        Some(format!("those that fail are not seen: {reason}"))
    }

    /// How what an io_uring is asked for is seen, of hooks that it can be asked for.
    fn in_rings(&self, hook: Hook) -> Option<String> {
        let which = second_program(hook)?;
        if let Some((_, reason)) = self.refused.iter().find(|(p, _)| *p == which) {
            return Some(format!("what goes through an io_uring is not seen: {reason}"));
        }
        let untold: Vec<&str> = self.untold.iter().filter(|t| t.hook() == hook).map(|t| t.as_str()).collect();
        Some(match untold.as_slice() {
            [] => format!(
                "what goes through an io_uring is seen when it is submitted{}",
                self.board.through_ring().describe()
            ),
            names => format!(
                "of what goes through an io_uring {} is not seen: this kernel does not describe such requests",
                names.join(", ")
            ),
        })
    }
}
