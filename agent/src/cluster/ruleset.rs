//! The ruleset from the operator's ConfigMap.
//!
//! [`Source`] decides what to tell the armer; it is pure. Bad bytes, an unknown schema, a deleted ConfigMap or an API
//! server that is away never disarm anything: they are told as a reason beside the ruleset that stays.
use super::{
    outage::{Outage, chain},
    watch::{Patience, config_map},
};
use crate::run::seams::{Origin, RulesetEvent, RulesetUpdate};
use crds::ruleset_map::{self, MapError, NAME};
use engine::ruleset::Ruleset;
use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client};
use kube_runtime::watcher::{self, Event};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::sync::mpsc;

/// Sends what the ConfigMap says to the armer. Never ends before the agent does.
pub(super) async fn run(client: Client, namespace: String, rulesets: mpsc::Sender<RulesetEvent>) {
    let events = config_map(client.clone(), &namespace, NAME);
    let mut watching = Watching {
        api: Api::namespaced(client, &namespace),
        source: Source::new(&namespace),
        chunks: BTreeMap::new(),
        index: None,
        listed: false,
        patience: Patience::default(),
        outage: Outage::new("watching the ruleset's ConfigMap"),
    };
    watching.run(std::pin::pin!(events), &rulesets).await;
}

struct Watching {
    api: Api<ConfigMap>,
    source: Source,
    /// Chunks of the last ruleset, by name; they are immutable.
    chunks: BTreeMap<String, ConfigMap>,
    /// An index whose chunks are still to be fetched.
    index: Option<ConfigMap>,
    /// The list that is under way has it.
    listed: bool,
    patience: Patience,
    outage: Outage,
}

impl Watching {
    async fn run<S>(&mut self, mut events: S, rulesets: &mpsc::Sender<RulesetEvent>)
    where
        S: Stream<Item = Result<Event<ConfigMap>, watcher::Error>> + Unpin,
    {
        loop {
            let told = match self.index.take() {
                Some(index) => self.decode(index).await,
                None => None,
            };
            if let Some(event) = told
                && rulesets.send(event).await.is_err()
            {
                return;
            }
            let again = if self.index.is_some() { self.patience.next().unwrap_or_default() } else { Duration::MAX };
            let told = tokio::select! {
                event = events.next() => match event {
                    Some(event) => self.take(event),
                    None => return,
                },
                () = sleep(again) => None,
            };
            if let Some(event) = told
                && rulesets.send(event).await.is_err()
            {
                return;
            }
        }
    }

    fn take(&mut self, event: Result<Event<ConfigMap>, watcher::Error>) -> Option<RulesetEvent> {
        match event {
            Ok(Event::Init) => self.listed = false,
            Ok(Event::InitApply(map) | Event::Apply(map)) => {
                self.listed = true;
                self.index = Some(map);
            }
            Ok(Event::InitDone) => {
                self.outage.works();
                if !self.listed {
                    return self.source.absent();
                }
            }
            Ok(Event::Delete(_)) => {
                self.index = None;
                return self.source.deleted();
            }
            Err(error) => {
                self.outage.failed(&error);
                return self.source.unreachable(&chain(&error));
            }
        }
        None
    }

    /// Fetches chunks and decodes. Where a chunk cannot be fetched the index is put back, to be tried again.
    async fn decode(&mut self, index: ConfigMap) -> Option<RulesetEvent> {
        let names = match ruleset_map::chunk_names(&index) {
            Ok(names) => names,
            Err(error) => return self.source.decoded(Err(error)),
        };
        self.chunks.retain(|name, _| names.contains(name));
        for name in names {
            if self.chunks.contains_key(&name) {
                continue;
            }
            match self.api.get_opt(&name).await {
                Ok(Some(chunk)) => drop(self.chunks.insert(name, chunk)),
                Ok(None) => {
                    self.index = Some(index);
                    return self.source.decoded(Err(MapError::Chunk(name)));
                }
                Err(error) => {
                    self.index = Some(index);
                    return self.source.unreachable(&chain(&error));
                }
            }
        }
        self.patience = Patience::default();
        let chunks = std::mem::take(&mut self.chunks);
        // A large ruleset takes a while; other tasks must not wait for it.
        let decoded = tokio::task::spawn_blocking(move || (ruleset_map::decode(&index, &chunks), chunks)).await;
        let (outcome, chunks) = decoded.ok()?;
        self.chunks = chunks;
        self.source.decoded(outcome)
    }
}

