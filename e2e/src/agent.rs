//! A standalone agent: the release binary with a rules folder, as a user starts it.
use crate::{
    gate,
    until::{Seen, limit, until},
};
use anyhow::{Context, Result, ensure};
use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
};

type Lines = Arc<Mutex<Vec<(Instant, String)>>>;

/// A running agent. It is killed when this is dropped.
pub struct Agent {
    child: Child,
    listen: String,
    stdout: Lines,
    stderr: Lines,
    http: reqwest::Client,
    /// Its state folder, kept for a second start.
    pub state: PathBuf,
    _state: Option<TempDir>,
}

/// How to start one.
pub struct Options<'a> {
    /// The rules folder.
    pub rules: &'a Path,
    /// More arguments.
    pub args: &'a [&'a str],
    /// A state folder; none: a new one, removed at the end.
    pub state: Option<&'a Path>,
}

impl Agent {
    /// Starts it and returns at once.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(options: &Options<'_>) -> Result<Self> {
        let made = if options.state.is_none() { Some(TempDir::new()?) } else { None };
        let state = options.state.or(made.as_ref().map(TempDir::path)).context("a state folder")?.to_owned();
        let listen = free_address()?;
        let binary = gate::release().join("eyas-agent");
        let mut child = Command::new(&binary)
            .arg("run")
            .args([Path::new("--rules"), options.rules, Path::new("--state"), &state])
            .args(["--listen", &listen])
            .args(options.args)
            .env_remove("KUBECONFIG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| binary.display().to_string())?;
        let stdout = collect(child.stdout.take());
        let stderr = collect(child.stderr.take());
        Ok(Self { child, listen, stdout, stderr, http: reqwest::Client::new(), state, _state: made })
    }

    /// Starts it and waits until /readyz says 200.
    ///
    /// # Errors
    /// It ends or does not get ready in 10 s; its log is in the error.
    pub async fn ready(options: &Options<'_>) -> Result<Self> {
        let mut agent = Self::start(options)?;
        let waited = agent.wait_ready().await;
        waited.with_context(|| format!("its log:\n{}", agent.log())).map(|()| agent)
    }

    /// Waits until /readyz says 200.
    ///
    /// # Errors
    /// It ends or does not get ready in 10 s.
    pub async fn wait_ready(&mut self) -> Result<()> {
        let (url, http) = (format!("http://{}/readyz", self.listen), self.http.clone());
        let child = &mut self.child;
        until("the agent is ready", limit(10.0), async || {
            if let Some(status) = child.try_wait()? {
                return Ok(Seen::No(format!("it ended: {status}")));
            }
            let answer = http.get(&url).send().await?;
            Ok(Seen::when(answer.status() == 200, (), answer.text().await?))
        })
        .await?;
        Ok(())
    }

    /// A page of its HTTP interface.
    ///
    /// # Errors
    /// It does not answer, or not with 200.
    pub async fn get(&self, path: &str) -> Result<String> {
        let answer = self.http.get(format!("http://{}{path}", self.listen)).send().await?;
        ensure!(answer.status() == 200, "{path}: {}", answer.status());
        Ok(answer.text().await?)
    }

    /// All metrics.
    ///
    /// # Errors
    /// /metrics does not answer.
    pub async fn metrics(&self) -> Result<Metrics> {
        Ok(Metrics(self.get("/metrics").await?))
    }

    /// Lines of standard output so far that contain a text, with the time each arrived.
    #[must_use]
    pub fn lines(&self, containing: &str) -> Vec<(Instant, String)> {
        guard(&self.stdout).iter().filter(|(_, l)| l.contains(containing)).cloned().collect()
    }

    /// Waits for a line of standard output.
    ///
    /// # Errors
    /// None within the limit (seconds).
    pub async fn line(&self, containing: &str, within: f64) -> Result<(Instant, String)> {
        let what = format!("a line with '{containing}'");
        let (line, _) = until(&what, limit(within), async || {
            let line = self.lines(containing).into_iter().next();
            Ok(line.map_or_else(|| Seen::No(self.log()), Seen::Yes))
        })
        .await?;
        Ok(line)
    }

