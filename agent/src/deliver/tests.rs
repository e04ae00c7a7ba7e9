//! Against a real TLS server on loopback and real folders.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use super::*;
use axum::{body::Bytes, http::HeaderMap, http::StatusCode};
use axum_server::tls_rustls::RustlsConfig;
use client::{Access, Endpoint};
use crds::OutputRoute;
use engine::{priority::Priority, source::ObjectRef};
use local::Local;
use router::{
    batch::{Batch, RuleCounter, Tally, decode},
    destination::stdout::Output,
};
use std::{collections::VecDeque, net::SocketAddr, path::Path, time::Duration};
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

const NAME: &str = "eyas-router.eyas-system.svc";

fn alert(n: u64) -> Arc<Alert> {
    Arc::new(Alert {
        id: Uuid::from_u128(u128::from(n)),
        node: "node-a".to_owned(),
        time: 1,
        rule: "r".to_owned(),
        policy: ObjectRef { namespace: "eyas-system".to_owned(), name: "r".to_owned() },
        priority: Priority::Warning,
        tags: vec![],
        source: "syscall".to_owned(),
        output: format!("alert {n}"),
        output_fields: serde_json::Map::new(),
        fingerprint: format!("{n:016x}"),
        count: 1,
        last_time: 1,
        revision: "0".to_owned(),
        container: None,
        pod: None,
        metadata_missing: false,
    })
}

fn totals(matches: u64) -> Totals {
    Arc::new(move || Counters {
        rules: vec![RuleCounter {
            id: ObjectRef { namespace: "eyas-system".to_owned(), name: "r".to_owned() },
            total: Tally { matches, ..Tally::default() },
            ..RuleCounter::default()
        }],
        ..Counters::default()
    })
}

/// A router that checks the token and keeps batches.
struct Server {
    batches: Arc<Mutex<Vec<Batch>>>,
    answers: Arc<Mutex<VecDeque<u16>>>,
    handle: axum_server::Handle<SocketAddr>,
    address: SocketAddr,
    ca: String,
}

impl Server {
    async fn start() -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let signed = rcgen::generate_simple_self_signed(vec![NAME.to_owned()]).unwrap();
        let (ca, key) = (signed.cert.pem(), signed.signing_key.serialize_pem());
        let tls = RustlsConfig::from_pem(ca.clone().into_bytes(), key.into_bytes()).await.unwrap();
        let (batches, answers) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(VecDeque::new())));
        let (kept, statuses) = (batches.clone(), answers.clone());
        let app = axum::Router::new().route(
            "/v1/batches",
            axum::routing::post(move |headers: HeaderMap, body: Bytes| async move {
                assert_eq!(headers["authorization"], "Bearer a-token");
                let batch = decode(&body).unwrap();
                // One alert is poison: every batch with it is refused.
                if batch.alerts.iter().any(|a| a.output == "alert 666") {
                    return StatusCode::BAD_REQUEST;
                }
                let status = statuses.lock().pop_front().unwrap_or(200);
                if status == 200 {
                    kept.lock().push(batch);
                }
                StatusCode::from_u16(status).unwrap()
            }),
        );
        let handle = axum_server::Handle::new();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let server = axum_server::from_tcp_rustls(listener, tls).unwrap().handle(handle.clone());
        tokio::spawn(server.serve(app.into_make_service()));
        Self { batches, answers, handle, address, ca }
    }

    fn outputs(&self) -> Vec<String> {
        self.batches.lock().iter().flat_map(|b| b.alerts.iter().map(|a| a.output.clone())).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.handle.shutdown();
    }
}

