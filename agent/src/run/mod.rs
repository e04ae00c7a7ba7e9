//! How the parts are put together, standalone and in a cluster.
//!
//! ```text
//! ruleset source --RulesetEvent--> armer (plan, widen, swap, narrow) --> detect thread --Alert--> fan-out --> AlertSink...
//!   folder | ConfigMap | disk          owns Probe                         owns Ring                          stdout, reports, deliver
//! ```
//!
//! The border to the parts that only a cluster has is [`seams`]: what they get ([`seams::Seams`]) and what they give.
//!
//! Where another agent watches with the same state folder, all runs but the sinks until that one ends (`crate::handover`).
//!
//! The end, in this order: with another agent standing by, the moment of the handover is fixed and waited for; the armer lets no more events through and reads the last counters; the detect thread drains the
//! ring and gives out what it holds; the fan-out ends with its channel; the sinks are told (`Seams::shutdown`) and finish; the
//! note for the next agent; the summary; with the process the lock of the state folder.
mod answers;
mod armer;
mod detect_thread;
mod governor;
mod handing;
mod in_cluster;
pub mod seams;
mod standalone;
mod summary;

use crate::{
    cli::RunArgs,
    detect::{Detector, Parts, Store, TotalsHandle},
    handover,
    http::Server,
    probe::{Options, Probe},
    rules::state,
    status, workload,
};
use anyhow::Context as _;
use armer::{Armer, Tokens};
use engine::ruleset::Ruleset;
use handing::{Handing, Place, Tellers};
use seams::{Origin, RulesetEvent, RulesetUpdate, Seams};
use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Alerts between the detect thread and the sinks; while it is full, they wait folded.
const ALERTS: usize = 4096;
/// Rulesets on their way to the armer; only the newest counts.
const RULESETS: usize = 8;
/// Where the pages are when nothing else was asked for.
const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9797);
/// How long the armer may take to stop the flow of events.
const CLOSING: Duration = Duration::from_millis(400);
/// How long tasks may take to end after the last alert.
const GRACE: Duration = Duration::from_millis(1200);

/// Runs until Ctrl-C or SIGTERM. `people`: stderr is read by people, so problems in rules are drawn with carets.
///
/// # Errors
/// The kernel side cannot be loaded, the rules folder is not there, the address is taken.
pub fn run(args: RunArgs, people: bool) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut lock = None;
    let done = runtime.block_on(start(args, people, &mut lock));
    // A blocking task that does not end must not hold up the end.
    runtime.shutdown_timeout(Duration::from_millis(100));
    // Another agent watches as soon as it is let go: with the process, and so with all that it has open.
    Box::leak(Box::new(lock));
    done
}

