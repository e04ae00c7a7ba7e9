//! NodeAgent: tells the cluster what this node's agent does.
//!
//! Written on each change that a person wants to see, at most once per second; once more a little later, when rates have
//! settled; else every five minutes less some jitter.
use super::outage::Outage;
use crate::run::seams::Seams;
use crds::{
    AGENT_MANAGER, NodeAgent, NodeAgentStatus,
    conditions::{self, READY},
    node_agent::HEARTBEAT,
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use router::deliver::backoff::{self, Backoff};
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;

/// Least time between two writes.
const SPACING: Duration = Duration::from_secs(1);
/// After a change, rates over the last minute are told once more.
const SETTLE: Duration = Duration::from_secs(15);
/// First and longest wait after a failed write.
const WAIT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// Longest wait for one request.
const REQUEST: Duration = Duration::from_secs(10);
/// Time for the last word when the agent ends.
const FAREWELL: Duration = Duration::from_millis(700);

/// Writes until the agent ends, and then that it ended, unless another agent goes on.
pub(super) async fn run(client: Client, seams: Seams) {
    let mut changed = seams.status.changed();
    let mut wait = Backoff::new(WAIT.0, WAIT.1);
    let mut teller = Teller { client, node: seams.node.to_string(), created: false };
    let mut outage = Outage::new("writing this node's NodeAgent");
    let mut settled = false;
    loop {
        changed.mark_unchanged();
        let began = Instant::now();
        let status = seams.status.snapshot();
        let told = tokio::select! {
            told = teller.tell(&status) => told,
            () = seams.shutdown.cancelled() => break,
        };
        let next = match told {
            Ok(()) => {
                wait.reset();
                outage.works();
                if settled { heartbeat(backoff::random()) } else { SETTLE }
            }
            Err(error) => {
                outage.failed(&error);
                wait.next(backoff::random())
            }
        };
        let failed = wait.attempts() > 0;
        tokio::select! {
            () = tokio::time::sleep_until(began + next) => settled = !failed,
            // While writes fail a change does not make them come sooner.
            Ok(()) = changed.changed(), if !failed => {
                settled = false;
                tokio::select! {
                    () = tokio::time::sleep_until(began + SPACING) => {}
                    () = seams.shutdown.cancelled() => break,
                }
            }
            () = seams.shutdown.cancelled() => break,
        }
    }
    if seams.status.is_handed_over() {
        return;
    }
    let _ = tokio::time::timeout(FAREWELL, teller.tell(&stopped(seams.status.snapshot()))).await;
}

/// The last quarter is jitter: agents that started together do not write together.
fn heartbeat(random: u128) -> Duration {
    let share = u32::try_from(random & 0xff).unwrap_or(0);
    HEARTBEAT - (HEARTBEAT / 4) * share / 255
}

fn stopped(mut status: NodeAgentStatus) -> NodeAgentStatus {
    let now = Timestamp::now();
    let others = status.conditions.iter().filter(|condition| condition.type_ != READY).cloned().collect::<Vec<_>>();
    let last: Vec<_> = status.conditions.iter().filter(|condition| condition.type_ == READY).cloned().collect();
    status.conditions =
        conditions::merge(&last, vec![conditions::no(READY, "Stopped", "the agent was stopped")], None, now);
    status.conditions.extend(others);
    status
}

struct Teller {
    client: Client,
    node: String,
    /// The object was seen to be there.
    created: bool,
}

impl Teller {
    async fn tell(&mut self, status: &NodeAgentStatus) -> Result<(), kube::Error> {
        match tokio::time::timeout(REQUEST, self.send(status)).await {
            Ok(outcome) => outcome,
            Err(_) => {
                let late =
                    std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer from the API server within 10 s");
                Err(kube::Error::Service(late.into()))
            }
        }
    }

    async fn send(&mut self, status: &NodeAgentStatus) -> Result<(), kube::Error> {
        let api = Api::<NodeAgent>::all(self.client.clone());
        let params = PatchParams::apply(AGENT_MANAGER).force();
        let head = json!({"apiVersion": "eyas.dev/v1alpha1", "kind": "NodeAgent", "metadata": {"name": self.node}});
        let mut object = head.clone();
        object["status"] = json!(status);
        if !self.created {
            self.create(&api, &params, head.clone()).await?;
        }
        match api.patch_status(&self.node, &params, &Patch::Apply(&object)).await {
            // Somebody deleted it.
            Err(kube::Error::Api(answer)) if answer.code == 404 => {
                self.created = false;
                self.create(&api, &params, head).await?;
                api.patch_status(&self.node, &params, &Patch::Apply(&object)).await.map(drop)
            }
            other => other.map(drop),
        }
    }

    async fn create(
        &mut self,
        api: &Api<NodeAgent>,
        params: &PatchParams,
        mut object: serde_json::Value,
    ) -> Result<(), kube::Error> {
        let nodes = Api::<Node>::all(self.client.clone());
        match nodes.get_metadata_opt(&self.node).await {
            Ok(Some(node)) => {
                let uid = node.metadata.uid.unwrap_or_default();
                object["metadata"]["ownerReferences"] =
                    json!([{"apiVersion": "v1", "kind": "Node", "name": self.node, "uid": uid}]);
            }
            Ok(None) => tracing::warn!(node = %self.node, "no Node of this name: is NODE_NAME right?"),
            Err(kube::Error::Api(answer)) if answer.code == 403 => {
                tracing::warn!(node = %self.node, "may not read its own Node: NodeAgent is written without owner");
            }
            Err(error) => return Err(error),
        }
        api.patch(&self.node, params, &Patch::Apply(&object)).await?;
        self.created = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heartbeats_come_at_least_every_five_minutes_and_out_of_step() {
        assert_eq!(heartbeat(0), HEARTBEAT);
        assert_eq!(heartbeat(0xff), HEARTBEAT * 3 / 4);
    }

    #[test]
    fn the_last_word_is_that_it_is_not_ready() {
        let now = Timestamp::now();
        let status = NodeAgentStatus {
            conditions: conditions::merge(
                &[],
                vec![conditions::yes(READY, "Armed", ""), conditions::no(conditions::DROPPING, "WithinBounds", "")],
                None,
                now,
            ),
            ..NodeAgentStatus::default()
        };
        let told = stopped(status);
        assert!(!conditions::is_true(&told.conditions, READY));
        assert_eq!(told.conditions.len(), 2);
    }
}
