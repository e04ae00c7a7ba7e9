//! OutputRoutes of the cluster, kept running.
//!
//! ```text
//! watch OutputRoutes -> debounce -> get their Secrets -> Route::build -> Router::set_routes
//!                          `<- every SECRETS_EVERY (a Secret may have changed: they are got one by one, never listed)
//! ```
//! Invariants: a route whose new spec is not sound, or cannot even be read, keeps running as it was, and its queue stays; a Secret that cannot be read for a moment keeps
//! its last value; no queue is removed before the whole list is known.
use crds::{OutputRoute, SecretKeyRef};
use engine::source::ObjectRef;
use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client, Resource, core::DeserializeGuard};
use kube_runtime::{
    WatchStreamExt,
    watcher::{self, Event, watcher},
};
use parking_lot::Mutex;
use router::{
    deliver::Router,
    route::{Route, Settings, secret_refs},
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// Changes within this time are taken together.
const DEBOUNCE: Duration = Duration::from_millis(100);
/// How often Secrets are read anew.
const SECRETS_EVERY: Duration = Duration::from_secs(30);
/// Secrets read at once.
const CONCURRENT: usize = 8;

/// A key of a Secret: namespace, name, key.
type SecretKey = (String, String, String);

/// What is wrong with routes, beyond what their destinations say. Read by the status writer.
pub type Problems = Arc<Mutex<BTreeMap<ObjectRef, String>>>;

/// Keeps the routes of a cluster running.
pub struct Keeper {
    /// To ask.
    pub client: Client,
    /// To fill.
    pub router: Arc<Router>,
    /// For building routes.
    pub settings: Settings,
    /// Set when the first list is running.
    pub ready: Arc<AtomicBool>,
    /// What is wrong.
    pub problems: Problems,
}

impl Keeper {
    /// Runs until stopped.
    pub async fn run(self, stop: CancellationToken) {
        let api: Api<DeserializeGuard<OutputRoute>> = Api::all(self.client.clone());
        let mut events = watcher(api, watcher::Config::default()).default_backoff().boxed();
        let mut objects = Listed::default();
        let mut listing = None;
        let mut secrets = HashMap::new();
        let mut listed = false;
        let mut apply_at: Option<Instant> = None;
        loop {
            let timer = async {
                match apply_at {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                event = events.next() => {
                    match event {
                        Some(Ok(event)) => listed |= take(event, &mut objects, &mut listing),
                        Some(Err(error)) => tracing::warn!(%error, "watching OutputRoutes failed; trying again"),
                        None => return,
                    }
                    if listed && listing.is_none() {
                        let soon = Instant::now() + DEBOUNCE;
                        apply_at = Some(apply_at.map_or(soon, |at| at.min(soon)));
                    }
                }
                () = timer => {
                    self.apply(&objects, &mut secrets).await;
                    self.ready.store(true, Ordering::Release);
                    apply_at = Some(Instant::now() + SECRETS_EVERY);
                }
            }
        }
    }

    async fn apply(&self, listed: &Listed, known: &mut HashMap<SecretKey, Vec<u8>>) {
        let objects = &listed.good;
        let (values, errors) = self.read_secrets(objects, known).await;
        *known = values;
        let running: BTreeMap<ObjectRef, Route> = self.router.routes().into_iter().map(|r| (r.id.clone(), r)).collect();
        let mut routes = Vec::new();
        let mut problems = listed.unreadable.clone();
        routes.extend(listed.unreadable.keys().filter_map(|id| running.get(id).cloned()));
        for (id, object) in objects {
            let secret = |r: &SecretKeyRef| {
                let key = (id.namespace.clone(), r.name.clone(), r.key.clone());
                match (known.get(&key), errors.get(&key)) {
                    (Some(value), _) => Ok(value.clone()),
                    (None, Some(why)) => Err(why.clone()),
                    (None, None) => Err(format!("Secret {} was not read yet", r.name)),
                }
            };
            match Route::build(object, &self.settings, &secret) {
                Ok(route) => routes.push(route),
                Err(error) => {
                    tracing::warn!(route = %id, %error, "an OutputRoute is not sound");
                    problems.insert(id.clone(), error.to_string());
                    routes.extend(running.get(id).cloned());
                }
            }
        }
        let keep: Vec<ObjectRef> = problems.keys().cloned().collect();
        for error in self.router.set_routes_and_keep(routes, &keep).await {
            problems.insert(error.route.clone(), error.to_string());
        }
        *self.problems.lock() = problems;
    }

    /// Values, and what is wrong with those that are not there.
    async fn read_secrets(
        &self,
        objects: &BTreeMap<ObjectRef, OutputRoute>,
        known: &HashMap<SecretKey, Vec<u8>>,
    ) -> (HashMap<SecretKey, Vec<u8>>, HashMap<SecretKey, String>) {
        let mut wanted: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
        for (id, object) in objects {
            for r in secret_refs(object) {
                wanted.entry((id.namespace.clone(), r.name.clone())).or_default().insert(r.key.clone());
            }
        }
        let got: Vec<_> = stream::iter(wanted)
            .map(|((namespace, name), keys)| async move {
                let api: Api<Secret> = Api::namespaced(self.client.clone(), &namespace);
                let got = tokio::time::timeout(Duration::from_secs(10), api.get_opt(&name)).await;
                (namespace, name, keys, got)
            })
            .buffer_unordered(CONCURRENT)
            .collect()
            .await;
        let (mut values, mut errors) = (HashMap::new(), HashMap::new());
        for (namespace, name, keys, got) in got {
            for key in keys {
                let at = (namespace.clone(), name.clone(), key.clone());
                let found = match &got {
                    Ok(Ok(Some(secret))) => match secret.data.as_ref().and_then(|d| d.get(&key)) {
                        Some(value) => Ok(value.0.clone()),
                        None => Err(format!("Secret {name} has no key {key}")),
                    },
                    Ok(Ok(None)) => Err(format!("Secret {name} is not there; create it in namespace {namespace}")),
                    Ok(Err(kube::Error::Api(status))) if status.code == 403 => Err(format!(
                        "the router may not read Secret {name} in {namespace}; allow it: kubectl create rolebinding \
                         eyas-router-secrets -n {namespace} --clusterrole=eyas-router-secrets --serviceaccount=eyas-system:eyas-router"
                    )),
                    // Nothing is known about it just now: what was good stays.
                    Ok(Err(error)) => {
                        known.get(&at).cloned().ok_or_else(|| format!("cannot read Secret {name}: {error}"))
                    }
                    Err(_) => known.get(&at).cloned().ok_or_else(|| format!("cannot read Secret {name}: no answer")),
                };
                match found {
                    Ok(value) => drop(values.insert(at, value)),
                    Err(why) => drop(errors.insert(at, why)),
                }
            }
        }
        (values, errors)
    }
}

/// The cluster's OutputRoutes.
#[derive(Clone, Debug, Default)]
struct Listed {
    good: BTreeMap<ObjectRef, OutputRoute>,
    /// Objects that do not fit our type, and why.
    unreadable: BTreeMap<ObjectRef, String>,
}

impl Listed {
    fn put(&mut self, guard: DeserializeGuard<OutputRoute>) {
        let id = self.remove(&guard);
        match guard.0 {
            Ok(object) => drop(self.good.insert(id, object)),
            Err(error) => drop(self.unreadable.insert(id, error.error)),
        }
    }

    fn remove(&mut self, guard: &DeserializeGuard<OutputRoute>) -> ObjectRef {
        let meta = guard.meta();
        let id = ObjectRef {
            namespace: meta.namespace.clone().unwrap_or_default(),
            name: meta.name.clone().unwrap_or_default(),
        };
        self.good.remove(&id);
        self.unreadable.remove(&id);
        id
    }
}

/// Applies a watch event; `true` when a list is complete.
fn take(event: Event<DeserializeGuard<OutputRoute>>, objects: &mut Listed, listing: &mut Option<Listed>) -> bool {
    match event {
        Event::Apply(guard) => objects.put(guard),
        Event::Delete(guard) => drop(objects.remove(&guard)),
        Event::Init => *listing = Some(Listed::default()),
        Event::InitApply(guard) => {
            if let Some(listing) = listing {
                listing.put(guard);
            }
        }
        Event::InitDone => {
            if let Some(listed) = listing.take() {
                *objects = listed;
            }
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use serde_json::json;

    fn guard(name: &str, spec: &serde_json::Value) -> DeserializeGuard<OutputRoute> {
        serde_json::from_value(json!({
            "apiVersion": "eyas.dev/v1alpha1", "kind": "OutputRoute",
            "metadata": {"name": name, "namespace": "n"}, "spec": spec,
        }))
        .unwrap()
    }

    #[test]
    fn a_list_replaces_all_and_an_unreadable_object_is_known_by_name() {
        let (mut objects, mut listing) = (Listed::default(), None);
        assert!(!take(Event::Apply(guard("old", &json!({"stdout": {}}))), &mut objects, &mut listing));
        take(Event::Init, &mut objects, &mut listing);
        take(Event::InitApply(guard("a", &json!({"stdout": {}}))), &mut objects, &mut listing);
        take(Event::InitApply(guard("b", &json!({"stdout": 7}))), &mut objects, &mut listing);
        assert_eq!(objects.good.len(), 1);
        assert!(take(Event::InitDone, &mut objects, &mut listing));
        let names = |o: &Listed| (o.good.keys().map(|i| i.name.clone()).collect::<String>(), o.unreadable.len());
        assert_eq!(names(&objects), ("a".to_owned(), 1));
        // Mended, then broken again, then gone.
        take(Event::Apply(guard("b", &json!({"stdout": {}}))), &mut objects, &mut listing);
        assert_eq!(names(&objects), ("ab".to_owned(), 0));
        take(Event::Apply(guard("b", &json!({"stdout": 7}))), &mut objects, &mut listing);
        take(Event::Delete(guard("a", &json!({"stdout": {}}))), &mut objects, &mut listing);
        assert_eq!(names(&objects), (String::new(), 1));
    }
}
