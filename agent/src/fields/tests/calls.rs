//! Values of the fields of calls.
use super::*;

/// (type, call, fields and values)
type Case = (EventType, Call<'static>, Expected);
type Expected = &'static [(&'static str, &'static str)];

fn check(cases: Vec<Case>) {
    let mut scene = scene();
    for (event_type, call, expected) in cases {
        for (field, value) in expected {
            let seen = scene.text(event_type, Body::Call(call.clone()), field);
            assert_eq!(seen, *value, "{field} of {}", event_type.as_str());
        }
    }
}

#[test]
fn sides_of_sockets() {
    let ends = |local: (u8, u16), remote: Option<(u8, u16)>| Connect {
        local_addr: Some([10, 0, 0, local.0].into()),
        local_port: local.1,
        addr: remote.map(|r| [10, 0, 0, r.0].into()),
        port: remote.map_or(0, |r| r.1),
        ..connect()
    };
    let server = ends((1, 443), Some((9, 50000)));
    let client = ends((1, 50000), Some((9, 4444)));
    let given = |socket| Call { given: true, connected: false, ..on_socket(socket) };
    check(vec![
        (
            EventType::Accept4,
            Call { ret: 5, ..on_socket(server.clone()) },
            &[
                ("fd.name", "10.0.0.9:50000->10.0.0.1:443"),
                ("fd.sip", "10.0.0.1"),
                ("fd.sport", "443"),
                ("fd.cip", "10.0.0.9"),
                ("fd.rport", "50000"),
                ("fd.lport", "443"),
                ("fd.is_server", "true"),
                ("fd.connected", "true"),
                ("fd.name_changed", "false"),
                ("fd.num", "5"),
                ("fd.l4proto", "tcp"),
                ("evt.category", "net"),
                ("evt.arg.tuple", "10.0.0.9:50000->10.0.0.1:443"),
            ],
        ),
        (
            EventType::Bind,
            given(ends((0, 0), Some((7, 80)))),
            &[
                ("fd.name", "10.0.0.7:80"),
                ("fd.sip", "10.0.0.7"),
                ("fd.sport", "80"),
                ("fd.cip", "<NA>"),
                ("fd.rip", "<NA>"),
                ("fd.ip", "1 values"),
                ("fd.name_changed", "true"),
                ("evt.arg.addr", "10.0.0.7:80"),
            ],
        ),
        // Port 0 was asked for: the socket knows which it got.
        (
            EventType::Bind,
            given(ends((7, 41000), Some((7, 0)))),
            &[("fd.name", "10.0.0.7:41000"), ("fd.lport", "41000")],
        ),
        (
            EventType::Sendto,
            Call { ret: 12, ..given(Connect { l4proto: 17, ..ends((1, 50000), Some((9, 53))) }) },
            &[
                ("fd.name", "10.0.0.1:50000->10.0.0.9:53"),
                ("fd.sip", "10.0.0.9"),
                ("fd.sport", "53"),
                ("fd.l4proto", "udp"),
                ("fd.connected", "false"),
                ("fd.name_changed", "true"),
                ("fd.is_server", "false"),
                ("evt.is_io_write", "true"),
                ("evt.io_dir", "W"),
                ("evt.rawres", "12"),
                ("evt.category", "net"),
            ],
        ),
        // A reverse shell, and a served connection, on standard input.
        (
            EventType::Dup2,
            Call { ret: 0, ..on_socket(client) },
            &[
                ("fd.type", "ipv4"),
                ("fd.sip", "10.0.0.9"),
                ("fd.sport", "4444"),
                ("fd.name", "10.0.0.1:50000->10.0.0.9:4444"),
                ("evt.rawres", "0"),
                ("evt.arg.oldfd", "5"),
                ("evt.category", "net"),
            ],
        ),
        (EventType::Dup3, on_socket(server), &[("fd.is_server", "true"), ("fd.sport", "443"), ("fd.cport", "50000")]),
        (
            EventType::Socket,
            Call {
                ret: 3,
                args: [17, 3, 768, 0, 0, 0],
                ..on_socket(Connect {
                    family: 17,
                    addr: None,
                    local_addr: None,
                    local_port: 0,
                    l4proto: 0,
                    ..connect()
                })
            },
            &[
                ("evt.arg.domain", "AF_PACKET"),
                ("evt.rawarg.domain", "17"),
                ("evt.args", "fd=3 domain=AF_PACKET type=3 proto=768"),
                ("fd.typechar", "o"),
                ("fd.type", "<NA>"),
                ("fd.name", "<NA>"),
            ],
        ),
        (
            EventType::Listen,
            on_socket(Connect {
                addr: None,
                family: 10,
                local_addr: Some("::".parse().unwrap()),
                local_port: 80,
                ..connect()
            }),
            &[("fd.type", "ipv6"), ("fd.name", ":::80"), ("fd.sport", "80"), ("evt.arg.backlog", "1")],
        ),
        (
            EventType::Bind,
            given(Connect { family: 1, addr: None, local_addr: None, unix_path: b"/run/x.sock", ..connect() }),
            &[("fd.type", "unix"), ("fd.name", "/run/x.sock"), ("evt.arg.addr", "/run/x.sock")],
        ),
    ]);
}

#[test]
fn descriptors_and_failures() {
    check(vec![
        (EventType::Accept, Call { ret: -11, fd: None, ..call() }, &[("fd.num", "-11"), ("fd.name", "<NA>")]),
        (EventType::Setns, on_file(b"//", libc::S_IFREG), &[("fd.num", "5"), ("fd.name", "ns:[9]")]),
        (
            EventType::Fchmod,
            Call { ret: -9, args: [7, 0o4755, 0, 0, 0, 0], ..call() },
            &[("fd.num", "7"), ("evt.res", "EBADF")],
        ),
        (
            EventType::Fchmod,
            Call { args: [5, 0o4755, 0, 0, 0, 0], path: Given::default(), ..on_file(b"/usr/bin/x", libc::S_IFREG) },
            &[
                ("fd.name", "/usr/bin/x"),
                ("fd.directory", "/usr/bin"),
                ("fd.filename", "x"),
                ("fd.is_lower_layer", "true"),
                ("fd.containername", "host:/usr/bin/x"),
                ("fs.path.name", "/usr/bin/x"),
                ("evt.arg.mode", "04755"),
                ("evt.rawarg.mode", "2541"),
            ],
        ),
        (
            EventType::MemfdCreate,
            Call { ret: 6, text: b"x", args: [1, 1, 0, 0, 0, 0], ..on_file(b"/memfd:x", libc::S_IFREG) },
            &[
                ("fd.type", "memfd"),
                ("fd.name", "memfd:x"),
                ("fd.directory", "<NA>"),
                ("evt.arg.name", "x"),
                ("evt.arg.path", "<NA>"),
                ("evt.arg.flags", "MFD_CLOEXEC"),
                ("evt.category", "memory"),
            ],
        ),
        (
            EventType::Dup2,
            on_file(b"//", libc::S_IFIFO),
            &[("fd.type", "pipe"), ("fd.name", "pipe:[9]"), ("evt.category", "ipc")],
        ),
    ]);
}

#[test]
fn paths_of_calls() {
    let both = |event_type, ret, expected: Expected| (event_type, Call { ret, ..call() }, expected);
    let one =
        |event_type, args, expected: Expected| (event_type, Call { args, path2: Given::default(), ..call() }, expected);
    check(vec![
        one(
            EventType::Unlinkat,
            [5, 0, 0x200, 0, 0, 0],
            &[
                ("fs.path.name", "/srv/one"),
                ("fs.path.nameraw", "one"),
                ("evt.abspath", "/srv/one"),
                ("evt.arg.name", "/srv/one"),
                ("evt.arg.path", "/srv/one"),
                ("evt.rawarg.path", "one"),
                ("evt.arg.flags", "AT_REMOVEDIR"),
                ("evt.args", "res=0 dirfd=5 name=one(/srv/one) flags=AT_REMOVEDIR"),
                ("fd.name", "<NA>"),
                ("fd.num", "<NA>"),
            ],
        ),
        one(
            EventType::Chmod,
            [0, 0o777, 0, 0, 0, 0],
            &[("evt.arg.path", "/srv/one"), ("evt.arg[1]", "/srv/one"), ("evt.arg.filename", "/srv/one")],
        ),
        both(
            EventType::Renameat2,
            0,
            &[
                ("fs.path.source", "/srv/one"),
                ("fs.path.sourceraw", "one"),
                ("fs.path.target", "/tmp/two"),
                ("fs.path.name", "<NA>"),
                ("evt.abspath.src", "/srv/one"),
                ("evt.abspath.dst", "/tmp/two"),
                ("evt.abspath", "<NA>"),
                ("evt.arg.oldpath", "/srv/one"),
                ("evt.arg.path", "<NA>"),
            ],
        ),
        both(
            EventType::Linkat,
            -17,
            &[
                ("fs.path.source", "<NA>"),
                ("evt.arg.oldpath", "/srv/one"),
                ("evt.arg.newpath", "/tmp/two"),
                ("evt.abspath.src", "/srv/one"),
                ("evt.arg.res", "-17(EEXIST)"),
                ("evt.failed", "true"),
                ("evt.count.error.file", "1"),
            ],
        ),
        (
            EventType::Symlink,
            Call { path: Given { path: b"../etc/shadow", base: b"" }, ..call() },
            &[
                ("fs.path.source", "/tmp/two"),
                ("fs.path.target", "/etc/shadow"),
                ("fs.path.targetraw", "../etc/shadow"),
                ("evt.abspath", "/tmp/two"),
                ("evt.arg.target", "../etc/shadow"),
                ("evt.arg.linkpath", "/tmp/two"),
            ],
        ),
        (
            EventType::Mount,
            Call {
                args: [0, 0, 0, libc::MS_BIND | libc::MS_REC, 0, 0],
                path2: Given { path: b"proc", base: b"" },
                ..call()
            },
            &[
                ("fs.path.source", "proc"),
                ("fs.path.target", "/srv/one"),
                ("fs.path.name", "<NA>"),
                ("evt.arg.dev", "proc"),
                ("evt.arg.dir", "/srv/one"),
                ("evt.arg.type", "ext4"),
                ("evt.arg.flags", "BIND|REC"),
            ],
        ),
        one(EventType::Umount2, [0, 2, 0, 0, 0, 0], &[("fs.path.name", "/srv/one"), ("evt.arg.flags", "DETACH")]),
        both(EventType::PivotRoot, 0, &[("evt.arg.new_root", "/srv/one"), ("evt.arg.put_old", "/tmp/two")]),
    ]);
}

#[test]
fn numbers_of_calls() {
    let with = |event_type, args, expected: Expected| (event_type, Call { args, ..call() }, expected);
    check(vec![
        with(
            EventType::Ptrace,
            [16, 0xffff_ffff_0000_002a, 0x1000, 1, 0, 0],
            &[
                ("evt.arg.request", "PTRACE_ATTACH"),
                ("evt.arg.pid", "42"),
                ("evt.arg.addr", "0x1000"),
                ("evt.category", "process"),
            ],
        ),
        with(
            EventType::Setresuid,
            [0, 0xffff_ffff, 0, 0, 0, 0],
            &[("evt.args", "res=0 ruid=0 euid=-1 suid=0"), ("evt.rawarg.euid", "-1")],
        ),
        with(EventType::Setns, [5, 0x2000_0000, 0, 0, 0, 0], &[("evt.arg.nstype", "CLONE_NEWPID")]),
        with(EventType::Unshare, [0x1002_0000, 0, 0, 0, 0, 0], &[("evt.arg.flags", "CLONE_NEWNS|CLONE_NEWUSER")]),
        with(EventType::Unshare, [0, 0, 0, 0, 0, 0], &[("evt.arg.flags", "0")]),
        with(
            EventType::Kill,
            [1, 9, 0, 0, 0, 0],
            &[("evt.arg.sig", "SIGKILL"), ("evt.rawarg.sig", "9"), ("evt.category", "signal")],
        ),
        with(EventType::Kill, [1, 40, 0, 0, 0, 0], &[("evt.arg.sig", "40")]),
        with(
            EventType::Capset,
            [0, 0, 0, 1 << 21, 0, 1 << 16],
            &[
                ("evt.arg.cap_permitted", "CAP_SYS_ADMIN"),
                ("evt.arg.cap_inheritable", ""),
                ("evt.arg.cap_effective", "CAP_SYS_MODULE"),
            ],
        ),
        with(EventType::Prctl, [15, 7, 0, 0, 0, 0], &[("evt.arg.option", "PR_SET_NAME"), ("evt.arg.arg2_str", "ext4")]),
        with(EventType::Bpf, [5, 0, 0, 0, 0, 0], &[("evt.arg.cmd", "BPF_PROG_LOAD")]),
        with(
            EventType::DeleteModule,
            [0, 0o4000, 0, 0, 0, 0],
            &[("evt.arg.name", "ext4"), ("evt.arg.flags", "O_NONBLOCK")],
        ),
    ]);
    let mut scene = scene();
    let (event_type, body) = bodies(Hook::Fork).remove(0);
    assert_eq!(scene.text(event_type, body, "evt.arg.flags"), "CLONE_NEWUSER");
}
