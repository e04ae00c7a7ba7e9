//! Reads and writes the Lease.
use super::{DURATION, Decision, Observer, RENEW_WITHIN, RETRY, Seen};
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
    jiff::Timestamp,
};
use kube::{Api, Client, api::PostParams};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Why the Lease could not be kept this time. It is tried again.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// The API server refused, or is not there.
    #[error("the Lease cannot be read or written: {0}")]
    Api(#[from] kube::Error),
    /// No answer in time.
    #[error("the API server did not answer within {RETRY:?}")]
    Timeout,
}

/// Keeps the Lease while it can.
pub struct Keeper {
    api: Api<Lease>,
    name: String,
    identity: String,
}

impl Keeper {
    /// For the Lease `name` in `namespace`, held as `identity`.
    #[must_use]
    pub fn new(client: Client, namespace: &str, name: &str, identity: &str) -> Self {
        Self { api: Api::namespaced(client, namespace), name: name.to_owned(), identity: identity.to_owned() }
    }

    /// Runs until `stop`, telling `leading` whenever it changes; then gives the Lease back.
    pub async fn run(self, leading: watch::Sender<bool>, stop: CancellationToken) {
        let mut observer = Observer::new(&self.identity);
        let mut renewed: Option<Instant> = None;
        let mut failing = false;
        loop {
            // Counted from before the write, so that we never believe longer than others do.
            let before = Instant::now();
            let result = tokio::time::timeout(RETRY, self.step(&mut observer)).await;
            let result = result.unwrap_or(Err(LeaseError::Timeout));
            match &result {
                Ok(true) => renewed = Some(before),
                Ok(false) => renewed = None,
                Err(error) if failing => tracing::debug!(%error, lease = self.name, "lease not renewed again"),
                Err(error) => tracing::warn!(%error, lease = self.name, "lease not renewed; it is tried again"),
            }
            failing = result.is_err();
            let lead = renewed.is_some_and(|at| at.elapsed() < RENEW_WITHIN);
            let changed = leading.send_if_modified(|old| std::mem::replace(old, lead) != lead);
            if changed {
                tracing::info!(leading = lead, identity = self.identity, "leadership");
            }
            tokio::select! {
                () = tokio::time::sleep(RETRY) => {}
                () = stop.cancelled() => break,
            }
        }
        leading.send_replace(false);
        if renewed.is_some() {
            let released = tokio::time::timeout(Duration::from_secs(2), self.release()).await;
            match released.unwrap_or(Err(LeaseError::Timeout)) {
                Ok(()) => tracing::info!(identity = self.identity, "lease given back"),
                Err(error) => tracing::warn!(%error, "lease not given back; the next leader waits for its end"),
            }
        }
    }

    /// One look; whether we hold it now.
    async fn step(&self, observer: &mut Observer) -> Result<bool, LeaseError> {
        let lease = self.api.get_opt(&self.name).await?;
        let decision = observer.decide(lease.as_ref().map(seen).as_ref(), Instant::now());
        let written = match (decision, lease) {
            (Decision::Wait, _) => return Ok(false),
            (Decision::Renew | Decision::Take, Some(lease)) => {
                let lease = self.claim(lease, decision == Decision::Take);
                self.api.replace(&self.name, &PostParams::default(), &lease).await
            }
            _ => {
                let metadata = ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() };
                let lease = self.claim(Lease { metadata, spec: None }, true);
                self.api.create(&PostParams::default(), &lease).await
            }
        };
        match written {
            Ok(_) => Ok(true),
            // Somebody was faster.
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn claim(&self, mut lease: Lease, new: bool) -> Lease {
        let now = MicroTime(Timestamp::now());
        let spec = lease.spec.get_or_insert_default();
        if new {
            spec.acquire_time = Some(now.clone());
            spec.lease_transitions = Some(spec.lease_transitions.map_or(0, |n| n.saturating_add(1)));
        }
        spec.holder_identity = Some(self.identity.clone());
        spec.lease_duration_seconds = Some(i32::try_from(DURATION.as_secs()).unwrap_or(15));
        spec.renew_time = Some(now);
        lease
    }

    async fn release(&self) -> Result<(), LeaseError> {
        let Some(mut lease) = self.api.get_opt(&self.name).await? else { return Ok(()) };
        if seen(&lease).holder != self.identity {
            return Ok(());
        }
        let old = lease.spec.take().unwrap_or_default();
        lease.spec = Some(LeaseSpec {
            lease_duration_seconds: Some(1),
            lease_transitions: old.lease_transitions,
            renew_time: Some(MicroTime(Timestamp::now())),
            ..LeaseSpec::default()
        });
        self.api.replace(&self.name, &PostParams::default(), &lease).await?;
        Ok(())
    }
}

fn seen(lease: &Lease) -> Seen {
    let spec = lease.spec.as_ref();
    let seconds = spec.and_then(|s| s.lease_duration_seconds).unwrap_or_default();
    Seen {
        holder: spec.and_then(|s| s.holder_identity.clone()).unwrap_or_default(),
        duration: Duration::from_secs(u64::try_from(seconds).unwrap_or_default()),
        version: lease.metadata.resource_version.clone().unwrap_or_default(),
    }
}
