//! Writes counters into the status of DetectionRules, Exceptions and OutputRoutes, by server-side apply under the router's own
//! field manager: the operator's conditions beside them are not touched.
use super::{
    counters::{Due, EVERY, Kind, Known, Sums},
    routes::Problems,
};
use crds::{DetectionRule, Exception, OutputRoute, ROUTER_MANAGER};
use engine::source::ObjectRef;
use futures::{StreamExt, stream};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{Patch, PatchParams},
};
use parking_lot::Mutex;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};
use router::{
    batch::Tally,
    deliver::{RouteStatus, Router, clock},
    queue::Queue,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::{collections::HashMap, fmt::Debug, sync::Arc, time::Duration};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// How often it is looked at what is due.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Writes at once.
const CONCURRENT: usize = 8;
/// For one request.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Least time between two writes of a route's status when something turned (an error came or went, the backlog emptied).
const ROUTE_TURN: u64 = 1_000;
/// How often sums are kept on disk: so long, and so much longer for each MiB that they are; before a status is written, too.
/// Until then agents tell them again.
const SAVE_EVERY: Duration = Duration::from_secs(2);

/// `eyas_router_status_writes_total{outcome}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Debug, Default)]
struct RouteWritten {
    status: RouteStatus,
    value: Value,
    at: u64,
}

/// See the module.
pub struct Writer {
    client: Client,
    sums: Arc<Mutex<Sums>>,
    news: Arc<Notify>,
    router: Arc<Router>,
    problems: Problems,
    /// Keeps the sums: a queue without records, for its checkpoint and its lock.
    state: Arc<Mutex<Queue>>,
    /// Version of the sums that was kept last.
    saved: u64,
    routes: HashMap<ObjectRef, RouteWritten>,
    writes: Family<Outcome, Counter>,
}

impl Writer {
    /// Over what the intake and the routes fill.
    pub fn new(
        client: Client,
        sums: Arc<Mutex<Sums>>,
        news: Arc<Notify>,
        router: Arc<Router>,
        problems: Problems,
        state: Queue,
    ) -> Self {
        let state = Arc::new(Mutex::new(state));
        Self {
            client,
            sums,
            news,
            router,
            problems,
            state,
            saved: 0,
            routes: HashMap::new(),
            writes: Family::default(),
        }
    }

    /// Registers `eyas_router_status_writes_total`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("eyas_router_status_writes", "Writes of objects' status", self.writes.clone());
    }

    /// Runs until stopped; then keeps the sums.
    pub async fn run(mut self, stop: CancellationToken) {
        let (mut saved, mut wait) = (tokio::time::Instant::now(), SAVE_EVERY);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = self.news.notified() => {}
            }
            self.write_counters().await;
            self.write_routes().await;
            if saved.elapsed() >= wait {
                wait = self.save().await;
                saved = tokio::time::Instant::now();
            }
        }
        let _ = self.save().await;
    }

    /// Keeps the sums if they changed; returns how long to wait until the next time.
    async fn save(&mut self) -> Duration {
        let version = self.sums.lock().version();
        if version == self.saved {
            return SAVE_EVERY;
        }
        let (sums, state) = (self.sums.clone(), self.state.clone());
        let saved = tokio::task::spawn_blocking(move || {
            let bytes = sums.lock().snapshot();
            state.lock().commit(0, &bytes)?;
            sums.lock().saved();
            Ok::<_, router::queue::QueueError>(bytes.len())
        });
        match saved.await {
            Ok(Ok(bytes)) => {
                self.saved = version;
                return SAVE_EVERY * (1 + u32::try_from(bytes >> 20).unwrap_or(u32::MAX));
            }
            Ok(Err(error)) => tracing::warn!(%error, "counters were not kept on disk"),
            Err(error) => tracing::warn!(%error, "keeping counters on disk was cut short"),
        }
        SAVE_EVERY
    }

    /// Reads first where needed, then writes: the first match is in status within one round.
    async fn write_counters(&mut self) {
        for _ in 0..2 {
            let due = self.sums.lock().due(clock::millis());
            if due.iter().any(|d| matches!(d, Due::Write { .. })) {
                // What a status says must be on disk first. On a disk that takes nothing status goes on all the same.
                let _ = self.save().await;
            }
            let reads = due.iter().any(|d| matches!(d, Due::Read(..)));
            stream::iter(due).for_each_concurrent(CONCURRENT, |due| self.act(due)).await;
            if !reads {
                break;
            }
        }
    }

    async fn act(&self, due: Due) {
        match due {
            Due::Read(kind, id) => {
                let known = match kind {
                    Kind::Rule => self.get::<DetectionRule>(&id).await.map(|o| o.map(|o| known_rule(&o))),
                    Kind::Exception => self.get::<Exception>(&id).await.map(|o| o.map(|o| known_exception(&o))),
                };
                match known {
                    Ok(known) => self.sums.lock().known(kind, &id, known),
                    Err(error) => {
                        tracing::debug!(object = %id, %error, "cannot read a status");
                        self.sums.lock().failed(kind, &id, false, clock::millis());
                    }
                }
            }
            Due::Write { kind, id, uid, status } => {
                let body = |kind: &str| {
                    json!({"apiVersion": "eyas.dev/v1alpha1", "kind": kind,
                           "metadata": {"name": id.name, "namespace": id.namespace, "uid": uid}, "status": status})
                };
                let written = match kind {
                    Kind::Rule => self.patch::<DetectionRule>(&id, body("DetectionRule")).await,
                    Kind::Exception => self.patch::<Exception>(&id, body("Exception")).await,
                };
                let mut sums = self.sums.lock();
                match written {
                    Written::Yes => sums.written(kind, &id, status, clock::millis()),
                    Written::Gone => sums.known(kind, &id, None),
                    Written::Replaced => sums.failed(kind, &id, true, clock::millis()),
                    Written::Failed => sums.failed(kind, &id, false, clock::millis()),
                }
            }
        }
    }

    async fn write_routes(&mut self) {
        let now = clock::millis();
        let mut statuses: HashMap<ObjectRef, RouteStatus> = self.router.status().into_iter().collect();
        for (id, problem) in self.problems.lock().iter() {
            statuses.entry(id.clone()).or_default().last_error = Some(problem.clone());
        }
        self.routes.retain(|id, _| statuses.contains_key(id));
        for (id, status) in statuses {
            let value = route_value(&status);
            if !self.routes.get(&id).is_none_or(|w| is_due(w, &status, &value, now)) {
                continue;
            }
            let body = json!({"apiVersion": "eyas.dev/v1alpha1", "kind": "OutputRoute",
                              "metadata": {"name": id.name, "namespace": id.namespace}, "status": value});
            match self.patch::<OutputRoute>(&id, body).await {
                Written::Yes | Written::Gone => drop(self.routes.insert(id, RouteWritten { status, value, at: now })),
                Written::Replaced | Written::Failed => {}
            }
        }
    }

    async fn get<K>(&self, id: &ObjectRef) -> Result<Option<K>, String>
    where
        K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), &id.namespace);
        match tokio::time::timeout(TIMEOUT, api.get_opt(&id.name)).await {
            Ok(got) => got.map_err(|e| e.to_string()),
            Err(_) => Err("no answer".to_owned()),
        }
    }

    async fn patch<K>(&self, id: &ObjectRef, body: Value) -> Written
    where
        K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
            + Clone
            + DeserializeOwned
            + Serialize
            + Debug,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), &id.namespace);
        let params = PatchParams::apply(ROUTER_MANAGER).force();
        let patch = Patch::Apply(body);
        let answer = tokio::time::timeout(TIMEOUT, api.patch_status(&id.name, &params, &patch)).await;
        let written = match answer {
            Ok(Ok(_)) => Written::Yes,
            Ok(Err(kube::Error::Api(status))) if status.code == 404 => Written::Gone,
            Ok(Err(kube::Error::Api(status))) if status.code == 409 => Written::Replaced,
            Ok(Err(error)) => {
                tracing::warn!(object = %id, kind = %K::kind(&()), %error, "a status was not written; trying again");
                Written::Failed
            }
            Err(_) => Written::Failed,
        };
        let outcome = match written {
            Written::Yes => "written",
            Written::Gone | Written::Replaced => "gone",
            Written::Failed => "failed",
        };
        self.writes.get_or_create(&Outcome { outcome }).inc();
        written
    }
}

