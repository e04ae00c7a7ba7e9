//! The watches: each event of the API server becomes a change of the index.
//!
//! A watch that fails waits and starts anew, each on its own; an object that does not fit its type comes as unreadable.
use crate::index::{Body, Change, Event, Object};
use crds::ruleset_map;
use engine::source::ObjectRef;
use futures::{Stream, StreamExt, stream::BoxStream};
use k8s_openapi::api::core::v1::{ConfigMap, Node};
use kube::{
    Api, Client, Resource,
    core::{DeserializeGuard, PartialObjectMeta},
};
use kube_runtime::watcher::{self, Config, watcher};
use serde::de::DeserializeOwned;
use std::{fmt::Debug, sync::Arc, time::Duration};

/// What a watch brings.
#[derive(Debug)]
pub enum Feed {
    /// A change of the index.
    Change(Box<Change>),
    /// The ruleset's ConfigMap as it is now; `None` when it is gone.
    Ruleset(Option<Box<ConfigMap>>),
    /// A watch failed and will start anew.
    Failed {
        /// Of which kind.
        kind: &'static str,
        /// Why.
        error: String,
        /// How many times in a row, this one included; 0 when the API server only wants us to list anew.
        times: u32,
    },
}

/// All watches in one stream, which never ends.
pub fn all(client: &Client, namespace: &str) -> impl Stream<Item = Feed> + Send + Unpin {
    futures::stream::select_all([
        objects(client, "DetectionRule", Change::Rule),
        objects(client, "RuleLibrary", Change::Library),
        objects(client, "Exception", Change::Exception),
        objects(client, "OutputRoute", Change::Route),
        objects(client, "NodeAgent", Change::Agent),
        nodes(client),
        ruleset(client, namespace),
    ])
}

fn objects<K>(client: &Client, kind: &'static str, wrap: fn(Event<K>) -> Change) -> BoxStream<'static, Feed>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    let api: Api<DeserializeGuard<K>> = Api::all(client.clone());
    patient(watcher(api, Config::default()))
        .map(move |event| feed(kind, event.map(|e| wrap(convert(e, guarded)))))
        .boxed()
}

fn nodes(client: &Client) -> BoxStream<'static, Feed> {
    let api: Api<PartialObjectMeta<Node>> = Api::all(client.clone());
    let object = |node: PartialObjectMeta<Node>| described(&node.metadata, Body::Good(Arc::new(())));
    patient(watcher(api, Config::default()))
        .map(move |event| feed("Node", event.map(|e| Change::Node(convert(e, object)))))
        .boxed()
}

fn ruleset(client: &Client, namespace: &str) -> BoxStream<'static, Feed> {
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let config = Config::default().fields(&format!("metadata.name={}", ruleset_map::NAME));
    let mut listed = None;
    patient(watcher(api, config))
        .filter_map(move |event| {
            let feed = match event {
                Ok(watcher::Event::Apply(map)) => Some(Feed::Ruleset(Some(Box::new(map)))),
                Ok(watcher::Event::InitApply(map)) => {
                    listed = Some(Box::new(map));
                    None
                }
                Ok(watcher::Event::InitDone) => Some(Feed::Ruleset(listed.take())),
                Ok(watcher::Event::Delete(_)) => Some(Feed::Ruleset(None)),
                Ok(watcher::Event::Init) => None,
                Err((error, times)) => Some(Feed::Failed { kind: "ConfigMap", error: error.to_string(), times }),
            };
            std::future::ready(feed)
        })
        .boxed()
}

fn feed(kind: &'static str, change: Result<Change, (watcher::Error, u32)>) -> Feed {
    match change {
        Ok(change) => Feed::Change(Box::new(change)),
        Err((error, times)) => Feed::Failed { kind, error: error.to_string(), times },
    }
}

