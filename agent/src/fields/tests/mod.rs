#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use super::*;
use crate::{
    container::Containers,
    probe::record::{Call, CallFile, Connect, Exec, Exit, Fork, Given, Header, Layer, Open},
};
use engine::{
    event::Hook,
    field::{ArgRule, Supply, catalogue},
};
use std::path::Path;

mod calls;

struct Scene {
    table: Table,
    users: Users,
    containers: Containers,
    pods: workload::Index,
}

fn header(event_type: EventType) -> Header {
    Header {
        hook: event_type.hook(),
        event_type,
        classes: u64::MAX,
        generation: 1,
        truncated: false,
        canary: false,
        io_uring: false,
        used: false,
        nonce: 0,
        time: 60_000_000_000,
        cpu: 1,
        pid: 20,
        tid: 20,
        start_time: 50_000_000_000,
        cgroup: 5,
        uid: 0,
        gid: 0,
    }
}

fn exec() -> Exec<'static> {
    Exec {
        path: b"/usr/bin/cat",
        file: b"cat",
        args: b"cat\0-n\0/etc/shadow\0",
        args_total: 20,
        cwd: b"/srv",
        cgroup_path: b"/system.slice/ssh.service",
        comm: b"cat",
        ppid: 10,
        ppid_start: 40_000_000_000,
        uid: 0,
        gid: 0,
        euid: 0,
        egid: 0,
        loginuid: Some(0),
        cap_permitted: 3,
        cap_inheritable: 0,
        cap_effective: 1,
        sid: 10,
        pgid: 20,
        vpid: 20,
        vtid: 20,
        streams: Default::default(),
        vpgid: 20,
        vsid: 10,
        pvpid: 10,
        tty: 34816,
        layer: Layer::Lower,
        memfd: false,
        deleted: false,
        exe_ino: 7,
        exe_mtime: 1,
        exe_ctime: 2,
        exe_dev: 3,
        mnt_ns: 1,
        pid_ns: 1,
    }
}

fn open() -> Open<'static> {
    Open {
        given: b"",
        path: b"/etc/shadow",
        resolved: true,
        base: b"",
        dirfd: -100,
        flags: (libc::O_RDWR | libc::O_CREAT).cast_unsigned(),
        mode: 0o755,
        ret: 3,
        created: false,
        dev: 0x0010_3a05,
        ino: 99,
        layer: Layer::Upper,
    }
}

fn connect() -> Connect<'static> {
    Connect {
        family: 2,
        addr: Some([10, 0, 0, 9].into()),
        port: 443,
        unix_path: b"",
        local_addr: Some([10, 0, 0, 1].into()),
        local_port: 40000,
        l4proto: 6,
        sock_type: 1,
        fd: 5,
        ret: -115,
    }
}

/// A call with paths, and nothing behind a descriptor.
fn call() -> Call<'static> {
    Call {
        ret: 0,
        args: [5, 1, 2, 3, 4, 5],
        path: Given { path: b"one", base: b"/srv" },
        path2: Given { path: b"/tmp/two", base: b"" },
        text: b"ext4",
        fd: None,
        file: None,
        socket: None,
        given: false,
        connected: false,
    }
}

