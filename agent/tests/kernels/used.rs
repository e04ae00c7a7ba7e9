//! What the kernel used, by both back ends: the same script under each tells the same, but where another thread rewrites the
//! arguments while the call runs: then the primary one tells what the kernel did.
use crate::{live::Live, rewrite, row};
use agent::probe::{Backend, record::Body};
use engine::event::Hook;
use std::{
    ffi::CString,
    fs, io,
    os::{fd::AsRawFd as _, unix::ffi::OsStrExt as _},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Hooks whose names, addresses and files the primary back end keeps.
const KEPT: [Hook; 7] = [Hook::Open, Hook::Connect, Hook::Bind, Hook::Unlink, Hook::Rename, Hook::Link, Hook::Mkdir];

/// A folder of its own, removed at the end.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("eyas-used-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn c(&self, name: &str) -> CString {
        CString::new(self.0.join(name).as_os_str().as_bytes()).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Whether all hooks that can be are served by the primary back end, with why not.
fn is_primary(live: &Live) -> Result<(), String> {
    let status = live.probe.hook_status();
    match KEPT.iter().map(|hook| &status[*hook as usize]).find(|s| s.backend != Backend::Primary) {
        Some(status) => Err(format!("{}: {}", status.hook.as_str(), status.reason)),
        None => Ok(()),
    }
}

/// One call of the script.
type Step = (&'static str, Box<dyn Fn() -> i64>);

/// Calls of each of these hooks, that succeed and that fail, by absolute and relative names. Each leaves the folder as it was before or as
/// the next one needs it.
fn script(folder: &Path) -> Vec<Step> {
    let c = |name: &str| CString::new(folder.join(name).as_os_str().as_bytes()).unwrap();
    let dir = fs::File::open(folder).unwrap();
    let at = move || i64::from(dir.as_raw_fd());
    let at = std::rc::Rc::new(at);
    // SAFETY: strings and addresses that live as long as the closure that makes the call.
    let call = |nr: i64, args: [i64; 5]| unsafe { libc::syscall(nr, args[0], args[1], args[2], args[3], args[4]) };
    let mut steps: Vec<Step> = Vec::new();
    macro_rules! step {
        ($name:literal, $nr:expr, $($text:ident = $value:expr),*; $at:ident => [$($arg:expr),*]) => {{
            $(let $text = $value;)*
            let $at = std::rc::Rc::clone(&at);
            steps.push(($name, Box::new(move || {
                $(let $text = $text.as_ptr() as i64;)*
                let $at = $at();
                let _ = $at;
                let mut args = [0i64; 5];
                for (to, from) in args.iter_mut().zip([$($arg),*]) { *to = from; }
                call($nr, args)
            })));
        }};
    }
    let absent = || c("absent");
    step!("open", libc::SYS_open, p = c("there"); at => [p, 0]);
    step!("openat relative", libc::SYS_openat, p = c"there".to_owned(); at => [at, p, 0]);
    step!("open absent", libc::SYS_open, p = absent(); at => [p, 0]);
    step!("openat absent", libc::SYS_openat, p = c"absent".to_owned(); at => [at, p, 0]);
    step!("mkdir", libc::SYS_mkdir, p = c("d"); at => [p, 0o700]);
    step!("mkdirat again", libc::SYS_mkdirat, p = c"d".to_owned(); at => [at, p, 0o700]);
    step!("rename", libc::SYS_rename, p = c("d"), q = c("e"); at => [p, q]);
    step!("renameat2 absent", libc::SYS_renameat2, p = c"d".to_owned(), q = c("f"); at => [at, p, -100, q, 0]);
    step!("rmdir", libc::SYS_rmdir, p = c("e"); at => [p]);
    step!("unlinkat of none", libc::SYS_unlinkat, p = c"e".to_owned(); at => [at, p, 0]);
    step!("link", libc::SYS_link, p = c("there"), q = c("hard"); at => [p, q]);
    step!("unlink", libc::SYS_unlink, p = c("hard"); at => [p]);
    step!("symlinkat", libc::SYS_symlinkat, p = c"to/nowhere".to_owned(), q = c"soft".to_owned(); at => [p, at, q]);
    step!("unlinkat", libc::SYS_unlinkat, p = c"soft".to_owned(); at => [at, p, 0]);
    let family = libc::AF_UNIX as u16;
    let mut address = family.to_ne_bytes().to_vec();
    address.extend(folder.join("socket").as_os_str().as_bytes());
    address.push(0);
    let len = address.len() as i64;
    // SAFETY: makes a descriptor that lives until the script's end.
    let [first, second] = [0; 2].map(|_| i64::from(unsafe { libc::socket(libc::AF_UNIX, libc::SOCK_DGRAM, 0) }));
    let (a, b) = (address.clone(), address);
    step!("connect refused", libc::SYS_connect, p = b; at => [second, p, len]);
    step!("bind", libc::SYS_bind, p = a; at => [first, p, len]);
    step!("unlink socket", libc::SYS_unlink, p = c("socket"); at => [p]);
    steps
}

/// What a record says, without what differs from run to run: numbers of descriptors and addresses of arguments.
fn told(body: &Body<'_>) -> Option<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some(match body {
        Body::Open(o) => format!(
            "{} of {:?} in {:?}, given {:?}, result {}, inode {}, device {}, flags {:o}",
            if o.resolved { "open" } else { "try" },
            text(o.path),
            text(o.base),
            text(o.given),
            o.ret.min(0),
            o.ino,
            o.dev,
            o.flags
        ),
        Body::Connect(c) => format!("connect {} to {:?}, result {}", c.family, text(c.unix_path), c.ret),
        Body::Call(c) => format!(
            "{:?} in {:?}, {:?} in {:?}, result {}, socket {:?}",
            text(c.path.path),
            text(c.path.base),
            text(c.path2.path),
            text(c.path2.base),
            c.ret,
            c.socket.as_ref().map(|s| (s.family, text(s.unix_path)))
        ),
        _ => return None,
    })
}

