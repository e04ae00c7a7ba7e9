//! One test in a cluster.
//!
//! It gets a namespace of its own, and what it applied is removed at its end. When it fails, everything that tells why is kept in
//! target/e2e-failures/TEST.
use crate::{
    agent::rule_yaml,
    cluster::Cluster,
    gate, nonce,
    pod::Pod,
    until::{Seen, limit, until},
};
use anyhow::{Context, Result, anyhow};
use crds::{DetectionRule, NodeAgent, PolicyReport, SYSTEM_NAMESPACE, policy_report::ReportResult};
use futures::FutureExt;
use kube::{Api, api::ListParams};
use std::{
    fs,
    ops::Deref,
    panic::AssertUnwindSafe,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// What a test in a cluster has.
pub struct Case {
    /// The cluster.
    pub cluster: Cluster,
    /// Its own namespace.
    pub namespace: String,
    /// A word of its own.
    pub nonce: String,
    name: &'static str,
    applied: Mutex<Vec<String>>,
}

impl Deref for Case {
    type Target = Cluster;
    fn deref(&self) -> &Cluster {
        &self.cluster
    }
}

/// Runs a test, or says why not.
///
/// # Errors
/// Those of the test, with the folder where logs were kept.
pub async fn case(name: &'static str, test: impl AsyncFnOnce(&Case) -> Result<()>) -> Result<()> {
    if !gate::cluster(name) {
        return Ok(());
    }
    let cluster = Cluster::connect().await?;
    let nonce = nonce();
    let namespace = format!("{name}-{}", &nonce[..5]);
    cluster.kubectl(&["create", "namespace", &namespace]).await?;
    let case = Case { cluster, namespace, nonce, name, applied: Mutex::default() };
    let lost = case.lost().await;
    let outcome = AssertUnwindSafe(test(&case)).catch_unwind().await;
    let outcome = outcome.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        Err(anyhow!("panicked: {}", text.unwrap_or_else(|| "see above".to_owned())))
    });
    let outcome = match outcome {
        Ok(()) => Ok(()),
        Err(error) => {
            let lost = case.lost().await - lost;
            let kept = case.keep_logs().await;
            Err(error
                .context(format!("{kept}; {lost} events were lost on the nodes meanwhile (a flood by somebody else?)")))
        }
    };
    case.remove().await;
    outcome
}

impl Case {
    /// `kubectl apply` of YAML (or JSON) in its own namespace unless it names another; removed at the end.
    ///
    /// # Errors
    /// kubectl refuses.
    pub async fn apply(&self, yaml: &str) -> Result<String> {
        let answer = self.kubectl_with(&["-n", &self.namespace, "apply", "-f", "-"], Some(yaml)).await;
        // kubectl refuses `-n` beside an object of another namespace; such an object names its own.
        let answer = match answer {
            Err(error) if error.to_string().contains("does not match the namespace") => {
                self.kubectl_with(&["apply", "-f", "-"], Some(yaml)).await
            }
            other => other,
        }?;
        self.applied.lock().unwrap_or_else(PoisonError::into_inner).push(yaml.to_owned());
        Ok(answer)
    }

    /// Applies a rule of the system namespace.
    ///
    /// # Errors
    /// kubectl refuses.
    pub async fn apply_rule(&self, name: &str, condition: &str, priority: &str) -> Result<()> {
        self.apply_rule_in(SYSTEM_NAMESPACE, name, condition, priority).await
    }

    /// Applies a rule of a namespace.
    ///
    /// # Errors
    /// kubectl refuses.
    pub async fn apply_rule_in(&self, namespace: &str, name: &str, condition: &str, priority: &str) -> Result<()> {
        let output = "seen (file=%fd.name command=%proc.cmdline pod=%k8s.pod.name)";
        self.apply(&rule_yaml(namespace, name, condition, output, priority)).await.map(drop)
    }

