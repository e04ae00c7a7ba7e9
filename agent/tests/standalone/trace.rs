//! `eyas-agent trace` on the running kernel.
use crate::agent::{PATIENCE, Scene, binary};
use engine::testing::MapEvent;
use serde_json::{Map, Value};
use std::{
    fs::File,
    io::{BufRead as _, BufReader, Read as _},
    net::TcpStream,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    time::{Duration, Instant},
};

/// A running trace, its lines as they come.
struct Trace {
    child: Child,
    lines: Receiver<String>,
    errors: BufReader<std::process::ChildStderr>,
}

impl Trace {
    /// Starts one; when this returns, events are seen.
    fn start(args: &[&str]) -> Self {
        let mut command = Command::new(binary());
        command.arg("trace").args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (tell, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
        let mut errors = BufReader::new(child.stderr.take().unwrap());
        let mut first = String::new();
        errors.read_line(&mut first).unwrap();
        assert!(first.contains("tracing"), "{first}");
        Self { child, lines, errors }
    }

    /// The first line that `pick` makes something of.
    fn find<T>(&self, what: &str, mut pick: impl FnMut(&str) -> Option<T>) -> T {
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left).unwrap_or_else(|e| panic!("no {what}: {e}"));
            if let Some(found) = pick(&line) {
                return found;
            }
        }
    }

    /// Ctrl-C; what was told at the end, and the lines that were still to come.
    fn stop(&mut self) -> (String, Vec<String>) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        self.ended()
    }

    fn ended(&mut self) -> (String, Vec<String>) {
        let mut told = String::new();
        self.errors.read_to_string(&mut told).unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}\n{told}");
        let mut rest = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(Duration::from_secs(5)) {
            rest.push(line);
        }
        (told, rest)
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn object(line: &str) -> Map<String, Value> {
    serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))
}

/// The numbers of the summary's first line, in order.
fn numbers(told: &str) -> Vec<u64> {
    let line = told.lines().find(|l| l.contains("events seen")).unwrap();
    let words = line.split([' ', ',']).filter(|w| !w.contains('.'));
    words.filter_map(|word| word.parse().ok()).collect()
}

#[test]
fn opens_connects_and_execs_are_printed_with_fields_that_a_test_event_takes() {
    let Some(scene) = Scene::new("trace") else { return };
    let mut trace = Trace::start(&["-o", "json", "--hook", "open", "--hook=connect", "--hook=exec"]);
    let own = std::process::id();
    File::open(scene.file()).unwrap();
    let _ = TcpStream::connect("127.0.0.1:1");
    assert!(Command::new("/bin/echo").arg(&scene.nonce).output().unwrap().status.success());
    let path = scene.file().display().to_string();
    let mut events = Vec::new();
    let mut take = |what: &str, key: &str, value: Value| {
        events.push(trace.find(what, |line| {
            let event = object(line);
            (event.get(key) == Some(&value)).then_some(event)
        }));
    };
    take("open", "fd.name", path.into());
    take("connect", "fd.sport", 1.into());
    take("exec", "proc.args", scene.nonce.clone().into());
    let types: Vec<_> = events.iter().map(|e| e["evt.type"].as_str().unwrap().to_owned()).collect();
    assert_eq!(types, ["openat", "connect", "execve"]);
    assert_eq!(events[0]["proc.pid"], own);
    assert_eq!(events[0]["evt.arg[flags]"].as_str().unwrap().split('|').next(), Some("O_RDONLY"));
    assert_eq!((&events[1]["fd.sip"], &events[1]["evt.res"]), (&"127.0.0.1".into(), &"ECONNREFUSED".into()));
    assert_eq!((&events[2]["proc.name"], &events[2]["proc.ppid"]), (&"echo".into(), &own.into()));
    // What is printed is what tests of rules and `kubectl eyas eval` take.
    for event in events {
        let map = event.into_iter().collect();
        MapEvent::from_map(&map).unwrap_or_else(|e| panic!("{e}\n{map:?}"));
    }
    let (told, rest) = trace.stop();
    let wanted =
        ["open", "connect", "exec"].map(|h| engine::event::Hook::ALL.iter().find(|k| k.as_str() == h).unwrap());
    for line in rest {
        let event_type = object(&line)["evt.type"].as_str().unwrap().to_owned();
        let of = engine::event::EventType::ALL.iter().find(|t| t.as_str() == event_type).unwrap();
        assert!(wanted.contains(&&of.hook()), "not asked for: {line}");
    }
    assert!(told.contains("nothing lost"), "{told}");
    let [seen, printed, out, filtered] = numbers(&told)[..] else { panic!("{told}") };
    assert!(printed >= 3 && seen == printed + out + filtered, "{told}");
}

