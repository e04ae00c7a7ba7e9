#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use super::*;
use crate::{
    destination::{Progress, Secret, Verdict},
    group::Message,
    network::Reach,
    testing::{Receiver, alert},
};
use std::{collections::BTreeMap, time::Duration};

const KEY: &[u8] = b"key";

fn config(url: &str, format: Format) -> Config {
    Config {
        url: check_url(url).unwrap(),
        format,
        signing: Some(Signing { key: Secret(KEY.to_vec()), header: SIGNATURE.parse().unwrap() }),
        headers: check_headers(&BTreeMap::from([("X-Team".to_owned(), "blue".to_owned())])).unwrap(),
        timeout: Duration::from_secs(5),
        ca_bundle: None,
        reach: Reach::Any,
    }
}

fn message() -> Message {
    let group = BTreeMap::from([("rule".to_owned(), "r".to_owned())]);
    Message { id: uuid::Uuid::from_u128(77), group, alerts: vec![alert(1), alert(2)] }
}

#[test]
fn hmac_is_that_of_rfc_4231() {
    // Test case 2.
    let expected = "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    assert_eq!(sign(b"Jefe", &[b"what do ya want ", b"for nothing?"]), expected);
}

#[test]
fn what_a_receiver_of_ours_gets() {
    let r = request(&config("http://a/", Format::Eyas), "eyas-system/r", &message(), 0, 1_700_000_000).unwrap();
    let body: serde_json::Value = serde_json::from_slice(&r.body).unwrap();
    insta::assert_snapshot!(serde_json::to_string_pretty(&body).unwrap());
    assert_eq!(r.alerts, 2);
    assert_eq!(r.headers["idempotency-key"], uuid::Uuid::from_u128(77).to_string());
    assert_eq!(r.headers["x-eyas-signature"], sign(KEY, &[&r.body]));
    let signed = [b"1700000000.".as_slice(), &r.body].concat();
    assert_eq!(r.headers["x-eyas-timestamp-signature"], sign(KEY, &[&signed]));
    assert_eq!(
        (&r.headers["x-team"], &r.headers["content-type"]),
        (&"blue".parse().unwrap(), &"application/json".parse().unwrap())
    );
}

#[test]
fn falco_gets_an_alert_per_request_under_the_alerts_id() {
    let config = config("http://a/", Format::Falco);
    let second = request(&config, "r", &message(), 1, 0).unwrap();
    assert_eq!(second.body, crate::format::falco_line(&alert(2)).into_bytes());
    assert_eq!(second.headers["idempotency-key"], alert(2).id.to_string());
    assert_eq!(request(&config, "r", &message(), 2, 0), None);
}

#[test]
fn answers_mean_taken_again_or_never() {
    assert_eq!(classify(204, None), None);
    for again in [301, 401, 403, 404, 408, 429, 500, 503, 599] {
        assert_eq!(classify(again, None), Some(Verdict::Retry(Duration::ZERO)), "{again}");
    }
    assert_eq!(classify(503, Some("7")), Some(Verdict::Retry(Duration::from_secs(7))));
    assert_eq!(classify(429, Some("99999999")), Some(Verdict::Retry(Duration::from_secs(300))));
    assert_eq!(classify(429, Some("soon")), Some(Verdict::Retry(Duration::ZERO)));
    for never in [400, 410, 413, 422] {
        assert_eq!(classify(never, None), Some(Verdict::Refused), "{never}");
    }
}

#[test]
fn urls_and_errors_keep_their_secrets() {
    let error = check_url("hush:hush").unwrap_err().to_string();
    assert!(error.contains("https://host/path"));
    let debug = format!("{:?}", config("https://example.org/hush", Format::Eyas));
    assert!(!debug.contains("hush") && debug.contains("example.org"), "{debug}");
}