    /// Waits until a rule's condition has a status; the rule and how long it took.
    ///
    /// # Errors
    /// Not within the limit (seconds).
    pub async fn condition(
        &self,
        (namespace, name): (&str, &str),
        (condition, status): (&str, &str),
        within: f64,
    ) -> Result<(DetectionRule, Duration)> {
        until(&format!("{condition}={status} of rule {name}"), limit(within), async || {
            let rule = self.rule(namespace, name).await?;
            let now = rule.status.as_ref().and_then(|s| {
                let current = s.observed_generation == rule.metadata.generation;
                s.conditions.iter().find(|c| current && c.type_ == condition)
            });
            let is = now.is_some_and(|c| c.status == status);
            let instead = format!("{:?}", rule.status);
            Ok(Seen::when(is, rule, instead))
        })
        .await
    }

    /// Applies a rule of the system namespace and waits until it is armed everywhere.
    ///
    /// # Errors
    /// It is refused or not ready in 10 s.
    pub async fn armed_rule(&self, name: &str, condition: &str, priority: &str) -> Result<()> {
        self.apply_rule(name, condition, priority).await?;
        self.condition((SYSTEM_NAMESPACE, name), ("Ready", "True"), 10.0).await?;
        Ok(())
    }

    /// Starts a pod in its own namespace and waits until it runs.
    ///
    /// # Errors
    /// It does not.
    pub async fn pod(&self, name: &str) -> Result<Pod> {
        Pod::start(&self.cluster, &self.namespace, name, serde_json::json!({})).await
    }

    /// Results of a rule in the PolicyReports of a namespace, with the report of each.
    ///
    /// # Errors
    /// The API server does not answer.
    pub async fn results(&self, namespace: &str, policy: &str) -> Result<Vec<(PolicyReport, ReportResult)>> {
        let reports: Api<PolicyReport> = Api::namespaced(self.client.clone(), namespace);
        let mut found = Vec::new();
        for report in reports.list(&ListParams::default()).await? {
            for result in &report.spec.results {
                if result.policy == policy {
                    found.push((report.clone(), result.clone()));
                }
            }
        }
        Ok(found)
    }

    /// The sum of the counts of a rule's results in a namespace.
    ///
    /// # Errors
    /// The API server does not answer.
    pub async fn reported(&self, namespace: &str, policy: &str) -> Result<u64> {
        Ok(self.results(namespace, policy).await?.iter().map(|(_, r)| count(r)).sum())
    }

    /// Waits until the rule's counts in its namespace's reports sum up to a number.
    ///
    /// # Errors
    /// Not within the limit (seconds).
    pub async fn until_reported(&self, policy: &str, number: u64, within: f64) -> Result<Duration> {
        let what = format!("{number} matches of {policy} in the reports of {}", self.namespace);
        let ((), took) = until(&what, limit(within), async || {
            let now = self.reported(&self.namespace, policy).await?;
            Ok(Seen::when(now == number, (), now))
        })
        .await?;
        Ok(took)
    }

    /// Waits until a rule's status counts a number of matches.
    ///
    /// # Errors
    /// Not within the limit (seconds).
    pub async fn until_matches(&self, (namespace, name): (&str, &str), number: i64, within: f64) -> Result<()> {
        until(&format!("{number} matches in the status of {name}"), limit(within), async || {
            let status = self.rule(namespace, name).await?.status.unwrap_or_default();
            let total = status.matches.as_ref().map_or(0, |m| m.total);
            Ok(Seen::when(total == number, (), format!("{:?}", status.matches)))
        })
        .await?;
        Ok(())
    }

