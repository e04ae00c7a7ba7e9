//! Standalone: routes in this process, with the same queues, groups and destinations as the cluster's router.
use super::{Sink, take};
use crds::OutputRoute;
use engine::source::ObjectRef;
use router::{
    deliver::{Options, Router, backoff, backoff::Backoff},
    destination::stdout,
    route::{Route, Settings},
};
use std::{
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// A Secret's value above this is not read.
const MAX_SECRET: u64 = 1 << 20;
/// Room for each route's queue.
const MAX_QUEUE: u64 = 64 << 20;

/// Where queues are kept.
#[derive(Clone, Debug)]
pub struct Folder {
    /// The folder. Made when there is something to keep.
    pub path: PathBuf,
    /// It is of this process alone and goes when it ends, with what could not be delivered.
    pub temporary: bool,
}

/// The routes of a standalone agent.
#[derive(Clone, Debug)]
pub struct Local {
    router: Arc<Router>,
    settings: Settings,
    secrets: Option<PathBuf>,
}

impl Local {
    /// Starts without routes. Queues are in `folder`; `secrets` holds a folder per Secret with a file per key, as
    /// Kubernetes mounts them. Ends with `stop`, when everything submitted is on disk.
    #[must_use]
    pub fn start(
        folder: Folder,
        secrets: Option<PathBuf>,
        output: stdout::Output,
        tasks: &TaskTracker,
        stop: CancellationToken,
    ) -> (Sink, Self) {
        let mut options = Options::new(&folder.path);
        options.limits.max_bytes = MAX_QUEUE;
        options.limits.durable = false;
        let router = Arc::new(Router::new(options));
        let (sink, mut channel, shared) = Sink::new();
        let taker = router.clone();
        tasks.spawn(async move {
            let mut wait = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
            while let Some(burst) = take(&mut channel, &stop).await {
                let alerts: Vec<_> = burst.iter().map(|a| a.as_ref().clone()).collect();
                let count = alerts.len() as u64;
                let alerts = Arc::new(alerts);
                loop {
                    let (taker, alerts) = (taker.clone(), alerts.clone());
                    let taken = tokio::task::spawn_blocking(move || taker.accept(&alerts).map_err(|e| e.to_string()));
                    match taken.await.unwrap_or_else(|e| Err(e.to_string())) {
                        Ok(_) => {
                            shared.delivered.fetch_add(count, Ordering::Relaxed);
                            wait.reset();
                            break;
                        }
                        Err(why) if stop.is_cancelled() || wait.attempts() >= 5 => {
                            shared.lose(count, &why);
                            break;
                        }
                        Err(why) => {
                            shared.error(Some(why));
                            tokio::time::sleep(wait.next(backoff::random())).await;
                        }
                    }
                }
            }
            taker.stop().await;
            if folder.temporary {
                // Not there unless there were routes.
                let _ = tokio::fs::remove_dir_all(&folder.path).await;
                let _ = folder.path.parent().map(std::fs::remove_dir);
            }
        });
        let settings = Settings { system_namespace: None, tenant_allow: Vec::new(), stdout: output };
        (sink, Self { router, settings, secrets })
    }

    /// Makes exactly these routes run; returns what is wrong with each of those that cannot. A route that was good before
    /// stays as it was.
    pub async fn set_routes(&self, objects: &[OutputRoute]) -> Vec<(ObjectRef, String)> {
        let mut problems = Vec::new();
        let running = self.router.routes();
        let mut routes = Vec::new();
        for object in objects {
            let secrets = |r: &crds::SecretKeyRef| read_secret(self.secrets.as_deref(), r);
            match Route::build(object, &self.settings, &secrets) {
                Ok(route) => routes.push(route),
                Err(error) => {
                    let id = ObjectRef {
                        namespace: object.metadata.namespace.clone().unwrap_or_default(),
                        name: object.metadata.name.clone().unwrap_or_default(),
                    };
                    routes.extend(running.iter().find(|r| r.id == id).cloned());
                    problems.push((id, error.to_string()));
                }
            }
        }
        problems.extend(self.router.set_routes(routes).await.into_iter().map(|e| (e.route.clone(), e.to_string())));
        problems
    }

    /// The routes themselves: their status and metrics.
    #[must_use]
    pub fn router(&self) -> &Arc<Router> {
        &self.router
    }
}

/// `DIR/NAME/KEY`. Names with a path separator are refused, so that a route cannot read other files.
fn read_secret(dir: Option<&Path>, reference: &crds::SecretKeyRef) -> Result<Vec<u8>, String> {
    let (name, key) = (&reference.name, &reference.key);
    let dir = dir.ok_or_else(|| {
        format!("standalone, Secret {name} is read from a folder: start with --secrets DIR and put the value into DIR/{name}/{key}")
    })?;
    let plain = |s: &str| !s.is_empty() && s != "." && s != ".." && !s.contains(['/', '\0']);
    if !plain(name) || !plain(key) {
        return Err(format!("{name:?} / {key:?} cannot name a Secret and its key"));
    }
    let path = dir.join(name).join(key);
    let read = || -> std::io::Result<Vec<u8>> {
        if std::fs::metadata(&path)?.len() > MAX_SECRET {
            return Err(std::io::Error::other("it is longer than 1 MiB"));
        }
        std::fs::read(&path)
    };
    let mut bytes =
        read().map_err(|e| format!("cannot read key {key} of Secret {name} from {}: {e}", path.display()))?;
    // Editors end files with a newline; no key or URL means to.
    while matches!(bytes.last(), Some(b'\n' | b'\r')) {
        bytes.pop();
    }
    Ok(bytes)
}
