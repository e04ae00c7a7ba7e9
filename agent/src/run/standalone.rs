//! Standalone: rules from a folder or from the binary, routes delivered in this process.
use super::seams::{AlertSink, Origin, RulesetEvent, RulesetUpdate, Seams};
use crate::{
    cli::RunArgs,
    deliver::{self, local::Local},
    report::local::LocalReports,
    rules::{Compilation, FolderWatch, embedded},
};
use crds::OutputRoute;
use engine::{diagnostic::Severity, ruleset::Ruleset};
use std::{path::PathBuf, sync::Arc, time::Duration};

/// How often a folder that is gone is looked for.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Starts the source of rules.
pub(super) fn start(seams: &Seams, args: &RunArgs, last_good: Option<Arc<Ruleset>>, people: bool) -> Alone {
    let routes = Routes::default();
    let source = Source { seams: seams.clone(), routes: routes.clone(), last_good, people };
    let stop = seams.shutdown.clone();
    let rules = args.rules.clone();
    seams.tasks.spawn(async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = source.run(rules) => {}
        }
    });
    Alone { routes, secrets: args.secrets.clone() }
}

/// What only an agent alone has.
pub(super) struct Alone {
    routes: Routes,
    secrets: Option<PathBuf>,
}

impl Alone {
    /// Starts what tells: from now on this agent is the one that watches.
    pub(super) async fn tell(self, seams: &Seams) -> Vec<Box<dyn AlertSink>> {
        let (sink, local) = deliver::standalone(seams, self.secrets);
        let router = Arc::clone(local.router());
        seams.pages.add_metrics(Box::new(move |snapshot| snapshot.route_alerts.extend(router.metrics().outcomes())));
        self.routes.open(local).await;
        let reports = LocalReports::start(&seams.node, &seams.pages);
        vec![Box::new(reports), Box::new(sink)]
    }
}

/// The routes that the rules folder has: they run only while this agent watches, as their queues are in the state folder.
#[derive(Clone, Default)]
struct Routes(Arc<tokio::sync::Mutex<Wanted>>);

#[derive(Default)]
struct Wanted {
    objects: Vec<OutputRoute>,
    local: Option<Local>,
}

impl Routes {
    async fn set(&self, objects: Vec<OutputRoute>) {
        let mut wanted = self.0.lock().await;
        wanted.objects = objects;
        wanted.apply().await;
    }

    async fn open(&self, local: Local) {
        let mut wanted = self.0.lock().await;
        wanted.local = Some(local);
        // None were read yet: the reader will say.
        if !wanted.objects.is_empty() {
            wanted.apply().await;
        }
    }
}

impl Wanted {
    async fn apply(&self) {
        let Some(local) = &self.local else { return };
        for (route, problem) in local.set_routes(&self.objects).await {
            tracing::error!(%route, problem, "a route does not run");
        }
    }
}

struct Source {
    seams: Seams,
    routes: Routes,
    last_good: Option<Arc<Ruleset>>,
    people: bool,
}

impl Source {
    async fn run(mut self, rules: Option<PathBuf>) {
        let Some(path) = rules else {
            self.compile(Origin::Embedded, |_| embedded::compile()).await;
            return std::future::pending().await;
        };
        loop {
            // Watched before it is read: a change in between is seen.
            let watch = FolderWatch::new(&path);
            let mut watch = watch.map_err(|error| tracing::warn!(%error, "changes will not be seen")).ok();
            while path.exists() {
                let at = path.clone();
                self.compile(Origin::Folder, move |last_good| Compilation::read(&at, last_good)).await;
                let changed = match &mut watch {
                    Some(watch) => watch.changed().await,
                    None => None,
                };
                if changed.is_none() {
                    return std::future::pending().await;
                }
            }
            let reason = format!("{} is gone; what was in it stays in force", path.display());
            self.send(RulesetEvent::Failed { origin: Origin::Folder, reason }).await;
            while !path.exists() {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        }
    }

    async fn compile(&mut self, origin: Origin, make: impl FnOnce(Option<&Ruleset>) -> Compilation + Send + 'static) {
        let last_good = self.last_good.clone();
        let made = tokio::task::spawn_blocking(move || {
            let mut made = make(last_good.as_deref());
            // A file that cannot be read says nothing of the objects that were in it.
            let blind = made.problems.iter().any(|p| p.diagnostic.severity == Severity::Error);
            if let Some(last_good) = last_good.filter(|_| blind) {
                made.ruleset = Arc::new(keep_absent(&made.ruleset, &last_good));
            }
            made
        });
        let made = match made.await {
            Ok(made) => made,
            Err(error) => {
                let reason = format!("compiling was interrupted: {error}");
                return self.send(RulesetEvent::Failed { origin, reason }).await;
            }
        };
        self.tell(&made);
        self.routes.set(made.routes.iter().map(|r| r.object.clone()).collect()).await;
        if made.ruleset.rules.is_empty()
            && let Some(problem) = made.problems.first()
        {
            return self.send(RulesetEvent::Failed { origin, reason: problem.to_string() }).await;
        }
        self.last_good = Some(Arc::clone(&made.ruleset));
        let update = RulesetUpdate { origin, ruleset: made.ruleset, outcomes: made.outcomes };
        self.send(RulesetEvent::Update(update)).await;
        if let Some(problem) = made.problems.iter().find(|p| p.diagnostic.severity == Severity::Error) {
            let reason = format!("{problem}; what was in that file before stays in force");
            self.send(RulesetEvent::Failed { origin, reason }).await;
        }
    }

    async fn send(&self, event: RulesetEvent) {
        // Only a closed channel refuses: the agent ends.
        let _ = self.seams.rulesets.send(event).await;
    }

    fn tell(&self, made: &Compilation) {
        for message in &made.messages {
            match message.severity {
                Severity::Error => tracing::error!("{}", message.line),
                Severity::Warning => tracing::warn!("{}", message.line),
            }
            if self.people && message.severity == Severity::Error && !message.drawing.is_empty() {
                anstream::eprintln!("{}", message.drawing);
            }
        }
    }
}

/// The new ruleset, and from the last good one whatever the new one has not at all.
fn keep_absent(new: &Ruleset, last_good: &Ruleset) -> Ruleset {
    let mut kept = new.clone();
    let absent = |id: &engine::source::ObjectRef| !new.rules.iter().any(|r| r.id == *id);
    kept.rules.extend(last_good.rules.iter().filter(|r| absent(&r.id)).cloned());
    let absent = |id: &engine::source::ObjectRef| !new.exceptions.iter().any(|e| e.id == *id);
    kept.exceptions.extend(last_good.exceptions.iter().filter(|e| absent(&e.id)).cloned());
    kept.rules.sort_by(|a, b| a.id.cmp(&b.id));
    kept.exceptions.sort_by(|a, b| a.id.cmp(&b.id));
    kept.revision = kept.content_revision();
    kept
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::*;

    #[test]
    fn a_file_that_cannot_be_read_disarms_nothing() {
        let full = embedded::compile().ruleset;
        let mut less = Ruleset::clone(&full);
        less.rules.truncate(1);
        less.revision = less.content_revision();
        let kept = keep_absent(&less, &full);
        assert_eq!(kept, *full);
    }

    #[test]
    fn the_built_in_rules_compile() {
        let made = embedded::compile();
        assert_eq!((made.errors(), made.ruleset.rules.is_empty()), (0, false));
    }
}