    /// Waits until every agent runs the ruleset that the operator published last, once that has been the same for half a second (the operator
    /// gathers changes before it writes).
    ///
    /// # Errors
    /// Not within 15 s.
    pub async fn settled(&self) -> Result<String> {
        let read = ["-n", SYSTEM_NAMESPACE, "get", "configmap", "eyas-ruleset", "-o", "jsonpath={.data.revision}"];
        let mut since = (String::new(), Instant::now());
        let (revision, _) = until("agents run the current revision", limit(15.0), async || {
            let published = self.kubectl(&read).await?;
            if published != since.0 {
                since = (published.clone(), Instant::now());
            }
            for node in self.nodes().await? {
                let armed = revision(&self.node_agent(&node).await?)?;
                if armed != published {
                    return Ok(Seen::No(format!("{node} has {armed}, the ConfigMap {published}")));
                }
            }
            Ok(Seen::when(since.1.elapsed() > Duration::from_millis(500), published, "it changed just now"))
        })
        .await?;
        Ok(revision)
    }

    /// Events that the kernel side of all agents dropped or shed so far, as they last told.
    async fn lost(&self) -> i64 {
        let agents: Api<NodeAgent> = Api::all(self.client.clone());
        let list = agents.list(&ListParams::default()).await.map(|l| l.items).unwrap_or_default();
        list.iter().filter_map(|a| a.status.as_ref()).flat_map(|s| &s.hooks).map(|h| h.dropped + h.shed).sum()
    }

    async fn keep_logs(&self) -> String {
        let dir = gate::root().join("target/e2e-failures").join(self.name);
        let _ = fs::remove_dir_all(&dir);
        let _ = fs::create_dir_all(&dir);
        let system = ["-n", SYSTEM_NAMESPACE];
        let pages: [(&str, Vec<&str>); 9] = [
            ("objects.yaml", vec!["get", "dr,ex,or,rl,na,polr,cpolr", "-A", "-o", "yaml"]),
            ("pods.txt", vec!["get", "pods", "-A", "-o", "wide"]),
            ("events.txt", vec!["get", "events", "-A", "--sort-by=.lastTimestamp"]),
            ("ruleset.yaml", [&system[..], &["get", "configmap", "eyas-ruleset", "-o", "yaml"]].concat()),
            ("operator.log", [&system[..], &["logs", "deployment/eyas-operator", "--tail=2000"]].concat()),
            ("router.log", [&system[..], &["logs", "deployment/eyas-router", "--tail=2000"]].concat()),
            (
                "agents.log",
                [&system[..], &["logs", "-l", "app.kubernetes.io/name=eyas-agent", "--tail=2000", "--prefix"]].concat(),
            ),
            (
                "agents-before.log",
                [&system[..], &["logs", "daemonset/eyas-agent", "--previous", "--tail=2000"]].concat(),
            ),
            ("describe.txt", vec!["describe", "dr,ex,or", "-A"]),
        ];
        for (file, args) in pages {
            let text = self.kubectl(&args).await.unwrap_or_else(|e| format!("{e:#}"));
            let _ = fs::write(dir.join(file), text);
        }
        format!("{}; logs are in {}", self.name, dir.display())
    }

    async fn remove(&self) {
        let applied = std::mem::take(&mut *self.applied.lock().unwrap_or_else(PoisonError::into_inner));
        for yaml in applied.iter().rev() {
            let args = ["-n", &self.namespace, "delete", "--ignore-not-found", "--wait=false", "-f", "-"];
            if self.kubectl_with(&args, Some(yaml)).await.is_err() {
                let _ = self.kubectl_with(&args[2..], Some(yaml)).await;
            }
        }
        let _ = self.kubectl(&["delete", "namespace", &self.namespace, "--wait=false"]).await;
    }
}

/// How many events a result stands for.
#[must_use]
pub fn count(result: &ReportResult) -> u64 {
    result.properties.get("count").and_then(|c| c.parse().ok()).unwrap_or(0)
}

/// The revision that an agent has armed.
///
/// # Errors
/// It has said nothing yet.
pub fn revision(agent: &NodeAgent) -> Result<String> {
    Ok(agent.status.as_ref().context("no status yet")?.revision.clone())
}