fn convert<A, K>(event: watcher::Event<A>, object: impl Fn(A) -> Object<K>) -> Event<K> {
    match event {
        watcher::Event::Apply(a) => Event::Apply(object(a)),
        watcher::Event::Delete(a) => Event::Delete(object(a).id),
        watcher::Event::Init => Event::Init,
        watcher::Event::InitApply(a) => Event::InitApply(object(a)),
        watcher::Event::InitDone => Event::InitDone,
    }
}

fn guarded<K: Resource<DynamicType = ()>>(guard: DeserializeGuard<K>) -> Object<K> {
    match guard.0 {
        Ok(good) => read(good),
        Err(invalid) => described(&invalid.metadata, Body::Unreadable(invalid.error)),
    }
}

/// An object as the index holds it.
pub(crate) fn read<K: Resource<DynamicType = ()>>(mut good: K) -> Object<K> {
    // Larger than the rest of many objects, and nobody here reads it.
    good.meta_mut().managed_fields = None;
    let meta = good.meta().clone();
    described(&meta, Body::Good(Arc::new(good)))
}

fn described<K>(meta: &kube::api::ObjectMeta, body: Body<K>) -> Object<K> {
    Object {
        id: ObjectRef {
            namespace: meta.namespace.clone().unwrap_or_default(),
            name: meta.name.clone().unwrap_or_default(),
        },
        uid: meta.uid.clone().unwrap_or_default(),
        generation: meta.generation.unwrap_or_default(),
        created: meta.creation_timestamp.as_ref().map_or(0, |t| t.0.as_second()),
        body,
    }
}

/// A watch that waits after each failure, ever longer, and not at all after success; with how often it failed in a row.
fn patient<E>(
    watch: impl Stream<Item = watcher::Result<E>> + Send + 'static,
) -> impl Stream<Item = Result<E, (watcher::Error, u32)>> + Send {
    let state = (watch.boxed(), 0u32, Duration::ZERO);
    futures::stream::unfold(state, |(mut watch, failures, wait)| async move {
        tokio::time::sleep(wait).await;
        Some(match watch.next().await? {
            Ok(event) => (Ok(event), (watch, 0, Duration::ZERO)),
            // After a restart of the API server; listing anew mends it.
            Err(error) if expired(&error) => (Err((error, 0)), (watch, failures, LEAST_WAIT)),
            Err(error) => (Err((error, failures + 1)), (watch, failures + 1, back_off(failures))),
        })
    })
}

fn expired(error: &watcher::Error) -> bool {
    matches!(error, watcher::Error::WatchError(status) if status.code == 410)
}

const LEAST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Doubles with each failure, with up to a quarter more so that many watches do not come back at once.
fn back_off(failures: u32) -> Duration {
    let base = LEAST_WAIT.saturating_mul(1 << failures.min(8)).min(LONGEST_WAIT);
    let jitter = k8s_openapi::jiff::Timestamp::now().subsec_nanosecond().unsigned_abs() % 250;
    base + base / 1000 * jitter
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_failing_watch_waits_ever_longer_up_to_a_bound_and_not_at_all_after_success() {
        let fail = || Err(watcher::Error::NoResourceVersion);
        let events = (0..10).map(move |_| fail()).chain([Ok(()), fail(), Ok(())]);
        let mut watch = patient(futures::stream::iter(events)).boxed();
        let mut waits = Vec::new();
        let mut before = tokio::time::Instant::now();
        while let Some(event) = watch.next().await {
            waits.push((event.map_err(|(_, times)| times), before.elapsed()));
            before = tokio::time::Instant::now();
        }
        assert_eq!((waits[0].0, waits[0].1), (Err(1), Duration::ZERO));
        assert!(waits[1..=10].windows(2).all(|w| w[0].1 <= w[1].1 + LONGEST_WAIT / 4), "{waits:?}");
        assert!(waits[10].1 >= LONGEST_WAIT && waits[10].1 <= LONGEST_WAIT * 5 / 4, "{waits:?}");
        assert_eq!((waits[11].0, waits[11].1), (Err(1), Duration::ZERO), "after success");
        assert!(waits[12].1 <= LEAST_WAIT * 5 / 4, "{waits:?}");
    }
}
