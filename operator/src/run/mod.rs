//! `eyas-operator run`: everything wired together.
//!
//! ```text
//! watches ----.                        .-> compile and publish (one at a time, a task)
//! lease ------+-> Controller (one loop)+-> status updates -> bounded queue -> writer (8 at once)
//! results <---'                        `-> health, metrics
//! ```
mod compile;
mod controller;

use crate::{
    cli::RunArgs,
    client,
    http::{self, Health, Shown},
    lease::Keeper,
    metrics::Metrics,
    publish::Publisher,
    status_writer,
};
use controller::{Controller, Wires};
use std::sync::Arc;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{mpsc, watch},
};
use tokio_util::sync::CancellationToken;

/// Name of the Lease.
pub const LEASE: &str = "eyas-operator";
/// Status updates that wait for a writer. What does not fit is computed anew later.
const QUEUE: usize = 256;

/// Runs until SIGTERM or Ctrl-C.
///
/// # Errors
/// The address cannot be bound, or there is no API server to ask.
pub async fn run(args: RunArgs) -> anyhow::Result<()> {
    let client = client::connect(args.kubeconfig.as_deref()).await?;
    let identity = args.identity.unwrap_or_else(identity);
    let shown = Shown { health: Arc::new(Health::default()), metrics: Arc::new(Metrics::default()) };
    let stop = CancellationToken::new();
    let address = http::serve(args.listen, shown.clone(), stop.clone()).await?;
    tracing::info!(%address, namespace = args.namespace, identity, version = env!("CARGO_PKG_VERSION"), "operator started");
    on_signal(stop.clone())?;

    let (lead, leading) = watch::channel(false);
    let (updates, queue) = mpsc::channel(QUEUE);
    let (results, answers) = mpsc::channel(QUEUE);
    let (written, writes) = mpsc::channel(QUEUE);
    // The lease is given back after the last write.
    let stop_lease = CancellationToken::new();
    let keeper = Keeper::new(client.clone(), &args.namespace, LEASE, &identity);
    let keeper = tokio::spawn(keeper.run(lead, stop_lease.clone()));
    let writer =
        tokio::spawn(status_writer::run(client.clone(), queue, written, leading.clone(), shown.metrics.clone()));
    let publisher = Publisher::new(client.clone(), &args.namespace);
    let feed = crate::watch::all(&client, &args.namespace);
    let wires = Wires { leading, updates, results, answers, writes };
    Controller::new(&args.namespace, publisher, shown, wires).run(feed, stop).await;

    // The controller dropped its end of the queue: the writer finishes what is in it.
    if tokio::time::timeout(std::time::Duration::from_secs(3), writer).await.is_err() {
        tracing::warn!("status writes were cut off; the next leader makes them good");
    }
    stop_lease.cancel();
    keeper.await?;
    tracing::info!("operator stopped");
    Ok(())
}

fn on_signal(stop: CancellationToken) -> anyhow::Result<()> {
    let mut term = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = term.recv() => tracing::info!("SIGTERM: stopping"),
            _ = interrupt.recv() => tracing::info!("Ctrl-C: stopping"),
        }
        stop.cancel();
    });
    Ok(())
}

fn identity() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}-{}", host.trim(), std::process::id())
}