    /// Its log and its output, the last 40 lines of each.
    #[must_use]
    pub fn log(&self) -> String {
        let tail = |lines: &Lines| {
            let lines = guard(lines);
            let from = lines.len().saturating_sub(40);
            lines[from..].iter().map(|(_, l)| l.as_str()).collect::<Vec<_>>().join("\n")
        };
        format!("stderr:\n{}\nstdout:\n{}", tail(&self.stderr), tail(&self.stdout))
    }

    /// Everything it wrote to standard error.
    #[must_use]
    pub fn stderr(&self) -> String {
        guard(&self.stderr).iter().map(|(_, l)| l.as_str()).collect::<Vec<_>>().join("\n")
    }

    /// Ctrl-C, and its exit.
    ///
    /// # Errors
    /// It does not end within 10 s.
    pub async fn interrupt(&mut self) -> Result<ExitStatus> {
        self.signal(rustix::process::Signal::INT)?;
        let status = tokio::time::timeout(limit(10.0), self.child.wait()).await;
        let status = status.context("the agent does not end on Ctrl-C")??;
        // Both readers see the end of their pipes right after.
        tokio::time::sleep(limit(0.1)).await;
        Ok(status)
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// It is gone.
    pub fn signal(&self, signal: rustix::process::Signal) -> Result<()> {
        let pid = self.pid().context("the agent has ended")?;
        rustix::process::kill_process(pid, signal)?;
        Ok(())
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> Option<rustix::process::Pid> {
        rustix::process::Pid::from_raw(i32::try_from(self.child.id()?).ok()?)
    }
}

/// A page of metrics.
pub struct Metrics(pub String);

impl Metrics {
    /// The sum of all samples of a metric whose labels contain the given pairs, such as `outcome="seen"`.
    #[must_use]
    pub fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        self.samples(name).filter(|(l, _)| labels.iter().all(|want| l.contains(want))).map(|(_, v)| v).sum()
    }

    /// The samples of a metric: labels and value.
    pub fn samples<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a str, f64)> {
        self.0.lines().filter(|l| !l.starts_with('#')).filter_map(move |line| {
            let (key, value) = line.rsplit_once(' ')?;
            let (metric, labels) = key.split_once('{').unwrap_or((key, ""));
            (metric == name).then_some(())?;
            Some((labels, value.parse().ok()?))
        })
    }
}

fn collect(pipe: Option<impl AsyncRead + Unpin + Send + 'static>) -> Lines {
    let lines = Lines::default();
    if let Some(pipe) = pipe {
        let to = lines.clone();
        tokio::spawn(async move {
            let mut reader = BufReader::new(pipe).lines();
            while let Ok(Some(line)) = reader.next_line().await {
                guard(&to).push((Instant::now(), line));
            }
        });
    }
    lines
}

fn guard(lines: &Lines) -> std::sync::MutexGuard<'_, Vec<(Instant, String)>> {
    lines.lock().unwrap_or_else(PoisonError::into_inner)
}

fn free_address() -> Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

/// A rules folder of one's own.
pub struct Rules(TempDir);

impl Rules {
    /// A new, empty one.
    ///
    /// # Errors
    /// No temporary folder.
    pub fn new() -> Result<Self> {
        Ok(Self(TempDir::new()?))
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file as editors do: whole, under a hidden name, then renamed.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn put(&self, file: &str, yaml: &str) -> Result<()> {
        let hidden = self.0.path().join(format!(".{file}.new"));
        fs::write(&hidden, yaml)?;
        fs::rename(hidden, self.0.path().join(file))?;
        Ok(())
    }

    /// Writes a rule.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn rule(&self, name: &str, condition: &str, output: &str, priority: &str) -> Result<()> {
        self.put(&format!("{name}.yaml"), &rule_yaml(crds::SYSTEM_NAMESPACE, name, condition, output, priority))
    }
}

/// A DetectionRule as YAML.
#[must_use]
pub fn rule_yaml(namespace: &str, name: &str, condition: &str, output: &str, priority: &str) -> String {
    let object = serde_json::json!({
        "apiVersion": "eyas.dev/v1alpha1",
        "kind": "DetectionRule",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"condition": condition, "output": output, "priority": priority},
    });
    object.to_string()
}
