//! The harness of the end-to-end tests: a real API server, kubelet and containerd, and the live kernel.
//!
//! ```text
//! gate       whether a test can run here; if not it prints `skipped: why`
//! agent      a standalone eyas-agent of the release build: its lines, its HTTP pages, its end
//! cluster    the cluster of KUBECONFIG (scripts/e2e.sh brings one up): kubectl, kube-rs, parts that can be stopped
//! case       one test in a cluster: a namespace of its own, objects removed at the end, logs kept when it fails
//! pod        pods to misbehave in
//! receiver   a webhook's other end, which can be down
//! until      waiting for something to become true, with a limit
//! ```
//!
//! Invariants: nothing is mocked. Tests share a kernel with whatever else runs on the machine, so each looks only for what carries its
//! own nonce. Limits are those that users are promised (a match is in the report within a second), times EYAS_E2E_SLACK.
#![forbid(unsafe_code)]

pub mod agent;
pub mod case;
pub mod cluster;
pub mod gate;
pub mod pod;
pub mod receiver;
pub mod until;

pub use case::{Case, case};
pub use cluster::Cluster;
pub use until::{limit, until};

/// A word that occurs nowhere else on the machine.
#[must_use]
pub fn nonce() -> String {
    uuid::Uuid::new_v4().simple().to_string()[..10].to_owned()
}
