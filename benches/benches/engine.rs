//! The engine alone, on one core: compile, plan, and evaluation, by number and kind of rules.
//!
//! `cargo bench -p eyas-benches --bench engine`; criterion keeps the last figures and tells what changed since. Evaluation is
//! timed over the hundred events of `benches::node` in turns and told per event.
#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark; criterion's macros make public functions")]
use benches::{node, stable, variety};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use engine::{
    compile::compile,
    plan::{Plan, Scratch},
    source::Sources,
};
use std::{hint::black_box, sync::Arc};

fn default_rules() -> Sources {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../manifests/rules");
    crds::files::load(&[folder]).sources(crds::SYSTEM_NAMESPACE)
}

fn sets() -> Vec<(&'static str, Sources)> {
    let mut sets = vec![
        ("default rules", default_rules()),
        ("10 rules", variety::rules(10)),
        ("100 rules", variety::rules(100)),
        ("1,000 rules", variety::rules(1000)),
        ("100,000 addresses", variety::addresses(100_000, false)),
        ("100,000 blocks", variety::addresses(100_000, true)),
    ];
    match stable::rules() {
        Ok(sources) => sets.insert(0, ("stable rules", sources)),
        Err(reason) => println!("skipped: the stable rules: {reason}"),
    }
    sets
}

fn preparing(criterion: &mut Criterion) {
    for (name, sources) in sets() {
        criterion.bench_with_input(BenchmarkId::new("compile", name), &sources, |b, sources| {
            b.iter(|| black_box(compile(sources, None)));
        });
        let ruleset = Arc::new(variety::compiled(&sources).unwrap().ruleset);
        criterion.bench_with_input(BenchmarkId::new("plan", name), &ruleset, |b, ruleset| {
            b.iter(|| black_box(Plan::new(ruleset.clone()).unwrap()));
        });
    }
}

fn evaluating(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("evaluate");
    let events = node::events();
    group.throughput(Throughput::Elements(events.len() as u64));
    for (name, sources) in sets() {
        let plan = Plan::new(Arc::new(variety::compiled(&sources).unwrap().ruleset)).unwrap();
        let mut scratch = Scratch::default();
        let mut hits = 0;
        let mut round = || {
            events.iter().for_each(|event| plan.evaluate(black_box(event), 0, &mut scratch, &mut |_| hits += 1));
        };
        group.bench_function(name, |b| b.iter(&mut round));
        assert_eq!(hits, 0, "{name}: the events are meant to match nothing");
    }
}

fn config() -> Criterion {
    Criterion::default().sample_size(20).measurement_time(std::time::Duration::from_secs(3))
}

criterion_group!(name = engine_alone; config = config(); targets = preparing, evaluating);
criterion_main!(engine_alone);
