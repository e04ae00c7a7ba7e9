//! The other end of a webhook: an HTTP server of the test's, on an address that pods reach, which can be down and come back.
use anyhow::{Context, Result};
use axum::{Router, body::Bytes, extract::State, http::HeaderMap, routing::post};
use serde_json::Value;
use std::{
    net::{SocketAddr, UdpSocket},
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};
use tokio::{net::TcpSocket, runtime::Runtime};

/// One request that arrived.
#[derive(Clone, Debug)]
pub struct Request {
    /// When.
    pub at: Instant,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Request {
    /// The body as JSON.
    ///
    /// # Errors
    /// It is none.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body).with_context(|| String::from_utf8_lossy(&self.body).into_owned())
    }
}

type Requests = Arc<Mutex<Vec<Request>>>;

/// A receiver. It keeps its address while it is down.
///
/// It has a runtime of its own: ending that ends open connections too, as the end of a process would.
pub struct Receiver {
    address: SocketAddr,
    requests: Requests,
    server: Option<Runtime>,
}

impl Receiver {
    /// Up, on this machine's address towards the given one (of a node, so that pods reach it).
    ///
    /// # Errors
    /// No address can be bound.
    pub fn up_towards(peer: &str) -> Result<Self> {
        let probe = UdpSocket::bind("0.0.0.0:0")?;
        probe.connect((peer, 9))?;
        let address = SocketAddr::new(probe.local_addr()?.ip(), 0);
        let mut receiver = Self { address, requests: Requests::default(), server: None };
        receiver.up()?;
        Ok(receiver)
    }

    /// Accepts connections (again).
    ///
    /// # Errors
    /// The port is taken.
    pub fn up(&mut self) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let guard = runtime.enter();
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(self.address)?;
        let listener = socket.listen(128)?;
        self.address = listener.local_addr()?;
        let app = Router::new().fallback(post(take)).with_state(self.requests.clone());
        runtime.spawn(async move {
            let _ = axum::serve(listener, app).await;
        });
        drop(guard);
        self.server = Some(runtime);
        Ok(())
    }

    /// Refuses connections, and breaks those that stand.
    pub fn down(&mut self) {
        if let Some(server) = self.server.take() {
            server.shutdown_background();
        }
    }

    /// Where to post to.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// What arrived so far.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.down();
    }
}

async fn take(State(requests): State<Requests>, headers: HeaderMap, body: Bytes) -> &'static str {
    let request = Request { at: Instant::now(), headers, body };
    requests.lock().unwrap_or_else(PoisonError::into_inner).push(request);
    "ok"
}
