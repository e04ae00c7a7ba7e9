//! What the agent counts, in the OpenMetrics text format.
//!
//! Nothing is counted here: the parts own their counters, and [`encode`] writes a [`Snapshot`] of them. Labels are bounded:
//! hooks are few, rules, exceptions and routes are those that are armed; no label holds text from an event.
use crate::probe::HookCounters;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, text},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};
use std::fmt;

/// The media type of [`encode`]'s text.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All counters at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Per hook, from the kernel.
    pub hooks: Vec<HookCounters>,
    /// Records that were submitted and could not be evaluated.
    pub queue_lost: u64,
    /// Records that were evaluated.
    pub evaluated: u64,
    /// Per rule.
    pub rules: Vec<RuleTotals>,
    /// Per exception (`namespace/name`): suppressed matches.
    pub exceptions: Vec<(String, u64)>,
    /// Revision of the armed ruleset; empty while none is.
    pub revision: String,
    /// How long the last reload took from the update's arrival to armed, in seconds.
    pub reload_seconds: Option<f64>,
    /// Report writes by outcome.
    pub report_writes: Vec<(&'static str, u64)>,
    /// Alerts by route (`namespace/name`) and outcome.
    pub route_alerts: Vec<(String, &'static str, u64)>,
    /// Processor time that the agent has used, seconds.
    pub cpu_seconds: f64,
    /// Gauges by name, with help text: what the agent costs.
    pub gauges: Vec<(&'static str, &'static str, f64)>,
    /// Other counters by full name without `_total`, with help text: evictions, truncations, losses of single parts.
    pub others: Vec<(&'static str, &'static str, u64)>,
}

/// Counters of a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleTotals {
    /// `namespace/name` of the DetectionRule.
    pub rule: String,
    /// Matches, folded ones counted singly.
    pub matches: u64,
    /// Events that it might have matched and that were lost.
    pub lost: u64,
}

/// The snapshot as text.
///
/// # Errors
/// Never in practice: writing to a String.
pub fn encode(snapshot: Snapshot) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Source(snapshot)));
    let mut text = String::new();
    text::encode(&mut text, &registry)?;
    Ok(text)
}

#[derive(Debug)]
struct Source(Snapshot);

