//! News of pods on their way to the report writer, which starts only when this agent watches.
use crate::{report::PodNews, run::seams::Seams};
use std::collections::HashSet;
use tokio::sync::{mpsc, oneshot};

/// News that wait; the watch of pods waits beyond.
const NEWS: usize = 256;

/// Until it is opened, keeps which pods there are.
pub(super) struct Relay {
    open: oneshot::Sender<()>,
    out: mpsc::Receiver<PodNews>,
}

impl Relay {
    /// Where news go in.
    pub fn start(seams: &Seams) -> (mpsc::Sender<PodNews>, Self) {
        let (into, news) = mpsc::channel(NEWS);
        let (to, out) = mpsc::channel(NEWS);
        let (open, opened) = oneshot::channel();
        let stop = seams.shutdown.clone();
        seams.tasks.spawn(async move { stop.run_until_cancelled_owned(relay(news, to, opened)).await });
        (into, Self { open, out })
    }

    /// From now on news go out; the first one is what was there before, if a list came.
    pub fn open(self) -> mpsc::Receiver<PodNews> {
        // Refused only when the agent ends.
        let _ = self.open.send(());
        self.out
    }
}

async fn relay(mut news: mpsc::Receiver<PodNews>, to: mpsc::Sender<PodNews>, mut opened: oneshot::Receiver<()>) {
    let mut alive: Option<HashSet<String>> = None;
    loop {
        tokio::select! {
            biased;
            done = &mut opened => match done {
                Ok(()) => break,
                Err(_) => return,
            },
            item = news.recv() => match (item, &mut alive) {
                (Some(PodNews::Listed(pods)), _) => alive = Some(pods),
                (Some(PodNews::Seen(uid)), Some(alive)) => drop(alive.insert(uid)),
                (Some(PodNews::Gone(uid)), Some(alive)) => drop(alive.remove(&uid)),
                // The list that is under way will say it.
                (Some(PodNews::Seen(_) | PodNews::Gone(_)), None) => {}
                (None, _) => return,
            },
        }
    }
    let mut next = alive.map(PodNews::Listed);
    loop {
        if let Some(item) = next.take()
            && to.send(item).await.is_err()
        {
            return;
        }
        match news.recv().await {
            Some(item) => next = Some(item),
            None => return,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::*;

    #[tokio::test]
    async fn what_was_there_before_it_opened_comes_as_a_list() {
        let ((into, news), (to, mut out)) = (mpsc::channel(8), mpsc::channel(8));
        let (open, opened) = oneshot::channel();
        let task = tokio::spawn(relay(news, to, opened));
        into.send(PodNews::Listed(["a", "b"].map(str::to_owned).into())).await.unwrap();
        into.send(PodNews::Seen("c".to_owned())).await.unwrap();
        into.send(PodNews::Gone("a".to_owned())).await.unwrap();
        while into.capacity() < 8 {
            tokio::task::yield_now().await;
        }
        open.send(()).unwrap();
        into.send(PodNews::Gone("b".to_owned())).await.unwrap();
        drop(into);
        let Some(PodNews::Listed(pods)) = out.recv().await else { panic!("no list") };
        assert_eq!(pods, ["b", "c"].map(str::to_owned).into());
        assert!(matches!(out.recv().await, Some(PodNews::Gone(uid)) if uid == "b"));
        task.await.unwrap();
    }
}
