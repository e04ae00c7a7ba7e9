//! The writes.
use crate::{
    index::{Change, Event, Object},
    metrics::{KindOutcome, Metrics},
    status::Update,
    watch::read,
};
use crds::{DetectionRule, Exception, OPERATOR_MANAGER, OutputRoute, RuleLibrary};
use engine::{compile::ObjectKind, source::ObjectRef};
use futures::StreamExt;
use kube::{
    Api, Client, Resource,
    api::{Patch, PatchParams},
    core::NamespaceResourceScope,
};
use serde::de::DeserializeOwned;
use std::{fmt::Debug, sync::Arc, time::Duration};
use tokio::sync::{mpsc, watch};

/// Writes at once.
const CONCURRENT: usize = 8;
/// Longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What came of an update.
#[derive(Debug)]
pub struct Written {
    /// Kind of the object.
    pub kind: ObjectKind,
    /// Which.
    pub id: ObjectRef,
    /// How it went.
    pub back: Back,
}

/// How it went.
#[derive(Debug)]
pub enum Back {
    /// The object as it is now, for the index: the watch may bring it later.
    Object(Box<Change>),
    /// It is gone, or another one of that name is there: nothing to do.
    Gone,
    /// This process does not lead any more: not written.
    NotLeading,
    /// It failed; it is computed anew and tried again.
    Failed,
}

/// Takes updates until the queue closes. Writes only while `leading`.
pub async fn run(
    client: Client,
    updates: mpsc::Receiver<Update>,
    written: mpsc::Sender<Written>,
    leading: watch::Receiver<bool>,
    metrics: Arc<Metrics>,
) {
    let stream = futures::stream::unfold(updates, |mut rx| async { rx.recv().await.map(|u| (u, rx)) });
    stream
        .for_each_concurrent(CONCURRENT, |update| {
            let (client, written, leading, metrics) = (&client, &written, leading.clone(), &metrics);
            async move {
                let back = if *leading.borrow() { write(client, &update).await } else { Back::NotLeading };
                let outcome = match &back {
                    Back::Object(_) => "written",
                    Back::Gone | Back::NotLeading => "gone",
                    Back::Failed => "failed",
                };
                metrics.status_writes.get_or_create(&KindOutcome { kind: update.kind.as_str(), outcome }).inc();
                // The receiver is gone only when everything stops.
                let _ = written.send(Written { kind: update.kind, id: update.id, back }).await;
            }
        })
        .await;
}

async fn write(client: &Client, update: &Update) -> Back {
    let one = async {
        match update.kind {
            ObjectKind::Rule => apply::<DetectionRule>(client, update, Change::Rule).await,
            ObjectKind::Library => apply::<RuleLibrary>(client, update, Change::Library).await,
            ObjectKind::Exception => apply::<Exception>(client, update, Change::Exception).await,
            ObjectKind::Route => apply::<OutputRoute>(client, update, Change::Route).await,
        }
    };
    let kind = update.kind.as_str();
    match tokio::time::timeout(TIMEOUT, one).await {
        Ok(Ok(change)) => Back::Object(Box::new(change)),
        // 409: another UID.
        Ok(Err(kube::Error::Api(status))) if status.code == 404 || status.code == 409 => Back::Gone,
        Ok(Err(error)) => {
            tracing::warn!(kind, object = %update.id, %error, "status not written; it is tried again");
            Back::Failed
        }
        Err(_) => {
            tracing::warn!(kind, object = %update.id, "status not written: no answer; it is tried again");
            Back::Failed
        }
    }
}

async fn apply<K>(client: &Client, update: &Update, wrap: fn(Event<K>) -> Change) -> kube::Result<Change>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + DeserializeOwned + Clone + Debug,
{
    let api: Api<K> = Api::namespaced(client.clone(), &update.id.namespace);
    let params = PatchParams::apply(OPERATOR_MANAGER).force();
    let object = api.patch_status(&update.id.name, &params, &Patch::Apply(&update.body)).await?;
    let object: Object<K> = read(object);
    Ok(wrap(Event::Apply(object)))
}