fn on_file(path: &'static [u8], format: u32) -> Call<'static> {
    let mode = u16::try_from(format | 0o600).unwrap();
    Call { fd: Some(5), file: Some(CallFile { path, mode, dev: 1, ino: 9, layer: Layer::Lower }), ..call() }
}

fn on_socket(socket: Connect<'static>) -> Call<'static> {
    Call { fd: Some(5), connected: socket.addr.is_some(), socket: Some(socket), ..call() }
}

fn scene() -> Scene {
    let mut scene = Scene {
        table: Table::new(Path::new("/nonexistent")),
        users: Users::new(Path::new("/proc")),
        containers: Containers::default(),
        pods: workload::Index::standalone(),
    };
    let shell = Header { pid: 10, tid: 10, start_time: 40_000_000_000, ..header(EventType::Execve) };
    let args = Exec { path: b"/bin/bash", args: b"-bash\0", comm: b"bash", ppid: 1, ppid_start: 0, vpid: 10, ..exec() };
    scene.table.exec(&shell, &args, &mut scene.containers);
    scene.table.exec(&header(EventType::Execve), &exec(), &mut scene.containers);
    scene
}

impl Scene {
    fn ask<T>(&mut self, event_type: EventType, body: Body<'_>, ask: impl FnOnce(&View<'_>) -> T) -> T {
        let header = header(event_type);
        let process = self.table.actor(&header, &mut self.containers);
        let record = Record { header, body };
        let around = Surroundings {
            node: "node-1",
            table: &self.table,
            users: &self.users,
            pods: &self.pods,
            await_pods: false,
            boot_to_wall: 1_000_000_000_000_000_000,
            agent_start: 30_000_000_000,
        };
        ask(&View::new(around, &record, &process, 77, false))
    }

    fn text(&mut self, event_type: EventType, body: Body<'_>, field: &str) -> String {
        let field = FieldRef::parse(field).unwrap();
        self.ask(event_type, body, |view| match view.field(&field) {
            Lookup::Value(Value::Str(s)) => String::from_utf8_lossy(&s).into_owned(),
            Lookup::Value(Value::Int(n)) => n.to_string(),
            Lookup::Value(Value::Uint(n)) => n.to_string(),
            Lookup::Value(Value::Bool(b)) => b.to_string(),
            Lookup::Value(Value::Ip(ip)) => ip.to_string(),
            Lookup::Value(Value::List(l)) => format!("{} values", l.len()),
            Lookup::Missing => "<NA>".to_owned(),
            Lookup::Pending => "pending".to_owned(),
        })
    }
}

/// Events of a hook: of each type, with each kind of object that its descriptor may be.
fn bodies(hook: Hook) -> Vec<(EventType, Body<'static>)> {
    let one = |event_type, body| vec![(event_type, body)];
    match hook {
        Hook::Exec => one(EventType::Execve, Body::Exec(exec())),
        Hook::Fork => {
            let fork = Fork {
                child_pid: 21,
                child_tid: 21,
                child_start: 1,
                child_vpid: 21,
                child_pid_ns: 1,
                child_cgroup: 5,
                child_uid: 0,
                ppid: 20,
                ppid_start: 50_000_000_000,
                flags: 0x1000_0011,
                comm: b"cat",
            };
            one(EventType::Clone, Body::Fork(fork))
        }
        Hook::Exit => one(EventType::Procexit, Body::Exit(Exit { code: 256 })),
        Hook::Open => one(EventType::Openat, Body::Open(open())),
        Hook::Connect => one(EventType::Connect, Body::Connect(connect())),
        hook => hook.event_types().flat_map(calls_of).collect(),
    }
}

/// What the record of a call may hold is what its recipe says.
fn calls_of(event_type: EventType) -> Vec<(EventType, Body<'static>)> {
    let recipe = agent_abi::call::recipes()[event_type as usize];
    let file = on_file(b"/etc/shadow", libc::S_IFREG);
    let socket = on_socket(connect());
    let calls = match (recipe.fd, event_type) {
        (agent_abi::call::NONE, _) => vec![call()],
        (agent_abi::call::RESULT, EventType::Accept | EventType::Accept4 | EventType::Socket) => vec![socket],
        (agent_abi::call::RESULT, EventType::Dup | EventType::Dup2 | EventType::Dup3) => vec![file, socket],
        (agent_abi::call::RESULT, _) => vec![file],
        _ => vec![file, socket],
    };
    let given = |has: u8, path| if has == agent_abi::call::NONE { Given::default() } else { path };
    let only = |c: Call<'static>| Call { path: given(recipe.path, c.path), path2: given(recipe.path2, c.path2), ..c };
    calls.into_iter().map(|c| (event_type, Body::Call(only(c)))).collect()
}

/// What the catalogue promises is kept, and no more is: a field that some hooks supply has a value in an event of each of these,
/// and in none of any other; one that every event has is answered by somebody.
#[test]
fn fields_are_supplied_as_the_catalogue_says() {
    let mut scene = scene();
    let mut wrong = Vec::new();
    for def in catalogue() {
        let args: &[Option<Arg>] = match def.arg {
            ArgRule::No | ArgRule::OptIndex => &[None],
            ArgRule::OptKey => &[None, Some(Arg::Key("dst".to_owned()))],
            ArgRule::Ancestor => &[Some(Arg::Index(1))],
            ArgRule::Key => &[Some(Arg::Key("0".to_owned()))],
        };
        for hook in Hook::ALL {
            let mut answered = false;
            let mut has_value = false;
            for (event_type, body) in bodies(*hook) {
                for arg in args {
                    scene.ask(event_type, body.clone(), |view| {
                        let answer = view.lookup(def.field, arg.as_ref());
                        answered |= answer.is_some();
                        has_value |= !matches!(answer, None | Some(Lookup::Missing));
                    });
                }
            }
            let right = match def.supply {
                Supply::Nobody => !has_value,
                Supply::By(hooks) => has_value == hooks.contains(hook),
                _ => answered,
            };
            if !right {
                wrong.push(format!("{} ({})", def.name, hook.as_str()));
            }
        }
    }
    assert!(wrong.is_empty(), "supplied but not said, or said but not supplied: {wrong:?}");
}

#[test]
fn a_field_that_nobody_supplies_is_missing() {
    let mut scene = scene();
    assert_eq!(scene.text(EventType::Openat, Body::Open(open()), "proc.env"), "<NA>");
    assert_eq!(scene.text(EventType::Openat, Body::Open(open()), "fd.sip"), "<NA>");
    assert_eq!(scene.text(EventType::Connect, Body::Connect(connect()), "fd.directory"), "<NA>");
}

#[test]
fn values_of_an_open() {
    let mut scene = scene();
    for (field, value) in [
        ("evt.type", "openat"),
        ("evt.num", "77"),
        ("evt.rawtime.s", "1000000060"),
        ("evt.reltime", "30000000000"),
        ("evt.res", "SUCCESS"),
        ("evt.is_open_read", "true"),
        ("evt.is_open_write", "true"),
        ("evt.is_open_create", "true"),
        ("evt.is_open_exec", "true"),
        ("evt.arg.flags", "O_RDWR|O_CREAT|FD_UPPER_LAYER"),
        ("evt.rawarg.flags", "66"),
        ("evt.arg[0]", "3"),
        ("evt.arg.path", "/etc/shadow"),
        ("fd.name", "/etc/shadow"),
        ("fd.directory", "/etc"),
        ("fd.filename", "shadow"),
        ("fd.typechar", "f"),
        ("fd.num", "3"),
        ("fd.containername", "host:/etc/shadow"),
        ("fd.is_upper_layer", "true"),
        ("proc.name", "cat"),
        ("proc.cmdline", "cat -n /etc/shadow"),
        ("proc.args", "-n /etc/shadow"),
        ("proc.args[1]", "/etc/shadow"),
        ("proc.cmdnargs", "2"),
        ("proc.exeline", "cat -n /etc/shadow"),
        ("proc.cwd", "/srv/"),
        ("proc.pname", "bash"),
        ("proc.aname[0]", "cat"),
        ("proc.aname[1]", "bash"),
        ("proc.aname[2]", "<NA>"),
        ("proc.aname", "1 values"),
        ("proc.sname", "bash"),
        ("proc.loginshellid", "10"),
        ("proc.duration", "10000000000"),
        ("proc.is_exe_lower_layer", "true"),
        ("proc.is_pgid_leader", "true"),
        ("proc.is_sid_leader", "false"),
        ("thread.cap_permitted", "CAP_CHOWN CAP_DAC_OVERRIDE"),
        ("thread.nametid", "cat:20"),
        ("user.name", "root"),
        ("user.loginname", "root"),
        ("container.id", "host"),
        ("container.name", "host"),
        ("container.image", "<NA>"),
        ("k8s.ns.name", "<NA>"),
        ("k8s.node.name", "node-1"),
    ] {
        assert_eq!(scene.text(EventType::Openat, Body::Open(open()), field), value, "{field}");
    }
}

#[test]
fn values_of_failed_and_relative_opens() {
    let mut scene = scene();
    let opened = || Body::Open(Open { given: b"../etc/shadow", ..open() });
    assert_eq!(scene.text(EventType::Openat, opened(), "fd.nameraw"), "../etc/shadow");
    assert_eq!(scene.text(EventType::Openat, opened(), "evt.rawarg.name"), "../etc/shadow");
    assert_eq!(scene.text(EventType::Openat, opened(), "fd.name"), "/etc/shadow");
    let failed = || Body::Open(Open { path: b"../x/./y", resolved: false, ret: -13, ..open() });
    assert_eq!(scene.text(EventType::Openat, failed(), "fd.name"), "/x/y");
    assert_eq!(scene.text(EventType::Openat, failed(), "fd.nameraw"), "../x/./y");
    assert_eq!(scene.text(EventType::Openat, failed(), "evt.res"), "EACCES");
    assert_eq!(scene.text(EventType::Openat, failed(), "evt.arg.fd"), "-13(EACCES)");
    assert_eq!(scene.text(EventType::Openat, failed(), "fd.ino"), "<NA>");
    let elsewhere = Body::Open(Open { path: b"y", resolved: false, ret: -2, dirfd: 7, ..open() });
    assert_eq!(scene.text(EventType::Openat, elsewhere, "fd.name"), "<NA>");
    let based = Body::Open(Open { path: b"y", base: b"/opt/", resolved: false, ret: -2, dirfd: 7, ..open() });
    assert_eq!(scene.text(EventType::Openat, based, "fd.name"), "/opt/y");
    let creat = Body::Open(Open { flags: 0, ..open() });
    assert_eq!(scene.text(EventType::Creat, creat, "evt.is_open_write"), "true");
}

#[test]
fn values_of_a_connect() {
    let mut scene = scene();
    let mut see = |c: Connect<'_>, field: &str| scene.text(EventType::Connect, Body::Connect(c), field);
    assert_eq!(see(connect(), "fd.name"), "10.0.0.1:40000->10.0.0.9:443");
    assert_eq!(see(connect(), "fd.sport"), "443");
    assert_eq!(see(connect(), "fd.l4proto"), "tcp");
    assert_eq!(see(connect(), "fd.ip"), "2 values");
    assert_eq!(see(connect(), "evt.res"), "EINPROGRESS");
    assert_eq!(see(connect(), "evt.failed"), "true");
    // A mapped address is what it maps to: no way around a rule on IPv4.
    let mapped = Connect { family: 10, addr: Some("::ffff:1.2.3.4".parse().unwrap()), ..connect() };
    assert_eq!(see(mapped.clone(), "fd.sip"), "1.2.3.4");
    assert_eq!(see(mapped, "fd.typechar"), "4");
    let unix = Connect { family: 1, addr: None, local_addr: None, unix_path: b"\0x", ..connect() };
    assert_eq!(see(unix.clone(), "fd.name"), "@x");
    assert_eq!(see(unix, "fd.type"), "unix");
}
