//! Delivery put into the agent: which folder, which router, and its losses in the agent's status.
use super::{
    ClusterOptions, Sink, Totals,
    client::{Access, Endpoint},
    local::{Folder, Local},
    shipper,
};
use crate::{detect::TotalsHandle, run::seams::Seams, status};
use router::{
    batch::{Counters, ExceptionCounter, RuleCounter, Tally},
    destination::stdout::Output,
    queue::QueueError,
};
use std::{
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::sync::watch;

/// Room for alerts on the node while the router is away.
const SPOOL: u64 = 64 << 20;
/// Where the DaemonSet mounts the token for the router.
const TOKEN_FILE: &str = "/var/run/secrets/eyas-router/token";
/// How often losses are copied into status.
const MIRROR_EVERY: Duration = Duration::from_secs(1);

/// In a cluster: by the disk spool to the router in `namespace`, whose CA comes by `ca`.
///
/// # Errors
/// When the spool cannot be opened.
pub fn in_cluster(seams: &Seams, namespace: &str, ca: watch::Receiver<Option<String>>) -> Result<Sink, QueueError> {
    let variable = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
    let options = ClusterOptions {
        dir: folder(seams).join("spool"),
        max_bytes: SPOOL,
        node: seams.node.to_string(),
        agent: seams.agent,
        access: Access {
            endpoint: Endpoint::from_environment(namespace, variable),
            token_file: variable("EYAS_ROUTER_TOKEN_FILE").unwrap_or_else(|| TOKEN_FILE.to_owned()).into(),
            ca,
        },
    };
    let sink = shipper::start(options, totals(seams.totals.clone()), &seams.tasks, seams.shutdown.clone())?;
    mirror(seams, sink.clone());
    Ok(sink)
}

/// Standalone: routes in this process. `secrets`: a folder per Secret, a file per key.
#[must_use]
pub fn standalone(seams: &Seams, secrets: Option<PathBuf>) -> (Sink, Local) {
    let folder = Folder { path: folder(seams).join("routes"), temporary: seams.state_dir.is_none() };
    let (sink, local) = Local::start(folder, secrets, Output::default(), &seams.tasks, seams.shutdown.clone());
    mirror(seams, sink.clone());
    (sink, local)
}

/// `--state`, or a folder of this process, which no other finds again.
fn folder(seams: &Seams) -> PathBuf {
    let own = || std::env::temp_dir().join(format!("eyas-agent-{}", std::process::id()));
    seams.state_dir.clone().unwrap_or_else(own)
}

/// The agent's totals in the form in which they travel.
fn totals(handle: TotalsHandle) -> Totals {
    Arc::new(move || {
        let now = handle.snapshot();
        let rule = |r: crate::detect::RuleTotal| RuleCounter {
            id: r.id,
            total: Tally { matches: r.matches, suppressed: r.suppressed, lost: r.lost },
            acknowledged: Tally::default(),
            first_seen: r.first_seen,
            last_seen: r.last_seen,
        };
        let exception = |e: crate::detect::ExceptionTotal| ExceptionCounter {
            id: e.id,
            suppressed: e.suppressed,
            acknowledged: 0,
            last_matched: e.last_matched,
        };
        Counters {
            rules: now.rules.into_iter().map(rule).collect(),
            exceptions: now.exceptions.into_iter().map(exception).collect(),
        }
    })
}

/// Keeps backlog and losses in the agent's status.
fn mirror(seams: &Seams, sink: Sink) {
    let (status, stop) = (seams.status.clone(), seams.shutdown.clone());
    let copy = move |status: &status::Handle| {
        let stats = sink.stats();
        status.losses().delivery_backlog.store(stats.backlog, Ordering::Relaxed);
        status.losses().delivery_lost.store(stats.lost, Ordering::Relaxed);
    };
    seams.tasks.spawn(async move {
        while stop.run_until_cancelled(tokio::time::sleep(MIRROR_EVERY)).await.is_some() {
            copy(&status);
        }
        copy(&status);
    });
}