enum Written {
    Yes,
    /// The object is not there.
    Gone,
    /// Another object has its name now.
    Replaced,
    Failed,
}

/// At once when something turned, else paced; never what is there already.
fn is_due(written: &RouteWritten, status: &RouteStatus, value: &Value, now: u64) -> bool {
    if written.value == *value {
        return false;
    }
    let before = &written.status;
    let turned = before.last_error.is_some() != status.last_error.is_some()
        || (before.backlog == 0) != (status.backlog == 0)
        || (before.totals.delivered == 0) != (status.totals.delivered == 0)
        || (before.totals.failed == 0) != (status.totals.failed == 0);
    now.saturating_sub(written.at) >= if turned { ROUTE_TURN } else { EVERY }
}

fn route_value(status: &RouteStatus) -> Value {
    let totals = &status.totals;
    let mut value = json!({"delivered": totals.delivered, "failed": totals.failed, "backlog": status.backlog});
    let seconds = totals.last_delivered.and_then(|ms| i64::try_from(ms / 1000).ok());
    if let Some(time) = seconds.and_then(|s| jiff::Timestamp::from_second(s).ok()) {
        value["lastDelivered"] = time.to_string().into();
    }
    if let Some(error) = &status.last_error {
        value["lastError"] = error.as_str().into();
    }
    value
}