/// Runs the script under one back end: what came of each step, and whether it is said to be what the kernel used.
fn run(live: &mut Live, folder: &Path) -> Vec<(String, bool)> {
    let me = std::process::id();
    let mut seen = Vec::new();
    for (name, step) in script(folder) {
        let result = step();
        let (what, used) = live
            .find(Duration::from_secs(10), |r| {
                let ours = r.header.pid == me && KEPT.contains(&r.header.hook);
                let text = told(&r.body).filter(|_| ours)?;
                text.contains(folder.to_str()?).then_some((text, r.header.used))
            })
            .unwrap_or_else(|| panic!("no record of {name}"));
        if name.starts_with("open") && result >= 0 {
            // SAFETY: a descriptor that the step has just made.
            unsafe { libc::close(result as i32) };
        }
        seen.push((format!("{name}: {what}"), used));
    }
    seen
}

#[test]
fn both_back_ends_tell_the_same() {
    let folder = Folder::new("same");
    fs::write(folder.0.join("there"), "x").unwrap();
    let Some(mut live) = Live::load_by(false) else { return };
    if let Err(why) = is_primary(&live) {
        println!("skipped: no primary back end here: {why}");
        return;
    }
    live.probe.fire_canaries().unwrap();
    live.find::<()>(Duration::from_millis(300), |_| None);
    for hook in KEPT {
        let status = &live.probe.hook_status()[hook as usize];
        assert!(status.last_proven.is_some() && status.backend == Backend::Primary, "{hook:?}: {}", status.reason);
    }
    let primary = run(&mut live, &folder.0);
    drop(live);
    let mut live = Live::load_by(true).unwrap();
    let baseline = run(&mut live, &folder.0);
    assert_eq!(primary.len(), baseline.len());
    for ((primary, used), (baseline, unused)) in primary.iter().zip(&baseline) {
        assert_eq!(primary, baseline);
        assert!(*used, "not by what the kernel used: {primary}");
        assert!(!unused, "{baseline}");
    }
    row("both", &["the same of", &primary.len().to_string(), "calls"]);
}

#[test]
fn arguments_that_are_rewritten_while_the_call_runs() {
    let Some(mut live) = Live::load_by(false) else { return };
    let folder = Folder::new("rewritten");
    for (name, hook, case) in rewrite::CASES {
        let backend = live.probe.hook_status()[*hook as usize].backend;
        let done = match case(&folder) {
            Ok(done) => done,
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                println!("skipped: {name} with rewritten arguments: {error}");
                continue;
            }
            Err(error) => panic!("{name}: {error}"),
        };
        let end = Instant::now() + Duration::from_secs(10);
        let (told, used) = live
            .find(end - Instant::now(), |r| {
                let text = told(&r.body).filter(|_| r.header.tid == done.tid && r.header.hook == *hook)?;
                let name = [&done.used, &done.rewritten].into_iter().find(|name| text.contains(name.as_str()))?;
                Some((name.clone(), r.header.used))
            })
            .unwrap_or_else(|| panic!("no record of {name}"));
        let what = if told == done.used { "what the kernel used" } else { "what the caller wrote there later" };
        row("rewritten", &[name, backend.as_str(), what]);
        if backend == Backend::Primary {
            let unsure = live.probe.counters().unwrap()[*hook as usize].unsure;
            assert_eq!((told, used), (done.used, true), "{name}: {unsure} that could not be kept");
        }
    }
}
