//! Reports without an API server: standalone, `/reports` shows them.
use super::{limits::Limits, render::Report, reports::Reports};
use crate::run::seams::{AlertSink, Pages, ReportsSource};
use jiff::Timestamp;
use parking_lot::Mutex;
use router::alert::Alert;
use std::sync::Arc;

/// Keeps reports in memory.
pub struct LocalReports(Arc<Mutex<Reports>>);

impl LocalReports {
    /// Reports of this host, shown on its pages.
    #[must_use]
    pub fn start(node: &str, pages: &Pages) -> Self {
        let mut reports = Reports::new(Limits::default(), node, uuid::Uuid::new_v4(), 0, Vec::new(), Vec::new());
        reports.read_back(Vec::new(), Timestamp::now().as_millisecond());
        let reports = Arc::new(Mutex::new(reports));
        pages.set_reports(page(Arc::clone(&reports)));
        Self(reports)
    }
}

impl AlertSink for LocalReports {
    fn name(&self) -> &'static str {
        "reports"
    }

    fn submit(&self, alert: &Arc<Alert>) {
        // A report too many is counted by Reports itself; there is nobody else to tell.
        let _ = self.0.lock().record(alert, Timestamp::now().as_millisecond());
    }
}

/// Answers `/reports`.
pub(super) fn page(reports: Arc<Mutex<Reports>>) -> ReportsSource {
    Box::new(move || {
        let all = reports.lock().rendered();
        let json = |report: &Report| match report {
            Report::Pod(report) => serde_json::to_value(report),
            Report::Node(report) => serde_json::to_value(report),
        };
        // Plain data: serialising cannot fail.
        all.iter().map(json).collect::<Result<Vec<_>, _>>().unwrap_or_default().into()
    })
}
