//! The built agent as a child process: its matches, its pages, its end.
use serde_json::Value;
use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex, MutexGuard,
        mpsc::{Receiver, channel},
    },
    time::{Duration, Instant},
};

/// Long enough for a loaded machine, and for one that QEMU emulates; nothing waits that long when it works.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// One agent at a time: floods of one test would be another's losses.
static ONE: Mutex<()> = Mutex::new(());

/// A folder of rules, another for state, and a word that is in nobody else's paths.
pub struct Scene {
    pub dir: tempfile::TempDir,
    pub nonce: String,
    _one: MutexGuard<'static, ()>,
}

impl Scene {
    /// `None`, with the reason printed, where the kernel side cannot be loaded.
    pub fn new(test: &str) -> Option<Self> {
        let one = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let check = Command::new(binary()).arg("check").output().unwrap();
        if !check.status.success() {
            println!("skipped: {test}: {}", String::from_utf8_lossy(&check.stdout));
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("rules")).unwrap();
        let nonce = format!("{test}-{}", std::process::id());
        // Made before an agent watches: its making is an open, too.
        std::fs::write(dir.path().join(&nonce), "x").unwrap();
        Some(Self { dir, nonce, _one: one })
    }

    pub fn rules(&self) -> PathBuf {
        self.dir.path().join("rules")
    }

    /// A file whose path only this test opens.
    pub fn file(&self) -> PathBuf {
        self.dir.path().join(&self.nonce)
    }

    pub fn write(&self, file: &str, text: &str) {
        // As careful people and editors do it: a reader sees the old or the new one.
        let (aside, path) = (self.dir.path().join("aside"), self.rules().join(file));
        std::fs::write(&aside, text).unwrap();
        std::fs::rename(aside, path).unwrap();
    }

    /// A rule on opens for reading of paths that end in the nonce.
    pub fn open_rule(&self, title: &str) -> String {
        let condition = format!("evt.type in (open, openat, openat2) and fd.name endswith {}", self.nonce);
        rule("marked", title, &condition, "opened %fd.name by %proc.name")
    }

    pub fn start(&self, more: &[&str]) -> Agent {
        Agent::start(&self.rules(), more)
    }
}

/// The agent that cargo built beside this; EYAS_AGENT names a copy of it that a later build takes nothing from.
pub fn binary() -> String {
    std::env::var("EYAS_AGENT").unwrap_or_else(|_| env!("CARGO_BIN_EXE_eyas-agent").to_owned())
}

pub fn rule(name: &str, title: &str, condition: &str, output: &str) -> String {
    format!(
        "apiVersion: eyas.dev/v1alpha1\nkind: DetectionRule\nmetadata: {{name: {name}, namespace: eyas-system}}\n\
         spec:\n  name: {title}\n  condition: {condition}\n  output: {output}\n  priority: Warning\n"
    )
}

pub struct Agent {
    pub child: Child,
    pub address: String,
    pub alerts: Receiver<(Instant, Value)>,
    pub log: Arc<Mutex<String>>,
}

impl Agent {
    pub fn start(rules: &Path, more: &[&str]) -> Self {
        let rules = format!("--rules={}", rules.display());
        Self::with_default_rules(&[&[rules.as_str()], more].concat())
    }