#[tokio::test]
async fn a_refused_alert_does_not_take_the_rest_with_it() {
    let receiver = Receiver::start().await;
    receiver.answer(&[200, 422]);
    let mut service = Service::new(&config(&receiver.url(), Format::Falco), "r").unwrap();
    let message = Message { alerts: vec![alert(1), alert(2), alert(3)], ..message() };
    let mut progress = Progress::default();
    let failure = service.send(&message, &mut progress, 0).await.unwrap_err();
    assert_eq!((failure.verdict, progress), (Verdict::Refused, Progress { delivered: 1, refused: 1 }));
    assert!(failure.message.contains("422: no thanks"), "{failure}");
    service.send(&message, &mut progress, 0).await.unwrap();
    assert_eq!(progress, Progress { delivered: 2, refused: 1 });
    assert_eq!(receiver.ids(), [1, 2, 3].map(|n| alert(n).id.to_string()));
}

#[tokio::test]
async fn redirects_are_not_followed_and_nobody_there_is_said() {
    let receiver = Receiver::start().await;
    receiver.answer(&[307]);
    let mut service = Service::new(&config(&receiver.url(), Format::Eyas), "r").unwrap();
    let failure = service.send(&message(), &mut Progress::default(), 0).await.unwrap_err();
    assert!(failure.message.contains("307"), "{failure}");
    assert_eq!(receiver.ids().len(), 1);
    let url = receiver.url();
    receiver.stop().await;
    let mut service = Service::new(&config(&format!("{url}/hush"), Format::Eyas), "r").unwrap();
    let failure = service.send(&message(), &mut Progress::default(), 0).await.unwrap_err();
    assert_eq!(failure.verdict, Verdict::Retry(Duration::ZERO));
    assert!(failure.message.contains("refused") && !failure.message.contains("hush"), "{failure}");
}

#[tokio::test]
async fn a_tenant_reaches_this_machine_neither_by_address_nor_by_name() {
    let receiver = Receiver::start().await;
    let port = receiver.port();
    for url in [
        format!("http://127.0.0.1:{port}/"),
        format!("http://localhost:{port}/"),
        format!("http://[::1]:{port}/"),
        format!("http://2130706433:{port}/"),
    ] {
        let tenant = Config { reach: Reach::Public { also: vec![] }, ..config(&url, Format::Eyas) };
        let failure =
            Service::new(&tenant, "r").unwrap().send(&message(), &mut Progress::default(), 0).await.unwrap_err();
        assert!(failure.message.contains("may not reach"), "{url}: {failure}");
    }
    assert_eq!(receiver.ids().len(), 0);
    let opened = Config {
        reach: Reach::Public { also: vec!["127.0.0.0/8".parse().unwrap()] },
        ..config(&format!("http://localhost:{port}/"), Format::Eyas)
    };
    Service::new(&opened, "r").unwrap().send(&message(), &mut Progress::default(), 0).await.unwrap();
    assert_eq!(receiver.ids().len(), 1);
}

#[test]
fn a_ca_bundle_without_certificate_is_told() {
    let bad = Config { ca_bundle: Some("nonsense".to_owned()), ..config("https://a/", Format::Eyas) };
    assert!(Service::new(&bad, "r").unwrap_err().to_string().contains("caBundle"));
}

#[tokio::test]
async fn https_is_trusted_by_the_bundle_and_not_without() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let signed = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (pem, key) = (signed.cert.pem(), signed.signing_key.serialize_pem());
    let tls =
        axum_server::tls_rustls::RustlsConfig::from_pem(pem.clone().into_bytes(), key.into_bytes()).await.unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
    listener.set_nonblocking(true).unwrap();
    let app = axum::Router::new().fallback(|| async { "taken" });
    tokio::spawn(axum_server::from_tcp_rustls(listener, tls).unwrap().serve(app.into_make_service()));
    let trusting = Config { ca_bundle: Some(pem), ..config(&url, Format::Eyas) };
    Service::new(&trusting, "r").unwrap().send(&message(), &mut Progress::default(), 0).await.unwrap();
    let other = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    for ca_bundle in [Some(other.cert.pem()), None] {
        let strict = Config { ca_bundle, ..config(&url, Format::Eyas) };
        let failure =
            Service::new(&strict, "r").unwrap().send(&message(), &mut Progress::default(), 0).await.unwrap_err();
        assert!(failure.message.contains("certificate"), "{failure}");
    }
}
