//! The CA of the router's certificate, as the router itself publishes it.
use super::{outage::Outage, watch::config_map};
use futures::StreamExt;
use kube::Client;
use kube_runtime::watcher::Event;
use tokio::sync::watch;

/// ConfigMap that the router writes.
const NAME: &str = "eyas-router-ca";
/// Key of the PEM text in it.
const KEY: &str = "ca.crt";
/// Longest text taken: a few certificates.
const MAX: usize = 64 * 1024;

/// Keeps `ca` up to date. A ConfigMap that goes away changes nothing: the router's certificate is still what it was.
pub(super) async fn run(client: Client, namespace: String, ca: watch::Sender<Option<String>>) {
    let mut outage = Outage::new("watching the ConfigMap of the router's CA");
    let mut events = std::pin::pin!(config_map(client, &namespace, NAME));
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Apply(map) | Event::InitApply(map)) => {
                match map.data.and_then(|mut data| data.remove(KEY)).filter(|pem| pem.len() <= MAX) {
                    Some(pem) => drop(ca.send_if_modified(|known| {
                        let new = known.as_deref() != Some(pem.as_str());
                        if new {
                            *known = Some(pem);
                        }
                        new
                    })),
                    None => tracing::warn!(namespace, name = NAME, key = KEY, "no usable CA in the ConfigMap"),
                }
            }
            Ok(Event::InitDone) => outage.works(),
            Ok(Event::Init | Event::Delete(_)) => {}
            Err(error) => drop(outage.failed(&error)),
        }
    }
}
