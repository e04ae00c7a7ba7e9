//! The engine alone, on one core: compile, plan, and evaluation of one event, by number of rules.
//!
//! `cargo bench -p eyas-benches --bench engine`; criterion keeps the last figures and tells what changed since.
#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark; criterion's macros make public functions")]
use benches::evaluate::many;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use engine::{
    compile::compile,
    event::{Event, EventType},
    field::{Field, FieldRef},
    plan::{Plan, Scratch},
    source::Sources,
    value::{Lookup, Value},
};
use std::{hint::black_box, path::Path, sync::Arc};

/// An event of everyday whose fields cost nothing to look up: what is measured is the engine.
struct Everyday(EventType);

impl Event for Everyday {
    fn event_type(&self) -> Option<EventType> {
        Some(self.0)
    }

    fn field(&self, field: &FieldRef) -> Lookup<'_> {
        match field.field {
            Field::FdName => Value::from("/usr/lib/x86_64-linux-gnu/libc.so.6").into(),
            Field::FdTypechar => Value::from("f").into(),
            Field::FdNum => Value::Int(3).into(),
            Field::EvtIsOpenRead => Value::Bool(true).into(),
            Field::EvtIsOpenWrite => Value::Bool(false).into(),
            Field::ProcName | Field::ProcExe => Value::from("nginx").into(),
            Field::ProcPname => Value::from("containerd-shim").into(),
            Field::ProcExepath => Value::from("/usr/sbin/nginx").into(),
            Field::ProcCmdline => Value::from("nginx -g daemon off;").into(),
            Field::ContainerId => Value::from("3ad7b26ded6d").into(),
            Field::FdSip => Value::Ip([10, 96, 0, 1].into()).into(),
            Field::FdSport => Value::Uint(443).into(),
            _ => Lookup::Missing,
        }
    }
}

fn default_rules() -> Sources {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../manifests/rules");
    crds::files::load(&[folder]).sources(crds::SYSTEM_NAMESPACE)
}

fn sets() -> [(&'static str, Sources); 2] {
    let thousand = crds::files::load_text(Path::new("many.yaml"), &many(1000)).sources(crds::SYSTEM_NAMESPACE);
    [("default rules", default_rules()), ("1,000 rules", thousand)]
}

fn preparing(criterion: &mut Criterion) {
    for (name, sources) in sets() {
        criterion.bench_with_input(BenchmarkId::new("compile", name), &sources, |b, sources| {
            b.iter(|| black_box(compile(sources, None)));
        });
        let ruleset = Arc::new(compile(&sources, None).ruleset);
        criterion.bench_with_input(BenchmarkId::new("plan", name), &ruleset, |b, ruleset| {
            b.iter(|| black_box(Plan::new(ruleset.clone()).unwrap()));
        });
    }
}

fn evaluating(criterion: &mut Criterion) {
    for (name, sources) in sets() {
        let plan = Plan::new(Arc::new(compile(&sources, None).ruleset)).unwrap();
        let mut scratch = Scratch::default();
        for event_type in [EventType::Openat, EventType::Execve, EventType::Connect, EventType::Procexit] {
            let event = Everyday(event_type);
            criterion.bench_function(&format!("{}/{name}", event_type.as_str()), |b| {
                b.iter(|| plan.evaluate(black_box(&event), 0, &mut scratch, &mut |hit| _ = black_box(hit)));
            });
        }
    }
}

criterion_group!(engine_alone, preparing, evaluating);
criterion_main!(engine_alone);
