//! When the sinks start and end: at once, or when the agent that watches hands over (`crate::handover`).
use super::{
    in_cluster::InCluster,
    seams::{AlertSink, Seams},
    standalone::Alone,
};
use crate::{
    detect::{Told, clock},
    handover::{self, AROUND, Duty, Lock, Note, Taken, TookOver, nanos},
    output::{Format, Stdout},
    status::alive,
    workload,
};
use anyhow::Context as _;
use jiff::{SignedDuration, Timestamp};
use router::alert::Alert;
use std::{path::Path, sync::Arc};
use tokio::{sync::mpsc, task::JoinHandle};

/// Who has the state folder.
#[derive(Debug)]
pub(super) enum Place {
    /// This agent, or nobody could have it.
    Ours(Option<Lock>),
    /// Another process.
    By(Option<u32>),
}

impl Place {
    /// Makes the folder and tries its lock.
    ///
    /// # Errors
    /// There can be no such folder.
    pub fn take(dir: Option<&Path>) -> anyhow::Result<Self> {
        let Some(dir) = dir else { return Ok(Self::Ours(None)) };
        std::fs::create_dir_all(dir).with_context(|| format!("--state {}", dir.display()))?;
        Ok(match Lock::watch(dir) {
            Ok(Taken::Ours(lock)) => Self::Ours(Some(lock)),
            Ok(Taken::By(pid)) => Self::By(pid),
            Err(error) => {
                tracing::warn!(%error, "no lock of the state folder: another agent that uses it is not noticed");
                Self::Ours(None)
            }
        })
    }

    pub fn duty(&self) -> Duty {
        if matches!(self, Self::By(_)) { Duty::standing() } else { Duty::default() }
    }
}

/// What tells, before it does.
pub(super) enum Tellers {
    Cluster(InCluster),
    Alone(Alone),
}

impl Tellers {
    pub fn pods(&self, seams: &Seams) -> workload::Index {
        match self {
            Self::Cluster(parts) => parts.pods(),
            Self::Alone(_) => seams.pods.clone(),
        }
    }

    async fn tell(self, seams: &Seams) -> anyhow::Result<Vec<Box<dyn AlertSink>>> {
        match self {
            Self::Cluster(parts) => parts.tell(seams),
            Self::Alone(parts) => Ok(parts.tell(seams).await),
        }
    }
}

/// Sinks that are started, or are to be.
type FanOut = JoinHandle<Vec<Box<dyn AlertSink>>>;

/// See the module.
pub(super) struct Handing {
    place: Option<Place>,
    tellers: Option<(Tellers, mpsc::Receiver<Arc<Alert>>)>,
    output: Format,
    fan_out: Option<FanOut>,
}

impl Handing {
    pub fn new(place: Place, tellers: Tellers, alerts: mpsc::Receiver<Arc<Alert>>, output: Format) -> Self {
        Self { place: Some(place), tellers: Some((tellers, alerts)), output, fan_out: None }
    }

    /// Starts the sinks, unless another agent has them.
    ///
    /// # Errors
    /// A sink cannot be started.
    pub async fn watch_if_free(&mut self, seams: &Seams, lock: &mut Option<Lock>) -> anyhow::Result<()> {
        match self.place.take() {
            Some(Place::Ours(ours)) => *lock = ours,
            other => {
                if let Some(Place::By(by)) = &other {
                    seams.status.stands_by(*by, false, None);
                }
                self.place = other;
                return Ok(());
            }
        }
        if let Some(dir) = &seams.state_dir {
            if let Some(last) = alive::last(dir) {
                seams.status.blind_since(last.at);
            }
            Note::remove(dir);
        }
        self.tell(seams).await
    }

    /// Where another agent watches: waits until it ends, and takes over.
    ///
    /// # Errors
    /// A sink cannot be started.
    pub async fn stand_by(&mut self, seams: &Seams, lock: &mut Option<Lock>) -> anyhow::Result<()> {
        let (Some(Place::By(by)), Some(dir)) = (&self.place, &seams.state_dir) else { return Ok(()) };
        let TookOver { lock: ours, cut, from, watched_until } =
            handover::stand_by(dir, *by, &seams.duty, &seams.status).await;
        *lock = Some(ours);
        self.place = None;
        seams.status.takes_over(watched_until);
        self.tell(seams).await?;
        seams.duty.keep_from(from);
        seams.duty.take_over(cut);
        // Only now: were this agent killed before, the next one would find what the one before left.
        Note::remove(dir);
        tracing::info!("watching: took over from the agent before");
        Ok(())
    }

    async fn tell(&mut self, seams: &Seams) -> anyhow::Result<()> {
        let Some((tellers, alerts)) = self.tellers.take() else { return Ok(()) };
        let mut sinks = tellers.tell(seams).await?;
        sinks.push(Box::new(Stdout::start(self.output, &seams.status)?));
        if let Some(dir) = &seams.state_dir {
            seams.tasks.spawn(alive::keep(dir.clone(), seams.duty.clone(), seams.shutdown.clone()));
        }
        self.fan_out = Some(tokio::spawn(fan_out(alerts, sinks)));
        Ok(())
    }

    /// When detection has ended: waits until each alert was given to each sink.
    pub async fn end(&mut self) -> Vec<Box<dyn AlertSink>> {
        match self.fan_out.take() {
            Some(fan_out) => fan_out.await.unwrap_or_default(),
            None => Vec::new(),
        }
    }
}

/// Gives each alert to each sink, until the detect thread is done; gives the sinks back.
async fn fan_out(mut alerts: mpsc::Receiver<Arc<Alert>>, sinks: Vec<Box<dyn AlertSink>>) -> Vec<Box<dyn AlertSink>> {
    while let Some(alert) = alerts.recv().await {
        sinks.iter().for_each(|sink| sink.submit(&alert));
    }
    sinks
}

/// When the end was asked for: until when this agent tells what happens, nanoseconds of CLOCK_BOOTTIME. With another agent standing
/// by that is a moment ahead, which is waited for, so that both know all events around it.
pub(super) async fn fix_the_cut(seams: &Seams) -> u64 {
    let (now, _) = clock();
    let next = seams.state_dir.as_deref().filter(|_| !seams.duty.stands_by()).and_then(handover::stands_by);
    let Some(pid) = next else { return now };
    let cut = now + 2 * nanos(AROUND);
    seams.duty.end_at(cut);
    seams.status.hand_over();
    tracing::info!(to = pid, "handing over to the agent that stands by");
    while clock().0 <= cut {
        tokio::time::sleep(AROUND / 10).await;
    }
    cut
}

/// At the very end, when all was given out: tells the next agent until when this one watched.
pub(super) fn leave(seams: &Seams, cut: u64, told: Told) {
    let Some(dir) = seams.state_dir.as_deref().filter(|_| !seams.duty.stands_by()) else { return };
    let ago = SignedDuration::from_nanos(i64::try_from(clock().0.saturating_sub(cut)).unwrap_or_default());
    // Its failure was told when the agent started; and what is not noted is told once more.
    let _ = alive::renew(dir, Timestamp::now() - ago, if told.is_whole { cut } else { seams.duty.read_until() });
    if told.is_whole
        && let Err(error) = Note::new(cut, told.around).leave(dir)
    {
        tracing::warn!(%error, "nothing is noted for the next agent: it may tell some matches again");
    }
}
