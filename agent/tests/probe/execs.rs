//! Programs started.
use crate::support::{OwnedStream, everything, live, on_overlay};
use agent::probe::record::Layer;
use engine::event::EventType;
use procfs::process::Process;
use std::{
    fs::{self, File},
    io::Write as _,
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::{
        fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
        unix::{
            fs::{MetadataExt as _, PermissionsExt},
            net::UnixStream,
            process::CommandExt as _,
        },
    },
    path::Path,
    process::{Child, Command, Stdio},
};

/// Nanoseconds in a clock tick of /proc (USER_HZ is 100).
const TICK: u64 = 10_000_000;

fn end(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

fn namespace(pid: u32, which: &str) -> u32 {
    fs::metadata(format!("/proc/{pid}/ns/{which}")).unwrap().ino() as u32
}

#[test]
fn every_field_is_what_proc_says() {
    let Some(mut live) = live(&everything(1)) else { return };
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let child = Command::new("sleep")
        .args(["30", "0.25", "0"])
        .current_dir(dir.path())
        .uid(1234)
        .gid(2345)
        .process_group(0)
        .spawn()
        .unwrap();
    let (header, exec) = live.exec(child.id());
    let process = Process::new(child.id().cast_signed()).unwrap();
    let (stat, status) = (process.stat().unwrap(), process.status().unwrap());

    assert_eq!(header.event_type, EventType::Execve);
    assert_eq!((header.pid, header.tid), (child.id(), child.id()));
    assert_eq!((header.uid, header.gid), (1234, 2345));
    assert_eq!(header.start_time / TICK, stat.starttime);
    assert_eq!(header.generation, 1);
    assert!(!header.truncated && !header.canary);

    let exe = fs::read_link(format!("/proc/{}/exe", child.id())).unwrap();
    let meta = fs::metadata(&exe).unwrap();
    assert_eq!(Path::new(&exec.path), exe);
    assert!(exec.file.ends_with("/sleep"));
    assert_eq!(exec.args, fs::read(format!("/proc/{}/cmdline", child.id())).unwrap());
    assert_eq!(exec.rest.args_total as usize, exec.args.len());
    assert_eq!(Path::new(&exec.cwd), dir.path());
    assert_eq!(exec.comm, "sleep");

    let e = &exec.rest;
    assert_eq!((e.uid, e.gid, e.euid, e.egid), (1234, 2345, 1234, 2345));
    assert_eq!((status.ruid, status.rgid, status.euid, status.egid), (1234, 2345, 1234, 2345));
    assert_eq!(e.ppid, std::process::id());
    assert_eq!(e.ppid_start / TICK, Process::myself().unwrap().stat().unwrap().starttime);
    assert_eq!((e.sid, e.pgid), (stat.session.cast_unsigned(), stat.pgrp.cast_unsigned()));
    assert_eq!((e.vpid, e.vtid, e.vpgid, e.vsid), (e.vtid, child.id(), e.pgid, e.sid));
    assert_eq!(e.pvpid, std::process::id());
    assert_eq!(e.tty, stat.tty_nr.cast_unsigned());
    assert_eq!(e.cap_permitted, status.capprm);
    assert_eq!(e.cap_effective, status.capeff);
    assert_eq!(e.cap_inheritable, status.capinh);
    let loginuid = fs::read_to_string(format!("/proc/{}/loginuid", child.id())).unwrap_or_default();
    assert_eq!(e.loginuid, loginuid.trim().parse().ok().filter(|uid| *uid != u32::MAX));
    // An overlay may tell stat another device and number than it has itself.
    if !on_overlay(&exe) {
        assert_eq!((u64::from(e.exe_dev), e.exe_ino), (meta.dev(), meta.ino()));
        assert_eq!(e.layer, Layer::None);
    }
    assert_eq!(e.exe_mtime, meta.mtime() as u64 * 1_000_000_000 + meta.mtime_nsec() as u64);
    assert_eq!(e.exe_ctime, meta.ctime() as u64 * 1_000_000_000 + meta.ctime_nsec() as u64);
    assert_eq!((e.mnt_ns, e.pid_ns), (namespace(child.id(), "mnt"), namespace(child.id(), "pid")));
    assert!(!e.memfd && !e.deleted);
    end(child);
}

#[test]
fn capabilities_of_root_are_seen() {
    let Some(mut live) = live(&everything(1)) else { return };
    let child = Command::new("sleep").arg("30").spawn().unwrap();
    let (_, exec) = live.exec(child.id());
    let status = Process::new(child.id().cast_signed()).unwrap().status().unwrap();
    assert!(status.capeff != 0);
    assert_eq!((exec.rest.cap_permitted, exec.rest.cap_effective), (status.capprm, status.capeff));
    end(child);
}

#[test]
fn cgroup_path_is_one_that_proc_names() {
    let Some(mut live) = live(&everything(1)) else { return };
    let child = Command::new("sleep").arg("30").spawn().unwrap();
    let (_, exec) = live.exec(child.id());
    let cgroups = fs::read_to_string(format!("/proc/{}/cgroup", child.id())).unwrap();
    let paths: Vec<&str> = cgroups.lines().filter_map(|l| l.splitn(3, ':').nth(2)).collect();
    assert!(paths.contains(&exec.cgroup.as_str()), "{} is not in {cgroups}", exec.cgroup);
    end(child);
}

#[test]
fn arguments_past_the_bound_are_cut_and_marked() {
    let Some(mut live) = live(&everything(1)) else { return };
    let long = "x".repeat(6000);
    let mut child = Command::new("true").args(["first", &long]).spawn().unwrap();
    let (header, exec) = live.exec(child.id());
    child.wait().unwrap();
    assert!(header.truncated);
    assert_eq!(exec.rest.args_total as usize, "true first ".len() + 6001);
    assert_eq!(exec.args.len(), 4096);
    assert!(exec.args.starts_with(b"true\0first\0xxx"));
}

#[test]
fn a_script_names_its_interpreter_and_itself() {
    let Some(mut live) = live(&everything(1)) else { return };
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("script");
    fs::write(&script, "#!/bin/sh\nexit 0\n").unwrap();
    fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
    let mut child = Command::new(&script).spawn().unwrap();
    let (_, exec) = live.exec(child.id());
    child.wait().unwrap();
    assert_eq!(Path::new(&exec.path), fs::canonicalize("/bin/sh").unwrap());
    assert_eq!(Path::new(&exec.file), script);
    assert_eq!(exec.comm, "script");
}

#[test]
fn a_terminal_is_seen() {
    let Some(mut live) = live(&everything(1)) else { return };
    // SAFETY: no pointers but the null ones that openpty takes for "do not care".
    let (master, slave) = unsafe {
        let (mut master, mut slave) = (-1, -1);
        let null = std::ptr::null_mut();
        if libc::openpty(&raw mut master, &raw mut slave, null, null.cast(), null.cast()) != 0 {
            println!("skipped: no pseudo terminals here");
            return;
        }
        (File::from_raw_fd(master), File::from_raw_fd(slave))
    };
    let mut command = Command::new("sleep");
    command.arg("30").stdin(Stdio::from(slave));
    // SAFETY: setsid and ioctl are async-signal-safe.
    unsafe {
        command.pre_exec(|| {
            libc::setsid();
            libc::ioctl(0, libc::TIOCSCTTY, 0);
            Ok(())
        });
    }
    let child = command.spawn().unwrap();
    let (_, exec) = live.exec(child.id());
    let stat = Process::new(child.id().cast_signed()).unwrap().stat().unwrap();
    assert!(stat.tty_nr != 0);
    assert_eq!(exec.rest.tty, stat.tty_nr.cast_unsigned());
    assert_eq!(exec.rest.sid, child.id());
    drop(master);
    end(child);
}

#[test]
fn ids_inside_a_pid_namespace() {
    let Some(mut live) = live(&everything(1)) else { return };
    let mut child = Command::new("unshare").args(["--pid", "--fork", "--kill-child", "sleep", "30"]).spawn().unwrap();
    let unshare = child.id();
    let (header, exec) = live.find("sleep in a namespace", |r| match &r.body {
        agent::probe::record::Body::Exec(e) if e.ppid == unshare => Some((r.header, e.clone().into_owned_ids())),
        _ => None,
    });
    assert_eq!((exec.0, exec.1), (1, 1), "first process of its namespace");
    assert_eq!(exec.2, 0, "its parent is outside");
    assert!(header.pid != 1);
    assert_eq!(exec.3, namespace(header.pid, "pid"));
    assert!(exec.3 != namespace(std::process::id(), "pid"));
    child.kill().unwrap();
    child.wait().unwrap();
}

/// vpid, vtid, pvpid, pid namespace.
trait OwnedIds {
    fn into_owned_ids(self) -> (u32, u32, u32, u32);
}
impl OwnedIds for agent::probe::record::Exec<'_> {
    fn into_owned_ids(self) -> (u32, u32, u32, u32) {
        (self.vpid, self.vtid, self.pvpid, self.pid_ns)
    }
}

