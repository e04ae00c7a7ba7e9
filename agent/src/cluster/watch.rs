//! Watches that never end: on any error they go on after a wait.
use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client, Resource};
use kube_runtime::{
    WatchStreamExt,
    utils::Backoff,
    watcher::{self, Event, watcher},
};
use router::deliver::backoff;
use serde::de::DeserializeOwned;
use std::{
    fmt::Debug,
    time::{Duration, Instant},
};

/// First and longest wait between attempts. Short enough that an agent is back soon after the API server is; the random
/// half keeps thousands of agents out of step.
const WAIT: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));
/// The server ends a watch after this many seconds; kube refuses 295 and more.
const WATCH_SECONDS: u32 = 290;

/// After this long without failure the next one is the first again.
const CALM: Duration = Duration::from_secs(60);

/// Back-off for watches.
pub(super) struct Patience {
    backoff: backoff::Backoff,
    last: Option<Instant>,
}

impl Default for Patience {
    fn default() -> Self {
        Self { backoff: backoff::Backoff::new(WAIT.0, WAIT.1), last: None }
    }
}

impl Iterator for Patience {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        if self.last.is_some_and(|at| at.elapsed() > CALM) {
            self.backoff.reset();
        }
        self.last = Some(Instant::now());
        Some(self.backoff.next(backoff::random()))
    }
}

impl Backoff for Patience {
    /// Nothing: kube's watcher says `Init` before each list, also before one that fails. Time resets.
    fn reset(&mut self) {}
}

/// Events of objects that a field selector chooses. Lists may come from the API server's cache: cheap for it, and what is
/// newer follows by the watch.
pub(super) fn watch<K>(
    api: Api<K>,
    fields: &str,
) -> impl Stream<Item = Result<Event<K>, watcher::Error>> + Send + use<K>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let config = watcher::Config::default().fields(fields).timeout(WATCH_SECONDS).any_semantic();
    watcher(api, config).backoff(Patience::default()).boxed()
}

/// Events of one ConfigMap.
pub(super) fn config_map(
    client: Client,
    namespace: &str,
    name: &str,
) -> impl Stream<Item = Result<Event<ConfigMap>, watcher::Error>> + Send + use<> {
    watch(Api::namespaced(client, namespace), &format!("metadata.name={name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_though_the_watcher_announces_each_attempt() {
        let mut patience = Patience::default();
        let waits: Vec<Duration> = (0..8)
            .filter_map(|_| {
                patience.reset();
                patience.next()
            })
            .collect();
        assert!(waits[0] <= WAIT.0, "{waits:?}");
        assert!(waits[7] >= WAIT.1 / 2 && waits.iter().all(|wait| *wait <= WAIT.1), "{waits:?}");
    }
}
