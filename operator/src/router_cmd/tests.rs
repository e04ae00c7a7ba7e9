//! The intake over real HTTP, with real queues and a verifier that needs no API server. (The real TokenReview: e2e.)
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use super::{auth::Authenticator, auth::tests::Fake, counters::Sums, intake::Intake};
use engine::{priority::Priority, source::ObjectRef};
use parking_lot::Mutex;
use router::{
    alert::Alert,
    batch::{Batch, Counters, MAX_BODY, RuleCounter, Tally},
    deliver::{Options, Router},
    destination::Config,
    matching::Matcher,
    route::Route,
};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use uuid::Uuid;

fn id(name: &str) -> ObjectRef {
    ObjectRef { namespace: "eyas-system".to_owned(), name: name.to_owned() }
}

fn alert(n: u64) -> Alert {
    Alert {
        id: Uuid::from_u128(u128::from(n)),
        node: "a".to_owned(),
        time: 1,
        rule: "r".to_owned(),
        policy: id("r"),
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
    }
}

fn batch(seq: u64) -> Batch {
    let total = Tally { matches: seq * 2, ..Tally::default() };
    let rule = RuleCounter { id: id("r"), total, ..RuleCounter::default() };
    Batch {
        node: "a".to_owned(),
        agent: Uuid::from_u128(7),
        seq,
        alerts: vec![alert(2 * seq), alert(2 * seq + 1)],
        counters: Counters { rules: vec![rule], exceptions: vec![] },
    }
}

struct Server {
    url: String,
    intake: Arc<Intake<Fake>>,
    router: Arc<Router>,
    _dir: tempfile::TempDir,
}

impl Server {
    /// With one route that takes everything and can deliver nothing, so that its backlog tells what was stored.
    async fn start() -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let dir = tempfile::tempdir().unwrap();
        let router = Arc::new(Router::new(Options::new(dir.path())));
        let destination = Config::Unavailable("test".to_owned());
        let route = Route { id: id("all"), matcher: Matcher::default(), grouping: None, destination };
        router.set_routes(vec![route]).await;
        let auth = Authenticator::new(Fake::default(), "eyas-system");
        let intake = Arc::new(Intake::new(auth, router.clone(), Arc::new(Mutex::new(Sums::default()))));
        intake.ready.store(true, Ordering::Release);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1/batches", listener.local_addr().unwrap());
        let app = intake.clone().app();
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, intake, router, _dir: dir }
    }

    async fn post(&self, token: &str, body: Vec<u8>) -> u16 {
        let client = reqwest::Client::builder().no_proxy().tls_certs_only(Vec::new()).build().unwrap();
        let request = client.post(&self.url).header("authorization", format!("Bearer {token}")).body(body);
        request.send().await.unwrap().status().as_u16()
    }

    async fn send(&self, batch: &Batch) -> u16 {
        self.post("eyas-agent/eyas-router/a", serde_json::to_vec(batch).unwrap()).await
    }

    /// Says how long the body will be, and sends none of it.
    async fn announce(&self, length: usize) -> String {
        let address = self.url.split('/').nth(2).unwrap();
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let token = "eyas-agent/eyas-router/a";
        let head = format!(
            "POST /v1/batches HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\ncontent-length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = vec![0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        String::from_utf8(answer).unwrap()
    }

    async fn until_stored(&self, n: u64) {
        for _ in 0..500 {
            if self.router.status()[0].1.backlog == n {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("not {n} alerts: {:?}", self.router.status());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_is_on_disk_when_it_is_acknowledged_and_is_taken_once() {
    let server = Server::start().await;
    assert_eq!(server.send(&batch(1)).await, 200);
    server.until_stored(2).await;
    assert_eq!(server.send(&batch(1)).await, 200);
    assert_eq!(server.send(&batch(2)).await, 200);
    server.until_stored(4).await;
    let due = server.intake.sums.lock().due(0);
    assert_eq!(due.len(), 1);
    server.router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_other_nodes_and_nonsense_are_refused_and_store_nothing() {
    let server = Server::start().await;
    let body = || serde_json::to_vec(&batch(1)).unwrap();
    assert_eq!(server.post("nonsense", body()).await, 401);
    assert_eq!(server.post("eyas-agent/other-audience/a", body()).await, 401);
    assert_eq!(server.post("somebody/eyas-router/a", body()).await, 403);
    assert_eq!(server.post("eyas-agent/eyas-router/b", body()).await, 403);
    assert_eq!(server.post("away", body()).await, 503);
    // Its own node in the batch, another in an alert.
    let mut mixed = batch(1);
    mixed.alerts[1].node = "b".to_owned();
    assert_eq!(server.send(&mixed).await, 403);
    assert_eq!(server.post("eyas-agent/eyas-router/a", b"{".to_vec()).await, 400);
    assert_eq!(server.announce(MAX_BODY + 1).await, "HTTP/1.1 413");
    server.intake.ready.store(false, Ordering::Release);
    assert_eq!(server.send(&batch(1)).await, 503);
    assert_eq!(server.router.status()[0].1.backlog, 0);
    assert!(server.intake.sums.lock().due(0).is_empty());
    server.router.stop().await;
}
