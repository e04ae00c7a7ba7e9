//! A release agent under measurement.
use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Kernel clock ticks a second, in which /proc counts processor time: `USER_HZ`, 100 on every architecture that we build for.
const TICKS: f64 = 100.0;

/// A running agent; ended when dropped.
pub struct Agent {
    child: Child,
    listen: String,
    /// From its start to its first 200 on /readyz.
    pub ready_after: Duration,
    _state: TempDir,
}

impl Agent {
    /// Starts one with a rules folder and waits until it is ready.
    ///
    /// # Errors
    /// It does not get ready in 20 s.
    pub fn start(release: &Path, rules: &Path) -> Result<Self> {
        let state = TempDir::new()?;
        let listen = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let binary: PathBuf = release.join("eyas-agent");
        let start = Instant::now();
        let child = Command::new(&binary)
            .args([Path::new("run"), Path::new("--rules"), rules, Path::new("--state"), state.path()])
            .args(["--listen", &listen, "-o", "json"])
            .env_remove("KUBECONFIG")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| binary.display().to_string())?;
        let mut agent = Self { child, listen, ready_after: Duration::ZERO, _state: state };
        while agent.get("/readyz").is_err() {
            ensure!(start.elapsed() < Duration::from_secs(20), "the agent does not get ready");
            if let Some(status) = agent.child.try_wait()? {
                bail!("the agent ended ({status}): run it by hand to see why");
            }
            thread::sleep(Duration::from_millis(2));
        }
        agent.ready_after = start.elapsed();
        Ok(agent)
    }

    /// A page of its HTTP interface, by a plain HTTP/1.0 request.
    ///
    /// # Errors
    /// It does not answer with 200.
    pub fn get(&self, path: &str) -> Result<String> {
        let mut stream = TcpStream::connect(&self.listen)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP answer")?;
        ensure!(head.split(' ').nth(1) == Some("200"), "{path}: {}", head.lines().next().unwrap_or_default());
        Ok(body.to_owned())
    }

    /// The sum of a metric's samples whose labels contain all the given texts.
    ///
    /// # Errors
    /// /metrics does not answer.
    pub fn metric(&self, name: &str, labels: &[&str]) -> Result<f64> {
        let page = self.get("/metrics")?;
        Ok(page
            .lines()
            .filter_map(|line| {
                let (key, value) = line.rsplit_once(' ')?;
                let (metric, with) = key.split_once('{').unwrap_or((key, ""));
                (metric == name && labels.iter().all(|l| with.contains(l))).then(|| value.parse::<f64>().ok())?
            })
            .sum())
    }

    /// The revision that it has armed.
    ///
    /// # Errors
    /// /status does not answer.
    pub fn revision(&self) -> Result<String> {
        let status: Value = serde_json::from_str(&self.get("/status")?)?;
        Ok(status["revision"].as_str().context("no revision in /status")?.to_owned())
    }

    /// Processor time that it has used so far, seconds: fields 14 and 15 of /proc/PID/stat.
    ///
    /// # Errors
    /// It is gone.
    pub fn processor_time(&self) -> Result<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let after = stat.rsplit_once(')').context("stat")?.1;
        let field = |n: usize| after.split_whitespace().nth(n).and_then(|f| f.parse::<f64>().ok()).context("stat");
        Ok((field(11)? + field(12)?) / TICKS)
    }

    /// The same in nanoseconds: the first field of each thread's /proc/PID/task/TID/schedstat (Documentation/scheduler/sched-stats.rst).
    /// The agent does nothing for it, as it would for /metrics.
    ///
    /// # Errors
    /// It is gone, or the kernel keeps no such figures.
    pub fn processor_nanoseconds(&self) -> Result<f64> {
        let mut sum = 0.0;
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let path = task?.path().join("schedstat");
            let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            let first = text.split_whitespace().next().context("schedstat")?;
            sum += first.parse::<f64>().with_context(|| path.display().to_string())?;
        }
        Ok(sum)
    }

    /// Resident memory, MiB.
    ///
    /// # Errors
    /// It is gone.
    pub fn resident(&self) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find(|l| l.starts_with("VmRSS:")).context("VmRSS")?;
        Ok(line.split_whitespace().nth(1).context("VmRSS")?.parse::<f64>()? / 1024.0)
    }

    /// Waits until what the kernel gave it has been evaluated.
    ///
    /// # Errors
    /// /metrics does not answer.
    pub fn settle(&self) -> Result<()> {
        let mut last = -1.0;
        loop {
            let now = self.metric("eyas_events_evaluated_total", &[])?;
            thread::sleep(Duration::from_millis(200));
            // Other processes of the machine go on making events: a trickle is rest enough.
            if now - last < 50.0 {
                return Ok(());
            }
            last = now;
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::INT);
        }
        for _ in 0..100 {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            thread::sleep(Duration::from_millis(50));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