/// Runs the program behind `fd` by execveat with an empty path.
fn run_descriptor(fd: i32) -> Child {
    let mut command = Command::new("/nonexistent");
    // SAFETY: execveat is async-signal-safe; the strings live in the binary.
    unsafe {
        command.pre_exec(move || {
            let argv = [c"from-descriptor".as_ptr(), std::ptr::null()];
            let envp = [std::ptr::null::<libc::c_char>()];
            libc::syscall(libc::SYS_execveat, fd, c"".as_ptr(), argv.as_ptr(), envp.as_ptr(), libc::AT_EMPTY_PATH);
            Err(std::io::Error::last_os_error())
        });
    }
    command.spawn().unwrap()
}

#[test]
fn a_memfd_is_told_apart() {
    let Some(mut live) = live(&everything(1)) else { return };
    // SAFETY: the name is a C string; the descriptor is owned from here.
    let mut memfd = unsafe { File::from_raw_fd(libc::memfd_create(c"eyas-test".as_ptr(), 0)) };
    memfd.write_all(&fs::read("/bin/true").unwrap()).unwrap();
    // Written through another descriptor, or the kernel says "text file busy".
    let readable = File::open(format!("/proc/self/fd/{}", memfd.as_raw_fd())).unwrap();
    drop(memfd);
    let mut child = run_descriptor(readable.as_raw_fd());
    let (header, exec) = live.exec(child.id());
    child.wait().unwrap();
    assert_eq!(header.event_type, EventType::Execveat);
    assert_eq!(exec.path, "/memfd:eyas-test");
    assert!(exec.rest.memfd && !exec.rest.deleted);
    assert_eq!(exec.args, b"from-descriptor\0");
}

