//! An OutputRoute, checked once: what the rest of the crate works with.
//!
//! ```text
//! OutputRoute + secrets --build--> Route { matcher, grouping, destination }
//! ```
//! A spec that is not sound is an error. A spec that is sound, but whose Secret cannot be read, is a route all the same: it
//! takes its alerts and keeps them on disk until the Secret is there.
use crate::{
    destination::{self, Secret, stdout, webhook},
    group::{BadKey, Grouping},
    matching::Matcher,
    network::Reach,
};
use crds::{
    OutputRoute, SecretKeyRef, duration,
    route::{Stdout, Webhook},
};
use engine::{diagnostic::Diagnostic, source::ObjectRef};
use ipnet::IpNet;
use std::time::Duration;

/// `grouping.wait` where none is given.
const WAIT: Duration = Duration::from_secs(30);
/// `grouping.repeatAfter` where none is given.
const REPEAT_AFTER: Duration = Duration::from_secs(300);
/// `webhook.timeout` where none is given, and the most that is taken.
const TIMEOUT: Duration = Duration::from_secs(10);
const MAX_TIMEOUT: Duration = Duration::from_secs(120);

/// What is the same for all routes.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Routes in it see the whole cluster and reach every address. `None`: all do (standalone).
    pub system_namespace: Option<String>,
    /// Ranges that tenants' routes may reach beside public addresses.
    pub tenant_allow: Vec<IpNet>,
    /// Where stdout routes write.
    pub stdout: stdout::Output,
}

/// A route that alerts can be given to.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// The object.
    pub id: ObjectRef,
    /// Which alerts.
    pub matcher: Matcher,
    /// How they are put together.
    pub grouping: Option<Grouping>,
    /// Where they go.
    pub destination: destination::Config,
}

