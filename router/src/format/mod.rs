//! What an alert looks like to its receiver.
//!
//! Two shapes: `falco` is the JSON that everything made for Falco reads (Falcosidekick, its UI, Talon) with our own facts
//! added under the key `eyas`; `eyas` is the alert as it is, under a versioned envelope. The agent's `-o json` prints
//! [`falco_line`], so that a receiver sees the same object whether it reads stdout or a webhook.
//!
//! Pure: no clock, no I/O. Invariant: the same alert always gives the same bytes.
use crate::alert::Alert;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

#[cfg(test)]
mod tests;

/// Our own facts in a Falco-shaped object.
#[derive(Serialize)]
struct EyasFacts<'a> {
    policy: String,
    revision: &'a str,
    fingerprint: &'a str,
    count: u64,
    last_time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    container: Option<&'a crate::alert::Container>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pod: Option<&'a crate::alert::Pod>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    metadata_missing: bool,
}

/// The Falco shape. Borrows everything: one alert is serialised without a copy of its fields.
#[derive(Serialize)]
pub struct Falco<'a> {
    uuid: uuid::Uuid,
    hostname: &'a str,
    time: String,
    rule: &'a str,
    priority: &'static str,
    source: &'a str,
    output: String,
    message: &'a str,
    output_fields: &'a Map<String, Value>,
    tags: &'a [String],
    eyas: EyasFacts<'a>,
}

/// The alert in Falco's shape (`serde_json::to_string` it, or take [`falco_line`]).
#[must_use]
pub fn falco(alert: &Alert) -> Falco<'_> {
    Falco {
        uuid: alert.id,
        hostname: &alert.node,
        time: rfc3339_nanos(alert.time),
        rule: &alert.rule,
        priority: alert.priority.as_str(),
        source: &alert.source,
        output: format!("{}: {} {}", clock_nanos(alert.time), alert.priority, alert.output),
        message: &alert.output,
        output_fields: &alert.output_fields,
        tags: &alert.tags,
        eyas: EyasFacts {
            policy: alert.policy.to_string(),
            revision: &alert.revision,
            fingerprint: &alert.fingerprint,
            count: alert.count,
            last_time: rfc3339_nanos(alert.last_time),
            container: alert.container.as_ref(),
            pod: alert.pod.as_ref(),
            metadata_missing: alert.metadata_missing,
        },
    }
}

/// One line of JSON in Falco's shape, without a newline at the end.
#[must_use]
pub fn falco_line(alert: &Alert) -> String {
    // Keys are strings and values are plain: serialising cannot fail. An empty object is still a line of JSON.
    serde_json::to_string(&falco(alert)).unwrap_or_else(|_| "{}".to_owned())
}

/// One readable line: time, priority, text, and how many it stands for when more than one.
///
/// Control characters are escaped: a process chooses its name and arguments, so it must not choose what a terminal does
/// or begin a line that looks like another alert.
#[must_use]
pub fn text_line(alert: &Alert) -> String {
    let mut line = format!("{}: {} ", clock_nanos(alert.time), alert.priority);
    for c in alert.output.chars() {
        if c.is_control() { line.extend(c.escape_default()) } else { line.push(c) }
    }
    if alert.count > 1 {
        line.push_str(&format!(" ({} times)", alert.count));
    }
    line
}

/// Nanoseconds since 1970 as RFC 3339 in UTC with nine digits: `2026-11-24T02:07:33.000000001Z`.
#[must_use]
pub fn rfc3339_nanos(nanos: i64) -> String {
    format!("{:.9}", timestamp(nanos))
}

/// Time of day in UTC with nine digits, as Falco begins its `output`: `02:07:33.000000001`.
#[must_use]
pub fn clock_nanos(nanos: i64) -> String {
    let text = rfc3339_nanos(nanos);
    // "YYYY-MM-DDTHH:MM:SS.nnnnnnnnnZ"; every i64 of nanoseconds lies in the years 1677 to 2262.
    text.get(11..29).unwrap_or(&text).to_owned()
}

fn timestamp(nanos: i64) -> Timestamp {
    Timestamp::from_nanosecond(i128::from(nanos)).unwrap_or(Timestamp::UNIX_EPOCH)
}
