//! Evaluating an event that matches nothing takes no memory from the heap, whatever the condition: counted by the allocator.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]
use engine::{
    compile::compile,
    event::{Event, EventType},
    field::{Arg, Field, FieldRef},
    plan::{Plan, Scratch},
    priority::Priority,
    source::{Definitions, Meta, ObjectRef, RuleSource, RuleState, Sources},
    value::{Lookup, Value},
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::{alloc::System, ops::ControlFlow, sync::Arc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// One condition of each way to evaluate; none holds.
const CONDITIONS: &[&str] = &[
    "proc.name = x",
    "proc.name in (x, y)",
    "fd.name startswith /x/",
    "fd.name startswith anyof (/x/, /y/, /z/, /a/b/)",
    "fd.name endswith anyof (.x, .y, .z, .a)",
    "fd.name contains xyz",
    "fd.name contains anyof (xyz, zyx, abc, cba)",
    "fd.name icontains XYZ",
    "fd.name glob \"/x/*/y*\"",
    "fd.name iglob \"/X/*\"",
    "fd.name regex \"/x/.*\"",
    "fd.name regex \".*(xyz|zyx)\"",
    "fd.name pmatch (/x, /y/*/z)",
    "proc.pid in (7, 8)",
    "evt.rawarg[flags] = x",
    "evt.rawarg[flags] contains 99",
    "evt.time = x",
    "evt.time startswith 23:59:59.999",
    "fd.sip = 1.2.3.4",
    "fd.snet in (\"1.2.3.0/24\", \"fe80::/10\")",
    "proc.aname = x",
    "proc.aname in (x, y)",
    "not proc.aname in (init, bash, sh)",
    "tolower(proc.name) = x",
    "toupper(fd.name) startswith /X",
    "basename(fd.name) = x",
    "b64(proc.name) = x",
    "len(fd.name) = 1",
    "len(proc.aname) > 9",
    "concat(proc.name, \":\", proc.pid) = x",
    "join(\" \", (proc.name, proc.pname)) = x",
    "getopt(proc.args, \"ab:\") = x",
    "getopt(proc.args, \"ab:\")[b] = x",
    "proc.name = val(proc.pname)",
    "fd.num > val(proc.pid)",
    "user.name exists",
    "proc.name startswith anyof (x, y) or (proc.pname = z and not (fd.num = 3 or proc.name = q))",
];

/// All its values are borrowed or plain, and its ancestors visited, as the agent's are.
struct Busy(EventType);

impl Event for Busy {
    fn event_type(&self) -> Option<EventType> {
        Some(self.0)
    }

    fn field(&self, field: &FieldRef) -> Lookup<'_> {
        match (field.field, &field.arg) {
            (Field::FdName, _) => "/usr/lib/x86_64-linux-gnu/libc.so.6".into(),
            (Field::ProcName, _) => "nginx".into(),
            (Field::ProcPname, _) => "bash".into(),
            (Field::ProcArgs, None) => "-a -b 5 rest".into(),
            (Field::FdNum, _) => Value::Int(3).into(),
            (Field::ProcPid, _) => Value::Int(4711).into(),
            (Field::EvtTime, _) => Value::Uint(1_700_000_000_123_456_789).into(),
            (Field::EvtRawarg, Some(Arg::Key(_))) => Value::Int(4096).into(),
            (Field::FdSip | Field::FdSnet, _) => Value::Ip([10, 0, 0, 1].into()).into(),
            _ => Lookup::Missing,
        }
    }

    fn visit(&self, field: &FieldRef, visit: &mut dyn FnMut(&Lookup<'_>) -> ControlFlow<()>) {
        if field.field == Field::ProcAname {
            let _ = ["bash", "sshd", "systemd"].into_iter().try_for_each(|name| visit(&name.into()));
        } else {
            let _ = visit(&self.field(field));
        }
    }
}

fn rule((n, condition): (usize, String)) -> RuleSource {
    RuleSource {
        meta: Meta { id: ObjectRef { namespace: "eyas-system".into(), name: format!("r{n}") }, ..Meta::default() },
        title: format!("r{n}"),
        description: String::new(),
        condition,
        output: "x".into(),
        priority: Priority::Notice,
        tags: vec![],
        state: RuleState::Active,
        definitions: Definitions::default(),
        exceptions: vec![],
        tenant_exceptions: None,
        tests: vec![],
    }
}

fn plan(conditions: impl Iterator<Item = String>) -> Plan {
    let rules = conditions.enumerate().map(rule).collect();
    let sources = Sources { system_namespace: "eyas-system".into(), rules, ..Sources::default() };
    let compiled = compile(&sources, None);
    let problems: Vec<_> = compiled.outcomes.iter().filter(|o| !o.accepted).map(|o| &o.diagnostics).collect();
    assert!(problems.is_empty(), "{problems:?}");
    Plan::new(Arc::new(compiled.ruleset)).unwrap()
}

/// Bytes and times that evaluating takes from the heap.
fn taken(plan: &Plan, scratch: &mut Scratch) -> (usize, usize) {
    let mut round = || {
        for event_type in [EventType::Openat, EventType::Execve, EventType::Connect] {
            plan.evaluate(&Busy(event_type), 0, scratch, &mut |hit| {
                assert_eq!(
                    hit.rule,
                    usize::MAX,
                    "meant to match nothing: {}",
                    plan.ruleset().rules[hit.rule].condition
                );
            });
        }
    };
    // The first events make the room; regular expressions make their caches.
    (0..3).for_each(|_| round());
    let region = Region::new(ALLOCATOR);
    (0..10).for_each(|_| round());
    let change = region.change();
    (change.bytes_allocated, change.allocations + change.reallocations)
}

/// One test, since others that run beside it would be counted too.
#[test]
fn nothing_is_allocated_for_an_event_that_matches_nothing() {
    let mut scratch = Scratch::default();
    for condition in CONDITIONS {
        let alone = plan(std::iter::once((*condition).to_owned()));
        assert_eq!(taken(&alone, &mut scratch), (0, 0), "{condition}");
    }
    // Together, many times over, so that fields are indexed and literals found by automata.
    let many = (0..30).flat_map(|n| {
        CONDITIONS.iter().map(move |condition| format!("({condition}) and fd.name contains \"literal-{n}\""))
    });
    let together = plan(CONDITIONS.iter().map(|condition| (*condition).to_owned()).chain(many));
    assert_eq!(taken(&together, &mut scratch), (0, 0), "all together");
    // And the count counts.
    let region = Region::new(ALLOCATOR);
    let _ = std::hint::black_box(vec![0_u8; 100]);
    assert!(region.change().bytes_allocated >= 100);
}