    /// With the rules that are in the binary, unless the arguments name others.
    pub fn with_default_rules(more: &[&str]) -> Self {
        let mut child = Command::new(binary())
            .args(["--log-format=json", "run", "-o", "json", "--listen=127.0.0.1:0"])
            .args(more)
            .env("RUST_LOG", "info,aya=error")
            .env_remove("KUBERNETES_SERVICE_HOST")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (tell, alerts) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let value = serde_json::from_str(&line).unwrap_or(Value::String(line));
                if tell.send((Instant::now(), value)).is_err() {
                    return;
                }
            }
        });
        let log = Arc::<Mutex<String>>::default();
        let (written, stderr) = (log.clone(), BufReader::new(child.stderr.take().unwrap()));
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let mut log = written.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        let mut agent = Self { child, address: String::new(), alerts, log };
        agent.address = agent.until("the address of the pages", |a| {
            let log = a.log();
            let start = log.split("\"address\":\"").nth(1)?;
            Some(start.split('"').next()?.to_owned())
        });
        agent
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Asks until there is an answer.
    pub fn until<T>(&mut self, what: &str, mut ask: impl FnMut(&mut Self) -> Option<T>) -> T {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(answer) = ask(self) {
                return answer;
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the agent ended ({status}) while waiting for {what}:\n{}", self.log());
            }
            assert!(Instant::now() < end, "no {what} after {PATIENCE:?}:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn ready(&mut self) {
        self.until("readiness", |a| (a.get("/readyz")?.0 == 200).then_some(()));
    }

    /// Status and body.
    pub fn get(&self, path: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(&self.address).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let status = answer.split(' ').nth(1)?.parse().ok()?;
        Some((status, answer.split_once("\r\n\r\n")?.1.to_owned()))
    }

    pub fn status(&self) -> Value {
        let body = self.get("/status").unwrap().1;
        // The body may be chunked; the object is what lies between the outermost braces.
        serde_json::from_str(&body[body.find('{').unwrap()..=body.rfind('}').unwrap()]).unwrap()
    }

    /// A sample of /metrics, labels and all.
    pub fn metric(&self, sample: &str) -> u64 {
        let body = self.get("/metrics").unwrap().1;
        let line = body.lines().find(|l| l.strip_prefix(sample).is_some_and(|r| r.starts_with(' ')));
        let line = line.unwrap_or_else(|| panic!("no {sample} in\n{body}"));
        // Gauges are told with a fraction.
        line.rsplit(' ').next().unwrap().parse::<f64>().unwrap() as u64
    }

    pub fn hook(&self, hook: &str, outcome: &str) -> u64 {
        self.metric(&format!("eyas_hook_events_total{{hook=\"{hook}\",outcome=\"{outcome}\"}}"))
    }

    /// Waits until a revision other than `before` is armed; its name.
    pub fn armed_other_than(&mut self, before: &str) -> String {
        self.until("another revision", |a| {
            let revision = a.status()["revision"].as_str().unwrap_or_default().to_owned();
            (!revision.is_empty() && revision != before).then_some(revision)
        })
    }

    pub fn next_alert(&mut self) -> (Instant, Value) {
        self.alerts.recv_timeout(PATIENCE).unwrap_or_else(|e| panic!("no alert: {e}\n{}", self.log()))
    }

    /// Ctrl-C. Exit status, how long it took, the alerts that were still to come.
    pub fn stop(&mut self) -> (ExitStatus, Duration, Vec<Value>) {
        let begun = Instant::now();
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        let status = self.child.wait().unwrap();
        let took = begun.elapsed();
        let mut rest = Vec::new();
        while let Ok((_, alert)) = self.alerts.recv_timeout(Duration::from_secs(5)) {
            rest.push(alert);
        }
        (status, took, rest)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn count(alert: &Value) -> u64 {
    alert["eyas"]["count"].as_u64().unwrap()
}

/// Waits until what the hooks say adds up with what was evaluated: other processes act too, so until one moment is quiet.
pub fn adds_up(agent: &mut Agent) {
    agent.until("sums that add up", |a| {
        let hooks = a.status()["hooks"].as_array().unwrap().clone();
        let sum = |what: &str| hooks.iter().map(|h| h[what].as_u64().unwrap()).sum::<u64>();
        let whole = hooks.iter().all(|h| {
            let n = |what: &str| h[what].as_u64().unwrap();
            n("seen") == n("filtered") + n("shed") + n("dropped") + n("submitted")
        });
        let evaluated = a.metric("eyas_events_evaluated_total") + a.metric("eyas_queue_lost_total");
        (whole && sum("submitted") == evaluated).then_some(())
    });
}
