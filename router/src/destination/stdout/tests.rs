#![allow(clippy::unwrap_used, reason = "tests")]
use super::*;
use crate::{
    destination::Progress,
    group::Message,
    testing::{Shared, alert},
};

fn message() -> Message {
    Message { id: alert(1).id, group: std::collections::BTreeMap::new(), alerts: vec![alert(1), alert(2)] }
}

#[tokio::test]
async fn a_line_per_alert_and_a_retry_goes_on_where_it_was() {
    let shared = Shared::default();
    let config = Config { format: Format::Text, output: Output::new(shared.clone()) };
    let mut progress = Progress { delivered: 1, refused: 0 };
    Service::new(&config).send(&message(), &mut progress).await.unwrap();
    assert_eq!(progress.delivered, 2);
    assert_eq!(shared.text(), "02:07:35.000000001: Warning cat read /etc/shadow\n");
}

#[test]
fn json_lines_are_falcos() {
    let text = lines(&message(), Format::Json, 0);
    let rules: Vec<serde_json::Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(rules.len(), 2);
    assert_eq!(rules[1]["rule"], "Read sensitive file");
}
