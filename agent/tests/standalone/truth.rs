//! Processes that are not what they seem: names and arguments that change, threads that start programs, process ids that come again,
//! children that lose their parents, namespaces in namespaces. What the agent tells of them is held against what is known here.
use super::agent::{Agent, PATIENCE, Scene, rule};
use serde_json::Value;
use std::{
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

const OUTPUT: &str = "%evt.type %fd.name %proc.name %proc.pid %proc.ppid %proc.pname %proc.aname[2] %proc.vpid %proc.pvpid \
                      %thread.tid %thread.ismain %proc.cmdline %proc.exepath";

/// Tells the helper below which file to read.
const FILE: &str = "EYAS_TRUTH_FILE";

/// An agent that tells each open of a file whose name ends in a nonce, and each start of a program with such an argument.
struct Watch {
    scene: Scene,
    agent: Agent,
    seen: Vec<Value>,
}

impl Watch {
    fn new(test: &str) -> Option<Self> {
        let scene = Scene::new(test)?;
        let (nonce, output) = (&scene.nonce, format!("\"{OUTPUT}\""));
        let opens = format!("evt.type in (open, openat) and fd.name endswith {nonce}");
        let execs = format!("evt.type in (execve, execveat) and proc.args endswith {nonce}");
        scene.write("opens.yaml", &rule("opens", "Opens", &opens, &output));
        scene.write("execs.yaml", &rule("execs", "Execs", &execs, &output));
        let mut agent = scene.start(&[]);
        agent.ready();
        Some(Self { scene, agent, seen: Vec::new() })
    }

    /// A file of that name and the nonce.
    fn file(&self, name: &str) -> PathBuf {
        let path = self.scene.dir.path().canonicalize().unwrap().join(format!("{name}-{}", self.scene.nonce));
        std::fs::write(&path, "x").unwrap();
        path
    }

    /// Fields of the event of that rule by a process of that name which has to do with the file.
    fn event(&mut self, rule: &str, by: &str, file: &Path) -> Value {
        let file = file.to_str().unwrap();
        let end = Instant::now() + PATIENCE;
        loop {
            let wanted = |a: &&Value| {
                let f = &a["output_fields"];
                let about = f["fd.name"] == file || f["proc.cmdline"].as_str().is_some_and(|c| c.ends_with(file));
                a["rule"] == rule && f["proc.name"] == by && about
            };
            if let Some(found) = self.seen.iter().find(wanted) {
                return found["output_fields"].clone();
            }
            let left = end.saturating_duration_since(Instant::now());
            let next = self.agent.alerts.recv_timeout(left);
            let (_, alert) = next.unwrap_or_else(|_| panic!("no {rule} by {by} of {file} in {:#?}", self.seen));
            self.seen.push(alert);
        }
    }
}

fn perl(program: &str, args: &[&Path]) -> String {
    let done = Command::new("perl").args(["-e", program]).args(args).stdin(Stdio::null()).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

#[test]
fn arguments_and_names_are_those_of_the_start() {
    let Some(mut watch) = Watch::new("disguise") else { return };
    let file = watch.file("file");
    // Writes over its arguments, and calls itself otherwise (PR_SET_NAME).
    let told = perl(
        "$0 = q(disguise); open my $c, q(<), q(/proc/self/comm); open my $a, q(<), q(/proc/self/cmdline); \
         open my $f, q(<), $ARGV[0] or die; print readline $c, readline $a",
        &[&file],
    );
    assert!(told.starts_with("disguise\ndisguise"), "the disguise did not work: {told:?}");
    let fields = watch.event("Opens", "perl", &file);
    let line = fields["proc.cmdline"].as_str().unwrap();
    assert!(line.starts_with("perl -e $0 = q(disguise);") && line.ends_with(file.to_str().unwrap()), "{line}");
}

/// Not a test of its own: what [`a_thread_may_start_a_program`] starts.
#[test]
#[ignore = "a helper"]
fn starts_cat_from_a_thread() {
    let Some(file) = std::env::var_os(FILE) else { return };
    let thread = std::thread::spawn(move || Command::new("cat").arg(file).stdout(Stdio::null()).exec());
    panic!("{}", thread.join().unwrap());
}

#[test]
fn a_thread_may_start_a_program() {
    let Some(mut watch) = Watch::new("thread") else { return };
    let file = watch.file("file");
    let mut helper = Command::new(std::env::current_exe().unwrap());
    helper.args(["--ignored", "--exact", "truth::starts_cat_from_a_thread"]).env(FILE, &file);
    let mut helper = helper.stdout(Stdio::null()).spawn().unwrap();
    let pid = helper.id();
    assert!(helper.wait().unwrap().success());
    for rule in ["Execs", "Opens"] {
        let fields = watch.event(rule, "cat", &file);
        // The thread has become the process' first, by its number too.
        assert_eq!((&fields["proc.pid"], &fields["thread.tid"]), (&pid.into(), &pid.into()), "{fields}");
        assert_eq!(fields["proc.ppid"], std::process::id(), "{fields}");
        assert_eq!(fields["thread.ismain"], true, "{fields}");
        assert_eq!(fields["proc.cmdline"], format!("cat {}", file.display()));
    }
}

#[test]
fn a_process_id_that_comes_again_is_another_process() {
    let Some(mut watch) = Watch::new("reuse") else { return };
    let (first, second) = (watch.file("first"), watch.file("second"));
    // struct clone_args (include/uapi/linux/sched.h): ten numbers; the last two say which process id is wanted.
    let told = perl(
        "$p = fork // die; if (!$p) { exec q(cat), $ARGV[0] } waitpid $p, 0; select undef, undef, undef, 0.1; \
         $set = pack q(l), $p; $args = pack q(Q10), 0, 0, 0, 0, 17, 0, 0, 0, unpack(q(Q), pack q(P), $set), 1; \
         $q = syscall(435, $args, 80); if ($q == 0) { exec q(head), $ARGV[1] } waitpid $q, 0 if $q > 0; print qq(=$p $q)",
        &[&first, &second],
    );
    let (one, two) = told.rsplit_once('=').unwrap().1.split_once(' ').unwrap();
    if one != two {
        println!("skipped: a_process_id_that_comes_again: the kernel did not give {one} again ({two})");
        return;
    }
    let pid: u32 = one.parse().unwrap();
    for (by, file) in [("cat", &first), ("head", &second)] {
        for rule in ["Execs", "Opens"] {
            let fields = watch.event(rule, by, file);
            assert_eq!(fields["proc.pid"], pid, "{fields}");
            assert_eq!(fields["proc.pname"], "perl", "{fields}");
            assert_eq!(fields["proc.cmdline"], format!("{by} {}", file.display()));
        }
    }
}

#[test]
fn a_child_that_lost_its_parent_has_another() {
    let Some(mut watch) = Watch::new("orphan") else { return };
    let file = watch.file("file");
    // Takes in orphans (PR_SET_CHILD_SUBREAPER), forks twice; the grandchild waits for the adoption and starts a program.
    let told = perl(
        "syscall(157, 36, 1, 0, 0, 0) and die; $me = $$; $p = fork // die; \
         if (!$p) { exit if fork; select undef, undef, undef, 0.01 while getppid != $me; exec q(cat), $ARGV[0] } \
         1 while wait > 0; print qq(=$me)",
        &[&file],
    );
    let reaper: u32 = told.rsplit_once('=').unwrap().1.parse().unwrap();
    for rule in ["Execs", "Opens"] {
        let fields = watch.event(rule, "cat", &file);
        assert_eq!((&fields["proc.ppid"], &fields["proc.pname"]), (&reaper.into(), &"perl".into()), "{fields}");
    }
}

#[test]
fn process_ids_three_namespaces_deep() {
    let Some(mut watch) = Watch::new("nested") else { return };
    let file = watch.file("file");
    let deep = ["-pf", "unshare", "-pf", "unshare", "-pf", "sh", "-c", "cat \"$0\" > /dev/null; read line"];
    let mut unshare = Command::new("unshare").args(deep).arg(&file).stdin(Stdio::piped()).spawn().unwrap();
    let shell = watch.event("Execs", "sh", &file);
    let cat = watch.event("Opens", "cat", &file);
    let pid = shell["proc.pid"].as_u64().unwrap();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let numbers = status.lines().find_map(|l| l.strip_prefix("NSpid:")).unwrap().split_whitespace();
    let numbers: Vec<u64> = numbers.map(|n| n.parse().unwrap()).collect();
    drop(unshare.stdin.take());
    unshare.wait().unwrap();
    assert_eq!((numbers.len(), numbers[0], numbers[3]), (4, pid, 1), "{status}");
    // The first of its namespace, whose parent is outside of it; its child is inside.
    assert_eq!((&shell["proc.vpid"], &shell["proc.pvpid"]), (&1.into(), &Value::Null), "{shell}");
    assert_eq!(
        (&cat["proc.vpid"], &cat["proc.pvpid"], &cat["proc.ppid"]),
        (&2.into(), &1.into(), &pid.into()),
        "{cat}"
    );
    assert_eq!((&cat["proc.pname"], &cat["proc.aname[2]"]), (&"sh".into(), &"unshare".into()), "{cat}");
}
