//! The router's certificate: made here, kept in a Secret, its authority published in a ConfigMap.
//!
//! ```text
//! Secret eyas-router-tls (ca.crt, tls.crt, tls.key; annotation eyas.dev/not-after) -> server
//!                 `-> ConfigMap eyas-router-ca (ca.crt) -> agents
//! ```
//! The authority signs one certificate and its key is thrown away: nothing that could sign another is kept. Before the
//! certificate ends both are made anew; the ConfigMap then holds the old authority too, so that agents that have not heard of
//! the new one yet recognise whichever certificate they meet.
use axum_server::tls_rustls::RustlsConfig;
use k8s_openapi::{
    ByteString,
    api::core::v1::{ConfigMap, Secret},
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use serde_json::json;
use std::collections::BTreeMap;

/// The Secret.
pub const SECRET: &str = "eyas-router-tls";
/// The ConfigMap.
pub const CONFIG_MAP: &str = "eyas-router-ca";
const NOT_AFTER: &str = "eyas.dev/not-after";
/// How long a certificate is good for, in days, and how long before its end it is made anew.
const DAYS: i64 = 365;
const RENEW_DAYS: i64 = 30;
/// Clocks of nodes may be behind by this much, in days.
const SKEW_DAYS: i64 = 1;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The API server refused.
    #[error("cannot {action}: {source}")]
    Api {
        /// What was tried.
        action: &'static str,
        /// Why not.
        #[source]
        source: Box<kube::Error>,
    },
    /// A certificate could not be made.
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
    /// The certificate cannot be served.
    #[error("cannot use the certificate in Secret {SECRET}: {0}; delete that Secret and a new one is made")]
    Use(#[source] std::io::Error),
}

/// A certificate, its key and its authority, all PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// The authorities that agents are told of; the first signed `certificate`.
    pub authorities: String,
    /// The server's certificate.
    pub certificate: String,
    /// Its key.
    pub key: String,
    /// Its end, seconds since 1970.
    pub not_after: i64,
}

impl Identity {
    /// A new authority and a certificate for the router's names in `namespace`.
    ///
    /// # Errors
    /// When the cryptography library refuses.
    pub fn make(namespace: &str, now: jiff::Timestamp) -> Result<Self, TlsError> {
        let day = |days: i64| {
            let date = now.to_zoned(jiff::tz::TimeZone::UTC).date();
            let date = date.checked_add(jiff::Span::new().days(days)).unwrap_or(date);
            let part = |n: i8| u8::try_from(n).unwrap_or(1);
            (rcgen::date_time_ymd(date.year().into(), part(date.month()), part(date.day())), date)
        };
        let ((begin, _), (end, end_date)) = (day(-SKEW_DAYS), day(DAYS));
        let mut ca = CertificateParams::new(Vec::new())?;
        ca.distinguished_name.push(DnType::CommonName, "Eyas router CA");
        ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        (ca.not_before, ca.not_after) = (begin, end);
        let ca_key = KeyPair::generate()?;
        let authority = ca.self_signed(&ca_key)?;

        let short = "eyas-router";
        let names =
            ["", &format!(".{namespace}"), &format!(".{namespace}.svc"), &format!(".{namespace}.svc.cluster.local")];
        let mut server = CertificateParams::new(names.map(|n| format!("{short}{n}")).to_vec())?;
        server.distinguished_name.push(DnType::CommonName, short);
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        server.use_authority_key_identifier_extension = true;
        (server.not_before, server.not_after) = (begin, end);
        let key = KeyPair::generate()?;
        let certificate = server.signed_by(&key, &Issuer::from_params(&ca, &ca_key))?;
        let not_after = end_date.to_zoned(jiff::tz::TimeZone::UTC).map_or(0, |z| z.timestamp().as_second());
        Ok(Self { authorities: authority.pem(), certificate: certificate.pem(), key: key.serialize_pem(), not_after })
    }

    /// What a Secret holds, if it is whole.
    #[must_use]
    pub fn read(secret: &Secret) -> Option<Self> {
        let text = |key| {
            let bytes: &ByteString = secret.data.as_ref()?.get(key)?;
            String::from_utf8(bytes.0.clone()).ok().filter(|t| !t.is_empty())
        };
        let not_after: jiff::Timestamp = secret.metadata.annotations.as_ref()?.get(NOT_AFTER)?.parse().ok()?;
        Some(Self {
            authorities: text("ca.crt")?,
            certificate: text("tls.crt")?,
            key: text("tls.key")?,
            not_after: not_after.as_second(),
        })
    }

