//! A rule edited while events flow: none is lost over the swap, each is judged by the old or the new rule, never by neither.
use anyhow::{Context, Result, ensure};
use e2e::{
    agent::{Agent, Options, Rules},
    gate, limit, nonce, until,
    until::Seen,
};
use serde_json::Value;
use std::{
    fs, thread,
    time::{Duration, Instant},
};

/// Opens per second.
const RATE: u32 = 10_000;
/// Edits, 300 ms apart.
const EDITS: u32 = 10;

fn count(lines: &[(Instant, String)]) -> u64 {
    let alerts = lines.iter().filter_map(|(_, l)| serde_json::from_str::<Value>(l).ok());
    alerts.map(|a| a["eyas"]["count"].as_u64().unwrap_or(1)).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_edited_at_ten_thousand_events_a_second_loses_none() -> Result<()> {
    if !gate::kernel("reload") {
        return Ok(());
    }
    let (dir, rules) = (tempfile::TempDir::new()?, Rules::new()?);
    let file = dir.path().join(nonce());
    fs::write(&file, "")?;
    let condition = format!("evt.type in (open, openat, openat2) and fd.name = {}", file.display());
    rules.rule("watched", &condition, "edit 0 (file=%fd.name)", "Warning")?;
    let mut agent = Agent::ready(&Options { rules: rules.path(), args: &["-o", "json"], state: None }).await?;

    let total = RATE * (EDITS * 3 / 10 + 2);
    let path = file.clone();
    let opener = thread::spawn(move || -> Result<()> {
        let start = Instant::now();
        for i in 0..total {
            fs::File::open(&path)?;
            if i % 100 == 99 {
                let due = Duration::from_secs(1) * (i + 1) / RATE;
                thread::sleep(due.saturating_sub(start.elapsed()));
            }
        }
        Ok(())
    });
    for edit in 1..=EDITS {
        tokio::time::sleep(Duration::from_millis(300)).await;
        // Another text, and an event type that no rule needed: its hook comes and goes with every other edit.
        let more = if edit % 2 == 0 { "" } else { " or (evt.type = connect and fd.sport = 1)" };
        rules.rule("watched", &format!("({condition}){more}"), &format!("edit {edit} (file=%fd.name)"), "Warning")?;
    }
    tokio::task::spawn_blocking(move || opener.join()).await?.map_err(|_| anyhow::anyhow!("the opener panicked"))??;

    let metrics = agent.metrics().await?;
    let lost = metrics.sum("eyas_hook_events_total", &["outcome=\"dropped\""])
        + metrics.sum("eyas_hook_events_total", &["outcome=\"shed\""])
        + metrics.sum("eyas_queue_lost_total", &[]);
    ensure!(lost == 0.0, "the machine lost {lost} events for want of speed: the swap cannot be judged");
    let all = until("every open is told", limit(5.0), async || {
        let told = count(&agent.lines("watched"));
        Ok(Seen::when(told == u64::from(total), told, format!("{told} of {total}")))
    })
    .await;
    all.with_context(|| agent.log())?;
    // The last edit's text is in use, and several of those before it were.
    let used = (0..=EDITS).filter(|e| !agent.lines(&format!("edit {e} ")).is_empty()).count();
    println!("{total} opens over {EDITS} edits, all told; {used} of the {} texts were in use", EDITS + 1);
    ensure!(used >= 3, "only {used} texts were in use");
    ensure!(!agent.lines(&format!("edit {EDITS} ")).is_empty(), "the last edit never got armed");
    ensure!(agent.interrupt().await?.success());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_edited_into_a_bad_one_keeps_the_good_rule_armed() -> Result<()> {
    if !gate::kernel("bad_edit") {
        return Ok(());
    }
    let (dir, rules) = (tempfile::TempDir::new()?, Rules::new()?);
    let file = dir.path().join(nonce());
    fs::write(&file, "")?;
    let condition = format!("evt.type in (open, openat, openat2) and fd.name = {}", file.display());
    rules.rule("watched", &condition, "open (file=%fd.name)", "Warning")?;
    let mut agent = Agent::ready(&Options { rules: rules.path(), args: &["-o", "json"], state: None }).await?;
    rules.rule("watched", &condition.replace("fd.name", "fd.nam"), "open (file=%fd.name)", "Warning")?;
    until("the error is told", limit(5.0), async || {
        let log = agent.stderr();
        Ok(Seen::when(log.contains("fd.nam") && log.contains("fd.name"), (), log))
    })
    .await?;
    fs::File::open(&file)?;
    agent.line("watched", 1.0).await?;
    ensure!(agent.interrupt().await?.success());
    Ok(())
}