#[test]
fn a_deleted_program_is_told_apart() {
    let Some(mut live) = live(&everything(1)) else { return };
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("gone");
    fs::copy("/bin/true", &program).unwrap();
    let file = File::open(&program).unwrap();
    fs::remove_file(&program).unwrap();
    let mut child = run_descriptor(file.as_raw_fd());
    let (_, exec) = live.exec(child.id());
    child.wait().unwrap();
    assert_eq!(Path::new(&exec.path), program);
    assert!(exec.rest.deleted && !exec.rest.memfd);
}

/// An overlay mounted for a test.
pub struct Overlay {
    dir: tempfile::TempDir,
}

impl Overlay {
    /// With `program` on its lower layer, as a copy of /bin/true.
    pub fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        for sub in ["lower", "upper", "work", "merged"] {
            fs::create_dir(dir.path().join(sub)).unwrap();
        }
        fs::copy("/bin/true", dir.path().join("lower/program")).unwrap();
        let at = |sub: &str| dir.path().join(sub).to_str().unwrap().to_owned();
        let options = format!("lowerdir={},upperdir={},workdir={}", at("lower"), at("upper"), at("work"));
        let done = Command::new("mount")
            .args(["-t", "overlay", "overlay", "-o", &options, &at("merged")])
            .stderr(Stdio::null())
            .status();
        if !done.is_ok_and(|s| s.success()) {
            println!("skipped: cannot mount an overlay here");
            return None;
        }
        Some(Self { dir })
    }

    pub fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join("merged").join(name)
    }
}

