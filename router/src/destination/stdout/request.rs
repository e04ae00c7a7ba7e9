//! Message to lines. Pure.
use super::Format;
use crate::{format, group::Message};

/// A line for each alert of the message from number `from` on.
#[must_use]
pub fn lines(message: &Message, format: Format, from: usize) -> String {
    let mut out = String::new();
    for alert in message.alerts.iter().skip(from) {
        out.push_str(&match format {
            Format::Json => format::falco_line(alert),
            Format::Text => format::text_line(alert),
        });
        out.push('\n');
    }
    out
}