impl Collector for Source {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let s = &self.0;
        let outcomes = s.hooks.iter().flat_map(|h| {
            let name = h.hook.as_str();
            [
                ("seen", h.seen),
                ("filtered", h.filtered),
                ("shed", h.shed),
                ("dropped", h.dropped),
                ("submitted", h.submitted),
            ]
            .map(|(outcome, n)| ([("hook", name), ("outcome", outcome)], n))
        });
        counters(
            &mut encoder,
            "eyas_hook_events",
            "Events per hook: seen = filtered + shed + dropped + submitted",
            outcomes,
        )?;
        let by_hook = |count: fn(&HookCounters) -> u64| {
            s.hooks.iter().map(move |h| ([("hook", h.hook.as_str())], count(h))).collect::<Vec<_>>()
        };
        let truncated = by_hook(|h| h.truncated);
        counters(&mut encoder, "eyas_hook_truncated", "Records in which something was cut off", truncated)?;
        let compat = by_hook(|h| h.compat);
        counters(&mut encoder, "eyas_hook_compat", "Of those seen: 32-bit system calls", compat)?;
        let unsure = by_hook(|h| h.unsure);
        let help = "Of those seen by a hook that keeps what the kernel used: names or addresses from the caller's memory all the same";
        counters(&mut encoder, "eyas_hook_unsure", help, unsure)?;
        let canaries = by_hook(|h| h.canaries);
        counters(&mut encoder, "eyas_hook_canaries", "Canaries that the hook has seen", canaries)?;
        let none: [(&str, &str); 0] = [];
        counters(&mut encoder, "eyas_queue_lost", "Records submitted and not evaluated", [(none, s.queue_lost)])?;
        counters(&mut encoder, "eyas_events_evaluated", "Records evaluated", [(none, s.evaluated)])?;
        let rules = || s.rules.iter();
        counters(
            &mut encoder,
            "eyas_rule_matches",
            "Matches of a rule",
            rules().map(|r| ([("rule", r.rule.as_str())], r.matches)),
        )?;
        counters(
            &mut encoder,
            "eyas_rule_lost_events",
            "Events that a rule might have matched and that were lost",
            rules().map(|r| ([("rule", r.rule.as_str())], r.lost)),
        )?;
        counters(
            &mut encoder,
            "eyas_exception_suppressed",
            "Matches that an exception suppressed",
            s.exceptions.iter().map(|(e, n)| ([("exception", e.as_str())], *n)),
        )?;
        if !s.revision.is_empty() {
            gauges(
                &mut encoder,
                "eyas_ruleset_info",
                "The armed ruleset",
                [([("revision", s.revision.as_str())], 1.0)],
            )?;
        }
        if let Some(seconds) = s.reload_seconds {
            gauges(&mut encoder, "eyas_ruleset_reload_seconds", "How long the last reload took", [(none, seconds)])?;
        }
        counters(
            &mut encoder,
            "eyas_report_writes",
            "Writes of policy reports by outcome",
            s.report_writes.iter().map(|(o, n)| ([("outcome", *o)], *n)),
        )?;
        counters(
            &mut encoder,
            "eyas_route_alerts",
            "Alerts by route and outcome",
            s.route_alerts.iter().map(|(r, o, n)| ([("route", r.as_str()), ("outcome", *o)], *n)),
        )?;
        let cpu = encoder.encode_descriptor(
            "eyas_agent_cpu_seconds",
            "Processor time of the agent",
            None,
            MetricType::Counter,
        )?;
        ConstCounter::new(s.cpu_seconds).encode(cpu)?;
        for (name, help, value) in &s.gauges {
            gauges(&mut encoder, name, help, [(none, *value)])?;
        }
        for (name, help, n) in &s.others {
            counters(&mut encoder, name, help, [(none, *n)])?;
        }
        Ok(())
    }
}

fn counters<'a, const N: usize>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = ([(&'a str, &'a str); N], u64)>,
) -> Result<(), fmt::Error> {
    let mut values = values.into_iter().peekable();
    if values.peek().is_none() {
        return Ok(());
    }
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (labels, n) in values {
        if N == 0 {
            return ConstCounter::new(n).encode(metric);
        }
        ConstCounter::new(n).encode(metric.encode_family(&labels)?)?;
    }
    Ok(())
}

fn gauges<'a, const N: usize>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = ([(&'a str, &'a str); N], f64)>,
) -> Result<(), fmt::Error> {
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (labels, n) in values {
        if N == 0 {
            return ConstGauge::new(n).encode(metric);
        }
        ConstGauge::new(n).encode(metric.encode_family(&labels)?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use engine::event::Hook;

    #[test]
    fn names_are_those_that_people_rely_on() {
        let text = encode(Snapshot {
            hooks: vec![HookCounters {
                hook: Hook::Open,
                seen: 9,
                filtered: 4,
                shed: 0,
                dropped: 2,
                submitted: 3,
                truncated: 1,
                compat: 0,
                unsure: 0,
                canaries: 1,
            }],
            queue_lost: 1,
            evaluated: 2,
            rules: vec![RuleTotals { rule: "ns/a \"b\"".into(), matches: 7, lost: 2 }],
            exceptions: vec![("ns/e".into(), 5)],
            revision: "abc".into(),
            reload_seconds: Some(0.25),
            report_writes: vec![("ok", 3)],
            route_alerts: vec![("ns/r".into(), "delivered", 4)],
            cpu_seconds: 1.5,
            gauges: vec![("eyas_shed_level", "What is left out", 3.0)],
            others: vec![("eyas_process_evictions", "Processes forgotten", 6)],
        })
        .unwrap();
        insta::assert_snapshot!(text);
    }
}