#[test]
fn a_process_can_be_picked_and_a_full_ring_is_told() {
    let Some(scene) = Scene::new("tracepid") else { return };
    let own = std::process::id().to_string();
    let args = ["--hook=open", "--pid", &own, "--ring-size=64K", "--field=proc.pid", "--field=fd.name"];
    let mut trace = Trace::start(&args);
    for _ in 0..50_000 {
        File::open(scene.file()).unwrap();
    }
    assert!(Command::new("cat").arg(scene.file()).output().unwrap().status.success());
    std::thread::sleep(Duration::from_millis(200));
    let (told, lines) = trace.stop();
    let marked = lines.iter().filter(|l| l.contains(&scene.nonce)).count() as u64;
    assert!(marked > 100, "{told}");
    for line in &lines {
        assert!(line.contains(&format!(" openat proc.pid={own}")), "another process: {line}");
    }
    let [seen, printed, out, filtered] = numbers(&told)[..] else { panic!("{told}") };
    assert_eq!(printed, lines.len() as u64, "{told}");
    let lost = seen - printed - out - filtered;
    assert!(out > 0 && seen >= 50_000, "{told}");
    let said = if lost == 0 { "nothing lost".to_owned() } else { format!("lost: {lost} dropped") };
    assert!(told.contains(&said), "{told}");
    println!("{told}");
}

#[test]
fn it_ends_by_itself_after_so_many_events_and_when_nobody_reads() {
    let Some(scene) = Scene::new("tracecount") else { return };
    let mut trace = Trace::start(&["--hook=open", "-n", "3"]);
    (0..10).for_each(|_| drop(File::open(scene.file()).unwrap()));
    let (told, lines) = trace.ended();
    assert_eq!(lines.len(), 3, "{told}");
    let mut unread = Trace::start(&["--hook=exit", "-n", "1000000"]);
    // Its reader takes one line and is gone, as `head -1` is.
    let (_, closed) = channel();
    unread.lines = closed;
    let end = Instant::now() + PATIENCE;
    while unread.child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < end, "goes on for nobody");
        assert!(Command::new("/bin/true").status().unwrap().success());
    }
    let (told, _) = unread.ended();
    assert!(told.contains("events seen"), "{told}");
}

#[test]
fn what_it_does_not_know_is_an_error_that_names_what_it_knows() {
    let run = |args: &[&str]| {
        let done = Command::new(binary()).arg("trace").args(args).output().unwrap();
        (done.status.code(), String::from_utf8_lossy(&done.stderr).into_owned())
    };
    let (code, error) = run(&["--hook", "opens"]);
    assert!(code == Some(2) && error.contains("hooks are exec, fork, exit, open, connect"), "{error}");
    let (code, error) = run(&["--field", "fd.nam"]);
    assert!(code == Some(2) && error.contains("did you mean fd.name?"), "{error}");
    let (code, error) = run(&["--pid", "4194304"]);
    assert!(code == Some(2) && error.contains("no such process"), "{error}");
    assert_eq!(run(&["--pid", "0"]).0, Some(2));
}