fn known_rule(object: &DetectionRule) -> Known {
    let status = object.status.clone().unwrap_or_default();
    let count = |n: Option<i64>| n.and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
    let matches = status.matches.unwrap_or_default();
    Known {
        uid: object.uid().unwrap_or_default(),
        total: Tally {
            matches: count(Some(matches.total)),
            suppressed: count(status.suppressed),
            lost: count(status.lost_events),
        },
        first_seen: matches.first_seen.map(|t| t.0.as_second()),
        last_seen: matches.last_seen.map(|t| t.0.as_second()),
    }
}

fn known_exception(object: &Exception) -> Known {
    let status = object.status.clone().unwrap_or_default();
    let suppressed = status.suppressed.and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
    Known {
        uid: object.uid().unwrap_or_default(),
        total: Tally { suppressed, ..Tally::default() },
        first_seen: None,
        last_seen: status.last_matched.map(|t| t.0.as_second()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use router::deliver::Totals;

    fn status(delivered: u64, backlog: u64, error: Option<&str>) -> RouteStatus {
        let totals = Totals { delivered, failed: 0, last_delivered: (delivered > 0).then_some(1_500) };
        RouteStatus { totals, backlog, last_error: error.map(str::to_owned) }
    }

    #[test]
    fn a_routes_status_says_what_is() {
        assert_eq!(
            route_value(&status(3, 2, Some("down"))),
            json!({"delivered": 3, "failed": 0, "backlog": 2, "lastDelivered": "1970-01-01T00:00:01Z", "lastError": "down"})
        );
        assert_eq!(route_value(&status(0, 0, None)), json!({"delivered": 0, "failed": 0, "backlog": 0}));
    }

    #[test]
    fn turns_are_written_soon_the_rest_paced_and_the_same_never() {
        let before = status(3, 0, None);
        let written = RouteWritten { value: route_value(&before), status: before, at: 0 };
        let due = |s: RouteStatus, now| is_due(&written, &s, &route_value(&s), now);
        assert!(!due(status(3, 0, None), 10 * EVERY));
        assert!(!due(status(4, 0, None), EVERY - 1) && due(status(4, 0, None), EVERY));
        assert!(due(status(3, 1, Some("down")), ROUTE_TURN));
        assert!(!due(status(3, 1, Some("down")), ROUTE_TURN - 1));
    }
}