    /// Whether it is time for a new one.
    #[must_use]
    pub fn is_ending(&self, now: jiff::Timestamp) -> bool {
        self.not_after - now.as_second() < RENEW_DAYS * 86_400
    }
}

/// Takes the identity from the Secret or makes and stores one, and publishes its authority.
///
/// # Errors
/// When the API server refuses.
pub async fn ensure(client: &Client, namespace: &str) -> Result<Identity, TlsError> {
    let now = jiff::Timestamp::now();
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let api = |action| move |source| TlsError::Api { action, source: Box::new(source) };
    let stored = secrets.get_opt(SECRET).await.map_err(api("read Secret eyas-router-tls"))?;
    let stored = stored.as_ref().and_then(Identity::read);
    let identity = match stored {
        Some(identity) if !identity.is_ending(now) => identity,
        old => {
            let mut new = Identity::make(namespace, now)?;
            if let Some(old) = old {
                let first = old.authorities.split_inclusive("-----END CERTIFICATE-----").next().unwrap_or_default();
                new.authorities = format!("{}{}\n", new.authorities, first.trim_start());
            }
            let end = jiff::Timestamp::from_second(new.not_after).unwrap_or(now).to_string();
            let data: BTreeMap<&str, ByteString> =
                [("ca.crt", &new.authorities), ("tls.crt", &new.certificate), ("tls.key", &new.key)]
                    .map(|(name, text)| (name, ByteString(text.clone().into_bytes())))
                    .into();
            let secret = json!({
                "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
                "metadata": {"name": SECRET, "annotations": {NOT_AFTER: end}, "labels": labels()},
                "data": data,
            });
            secrets
                .patch(SECRET, &params(), &Patch::Apply(secret))
                .await
                .map_err(api("write Secret eyas-router-tls"))?;
            tracing::info!(secret = SECRET, not_after = end, "made a certificate");
            new
        }
    };
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let map = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": CONFIG_MAP, "labels": labels()},
        "data": {"ca.crt": identity.authorities},
    });
    maps.patch(CONFIG_MAP, &params(), &Patch::Apply(map)).await.map_err(api("write ConfigMap eyas-router-ca"))?;
    Ok(identity)
}

/// What the server serves by.
///
/// # Errors
/// When the certificate or key is not one.
pub async fn config(identity: &Identity) -> Result<RustlsConfig, TlsError> {
    let (certificate, key) = (identity.certificate.clone().into_bytes(), identity.key.clone().into_bytes());
    RustlsConfig::from_pem(certificate, key).await.map_err(TlsError::Use)
}

fn labels() -> serde_json::Value {
    json!({"app.kubernetes.io/name": "eyas-router", "app.kubernetes.io/part-of": "eyas"})
}

fn params() -> PatchParams {
    PatchParams::apply(crds::ROUTER_MANAGER).force()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[tokio::test]
    async fn a_new_identity_serves_is_stored_whole_and_ends_in_a_year() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let now: jiff::Timestamp = "2026-11-24T02:00:00Z".parse().unwrap();
        let identity = Identity::make("eyas-system", now).unwrap();
        config(&identity).await.unwrap();
        assert!(!identity.is_ending(now));
        assert!(identity.is_ending("2027-10-30T00:00:00Z".parse().unwrap()));
        let end = jiff::Timestamp::from_second(identity.not_after).unwrap();
        let data = [("ca.crt", &identity.authorities), ("tls.crt", &identity.certificate), ("tls.key", &identity.key)];
        let mut secret = Secret {
            data: Some(data.map(|(k, v)| (k.to_owned(), ByteString(v.clone().into_bytes()))).into()),
            ..Secret::default()
        };
        secret.metadata.annotations = Some([(NOT_AFTER.to_owned(), end.to_string())].into());
        assert!(Identity::read(&secret) == Some(identity));
        secret.data.as_mut().unwrap().remove("tls.key");
        assert!(Identity::read(&secret).is_none());
        assert!(Identity::read(&Secret::default()).is_none());
    }
}