/// A spec that no route can be made of.
#[derive(Debug, thiserror::Error)]
pub enum RouteError {
    /// Problems in the spec, the first of them.
    #[error("{}: {}", .0.part, .0.message)]
    Spec(Box<Diagnostic>),
    /// A word in `grouping.by`.
    #[error("grouping.by: {0}")]
    Grouping(#[from] BadKey),
    /// A duration.
    #[error("{part}: {source}")]
    Duration {
        /// Where.
        part: &'static str,
        /// What.
        source: duration::BadDuration,
    },
    /// The webhook's settings.
    #[error("webhook: {0}")]
    Webhook(#[from] webhook::ConfigError),
}

/// Reads a key of a Secret in the route's namespace; the error says what is missing, for people.
pub type Secrets<'a> = &'a dyn Fn(&SecretKeyRef) -> Result<Vec<u8>, String>;

/// The Secrets that a route refers to.
#[must_use]
pub fn secret_refs(object: &OutputRoute) -> Vec<&SecretKeyRef> {
    let hook = object.spec.webhook.iter();
    hook.flat_map(|w| w.url_from.iter().map(|u| &u.secret_key_ref).chain(w.hmac.iter().map(|h| &h.secret_key_ref)))
        .collect()
}

impl Route {
    /// Checks an object.
    ///
    /// # Errors
    /// The first thing wrong with its spec.
    pub fn build(object: &OutputRoute, settings: &Settings, secrets: Secrets<'_>) -> Result<Self, RouteError> {
        let namespace = object.metadata.namespace.clone().unwrap_or_default();
        let system = settings.system_namespace.as_ref().unwrap_or(&namespace);
        let source = crds::source::route(object, system);
        if let Some(problem) = source.meta.problems.into_iter().next() {
            return Err(RouteError::Spec(Box::new(problem)));
        }
        let tenant = (*system != namespace).then(|| namespace.clone());
        let reach = match tenant {
            Some(_) => Reach::Public { also: settings.tenant_allow.clone() },
            None => Reach::Any,
        };
        let grouping = object.spec.grouping.as_ref().map(|g| {
            let by = g.by.iter().map(|word| word.parse()).collect::<Result<_, BadKey>>()?;
            let wait = millis("grouping.wait", g.wait.as_deref(), WAIT)?;
            Ok::<_, RouteError>(Grouping {
                by,
                wait,
                repeat_after: millis("grouping.repeatAfter", g.repeat_after.as_deref(), REPEAT_AFTER)?,
            })
        });
        let destination = match (&object.spec.webhook, &object.spec.stdout) {
            (Some(hook), _) => webhook_config(hook, reach, secrets)?,
            (None, Some(out)) => destination::Config::Stdout(stdout_config(out, settings)),
            (None, None) => destination::Config::Unavailable("the route has no destination".to_owned()),
        };
        Ok(Self {
            id: source.meta.id,
            matcher: Matcher {
                tenant,
                min_priority: source.min_priority,
                rules: source.rules.names,
                tags: source.rules.tags,
                namespaces: source.namespaces,
            },
            grouping: grouping.transpose()?,
            destination,
        })
    }
}

fn stdout_config(spec: &Stdout, settings: &Settings) -> stdout::Config {
    let format = match spec.format.as_deref() {
        Some("text") => stdout::Format::Text,
        _ => stdout::Format::Json,
    };
    stdout::Config { format, output: settings.stdout.clone() }
}

fn webhook_config(spec: &Webhook, reach: Reach, secrets: Secrets<'_>) -> Result<destination::Config, RouteError> {
    let unavailable = |why: String| Ok(destination::Config::Unavailable(why));
    let url = match (&spec.url, &spec.url_from) {
        (Some(url), _) => webhook::check_url(url)?,
        (None, Some(from)) => match secrets(&from.secret_key_ref) {
            Ok(bytes) => match webhook::check_url(&String::from_utf8_lossy(&bytes)) {
                Ok(url) => url,
                Err(error) => return unavailable(format!("Secret {}: {error}", from.secret_key_ref.name)),
            },
            Err(why) => return unavailable(why),
        },
        (None, None) => return unavailable("the webhook has no URL".to_owned()),
    };
    let signing = match &spec.hmac {
        None => None,
        Some(hmac) => match secrets(&hmac.secret_key_ref) {
            Ok(key) if key.is_empty() => {
                return unavailable(format!(
                    "key {} of Secret {} is empty",
                    hmac.secret_key_ref.key, hmac.secret_key_ref.name
                ));
            }
            Ok(key) => {
                let name = hmac.header.as_deref().unwrap_or(webhook::SIGNATURE);
                let header = name.parse().map_err(|_| webhook::ConfigError::Header(name.to_owned()))?;
                Some(webhook::Signing { key: Secret(key), header })
            }
            Err(why) => return unavailable(why),
        },
    };
    let timeout = millis("webhook.timeout", spec.timeout.as_deref(), TIMEOUT)?;
    Ok(destination::Config::Webhook(Box::new(webhook::Config {
        url,
        format: match spec.format.as_deref() {
            Some("falco") => webhook::Format::Falco,
            _ => webhook::Format::Eyas,
        },
        signing,
        headers: webhook::check_headers(&spec.headers)?,
        timeout: Duration::from_millis(timeout.max(100)).min(MAX_TIMEOUT),
        ca_bundle: spec.ca_bundle.clone(),
        reach,
    })))
}

fn millis(part: &'static str, text: Option<&str>, default: Duration) -> Result<u64, RouteError> {
    let duration = text.map_or(Ok(default), duration::parse).map_err(|source| RouteError::Duration { part, source })?;
    Ok(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::*;
    use serde_json::{Value, json};

    fn object(namespace: &str, spec: &Value) -> OutputRoute {
        serde_json::from_value(json!({
            "apiVersion": "eyas.dev/v1alpha1", "kind": "OutputRoute",
            "metadata": {"name": "r", "namespace": namespace}, "spec": spec,
        }))
        .unwrap()
    }

    fn build(namespace: &str, spec: &Value) -> Result<Route, RouteError> {
        let settings = Settings {
            system_namespace: Some("eyas-system".to_owned()),
            tenant_allow: vec![],
            stdout: stdout::Output::default(),
        };
        Route::build(&object(namespace, spec), &settings, &|r| match r.key.as_str() {
            "key" => Ok(b"hush".to_vec()),
            "url" => Ok(b"https://example.org/hook?token=hush\n".to_vec()),
            _ => Err(format!("Secret {} is not there", r.name)),
        })
    }

    #[test]
    fn a_whole_spec() {
        let route = build(
            "eyas-system",
            &json!({
                "match": {"minPriority": "warning", "rules": ["a"], "tags": ["t"], "namespaces": ["n"]},
                "grouping": {"by": ["rule", "proc.name"], "wait": "1s"},
                "webhook": {"urlFrom": {"secretKeyRef": {"name": "s", "key": "url"}}, "format": "falco", "timeout": "1h",
                    "headers": {"Authorization": "Bearer hush"}, "hmac": {"secretKeyRef": {"name": "s", "key": "key"}}},
            }),
        )
        .unwrap();
        assert_eq!(route.grouping.as_ref().map(|g| (g.wait, g.repeat_after)), Some((1000, 300_000)));
        let destination::Config::Webhook(hook) = &route.destination else { panic!("{route:?}") };
        assert_eq!((hook.timeout, &hook.reach), (MAX_TIMEOUT, &Reach::Any));
        // Nothing secret can come into a log.
        assert!(!format!("{route:?}").contains("hush"));
    }

    #[test]
    fn a_tenants_route_is_fenced() {
        let route = build("shop", &json!({"webhook": {"url": "http://10.0.0.1/"}})).unwrap();
        assert_eq!(route.matcher.tenant.as_deref(), Some("shop"));
        let destination::Config::Webhook(hook) = &route.destination else { panic!("{route:?}") };
        assert_eq!(hook.reach, Reach::Public { also: vec![] });
    }

    #[test]
    fn what_is_missing_waits_and_what_is_wrong_is_refused() {
        let missing = json!({"webhook": {"url": "http://a/", "hmac": {"secretKeyRef": {"name": "s", "key": "none"}}}});
        let route = build("eyas-system", &missing).unwrap();
        assert_eq!(route.destination, destination::Config::Unavailable("Secret s is not there".to_owned()));
        for (bad, says) in [
            (json!({}), "destination"),
            (json!({"stdout": {}, "grouping": {"by": ["ruel"]}}), "ruel"),
            (json!({"stdout": {}, "grouping": {"by": ["rule"], "wait": "5"}}), "grouping.wait"),
            (json!({"webhook": {"url": "ftp://a/"}}), "URL"),
            (json!({"webhook": {"url": "http://a/", "headers": {"Host": "b"}}}), "Host"),
            (json!({"webhook": {"url": "http://a/", "headers": {"a b": "c"}}}), "a b"),
        ] {
            let error = build("eyas-system", &bad).unwrap_err().to_string();
            assert!(error.contains(says), "{bad}: {error}");
        }
    }
}
