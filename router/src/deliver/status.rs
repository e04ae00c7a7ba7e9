//! What became of a route's alerts, for OutputRoute.status and metrics.
use engine::source::ObjectRef;
use parking_lot::Mutex;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter},
    registry::Registry,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc};

/// Most characters of an error in status.
const MAX_ERROR: usize = 400;

/// Totals that survive restarts with the queue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Alerts that the destination took.
    pub delivered: u64,
    /// Alerts given up: refused for good, no room in the queue, or unreadable after damage to the disk.
    pub failed: u64,
    /// When it last took one, milliseconds since 1970.
    pub last_delivered: Option<u64>,
}

/// A route's state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteStatus {
    /// Totals.
    pub totals: Totals,
    /// Alerts on disk or in hand that wait for the destination. What a group still waits for is not in it.
    pub backlog: u64,
    /// What goes wrong now; `None` once it works again.
    pub last_error: Option<String>,
}

/// `eyas_route_alerts_total{route,outcome}`; outcome is accepted, delivered, failed or retried (an attempt that failed).
/// Counts since the start of the process. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Metrics(Arc<Mutex<BTreeMap<(String, &'static str), u64>>>);

impl Metrics {
    /// Registers the metric.
    pub fn register(&self, registry: &mut Registry) {
        registry.register_collector(Box::new(self.clone()));
    }

    /// Route (`namespace/name`), outcome, alerts: for those who write metrics themselves.
    #[must_use]
    pub fn outcomes(&self) -> Vec<(String, &'static str, u64)> {
        self.0.lock().iter().map(|((route, outcome), n)| (route.clone(), *outcome, *n)).collect()
    }

    fn add(&self, route: &str, outcome: &'static str, n: u64) {
        *self.0.lock().entry((route.to_owned(), outcome)).or_default() += n;
    }

    /// Forgets a route that is gone, so that labels do not pile up.
    pub(super) fn forget(&self, route: &ObjectRef) {
        let route = route.to_string();
        self.0.lock().retain(|(known, _), _| *known != route);
    }
}

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let help = "Alerts by route and what became of them";
        let mut metric = encoder.encode_descriptor("eyas_route_alerts", help, None, MetricType::Counter)?;
        for (route, outcome, n) in self.outcomes() {
            let labels = [("route", route.as_str()), ("outcome", outcome)];
            ConstCounter::new(n).encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

/// One route's status, shared by those who change and those who read it.
#[derive(Clone, Debug)]
pub(super) struct Board {
    route: String,
    status: Arc<Mutex<RouteStatus>>,
    metrics: Metrics,
}

impl Board {
    pub fn new(route: &ObjectRef, totals: Totals, metrics: Metrics) -> Self {
        let status = RouteStatus { totals, ..RouteStatus::default() };
        Self { route: route.to_string(), status: Arc::new(Mutex::new(status)), metrics }
    }

    /// `namespace/name`, for logs.
    pub fn route(&self) -> &str {
        &self.route
    }

    pub fn get(&self) -> RouteStatus {
        self.status.lock().clone()
    }

    pub fn accepted(&self, n: u64) {
        self.metrics.add(&self.route, "accepted", n);
    }

    pub fn delivered(&self, n: u64, now: u64) {
        let mut status = self.status.lock();
        status.totals.delivered += n;
        status.totals.last_delivered = Some(now);
        self.metrics.add(&self.route, "delivered", n);
    }

    pub fn failed(&self, n: u64, why: &str) {
        let mut status = self.status.lock();
        status.totals.failed += n;
        status.last_error = Some(bounded(why));
        self.metrics.add(&self.route, "failed", n);
    }

    pub fn retried(&self, why: &str) {
        self.status.lock().last_error = Some(bounded(why));
        self.metrics.add(&self.route, "retried", 1);
    }

    pub fn error(&self, why: Option<&str>) {
        self.status.lock().last_error = why.map(bounded);
    }

    pub fn backlog(&self, n: u64) {
        self.status.lock().backlog = n;
    }
}

fn bounded(text: &str) -> String {
    text.chars().take(MAX_ERROR).collect()
}
