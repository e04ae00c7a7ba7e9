//! The thread that reads the ring and knows the processes.
use super::{line::Lines, printer::Printer};
use crate::{
    container::Containers,
    detect::clock,
    fields::{Surroundings, View},
    probe::{HookCounters, Ring, record::decode},
    process::Table,
    run,
    users::Users,
    workload,
};
use engine::event::{EventTypes, Hook};
use std::{
    io,
    path::Path,
    thread::JoinHandle,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

/// Records per look at the clock.
const BATCH: usize = 2048;
/// Longest sleep while nothing happens.
const WAIT: Duration = Duration::from_millis(50);
/// How often clocks, users and exited processes are looked at.
const OFTEN: Duration = Duration::from_secs(1);
/// How often the table is compared with /proc.
const SELDOM: Duration = Duration::from_secs(60);

/// The end in two steps.
pub(super) struct End {
    /// Asked for, by a signal or by this thread.
    pub stop: CancellationToken,
    /// No record comes any more: the ring is to be read to its end.
    pub quiet: CancellationToken,
}

/// What became of events of the hooks that were asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub printed: u64,
    /// Of other processes than the one asked for, or past `--count`.
    pub left_out: u64,
    /// Not decodable.
    pub invalid: u64,
    /// Nobody read stdout fast enough.
    pub unprinted: u64,
}

/// See the module.
pub(super) struct Watch {
    ring: Ring,
    lines: Lines,
    printer: Printer,
    types: EventTypes,
    pid: Option<u32>,
    count: u64,
    node: String,
    table: Table,
    containers: Containers,
    users: Users,
    pods: workload::Index,
    agent_start: u64,
    boot_to_wall: i64,
    number: u64,
    seen: Seen,
}

impl Watch {
    pub fn new(
        ring: Ring,
        lines: Lines,
        printer: Printer,
        hooks: &[Hook],
        pid: Option<u32>,
        count: Option<u64>,
    ) -> Self {
        let proc = Path::new("/proc");
        let (agent_start, boot_to_wall) = clock();
        Self {
            ring,
            lines,
            printer,
            types: hooks.iter().flat_map(|hook| hook.event_types()).collect(),
            pid,
            count: count.unwrap_or(u64::MAX),
            node: run::node_name(None),
            table: Table::new(proc),
            containers: Containers::new(proc),
            users: Users::new(proc),
            pods: workload::Index::standalone(),
            agent_start,
            boot_to_wall,
            number: 0,
            seen: Seen::default(),
        }
    }

    /// Starts the thread; it ends when `quiet` is cancelled and the ring is empty.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn spawn(self, end: End) -> io::Result<JoinHandle<Seen>> {
        std::thread::Builder::new().name("watch".into()).spawn(move || self.run(&end))
    }

    fn run(mut self, end: &End) -> Seen {
        self.table.seed(&mut self.containers);
        let (mut often, mut seldom) = (Instant::now(), Instant::now());
        loop {
            let quiet = end.quiet.is_cancelled();
            let drained = self.drain();
            self.printer.flush();
            if self.seen.printed >= self.count || self.printer.is_gone() {
                end.stop.cancel();
            }
            if quiet && drained == 0 {
                break;
            }
            if often.elapsed() >= OFTEN {
                often = Instant::now();
                let (boot, to_wall) = clock();
                self.boot_to_wall = to_wall;
                self.users.refresh();
                self.table.sweep(boot);
                if seldom.elapsed() >= SELDOM {
                    seldom = Instant::now();
                    self.table.reconcile(boot);
                }
            }
            if drained < BATCH && !quiet {
                self.ring.wait(WAIT);
            }
        }
        let unprinted = self.printer.finish();
        Seen { unprinted, printed: self.seen.printed.saturating_sub(unprinted), ..self.seen }
    }

    fn drain(&mut self) -> usize {
        let Self { ring, lines, printer, table, containers, users, pods, node, seen, number, .. } = self;
        let (types, pid, count) = (self.types, self.pid, self.count);
        let (boot_to_wall, agent_start) = (self.boot_to_wall, self.agent_start);
        ring.drain(BATCH, &mut |bytes| {
            let Ok(record) = decode(bytes) else {
                seen.invalid += 1;
                return;
            };
            let process = table.learn(&record, containers);
            let header = &record.header;
            if !types.contains(header.event_type) {
                return;
            }
            if pid.is_some_and(|pid| pid != header.pid) || seen.printed >= count {
                seen.left_out += 1;
                return;
            }
            *number += 1;
            seen.printed += 1;
            let await_pods = false;
            let around = Surroundings { node, table, users, pods, await_pods, boot_to_wall, agent_start };
            let view = View::new(around, &record, &process, *number, true);
            printer.line(|to| lines.write(&view, header.event_type, to));
        })
    }
}

impl Seen {
    /// What is told at the end, of the final counters of the hooks that were asked for.
    pub fn summary(&self, counters: &[HookCounters], hooks: &[Hook], ran: Duration) -> [String; 2] {
        let sum =
            |f: fn(&HookCounters) -> u64| -> u64 { counters.iter().filter(|c| hooks.contains(&c.hook)).map(f).sum() };
        let first = format!(
            "{} events seen in {:.1} s: {} printed, {} left out here (--pid, -n), {} left out in the kernel (new threads and the like)",
            sum(|c| c.seen),
            ran.as_secs_f64(),
            self.printed,
            self.left_out,
            sum(|c| c.filtered)
        );
        let lost = [
            (sum(|c| c.dropped + c.shed), "dropped: the ring was full; a larger --ring-size or fewer hooks help"),
            (self.unprinted, "not printed: stdout is read too slowly, or no more"),
            (self.invalid, "not understood"),
        ];
        let lost: Vec<String> = lost.iter().filter(|(n, _)| *n > 0).map(|(n, why)| format!("{n} {why}")).collect();
        [first, if lost.is_empty() { "nothing lost".to_owned() } else { format!("lost: {}", lost.join("; ")) }]
    }
}
