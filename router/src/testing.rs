//! Builders for tests.
use crate::alert::{Alert, Container, Pod};
use engine::{priority::Priority, source::ObjectRef};

/// 2026-11-24T02:07:33Z in nanoseconds since 1970.
pub const START: i64 = 1_795_486_053_000_000_000;

/// A whole alert; `n` makes its id, fingerprint and time differ.
#[must_use]
pub fn alert(n: u64) -> Alert {
    let mut output_fields = serde_json::Map::new();
    output_fields.insert("proc.name".to_owned(), "cat".into());
    output_fields.insert("evt.num".to_owned(), n.into());
    output_fields.insert("user.name".to_owned(), serde_json::Value::Null);
    let time = START + i64::try_from(n).unwrap_or(0) * 1_000_000_000 + 1;
    Alert {
        id: uuid::Uuid::from_u128(u128::from(n)),
        node: "node-a".to_owned(),
        time,
        rule: "Read sensitive file".to_owned(),
        policy: ObjectRef { namespace: "eyas-system".to_owned(), name: "read-sensitive-file".to_owned() },
        priority: Priority::Warning,
        tags: vec!["filesystem".to_owned(), "mitre_credential_access".to_owned()],
        source: "syscall".to_owned(),
        output: "cat read /etc/shadow".to_owned(),
        output_fields,
        fingerprint: format!("{n:016x}"),
        count: 1,
        last_time: time,
        revision: "0011223344556677".to_owned(),
        container: Some(Container { id: "c".repeat(64), name: "web".to_owned(), image: "busybox:1".to_owned() }),
        pod: Some(Pod {
            namespace: "shop".to_owned(),
            name: "web-0".to_owned(),
            uid: "7b0a".to_owned(),
            service_account: "default".to_owned(),
        }),
        metadata_missing: false,
    }
}

/// A writer whose text tests can read.
#[derive(Clone, Default)]
pub struct Shared(std::sync::Arc<parking_lot::Mutex<Vec<u8>>>);

impl Shared {
    /// All that was written.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock()).into_owned()
    }
}

impl std::io::Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A real HTTP server on loopback that keeps what it was sent.
pub struct Receiver {
    address: std::net::SocketAddr,
    state: std::sync::Arc<parking_lot::Mutex<Received>>,
    task: tokio::task::JoinHandle<()>,
    stop: tokio_util::sync::CancellationToken,
}

#[derive(Default)]
struct Received {
    /// Answers for the next requests; then 200.
    answers: std::collections::VecDeque<u16>,
    requests: Vec<(axum::http::HeaderMap, bytes::Bytes)>,
}

impl Receiver {
    /// On a free port.
    pub async fn start() -> Self {
        Self::start_on(0).await
    }

    /// On this port.
    pub async fn start_on(port: u16) -> Self {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.expect("loopback");
        let address = listener.local_addr().expect("bound");
        let state = std::sync::Arc::new(parking_lot::Mutex::new(Received::default()));
        let (kept, stop) = (state.clone(), tokio_util::sync::CancellationToken::new());
        let app = axum::Router::new().fallback(move |headers: axum::http::HeaderMap, body: bytes::Bytes| {
            let mut state = kept.lock();
            state.requests.push((headers, body));
            let status = state.answers.pop_front().unwrap_or(200);
            let location = [("location", "/elsewhere")];
            let answer = (axum::http::StatusCode::from_u16(status).expect("a status"), location, "no thanks");
            async move { answer }
        });
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            let _ = axum::serve(listener, app).with_graceful_shutdown(stopped.cancelled_owned()).await;
        });
        Self { address, state, task, stop }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Statuses for the next requests.
    pub fn answer(&self, statuses: &[u16]) {
        self.state.lock().answers.extend(statuses);
    }

    /// Idempotency keys, in order of arrival.
    pub fn ids(&self) -> Vec<String> {
        let id = |h: &axum::http::HeaderMap| h["idempotency-key"].to_str().unwrap_or_default().to_owned();
        self.state.lock().requests.iter().map(|(h, _)| id(h)).collect()
    }

    /// All requests.
    pub fn requests(&self) -> Vec<(axum::http::HeaderMap, bytes::Bytes)> {
        self.state.lock().requests.clone()
    }

    /// Stops listening and waits until it has.
    pub async fn stop(self) {
        self.stop.cancel();
        self.task.abort();
        let _ = self.task.await;
    }
}
