//! A route to a webhook whose receiver is away for a while: everything arrives, grouped right, signed.
use anyhow::{Context, Result, ensure};
use crds::{OutputRoute, SYSTEM_NAMESPACE};
use e2e::{case, limit, receiver::Receiver, until, until::Seen};
use hmac::{Hmac, KeyInit, Mac};
use kube::Api;
use serde_json::{Value, json};
use sha2::Sha256;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

const SECRET: &str = "e2e-secret";

async fn node_address(t: &e2e::Case) -> Result<String> {
    let path = "jsonpath={.items[0].status.addresses[?(@.type==\"InternalIP\")].address}";
    t.kubectl(&["get", "nodes", "-o", path]).await
}

/// Events by output line, from all bodies: format eyas is either one alert or a group of alerts.
fn alerts(receiver: &Receiver) -> Result<Vec<Value>> {
    let mut all = Vec::new();
    for request in receiver.requests() {
        match request.json()? {
            Value::Object(mut body) => match body.get_mut("alerts").map(Value::take) {
                Some(Value::Array(alerts)) => all.extend(alerts),
                _ => all.push(Value::Object(body)),
            },
            Value::Array(alerts) => all.extend(alerts),
            other => anyhow::bail!("neither an alert nor a group: {other}"),
        }
    }
    Ok(all)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_was_down_gets_everything_once_it_is_back() -> Result<()> {
    case("route", async |t| {
        let mut receiver = Receiver::up_towards(&node_address(t).await?)?;
        let (name, dir) = (format!("route-{}", t.nonce), format!("/tmp/{}", t.nonce));
        t.apply(
            &json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": {"name": format!("hook-{}", t.nonce), "namespace": SYSTEM_NAMESPACE},
                "stringData": {"key": SECRET},
            })
            .to_string(),
        )
        .await?;
        let route = format!("hook-{}", t.nonce);
        t.apply(
            &json!({
                "apiVersion": "eyas.dev/v1alpha1", "kind": "OutputRoute", "metadata": {"name": route, "namespace": SYSTEM_NAMESPACE},
                "spec": {
                    "match": {"rules": [name]},
                    "webhook": {
                        "url": receiver.url(), "format": "eyas",
                        "hmac": {"secretKeyRef": {"name": format!("hook-{}", t.nonce), "key": "key"}},
                    },
                },
            })
            .to_string(),
        )
        .await?;
        t.armed_rule(&name, &format!("evt.type in (open, openat) and fd.name startswith {dir}-"), "Warning").await?;
        t.kubectl(&["-n", SYSTEM_NAMESPACE, "wait", "--for=condition=Ready", &format!("or/{route}"), "--timeout=10s"]).await?;
        t.settled().await?;
        let pod = t.pod("main").await?;
        let outputs = |receiver: &Receiver| -> Result<BTreeMap<String, Vec<String>>> {
            let mut ids = BTreeMap::<String, Vec<String>>::new();
            for alert in alerts(receiver)? {
                let file = alert["output_fields"]["fd.name"].as_str().context("fd.name")?.to_owned();
                ids.entry(file).or_default().push(alert["id"].as_str().or(alert["uuid"].as_str()).context("an id")?.to_owned());
            }
            Ok(ids)
        };
        let arrive = async |receiver: &Receiver, number: usize, within: f64| {
            until(&format!("{number} files told"), limit(within), async || {
                let now = outputs(receiver)?;
                Ok(Seen::when(now.len() == number, (), format!("{:?}", now.keys())))
            })
            .await
        };
        pod.sh(&format!(": > {dir}-0")).await?;
        arrive(&receiver, 1, 5.0).await?;

        receiver.down();
        for i in 1..=20 {
            pod.sh(&format!(": > {dir}-{i}")).await?;
        }
        let routes: Api<OutputRoute> = Api::namespaced(t.client.clone(), SYSTEM_NAMESPACE);
        until("the backlog is told", limit(40.0), async || {
            let status = routes.get(&route).await?.status.unwrap_or_default();
            Ok(Seen::when(status.backlog.unwrap_or(0) > 0 && status.last_error.is_some(), (), format!("{status:?}")))
        })
        .await?;
        tokio::time::sleep(Duration::from_secs(20)).await;
        receiver.up()?;
        arrive(&receiver, 21, 60.0).await?;
        for (file, ids) in outputs(&receiver)? {
            let mut unique = ids.clone();
            unique.sort();
            unique.dedup();
            ensure!(unique.len() == 1, "{file} came under several ids: {ids:?}");
        }
        // In the order in which it happened: a queue, not a heap. (A repeat may come late.)
        let (mut order, mut known) = (Vec::new(), BTreeSet::new());
        for alert in alerts(&receiver)? {
            if known.insert(alert["id"].to_string()) {
                order.push((alert["time"].as_i64().context("time")?, alert["output_fields"]["fd.name"].to_string()));
            }
        }
        ensure!(order.is_sorted_by_key(|(time, _)| *time), "out of order: {order:?}");
        for request in receiver.requests() {
            let sent = request.headers.get("x-eyas-signature").context("no signature")?;
            let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes())?;
            mac.update(&request.body);
            let hex: String = mac.finalize().into_bytes().iter().map(|b| format!("{b:02x}")).collect();
            ensure!(sent.to_str()?.ends_with(&hex), "the signature {sent:?} is not that of the body ({hex})");
        }
        until("status: all delivered, none waiting", limit(40.0), async || {
            let status = routes.get(&route).await?.status.unwrap_or_default();
            // Failed counts what was given up: nothing was.
            let done = status.delivered >= Some(21) && status.backlog == Some(0) && status.failed == Some(0);
            Ok(Seen::when(done, (), format!("{status:?}")))
        })
        .await?;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn grouping_gathers_the_alerts_of_a_pod_into_one_message() -> Result<()> {
    case("grouping", async |t| {
        let receiver = Receiver::up_towards(&node_address(t).await?)?;
        let (name, dir) = (format!("group-{}", t.nonce), format!("/tmp/{}", t.nonce));
        let route = json!({
            "apiVersion": "eyas.dev/v1alpha1", "kind": "OutputRoute",
            "metadata": {"name": format!("group-{}", t.nonce), "namespace": SYSTEM_NAMESPACE},
            "spec": {
                "match": {"rules": [name]}, "grouping": {"by": ["pod"], "wait": "3s"},
                "webhook": {"url": receiver.url(), "format": "eyas"},
            },
        });
        t.apply(&route.to_string()).await?;
        t.armed_rule(&name, &format!("evt.type in (open, openat) and fd.name startswith {dir}-"), "Warning").await?;
        let (one, two) = (t.pod("one").await?, t.pod("two").await?);
        t.settled().await?;
        let script = format!("for i in 1 2 3 4 5; do : > {dir}-$i; done");
        one.sh(&script).await?;
        two.sh(&script).await?;
        until("ten alerts", limit(15.0), async || {
            let now = alerts(&receiver)?.len();
            Ok(Seen::when(now == 10, (), now))
        })
        .await?;
        let messages: Vec<Value> =
            receiver.requests().iter().map(e2e::receiver::Request::json).collect::<Result<_>>()?;
        ensure!(messages.len() == 2, "{} messages instead of one for each pod", messages.len());
        for (message, pod) in messages.iter().zip([&one, &two]) {
            let group = message["group"].to_string();
            ensure!(group.contains(&pod.name), "the first message is not of the pod that came first: {group}");
            let alerts = message["alerts"].as_array().context("alerts")?;
            ensure!(alerts.len() == 5 && alerts.iter().all(|a| a["pod"]["uid"] == pod.uid.as_str()), "{message}");
        }
        Ok(())
    })
    .await
}