impl Drop for Overlay {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.dir.path().join("merged")).status();
    }
}

#[test]
fn the_overlay_layer_of_a_program() {
    let Some(mut live) = live(&everything(1)) else { return };
    let Some(overlay) = Overlay::mount() else { return };
    fs::copy("/bin/true", overlay.path("added")).unwrap();
    for (name, layer) in [("program", Layer::Lower), ("added", Layer::Upper)] {
        let mut child = Command::new(overlay.path(name)).spawn().unwrap();
        let (_, exec) = live.exec(child.id());
        child.wait().unwrap();
        assert_eq!(Path::new(&exec.path), overlay.path(name));
        assert_eq!(exec.rest.layer, layer, "{name}");
    }
}

#[test]
fn the_standard_streams() {
    let Some(mut live) = live(&everything(1)) else { return };
    let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let client = TcpStream::connect(server.local_addr().unwrap()).unwrap();
    let (own, peer) = (client.local_addr().unwrap(), client.peer_addr().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().canonicalize().unwrap().join("out");
    let file = File::create(&path).unwrap();
    let ino = file.metadata().unwrap().ino();
    // A connection, a file, a pipe.
    let mut command = Command::new("sleep");
    command.arg("30").stdin(OwnedFd::from(client)).stdout(file).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let pipe = fs::metadata(format!("/proc/{}/fd/2", child.id())).unwrap().ino();
    let (_, exec) = live.exec(child.id());
    end(child);
    let [OwnedStream::Socket { local, remote }, OwnedStream::File(stdout), OwnedStream::File(stderr)] = &exec.streams
    else {
        panic!("{:?}", exec.streams)
    };
    assert_eq!((*local, *remote), (Some(own), Some(peer)));
    assert_eq!((stdout.path.as_str(), stdout.ino, stdout.format), (path.to_str().unwrap(), ino, libc::S_IFREG));
    assert_eq!((stderr.ino, stderr.format), (pipe, libc::S_IFIFO));

    // One file for all three; none; a listening socket and a unix one.
    let null = || File::open("/dev/null").unwrap();
    let all = null();
    let child = Command::new("sh").args(["-c", "exec sleep 30 1>&0 2>&0"]).stdin(all).spawn().unwrap();
    let (_, exec) = live.exec_of(child.id(), "sleep");
    end(child);
    assert!(
        exec.streams.iter().all(|s| matches!(s, OwnedStream::File(f) if f.path == "/dev/null")),
        "{:?}",
        exec.streams
    );
    let (unix, _other) = UnixStream::pair().unwrap();
    let child = Command::new("sh")
        .args(["-c", "exec sleep 30 0>&-"])
        .stdout(OwnedFd::from(server))
        .stderr(OwnedFd::from(unix))
        .spawn()
        .unwrap();
    let (_, exec) = live.exec_of(child.id(), "sleep");
    end(child);
    let [
        OwnedStream::Closed,
        OwnedStream::Socket { local, remote: None },
        OwnedStream::Socket { local: None, remote: None },
    ] = &exec.streams
    else {
        panic!("{:?}", exec.streams)
    };
    assert_eq!(local.map(|l| l.port()), Some(peer.port()));
}
