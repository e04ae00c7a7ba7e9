//! Who sends a batch: TokenReview with our audience, and the node that the token is bound to.
//!
//! Invariants: a token for another audience, another service account or without a node claim is refused; an answer of the API
//! server is believed for [`GOOD`] (a refusal for [`BAD`]), and only hashes of tokens are kept.
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use kube::{Api, Client, api::PostParams};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// Audience that agents' tokens are made for.
pub const AUDIENCE: &str = "eyas-router";
/// Key of the node claim in a token's extra (Kubernetes 1.30 and newer put it there for pod-bound tokens).
const NODE_CLAIM: &str = "authentication.kubernetes.io/node-name";
/// How long a good answer is believed.
pub const GOOD: Duration = Duration::from_secs(60);
/// How long a bad one.
pub const BAD: Duration = Duration::from_secs(10);
/// Answers kept.
const MAX_CACHED: usize = 10_000;
/// Longer tokens are refused unread.
const MAX_TOKEN: usize = 16 << 10;

/// What a TokenReview says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Review {
    /// Valid at all.
    pub authenticated: bool,
    /// For these of the audiences asked for.
    pub audiences: Vec<String>,
    /// `system:serviceaccount:NAMESPACE:NAME`.
    pub username: String,
    /// The node claim.
    pub node: Option<String>,
}

/// Why a sender is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// 401.
    #[error("{0}")]
    Unauthenticated(&'static str),
    /// 403.
    #[error("{0}")]
    Forbidden(String),
    /// 503: nothing wrong with the sender.
    #[error("the API server cannot be asked about the token: {0}")]
    Unavailable(String),
}

/// Asks about tokens.
pub trait Verifier: Send + Sync + 'static {
    /// Reviews one token for [`AUDIENCE`].
    fn review(&self, token: &str) -> impl Future<Output = Result<Review, AuthError>> + Send;
}

/// Asks the API server.
#[derive(Clone)]
pub struct KubeVerifier(pub Client);

impl Verifier for KubeVerifier {
    async fn review(&self, token: &str) -> Result<Review, AuthError> {
        let spec = TokenReviewSpec { token: Some(token.to_owned()), audiences: Some(vec![AUDIENCE.to_owned()]) };
        let review = TokenReview { spec, ..TokenReview::default() };
        let api: Api<TokenReview> = Api::all(self.0.clone());
        let asked = tokio::time::timeout(Duration::from_secs(10), api.create(&PostParams::default(), &review)).await;
        let answer = match asked {
            Ok(answer) => answer.map_err(|e| AuthError::Unavailable(e.to_string()))?,
            Err(_) => return Err(AuthError::Unavailable("no answer within 10 s".to_owned())),
        };
        let status = answer.status.unwrap_or_default();
        let user = status.user.unwrap_or_default();
        Ok(Review {
            authenticated: status.authenticated.unwrap_or(false),
            audiences: status.audiences.unwrap_or_default(),
            username: user.username.unwrap_or_default(),
            node: user.extra.unwrap_or_default().remove(NODE_CLAIM).and_then(|v| v.into_iter().next()),
        })
    }
}

/// Decides, and remembers for a while.
#[derive(Debug)]
pub struct Authenticator<V> {
    verifier: V,
    username: String,
    cache: Mutex<HashMap<[u8; 32], Answer>>,
}

/// Until when it is believed, and the node or the refusal.
type Answer = (Instant, Result<String, AuthError>);

impl<V: Verifier> Authenticator<V> {
    /// Believes the agents' service account in `namespace` only.
    pub fn new(verifier: V, namespace: &str) -> Self {
        let username = format!("system:serviceaccount:{namespace}:eyas-agent");
        Self { verifier, username, cache: Mutex::default() }
    }