struct Agent {
    sink: Sink,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Agent {
    fn start(dir: &Path, server: &Server, id: u128, max_bytes: u64, totals: Totals) -> Self {
        let token_file = dir.join("token");
        std::fs::write(&token_file, "a-token\n").unwrap();
        let endpoint = Endpoint { host: NAME.to_owned(), port: server.address.port(), address: Some(server.address) };
        let access = Access { endpoint, token_file, ca: watch::channel(Some(server.ca.clone())).1 };
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let options = ClusterOptions {
            dir: dir.join("spool"),
            max_bytes,
            node: "node-a".to_owned(),
            agent: Uuid::from_u128(id),
            access,
        };
        let sink = cluster(options, totals, &tasks, stop.clone()).unwrap();
        Self { sink, tasks, stop }
    }

    async fn end(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..1500 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("not within 30 s: {what}");
}

fn names(range: std::ops::Range<u64>) -> Vec<String> {
    range.map(|n| format!("alert {n}")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alerts_and_counters_arrive_in_order_and_a_refusing_router_gets_them_later() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start().await;
    server.answers.lock().extend([503, 401, 503]);
    let agent = Agent::start(dir.path(), &server, 1, 1 << 20, totals(3));
    for n in 0..200 {
        agent.sink.submit(&alert(n));
    }
    until("all", || agent.sink.stats().delivered == 200).await;
    assert_eq!(server.outputs(), names(0..200));
    let stats = agent.sink.stats();
    assert_eq!((stats.submitted, stats.lost, stats.last_error), (200, 0, None));
    until("nothing waits", || agent.sink.stats().backlog == 0).await;
    let batches = server.batches.lock().clone();
    let told: Vec<_> = batches.iter().flat_map(|b| &b.counters.rules).collect();
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].total.matches, told[0].acknowledged.matches), (3, 0));
    assert!(batches.windows(2).all(|w| w[0].seq < w[1].seq));
    agent.end().await;
}