async fn start(args: RunArgs, people: bool, lock: &mut Option<handover::Lock>) -> anyhow::Result<()> {
    let begun = std::time::Instant::now();
    if let Some(path) = args.rules.as_deref().filter(|p| !p.exists()) {
        anyhow::bail!("--rules {}: no such folder", path.display());
    }
    let in_cluster = args.in_cluster();
    let stop = stop_signal()?;
    let options = Options { ring_size: args.ring_size, baseline_only: args.baseline_only, ..Options::default() };
    let probe = tokio::task::spawn_blocking(move || Probe::load(&options));
    let server = listen(args.listen).await?;
    let (rulesets, rulesets_in) = mpsc::channel(RULESETS);
    let place = Place::take(args.state.as_deref())?;
    let seams = Seams {
        node: node_name(args.node_name.as_deref()).into(),
        agent: uuid::Uuid::new_v4(),
        rulesets,
        pods: workload::Index::standalone(),
        status: status::Handle::default(),
        totals: TotalsHandle::default(),
        state_dir: args.state.clone(),
        duty: place.duty(),
        pages: seams::Pages::default(),
        shutdown: CancellationToken::new(),
        tasks: TaskTracker::new(),
    };
    if let Some(server) = server {
        let (pages, stop) = (Arc::new(answers::Pages::of(&seams)), seams.shutdown.clone());
        seams.tasks.spawn(async move {
            if let Err(error) = server.serve(pages, stop).await {
                tracing::error!(%error, "the HTTP pages are gone");
            }
        });
    }
    // Before anything else is reachable.
    let last_good = last_good(&seams).await;
    let parts = if in_cluster {
        Tellers::Cluster(in_cluster::start(&seams).await?)
    } else {
        Tellers::Alone(standalone::start(&seams, &args, last_good, people))
    };
    let pods = parts.pods(&seams);
    let (alerts, alerts_in) = mpsc::channel(ALERTS);
    let mut handing = Handing::new(place, parts, alerts_in, args.output);
    handing.watch_if_free(&seams, lock).await?;
    let mut probe = probe.await.context("loading the kernel side was interrupted")??;
    let ring = probe.take_ring()?.context("the ring is taken already")?;
    let store = Arc::<Store>::default();
    let mut detector = Detector::new(Parts {
        store: Arc::clone(&store),
        node: Arc::clone(&seams.node),
        pods,
        await_pods: in_cluster,
        status: seams.status.clone(),
        alerts,
        duty: seams.duty.clone(),
        proc: Path::new("/proc"),
    });
    if let Some(sides) = probe.take_sides() {
        detector.tell(sides);
    }
    let (end, quiet, armer_stop) = (CancellationToken::new(), CancellationToken::new(), CancellationToken::new());
    let detect = detect_thread::spawn(ring, detector, Arc::clone(&store), quiet.clone())?;
    let tokens = Tokens { end: end.clone(), quiet: quiet.clone(), stop: armer_stop.clone() };
    let armer = Armer::new(probe, store, &seams, begun, args.cpu_budget.filter(|percent| *percent > 0.0))
        .spawn(rulesets_in, tokens)?;

    let failed = tokio::select! {
        () = stop.cancelled() => None,
        failed = handing.stand_by(&seams, lock) => failed.err(),
    };
    if failed.is_none() {
        stop.cancelled().await;
    }
    let cut = handing::fix_the_cut(&seams).await;
    end.cancel();
    // An armer that is busy or gone must not hold up the end.
    let _ = tokio::time::timeout(CLOSING, quiet.cancelled()).await;
    quiet.cancel();
    let joined = tokio::task::spawn_blocking(move || detect.join()).await;
    let sinks = handing.end().await;
    seams.shutdown.cancel();
    seams.tasks.close();
    if tokio::time::timeout(GRACE, seams.tasks.wait()).await.is_err() {
        tracing::warn!("some parts did not end in time");
    }
    // Prints what waits.
    let _ = tokio::task::spawn_blocking(move || drop(sinks)).await;
    armer_stop.cancel();
    let _ = tokio::task::spawn_blocking(move || armer.join()).await;
    summary::print(&seams, begun.elapsed());
    let Ok(Ok(told)) = joined else { anyhow::bail!("the detect thread has failed") };
    handing::leave(&seams, cut, told);
    let Some(error) = failed else { return Ok(()) };
    let held = seams.duty.held();
    Err(error.context(format!(
        "this agent could not take over from the one before, and ends: {held} events with matches that it held back are lost; start it again when what \
         follows is mended (status.blind then says since when nobody watched)"
    )))
}

/// Cancelled by SIGINT or SIGTERM.
pub(crate) fn stop_signal() -> anyhow::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let stop = CancellationToken::new();
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let told = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        told.cancel();
    });
    Ok(stop)
}

/// The address asked for must be had; the usual one is left out when somebody else has it.
async fn listen(asked: Option<SocketAddr>) -> anyhow::Result<Option<Server>> {
    let server = match (Server::bind(asked.unwrap_or(LISTEN)).await, asked) {
        (Ok(server), _) => server,
        (Err(error), Some(_)) => return Err(error.into()),
        (Err(error), None) => {
            tracing::warn!(%error, "no HTTP pages");
            return Ok(None);
        }
    };
    let address = server.address()?;
    tracing::info!(%address, "pages: /readyz /healthz /metrics /status /reports");
    Ok(Some(server))
}

pub(crate) fn node_name(given: Option<&str>) -> String {
    match given.filter(|n| !n.is_empty()) {
        Some(name) => name.to_owned(),
        None => rustix::system::uname().nodename().to_string_lossy().into_owned(),
    }
}

/// Arms the ruleset of `--state` first. What is wrong with it is told, and costs nothing else.
async fn last_good(seams: &Seams) -> Option<Arc<Ruleset>> {
    let dir = seams.state_dir.clone()?;
    let loaded = tokio::task::spawn_blocking(move || state::load(&dir)).await.ok()?;
    match loaded {
        Ok(ruleset) => {
            let ruleset = Arc::new(ruleset?);
            let update =
                RulesetUpdate { origin: Origin::Disk, ruleset: Arc::clone(&ruleset), outcomes: Arc::default() };
            // Only a closed channel refuses: then nobody arms anything.
            let _ = seams.rulesets.send(RulesetEvent::Update(update)).await;
            Some(ruleset)
        }
        Err(error) => {
            tracing::error!(%error, "the last good ruleset cannot be used");
            None
        }
    }
}
