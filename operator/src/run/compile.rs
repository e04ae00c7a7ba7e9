//! Compile and publish, as one task beside the controller's loop.
use crate::{
    metrics::{Metrics, Outcome},
    publish::Publisher,
};
use engine::{
    compile::{Compiled, compile},
    ruleset::Ruleset,
    source::Sources,
};
use std::{sync::Arc, time::Duration, time::Instant};
use tokio::sync::mpsc;

/// Longest wait for the API server to take or give a ruleset.
const TIMEOUT: Duration = Duration::from_secs(20);

/// What comes back to the loop.
#[derive(Debug)]
pub(super) enum Answer {
    /// The ruleset that was there when leadership began; the last good one.
    Recovered(Option<Arc<Ruleset>>),
    /// It could not be asked for: again later.
    NotRecovered,
    /// The compiler's answer, not yet published.
    Compiled(Arc<Compiled>),
    /// It is on the API server now.
    Published(Arc<Compiled>),
    /// It is not.
    NotPublished,
}

/// Asks for the ruleset that is there.
pub(super) async fn recover(publisher: Publisher, answers: mpsc::Sender<Answer>) {
    let answer = match tokio::time::timeout(TIMEOUT, publisher.read()).await {
        Ok(Ok(ruleset)) => {
            let revision = ruleset.as_ref().map(|r| r.revision.as_str());
            tracing::info!(revision, "last ruleset read");
            Answer::Recovered(ruleset.map(Arc::new))
        }
        Ok(Err(crate::publish::PublishError::Unusable { source })) => {
            tracing::warn!(error = %source, "the ruleset that is there cannot be used; it is compiled anew, without last good rules");
            Answer::Recovered(None)
        }
        Ok(Err(error)) => {
            tracing::warn!(%error, "ruleset not read");
            Answer::NotRecovered
        }
        Err(_) => {
            tracing::warn!("ruleset not read: no answer");
            Answer::NotRecovered
        }
    };
    // The loop is gone only when everything stops.
    let _ = answers.send(answer).await;
}

/// Compiles, tells the outcome, then writes the ruleset where it differs from what is there.
pub(super) async fn compile_and_publish(
    sources: Sources,
    last_good: Option<Arc<Ruleset>>,
    publisher: Publisher,
    metrics: Arc<Metrics>,
    answers: mpsc::Sender<Answer>,
) {
    let before = Instant::now();
    let compiled = tokio::task::spawn_blocking(move || compile(&sources, last_good.as_deref())).await;
    let Ok(compiled) = compiled else {
        tracing::error!("the compiler panicked; the last ruleset stays. Please report this");
        let _ = answers.send(Answer::NotPublished).await;
        return;
    };
    let seconds = before.elapsed();
    metrics.compile_seconds.observe(seconds.as_secs_f64());
    let compiled = Arc::new(compiled);
    tracing::debug!(revision = compiled.ruleset.revision, ?seconds, "compiled");
    let _ = answers.send(Answer::Compiled(compiled.clone())).await;
    let result = tokio::time::timeout(TIMEOUT, publisher.write(&compiled.ruleset)).await;
    let (answer, outcome) = match result {
        Ok(Ok(written)) => {
            if written {
                let ruleset = &compiled.ruleset;
                tracing::info!(revision = ruleset.revision, rules = ruleset.rules.len(), "ruleset published");
            }
            (Answer::Published(compiled), if written { "written" } else { "unchanged" })
        }
        Ok(Err(error)) => {
            tracing::warn!(%error, "ruleset not published; it is tried again");
            (Answer::NotPublished, "failed")
        }
        Err(_) => {
            tracing::warn!("ruleset not published: no answer; it is tried again");
            (Answer::NotPublished, "failed")
        }
    };
    metrics.ruleset_writes.get_or_create(&Outcome { outcome }).inc();
    let _ = answers.send(answer).await;
}