async fn sleep(duration: Duration) {
    if duration == Duration::MAX {
        std::future::pending::<()>().await;
    }
    tokio::time::sleep(duration).await;
}

/// What was told last, so that a repetition tells nothing.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Nothing,
    Revision(String),
    Failed(String),
}

/// What the armer should hear.
struct Source {
    place: String,
    told: Told,
    /// Whether a ruleset was ever told; before that, an API server that is away is worth telling.
    armed: bool,
}

impl Source {
    fn new(namespace: &str) -> Self {
        Self { place: format!("{namespace}/{NAME}"), told: Told::Nothing, armed: false }
    }

    fn decoded(&mut self, outcome: Result<Ruleset, MapError>) -> Option<RulesetEvent> {
        match outcome {
            Ok(ruleset) => {
                let told = Told::Revision(ruleset.revision.clone());
                if self.told == told {
                    return None;
                }
                self.told = told;
                self.armed = true;
                Some(RulesetEvent::Update(RulesetUpdate {
                    origin: Origin::ConfigMap,
                    ruleset: Arc::new(ruleset),
                    outcomes: Arc::default(),
                }))
            }
            Err(error) => self.failed(format!("{}: {error}", self.place)),
        }
    }

    fn absent(&mut self) -> Option<RulesetEvent> {
        self.failed(format!("{} does not exist yet; the operator writes it: is eyas-operator running?", self.place))
    }

    fn deleted(&mut self) -> Option<RulesetEvent> {
        self.failed(format!("{} was deleted; the operator writes it anew", self.place))
    }

    /// Once a ruleset came, an API server that is away changes nothing that is worth telling: no newer one is known of.
    fn unreachable(&mut self, error: &str) -> Option<RulesetEvent> {
        if self.armed { None } else { self.failed(format!("{} cannot be read: {error}", self.place)) }
    }

    fn failed(&mut self, reason: String) -> Option<RulesetEvent> {
        let told = Told::Failed(reason.clone());
        if self.told == told {
            return None;
        }
        self.told = told;
        Some(RulesetEvent::Failed { origin: Origin::ConfigMap, reason })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::*;

    fn ruleset(revision: &str) -> Ruleset {
        Ruleset {
            schema: engine::ruleset::SCHEMA_VERSION,
            revision: revision.to_owned(),
            rules: vec![],
            exceptions: vec![],
            routes: vec![],
        }
    }

    fn reason(event: Option<RulesetEvent>) -> String {
        match event {
            Some(RulesetEvent::Failed { reason, .. }) => reason,
            other => panic!("{other:?}"),
        }
    }

    fn revision(event: Option<RulesetEvent>) -> String {
        match event {
            Some(RulesetEvent::Update(update)) => update.ruleset.revision.clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_thing_is_told_once() {
        let mut source = Source::new("eyas-system");
        assert!(reason(source.unreachable("refused")).ends_with("cannot be read: refused"));
        assert!(source.unreachable("refused").is_none());
        assert!(reason(source.absent()).contains("eyas-operator"));
        assert!(source.absent().is_none());
        assert_eq!(revision(source.decoded(Ok(ruleset("a")))), "a");
        assert!(source.decoded(Ok(ruleset("a"))).is_none(), "a list after a lost watch");
        assert!(source.unreachable("refused").is_none(), "no news once armed");
        assert_eq!(revision(source.decoded(Ok(ruleset("b")))), "b");
    }

    #[test]
    fn after_bad_bytes_the_same_good_revision_is_told_again() {
        let mut source = Source::new("eyas-system");
        source.decoded(Ok(ruleset("a")));
        let bad = reason(source.decoded(Err(MapError::Schema { found: "9".to_owned() })));
        assert!(bad.starts_with("eyas-system/eyas-ruleset: ruleset schema version 9"), "{bad}");
        assert_eq!(revision(source.decoded(Ok(ruleset("a")))), "a", "so that the reason goes away");
        assert!(reason(source.deleted()).contains("deleted"));
    }
}
