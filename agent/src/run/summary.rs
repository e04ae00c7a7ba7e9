//! What is said at the end.
use super::seams::Seams;
use std::{sync::atomic::Ordering::Relaxed, time::Duration};

/// Most rules named.
const MAX_RULES: usize = 10;

/// Prints events, matches and losses to stderr.
pub(super) fn print(seams: &Seams, ran: Duration) {
    let mut lines = Vec::new();
    let counters = seams.status.counters();
    let sum = |f: fn(&crate::probe::HookCounters) -> u64| counters.iter().map(f).sum::<u64>();
    let losses = seams.status.losses();
    let dropped = sum(|c| c.dropped + c.shed);
    lines.push(format!(
        "{} events in {}: {} filtered in the kernel, {} evaluated",
        sum(|c| c.seen),
        duration(ran),
        sum(|c| c.filtered),
        losses.evaluated.load(Relaxed)
    ));
    if seams.duty.stands_by() {
        lines.push("another agent watches with this state folder: this one stood by and told nothing".to_owned());
    }
    let totals = seams.totals.snapshot();
    let matches: u64 = totals.rules.iter().map(|r| r.matches).sum();
    let suppressed: u64 = totals.exceptions.iter().map(|e| e.suppressed).sum();
    let fired = totals.rules.iter().filter(|r| r.matches > 0).count();
    lines.push(format!("{matches} matches of {fired} rules, {suppressed} suppressed by exceptions"));
    let mut rules: Vec<_> = totals.rules.iter().filter(|r| r.matches > 0).collect();
    rules.sort_by_key(|r| std::cmp::Reverse(r.matches));
    lines.extend(rules.iter().take(MAX_RULES).map(|r| format!("  {:>8}  {}", r.matches, r.title)));
    // The ring was not read to its end in the time there was.
    let unread =
        sum(|c| c.submitted).saturating_sub(losses.evaluated.load(Relaxed) + losses.invalid_records.load(Relaxed));
    let lost = [
        (unread, "events left unread at the end"),
        (dropped, "events dropped (the ring was full)"),
        (losses.invalid_records.load(Relaxed), "records not understood"),
        (losses.alerts.load(Relaxed), "matches without an alert (queues were full)"),
        (losses.stdout.load(Relaxed), "matches not printed (nobody read stdout fast enough)"),
        (losses.metadata_missing.load(Relaxed), "alerts without pod metadata"),
    ];
    let lost: Vec<String> = lost.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    lines.push(if lost.is_empty() { "nothing lost".to_owned() } else { format!("lost: {}", lost.join(", ")) });
    let cost = seams.status.cost();
    let share = cost.cpu_used.as_secs_f64() / ran.as_secs_f64().max(0.001) * 100.0;
    let (used, mib) = (cost.cpu_used.as_secs_f64(), cost.resident >> 20);
    lines.push(format!("it took {used:.2} s of processor time ({share:.1} % of one core) and {mib} MiB of memory"));
    for line in lines {
        anstream::eprintln!("eyas-agent: {line}");
    }
}

fn duration(d: Duration) -> String {
    match d.as_secs() {
        0..60 => format!("{:.1} s", d.as_secs_f64()),
        s @ 60..3600 => format!("{} min {} s", s / 60, s % 60),
        s => format!("{} h {} min", s / 3600, s % 3600 / 60),
    }
}