/// The spool as a kill at this moment would leave it, once it keeps that many matches.
async fn kill(dir: &Path, matches: u64) -> tempfile::TempDir {
    let spool = dir.join("spool");
    let kept = format!("\"matches\":{matches},");
    until("the counters are kept", || {
        let state = std::fs::read(spool.join("checkpoint")).unwrap_or_default();
        String::from_utf8_lossy(&state).contains(&kept)
    })
    .await;
    let copy = tempfile::tempdir().unwrap();
    std::fs::create_dir(copy.path().join("spool")).unwrap();
    for entry in std::fs::read_dir(&spool).unwrap() {
        let entry = entry.unwrap();
        // The checkpoint is replaced at any time: its name is always there, others may go.
        let _ = std::fs::copy(entry.path(), copy.path().join("spool").join(entry.file_name()));
    }
    copy
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_killed_agents_held_comes_from_the_next_one_with_what_they_had_counted() {
    let server = Server::start().await;
    server.answers.lock().extend([503; 1000]);
    let dir = tempfile::tempdir().unwrap();
    let matches = Arc::new(AtomicU64::new(7));
    let counted = matches.clone();
    let growing: Totals = Arc::new(move || totals(counted.load(Ordering::Relaxed))());
    let first = Agent::start(dir.path(), &server, 1, 1 << 20, growing);
    for n in 0..50 {
        first.sink.submit(&alert(n));
    }
    until("on disk", || first.sink.stats().backlog == 50).await;
    until("told", || first.sink.stats().last_error.is_some_and(|e| e.contains("503"))).await;
    // Counted while the router is away.
    matches.store(9, Ordering::Relaxed);
    let copy = kill(dir.path(), 9).await;
    first.end().await;

    let second = Agent::start(copy.path(), &server, 2, 1 << 20, totals(4));
    let copy = kill(copy.path(), 4).await;
    second.end().await;

    server.answers.lock().clear();
    let third = Agent::start(copy.path(), &server, 3, 1 << 20, totals(1));
    until("all", || third.sink.stats().delivered == 50).await;
    assert_eq!(server.outputs(), names(0..50));
    let batches = server.batches.lock().clone();
    let told: Vec<_> =
        batches.iter().flat_map(|b| b.counters.rules.iter().map(|r| (b.agent.as_u128(), r.total.matches))).collect();
    assert_eq!(told, [(1, 9), (2, 4), (3, 1)]);
    third.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_poisoned_alert_is_lost_alone() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start().await;
    // All in one batch: the first answer keeps it waiting until everything is in the spool.
    server.answers.lock().extend([503]);
    let agent = Agent::start(dir.path(), &server, 1, 1 << 20, totals(0));
    for n in [1, 2, 666, 3] {
        agent.sink.submit(&alert(n));
    }
    until("the others", || agent.sink.stats().delivered == 3).await;
    until("one lost", || agent.sink.stats().lost == 1).await;
    assert_eq!(server.outputs(), ["alert 1", "alert 2", "alert 3"]);
    agent.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_spool_counts_what_it_cannot_take() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start().await;
    server.answers.lock().extend([503; 1000]);
    let agent = Agent::start(dir.path(), &server, 1, 20_000, totals(0));
    for n in 0..200 {
        agent.sink.submit(&alert(n));
    }
    until("all accounted for", || {
        let s = agent.sink.stats();
        s.lost > 0 && s.lost + s.backlog == 200
    })
    .await;
    let kept = agent.sink.stats().backlog;
    server.answers.lock().clear();
    until("the rest", || agent.sink.stats().delivered == kept).await;
    assert_eq!(server.outputs(), names(0..kept));
    agent.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_router_with_another_certificate_gets_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (server, other) = (Server::start().await, Server::start().await);
    let imposter = Server {
        ca: other.ca.clone(),
        batches: server.batches.clone(),
        answers: server.answers.clone(),
        handle: server.handle.clone(),
        address: server.address,
    };
    let agent = Agent::start(dir.path(), &imposter, 1, 1 << 20, totals(0));
    agent.sink.submit(&alert(1));
    until("told", || agent.sink.stats().last_error.is_some_and(|e| e.contains("certificate"))).await;
    assert!(server.batches.lock().is_empty());
    agent.end().await;
}

#[derive(Clone, Default)]
struct Text(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Text {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn route(name: &str, spec: &serde_json::Value) -> OutputRoute {
    serde_json::from_value(serde_json::json!({
        "apiVersion": "eyas.dev/v1alpha1", "kind": "OutputRoute",
        "metadata": {"name": name, "namespace": "eyas-system"}, "spec": spec,
    }))
    .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn standalone_routes_run_in_process_and_read_secrets_from_files() {
    let dir = tempfile::tempdir().unwrap();
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let text = Text::default();
    let secrets = dir.path().join("secrets");
    let output = Output::new(text.clone());
    let folder = local::Folder { path: dir.path().join("own/routes"), temporary: true };
    let (sink, local) = Local::start(folder, Some(secrets.clone()), output, &tasks, stop.clone());
    let reference = serde_json::json!({"secretKeyRef": {"name": "hook", "key": "url"}});
    let wanted = [
        route("lines", &serde_json::json!({"stdout": {"format": "text"}, "match": {"minPriority": "Warning"}})),
        route("urgent", &serde_json::json!({"stdout": {"format": "text"}, "match": {"minPriority": "Alert"}})),
        route("hook", &serde_json::json!({"webhook": {"urlFrom": reference}})),
        route("bad", &serde_json::json!({"stdout": {}, "match": {"minPriority": "Wrong"}})),
    ];
    let problems = local.set_routes(&wanted).await;
    assert_eq!(problems.len(), 1);
    assert!(problems[0].1.contains("Wrong"), "{problems:?}");
    sink.submit(&alert(1));
    until("printed", || !text.0.lock().is_empty()).await;
    assert_eq!(String::from_utf8_lossy(&text.0.lock()), "00:00:00.000000001: Warning alert 1\n");
    let status = |name: &str| local.router().status().into_iter().find(|(id, _)| id.name == name).unwrap().1;
    until("told", || status("hook").last_error.is_some_and(|e| e.contains("hook/url"))).await;
    assert_eq!((status("hook").backlog, status("urgent").backlog), (1, 0));
    std::fs::create_dir_all(secrets.join("hook")).unwrap();
    std::fs::write(secrets.join("hook/url"), "http://127.0.0.1:1/\n").unwrap();
    assert_eq!(local.set_routes(&wanted).await.len(), 1);
    until("tried", || status("hook").last_error.is_some_and(|e| e.contains("refused"))).await;
    stop.cancel();
    tasks.close();
    tasks.wait().await;
    assert!(!dir.path().join("own").exists());
}
