//! The agent on its own: `make run`, JSON, readiness, metrics; what a bad state file does; that losses add up.
use anyhow::{Context, Result, ensure};
use e2e::{
    agent::{Agent, Metrics, Options, Rules},
    gate, limit, nonce, until,
    until::Seen,
};
use serde_json::Value;
use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

fn default_rules() -> std::path::PathBuf {
    gate::root().join("manifests/rules")
}

/// Reads a file with `cat` under another name, so that only this test's reading is looked for: a command line of its own.
fn read_as(nonce: &str, file: &str) -> Result<Instant> {
    let status =
        Command::new("sh").args(["-c", "cat \"$1\" > /dev/null; exit 0", nonce, file]).stdin(Stdio::null()).status()?;
    ensure!(status.success(), "sh");
    Ok(Instant::now())
}

#[tokio::test(flavor = "multi_thread")]
async fn make_run_tells_of_a_read_of_the_shadow_file_and_ends_with_a_summary() -> Result<()> {
    if !gate::kernel("make_run") {
        return Ok(());
    }
    let state = tempfile::TempDir::new()?;
    let listen = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    let log = tempfile::NamedTempFile::new()?;
    let mut run = Command::new("scripts/run.sh")
        .args(["--listen", &listen])
        .env("STATE", state.path())
        .current_dir(gate::root())
        .stdin(Stdio::null())
        .stdout(log.reopen()?)
        .stderr(log.reopen()?)
        .spawn()?;
    let text = || fs::read_to_string(log.path()).unwrap_or_default();
    let ready = until("make run is ready", Duration::from_secs(900), async || {
        ensure!(run.try_wait()?.is_none(), "it ended");
        let answer = reqwest::get(format!("http://{listen}/readyz")).await?;
        Ok(Seen::when(answer.status() == 200, (), answer.status()))
    })
    .await;
    ready.with_context(text)?;
    let read = read_as(&nonce(), "/etc/shadow")?;
    let seen = until("the detection", limit(1.0), async || {
        let text = text();
        // Not the line of run.sh that says what to try.
        let line =
            text.lines().find(|l| l.contains("file=/etc/shadow") && l.contains("process=cat")).map(str::to_owned);
        Ok(line.map_or_else(|| Seen::No(text), Seen::Yes))
    })
    .await;
    println!("seen {:?} after the read: {}", read.elapsed(), seen.as_ref().map_or("", |(l, _)| l));
    // run.sh has become the agent: Ctrl-C goes to it.
    let pid = rustix::process::Pid::from_raw(i32::try_from(run.id())?).context("a pid")?;
    rustix::process::kill_process(pid, rustix::process::Signal::INT)?;
    let (line, _) = seen?;
    ensure!(line.contains("Warning") && line.contains("Sensitive file read"), "not readable: {line}");
    let status = run.wait()?;
    let text = text();
    ensure!(status.success(), "Ctrl-C must end clean, not with {status}:\n{text}");
    let summary = text.lines().rev().take(30).collect::<Vec<_>>().join("\n").to_lowercase();
    for word in ["events", "matches", "lost"] {
        ensure!(summary.contains(word), "the summary does not tell of {word}:\n{text}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn json_has_falcos_shape_and_metrics_have_the_names_people_rely_on() -> Result<()> {
    if !gate::kernel("json") {
        return Ok(());
    }
    let mut agent = Agent::ready(&Options { rules: &default_rules(), args: &["-o", "json"], state: None }).await?;
    read_as(&nonce(), "/etc/shadow")?;
    let (_, line) = agent.line("/etc/shadow", 1.0).await?;
    let alert: Value = serde_json::from_str(&line).with_context(|| line.clone())?;
    for (key, value) in [("rule", "Read sensitive file"), ("priority", "Warning"), ("source", "syscall")] {
        ensure!(alert[key] == value, "{key} is {}", alert[key]);
    }
    let time = alert["time"].as_str().context("time")?;
    ensure!(time.ends_with('Z') && time.parse::<jiff::Timestamp>().is_ok(), "time is {time}");
    ensure!(alert["output"].as_str().is_some_and(|o| o.contains(": Warning ") || o.contains("Warning")), "{line}");
    ensure!(alert["output_fields"]["fd.name"] == "/etc/shadow", "{line}");
    ensure!(alert["output_fields"]["user.loginuid"].is_number() || alert["output_fields"]["user.loginuid"].is_null());
    ensure!(alert["tags"].as_array().is_some_and(|t| t.iter().any(|t| t == "T1003.008")), "{line}");
    ensure!(alert["hostname"].is_string() && alert["eyas"]["revision"].is_string(), "{line}");

    let metrics = agent.metrics().await?;
    for name in [
        "eyas_hook_events_total",
        "eyas_queue_lost_total",
        "eyas_events_evaluated_total",
        "eyas_rule_matches_total",
        "eyas_ruleset_info",
        "eyas_ruleset_reload_seconds",
    ] {
        ensure!(metrics.0.contains(name), "no {name} in /metrics:\n{}", metrics.0);
    }
    ensure!(
        metrics.sum("eyas_rule_matches_total", &["Read sensitive file"])
            + metrics.sum("eyas_rule_matches_total", &["read-sensitive-file"])
            >= 1.0
    );
    let status: Value = serde_json::from_str(&agent.get("/status").await?)?;
    ensure!(status["hooks"].as_array().is_some_and(|h| h.iter().any(|h| h["name"] == "open")), "{status}");
    ensure!(agent.get("/healthz").await.is_ok());
    ensure!(agent.interrupt().await?.success(), "{}", agent.log());
    Ok(())
}

/// seen = filtered + shed + dropped + submitted per hook, and submitted = evaluated + queue losses, once nothing is in flight.
fn adds_up(metrics: &Metrics) -> std::result::Result<(), String> {
    let hooks: std::collections::BTreeSet<&str> = metrics
        .samples("eyas_hook_events_total")
        .filter_map(|(labels, _)| labels.split("hook=\"").nth(1)?.split('"').next())
        .collect();
    let outcome = |hook: &str, outcome: &str| {
        metrics.sum("eyas_hook_events_total", &[&format!("hook=\"{hook}\""), &format!("outcome=\"{outcome}\"")])
    };
    let mut submitted = 0.0;
    for hook in hooks {
        let parts: f64 = ["filtered", "shed", "dropped", "submitted"].iter().map(|o| outcome(hook, o)).sum();
        let seen = outcome(hook, "seen");
        if (parts - seen).abs() > 0.5 {
            return Err(format!("hook {hook}: seen {seen}, but the parts sum up to {parts}"));
        }
        submitted += outcome(hook, "submitted");
    }
    let evaluated = metrics.sum("eyas_events_evaluated_total", &[]);
    let lost = metrics.sum("eyas_queue_lost_total", &[]);
    if (evaluated + lost - submitted).abs() > 0.5 {
        return Err(format!("submitted {submitted}, evaluated {evaluated}, queue losses {lost}"));
    }
    Ok(())
}

/// Opens files `times` times each as fast as it goes, from two threads; half of the opens are of the path that matches.
fn flood(matching: &Path, other: &Path, times: u32) -> Result<()> {
    let open = |path: &Path| -> Result<()> {
        for _ in 0..times {
            fs::File::open(path)?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let first = scope.spawn(|| open(matching));
        let second = scope.spawn(|| open(other));
        for thread in [first, second] {
            thread.join().map_err(|_| anyhow::anyhow!("a flooding thread panicked"))??;
        }
        Ok(())
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn under_a_flood_the_counters_add_up_and_what_is_lost_is_told_of_which_rule() -> Result<()> {
    if !gate::kernel("flood") {
        return Ok(());
    }
    let dir = tempfile::TempDir::new()?;
    let (hit, miss) = (dir.path().join(format!("hit-{}", nonce())), dir.path().join("miss"));
    fs::write(&hit, "")?;
    fs::write(&miss, "")?;
    let rules = Rules::new()?;
    let condition = format!("evt.type in (open, openat, openat2) and fd.name = {}", hit.display());
    rules.rule("flooded", &condition, "open (file=%fd.name)", "Warning")?;
    // 64 KiB holds some hundred records: a flood has to overrun it.
    let args = ["-o", "json", "--ring-size", "65536"];
    let mut agent = Agent::ready(&Options { rules: rules.path(), args: &args, state: None }).await?;
    let before = agent.metrics().await?;
    let times = 100_000;
    tokio::task::spawn_blocking(move || flood(&hit, &miss, times)).await??;

    let settled = until("the counters add up", limit(10.0), async || {
        let metrics = agent.metrics().await?;
        Ok(match adds_up(&metrics) {
            Ok(()) => Seen::Yes(metrics),
            Err(why) => Seen::No(why),
        })
    })
    .await;
    let (after, _) = settled.with_context(|| agent.log())?;
    let grown = |name: &str, labels: &[&str]| after.sum(name, labels) - before.sum(name, labels);
    let open = |outcome: &str| grown("eyas_hook_events_total", &["hook=\"open\"", &format!("outcome=\"{outcome}\"")]);
    let (seen, lost) = (open("seen"), open("dropped") + open("shed"));
    let matches = grown("eyas_rule_matches_total", &["flooded"]);
    println!("opens seen {seen}, dropped {}, shed {}, matches {matches}", open("dropped"), open("shed"));
    ensure!(seen >= f64::from(2 * times), "of {} opens only {seen} were seen", 2 * times);
    ensure!(matches <= f64::from(times) && matches > 0.0, "{matches} matches of {times}");
    // A match that is missing was lost as an open event: there cannot be more of one than of the other.
    ensure!(f64::from(times) - matches <= lost + grown("eyas_queue_lost_total", &[]), "matches lost without a trace");
    ensure!(lost > 0.0, "a ring of 64 KiB withstood a flood: this test shows nothing");
    let named = grown("eyas_rule_lost_events_total", &["flooded"]);
    ensure!(named > 0.0, "the rule that lost events is not named:\n{}", after.0);
    until("Dropping is shown", limit(5.0), async || {
        let status: Value = serde_json::from_str(&agent.get("/status").await?)?;
        let dropping = status["conditions"]
            .as_array()
            .is_some_and(|c| c.iter().any(|c| c["type"] == "Dropping" && c["status"] == "True"));
        let ratio = status["dropRatio"].as_f64().unwrap_or(0.0);
        Ok(Seen::when(dropping && ratio > 0.001, (), status))
    })
    .await?;
    // Every match that was evaluated came out, folded: the counts on stdout sum up to the metric.
    agent.interrupt().await?;
    let told: u64 = agent
        .lines("\"flooded\"")
        .iter()
        .filter_map(|(_, l)| serde_json::from_str::<Value>(l).ok())
        .map(|a| a["eyas"]["count"].as_u64().unwrap_or(1))
        .sum();
    #[expect(clippy::cast_precision_loss, reason = "at most 100,000")]
    let told = told as f64;
    ensure!((told - matches).abs() < 0.5, "{matches} matches, but stdout tells of {told}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_state_file_is_told_and_does_no_harm() -> Result<()> {
    if !gate::kernel("damaged_state") {
        return Ok(());
    }
    let (rules, state, word) = (Rules::new()?, tempfile::TempDir::new()?, nonce());
    let file = state.path().join(format!("opened-{word}"));
    let condition = format!("evt.type in (open, openat, openat2) and fd.name = {}", file.display());
    rules.rule("watched", &condition, "open (file=%fd.name)", "Notice")?;
    let options = Options { rules: rules.path(), args: &["-o", "json"], state: Some(state.path()) };
    let mut first = Agent::ready(&options).await?;
    ensure!(first.interrupt().await?.success());
    let kept: Vec<_> = walk(state.path())?;
    ensure!(!kept.is_empty(), "no state was kept");
    for file in &kept {
        let bytes = fs::read(file)?;
        fs::write(file, &bytes[..bytes.len() / 2])?;
    }
    let mut second = Agent::ready(&options).await?;
    fs::write(&file, "")?;
    fs::File::open(&file)?;
    second.line(&word, 1.0).await?;
    let log = second.stderr().to_lowercase();
    ensure!(log.contains("state") || log.contains("ruleset"), "the damage is not told:\n{}", second.log());
    ensure!(second.interrupt().await?.success());
    Ok(())
}

fn walk(dir: &Path) -> Result<Vec<std::path::PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(walk(&path)?);
        } else {
            files.push(path);
        }
    }
    Ok(files)
}