    /// The node that the holder of this `Authorization` header runs on. `now` is for the cache.
    ///
    /// # Errors
    /// [`AuthError`].
    pub async fn node(&self, header: Option<&str>, now: Instant) -> Result<String, AuthError> {
        let token = header.and_then(|h| h.strip_prefix("Bearer ")).map(str::trim).filter(|t| !t.is_empty());
        let token =
            token.ok_or(AuthError::Unauthenticated("send the service account's token as Authorization: Bearer"))?;
        if token.len() > MAX_TOKEN {
            return Err(AuthError::Unauthenticated("the token is too long"));
        }
        let key: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let cached = self.cache.lock().get(&key).filter(|(until, _)| now < *until).map(|(_, r)| r.clone());
        if let Some(result) = cached {
            return result;
        }
        let result = self.decide(self.verifier.review(token).await?);
        let mut cache = self.cache.lock();
        if cache.len() >= MAX_CACHED {
            cache.retain(|_, (until, _)| now < *until);
            if cache.len() >= MAX_CACHED {
                cache.clear();
            }
        }
        cache.insert(key, (now + if result.is_ok() { GOOD } else { BAD }, result.clone()));
        result
    }

    fn decide(&self, review: Review) -> Result<String, AuthError> {
        if !review.authenticated {
            return Err(AuthError::Unauthenticated("the token is not valid here"));
        }
        if !review.audiences.iter().any(|a| a == AUDIENCE) {
            return Err(AuthError::Unauthenticated("the token is not for the audience eyas-router"));
        }
        if review.username != self.username {
            return Err(AuthError::Forbidden(format!("{} is not {}", review.username, self.username)));
        }
        review.node.filter(|n| !n.is_empty()).ok_or_else(|| {
            AuthError::Forbidden("the token has no node claim; it must be a pod's projected token".to_owned())
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Knows tokens of the form `USERNAME AUDIENCE NODE`; counts how often it was asked.
    #[derive(Default)]
    pub struct Fake(pub AtomicUsize);

    impl Verifier for Fake {
        async fn review(&self, token: &str) -> Result<Review, AuthError> {
            self.0.fetch_add(1, Ordering::Relaxed);
            let words: Vec<&str> = token.split('/').collect();
            match words[..] {
                ["away"] => Err(AuthError::Unavailable("connection refused".to_owned())),
                [user, audience, node] => Ok(Review {
                    authenticated: true,
                    audiences: vec![audience.to_owned()],
                    username: format!("system:serviceaccount:eyas-system:{user}"),
                    node: Some(node.to_owned()),
                }),
                _ => Ok(Review::default()),
            }
        }
    }

    #[tokio::test]
    async fn only_agents_with_a_node_and_our_audience_are_believed() {
        let auth = Authenticator::new(Fake::default(), "eyas-system");
        let now = Instant::now();
        assert_eq!(auth.node(Some("Bearer eyas-agent/eyas-router/a"), now).await.unwrap(), "a");
        for (header, says) in [
            (None, "Bearer"),
            (Some("Basic eyas-agent/eyas-router/a"), "Bearer"),
            (Some("Bearer "), "Bearer"),
            (Some("Bearer nonsense"), "not valid"),
            (Some("Bearer eyas-agent/other/a"), "audience"),
            (Some("Bearer somebody/eyas-router/a"), "somebody"),
            (Some("Bearer eyas-agent/eyas-router/"), "node claim"),
            (Some("Bearer away"), "refused"),
        ] {
            let error = auth.node(header, now).await.unwrap_err().to_string();
            assert!(error.contains(says), "{header:?}: {error}");
        }
    }

    #[tokio::test]
    async fn answers_are_believed_for_a_while_but_not_an_absent_api_server() {
        let auth = Authenticator::new(Fake::default(), "eyas-system");
        let now = Instant::now();
        let asked = || auth.verifier.0.load(Ordering::Relaxed);
        for _ in 0..3 {
            auth.node(Some("Bearer eyas-agent/eyas-router/a"), now).await.unwrap();
        }
        assert_eq!(asked(), 1);
        auth.node(Some("Bearer eyas-agent/eyas-router/a"), now + GOOD).await.unwrap();
        assert_eq!(asked(), 2);
        for _ in 0..2 {
            auth.node(Some("Bearer nonsense"), now).await.unwrap_err();
            auth.node(Some("Bearer away"), now).await.unwrap_err();
        }
        assert_eq!(asked(), 5);
    }
}
