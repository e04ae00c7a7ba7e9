//! A loaded probe, and waiting for what a trigger should bring.
use crate::triggers::Trigger;
use agent::probe::{
    KernelFilter, Options, Probe, ProbeError, Ring,
    record::{Record, decode},
};
use engine::event::Hook;
use std::time::{Duration, Instant};

/// How long a record may take. Under emulation on a busy machine, everything takes long.
const PATIENCE: Duration = Duration::from_secs(10);

/// A probe that lets everything pass, with its ring. This process' own events are seen, too.
pub struct Live {
    pub probe: Probe,
    ring: Ring,
}

impl Live {
    /// Loads and arms; None where this machine cannot, having said why.
    pub fn load() -> Option<Self> {
        Self::load_by(false)
    }

    /// The same, by the baseline only or by the best back end that there is.
    pub fn load_by(baseline_only: bool) -> Option<Self> {
        let mut probe = match Probe::load(&Options { exclude_self: false, baseline_only, ..Options::default() }) {
            Ok(probe) => probe,
            Err(error @ (ProbeError::NotAllowed { .. } | ProbeError::NoBtf { .. })) => {
                println!("skipped: {error}");
                return None;
            }
            Err(error) => panic!("{error}"),
        };
        let ring = probe.take_ring().unwrap().unwrap();
        let all = KernelFilter::everything(1, Hook::ALL.iter().copied());
        probe.widen(&all).unwrap();
        probe.narrow(&all).unwrap();
        Some(Self { probe, ring })
    }

    /// The first record that `pick` makes something of; those before it are forgotten.
    pub fn find<T>(&mut self, patience: Duration, mut pick: impl FnMut(&Record<'_>) -> Option<T>) -> Option<T> {
        let end = Instant::now() + patience;
        let mut found = None;
        while found.is_none() && Instant::now() < end {
            let drained = self.ring.drain(1, &mut |bytes| {
                if found.is_none() {
                    found = decode(bytes).ok().and_then(|record| pick(&record));
                }
            });
            if drained == 0 {
                self.ring.wait(Duration::from_millis(20));
            }
        }
        found
    }

    /// Makes the call, and waits for its record; false when this kernel has no such call.
    pub fn fires(&mut self, trigger: &Trigger) -> Result<bool, String> {
        let pid = match (trigger.call)() {
            Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => return Ok(false),
            done => done.map_err(|e| format!("the call failed: {e}"))?,
        };
        let wanted = |r: &Record<'_>| {
            r.header.event_type == trigger.event_type && r.header.pid == pid && (trigger.is_it)(&r.body)
        };
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            let (mut found, mut damaged) = (false, None);
            self.ring.drain(usize::MAX, &mut |bytes| match decode(bytes) {
                Ok(record) if wanted(&record) => {
                    found = true;
                    keep(trigger, bytes);
                }
                Ok(_) => {}
                Err(error) => damaged = Some(error.to_string()),
            });
            if let Some(error) = damaged {
                return Err(format!("a damaged record: {error}"));
            }
            if found {
                return Ok(true);
            }
            self.ring.wait(Duration::from_millis(20));
        }
        Err("its record did not come".to_owned())
    }
}

/// With EYAS_RECORDS=DIR each record that was waited for is written there: seeds for fuzzing its decoder.
fn keep(trigger: &Trigger, bytes: &[u8]) {
    if let Some(folder) = std::env::var_os("EYAS_RECORDS") {
        let path = std::path::Path::new(&folder).join(trigger.event_type.as_str());
        std::fs::write(&path, bytes).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    }
}
