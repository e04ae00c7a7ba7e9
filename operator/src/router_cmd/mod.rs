//! `eyas-operator router`: takes alerts from agents and delivers them.
//!
//! ```text
//! agents --TLS--> intake (auth: TokenReview; bounded) -> router::deliver (disk queues, destinations)
//!                        `-> counters (sums over agents) -> status (DetectionRule, Exception)
//! OutputRoutes, Secrets -> routes -> router::deliver -> status (OutputRoute)
//! ```
//! One replica: it groups alerts of all nodes. While it is away agents keep their alerts on disk.
use crate::client;
use anyhow::Context as _;
use clap::Args;
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use router::{
    deliver::{Options, Router},
    destination::stdout::Output,
    queue::{Limits, Queue},
    route::Settings,
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

mod auth;
mod counters;
mod http;
mod intake;
mod routes;
mod status;
#[cfg(test)]
mod tests;
mod tls;

/// How often the certificate's end is looked at.
const CERTIFICATE_EVERY: Duration = Duration::from_secs(6 * 3600);
/// How long requests under way may take at the end.
const GRACE: Duration = Duration::from_secs(5);

/// Arguments of `eyas-operator router`.
#[derive(Args, Clone, Debug)]
pub struct RouterArgs {
    /// Address for agents (HTTPS).
    #[arg(long, default_value = "0.0.0.0:8443", value_name = "ADDR")]
    pub listen: std::net::SocketAddr,
    /// Address of /healthz, /readyz and /metrics (HTTP).
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDR")]
    pub http_listen: std::net::SocketAddr,
    /// Folder of the delivery queue.
    #[arg(long, default_value = "/var/lib/eyas-router", value_name = "DIR")]
    pub state: PathBuf,
    /// Namespace that Eyas runs in. OutputRoutes there see the whole cluster.
    #[arg(long, env = "POD_NAMESPACE", default_value = crds::SYSTEM_NAMESPACE)]
    pub namespace: String,
    /// Address range that OutputRoutes of other namespaces may reach beside public addresses, such as 10.20.0.0/16. May be
    /// given more than once.
    #[arg(long, value_name = "CIDR")]
    pub tenant_allow: Vec<ipnet::IpNet>,
    /// Kubeconfig file. Default: the pod's service account, else KUBECONFIG or ~/.kube/config.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
}

/// Runs until SIGTERM or Ctrl-C.
///
/// # Errors
/// The address cannot be bound, the state folder cannot be used, or there is no API server to ask.
pub async fn run(args: RouterArgs) -> anyhow::Result<()> {
    let client = client::connect(args.kubeconfig.as_deref()).await?;
    let stop = CancellationToken::new();
    let tasks = TaskTracker::new();
    tasks.spawn(stop_on_signal(stop.clone()));

    let (state, sums) = open_state(&args.state)?;
    let sums = Arc::new(Mutex::new(sums));
    let router = Arc::new(Router::new(Options { purge: true, ..Options::new(args.state.join("queues")) }));
    let auth = auth::Authenticator::new(auth::KubeVerifier(client.clone()), &args.namespace);
    let intake = Arc::new(intake::Intake::new(auth, router.clone(), sums.clone()));
    let problems = routes::Problems::default();
    let writer =
        status::Writer::new(client.clone(), sums, intake.news.clone(), router.clone(), problems.clone(), state);

    let mut registry = Registry::default();
    router.metrics().register(&mut registry);
    intake.register(&mut registry);
    writer.register(&mut registry);
    let address = http::serve(args.http_listen, intake.ready.clone(), registry, stop.clone()).await?;
    tracing::info!(%address, "health and metrics");

    let keeper = routes::Keeper {
        client: client.clone(),
        router: router.clone(),
        settings: Settings {
            system_namespace: Some(args.namespace.clone()),
            tenant_allow: args.tenant_allow.clone(),
            stdout: Output::default(),
        },
        ready: intake.ready.clone(),
        problems,
    };
    tasks.spawn(keeper.run(stop.clone()));
    tasks.spawn(writer.run(stop.clone()));

    let Some(identity) = identity(&client, &args.namespace, &stop).await else { return Ok(()) };
    let tls = tls::config(&identity).await?;
    tasks.spawn(renew(client, args.namespace.clone(), identity, tls.clone(), stop.clone()));
    let served = serve(args.listen, tls, intake, stop.clone()).await;
    stop.cancel();
    router.stop().await;
    tasks.close();
    tasks.wait().await;
    served
}

/// The sums of the process before this one, and what keeps them.
fn open_state(dir: &Path) -> anyhow::Result<(Queue, counters::Sums)> {
    let dir = dir.join("counters");
    let limits = Limits { durable: false, ..Limits::default() };
    let (queue, recovery) = Queue::open(&dir, limits).with_context(|| format!("--state: {}", dir.display()))?;
    if recovery.checkpoint_damaged {
        tracing::warn!(file = %dir.join("checkpoint").display(), "kept counters are damaged; going on from the objects' status");
    }
    let sums = match recovery.state.as_slice() {
        [] => counters::Sums::default(),
        bytes => counters::Sums::read(bytes).unwrap_or_else(|error| {
            tracing::warn!(%error, "kept counters cannot be read; going on from the objects' status");
            counters::Sums::default()
        }),
    };
    Ok((queue, sums))
}

/// The certificate; asks until the API server answers. `None`: stopped before.
async fn identity(client: &kube::Client, namespace: &str, stop: &CancellationToken) -> Option<tls::Identity> {
    loop {
        match tls::ensure(client, namespace).await {
            Ok(identity) => return Some(identity),
            Err(error) => tracing::warn!(%error, "no certificate yet; trying again"),
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(2)) => {}
            () = stop.cancelled() => return None,
        }
    }
}

/// Makes and loads a new certificate before the old one ends.
async fn renew(
    client: kube::Client,
    namespace: String,
    mut current: tls::Identity,
    config: axum_server::tls_rustls::RustlsConfig,
    stop: CancellationToken,
) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(CERTIFICATE_EVERY) => {}
            () = stop.cancelled() => return,
        }
        match tls::ensure(&client, &namespace).await {
            Ok(identity) if identity != current => {
                let (certificate, key) = (identity.certificate.clone(), identity.key.clone());
                match config.reload_from_pem(certificate.into_bytes(), key.into_bytes()).await {
                    Ok(()) => current = identity,
                    Err(error) => tracing::error!(%error, "the new certificate cannot be used"),
                }
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "cannot check the certificate"),
        }
    }
}

async fn serve(
    listen: std::net::SocketAddr,
    tls: axum_server::tls_rustls::RustlsConfig,
    intake: Arc<intake::Intake<auth::KubeVerifier>>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let listener = std::net::TcpListener::bind(listen).with_context(|| format!("--listen {listen}"))?;
    let address = listener.local_addr().context("--listen")?;
    let handle = axum_server::Handle::new();
    let ending = handle.clone();
    tokio::spawn(async move {
        stop.cancelled().await;
        ending.graceful_shutdown(Some(GRACE));
    });
    tracing::info!(%address, "taking batches from agents");
    let server = axum_server::from_tcp_rustls(listener, tls).context("--listen")?.handle(handle);
    server.serve(intake.app().into_make_service()).await.context("HTTPS server")
}

async fn stop_on_signal(stop: CancellationToken) {
    let terminated = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => drop(signal.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = terminated => {}
        _ = tokio::signal::ctrl_c() => {}
        () = stop.cancelled() => {}
    }
    stop.cancel();
}
