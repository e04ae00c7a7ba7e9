//! Decoding of records: what is built is read back, and no bytes whatever make it panic. Needs no kernel.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use agent::probe::record::{Body, Layer, RecordError, Stream, decode};
use agent_abi::{
    Wire,
    record::{self as wire, CallBody, ConnectBody, Ends, ExecBody, ForkBody, OpenBody, RecordHeader, hook},
};
use engine::event::{EventType, Hook};
use proptest::{collection::vec, prelude::*};

fn header(hook: u8, event_type: u8) -> RecordHeader {
    RecordHeader { pid: 7, tid: 8, generation: 3, hook, event_type, ..RecordHeader::zeroed() }
}

fn record(header: RecordHeader, body: &impl Wire, parts: &[&[u8]]) -> Vec<u8> {
    [header.as_bytes(), body.as_bytes(), &parts.concat()].concat()
}

fn bytes(max: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..max)
}

#[test]
fn numbers_are_the_engines() {
    let upper = |name: &str| name.to_uppercase();
    let hooks: Vec<_> = Hook::ALL.iter().map(|h| upper(h.as_str())).collect();
    assert_eq!(hooks, hook::NAMES);
    let types: Vec<_> = EventType::ALL.iter().map(|t| upper(t.as_str())).collect();
    assert_eq!(types, wire::event::NAMES);
}

/// The table of calls against libc's numbers and the engine's hooks.
#[test]
fn calls_have_their_numbers_and_hooks() {
    macro_rules! numbers {
        ($($name:ident),*) => { [$((libc::$name, stringify!($name).trim_start_matches("SYS_"))),*] };
    }
    #[rustfmt::skip]
    let numbers = numbers![
        SYS_open, SYS_creat, SYS_openat, SYS_openat2, SYS_connect, SYS_accept, SYS_accept4, SYS_bind, SYS_listen,
        SYS_socket, SYS_sendto, SYS_sendmsg, SYS_sendmmsg, SYS_dup, SYS_dup2, SYS_dup3, SYS_pipe, SYS_pipe2, SYS_unlink,
        SYS_unlinkat, SYS_rmdir, SYS_rename, SYS_renameat, SYS_renameat2, SYS_link, SYS_linkat, SYS_symlink,
        SYS_symlinkat, SYS_chmod, SYS_fchmod, SYS_fchmodat, SYS_fchmodat2, SYS_chown, SYS_fchown, SYS_lchown,
        SYS_fchownat, SYS_mkdir, SYS_mkdirat, SYS_mount, SYS_umount2, SYS_move_mount, SYS_chroot, SYS_pivot_root,
        SYS_setuid, SYS_setgid, SYS_setreuid, SYS_setregid, SYS_setresuid, SYS_setresgid, SYS_capset, SYS_ptrace,
        SYS_process_vm_readv, SYS_process_vm_writev, SYS_memfd_create, SYS_init_module, SYS_finit_module,
        SYS_delete_module, SYS_bpf, SYS_setns, SYS_unshare, SYS_kill, SYS_tkill, SYS_tgkill, SYS_prctl, SYS_userfaultfd,
        SYS_io_uring_setup, SYS_io_uring_register, SYS_splice, SYS_sendfile
    ];
    for call in agent_abi::call::CALLS {
        let event_type = EventType::ALL[usize::from(call.event_type)];
        assert_eq!(event_type.hook(), Hook::ALL[usize::from(call.hook)], "{}", event_type.as_str());
        let (number, _) = numbers.iter().find(|(_, name)| *name == event_type.as_str()).unwrap();
        assert_eq!(*number, i64::from(call.number), "{}", event_type.as_str());
    }
}

#[test]
fn a_hook_supplies_only_its_own_event_types() {
    let bytes = record(header(hook::EXIT, wire::event::OPEN), &wire::ExitBody::zeroed(), &[]);
    assert_eq!(decode(&bytes), Err(RecordError::EventType { hook: hook::EXIT, event_type: wire::event::OPEN }));
    let bytes = record(header(99, 0), &wire::ExitBody::zeroed(), &[]);
    assert_eq!(decode(&bytes), Err(RecordError::Hook(99)));
}

proptest! {
    #[test]
    fn execs_are_read_back(
        parts in [bytes(300), bytes(300), bytes(5000), bytes(300), bytes(300)], streams in [bytes(40), bytes(40), bytes(40)],
        infos in [0u8..16, 0u8..16, 0u8..16], euid: u32, loginuid: u32, comm: [u8; 16], layer: u8, flags: u16,
    ) {
        // One that failed has a body of its own.
        let flags = flags & !wire::FAILED;
        let [cgroup, path, args, cwd, file] = &parts;
        let body = ExecBody {
            euid, loginuid, comm, layer,
            exe_flags: wire::EXE_MEMFD,
            cgroup_len: cgroup.len() as u16,
            path_len: path.len() as u16,
            args_len: args.len() as u16,
            cwd_len: cwd.len() as u16,
            file_len: file.len() as u16,
            streams: std::array::from_fn(|n| wire::Stream {
                path_len: streams[n].len() as u16,
                info: infos[n],
                ino: n as u64,
                ..wire::Stream::zeroed()
            }),
            ..ExecBody::zeroed()
        };
        let header = RecordHeader { flags, ..header(hook::EXEC, wire::event::EXECVEAT) };
        let bytes = record(header, &body, &[cgroup, path, args, cwd, file, &streams[0], &streams[1], &streams[2]]);
        let record = decode(&bytes).unwrap();
        prop_assert_eq!(record.header.truncated, flags & wire::TRUNCATED != 0);
        prop_assert_eq!(record.header.canary, flags & wire::CANARY != 0);
        prop_assert_eq!((record.header.pid, record.header.tid, record.header.generation), (7, 8, 3));
        let Body::Exec(e) = record.body else { panic!("{record:?}") };
        prop_assert_eq!([e.cgroup_path, e.path, e.args, e.cwd, e.file], [&cgroup[..], path, args, cwd, file]);
        for (n, stream) in e.streams.iter().enumerate() {
            let has = |bit: u8| infos[n] & bit != 0;
            match stream {
                Stream::Closed if !has(wire::STREAM_OPEN) => {}
                same if has(wire::STREAM_SAME) => prop_assert_eq!(same, n.checked_sub(1).map_or(&Stream::Closed, |n| &e.streams[n])),
                Stream::Socket { connected, .. } => {
                    prop_assert!(has(wire::STREAM_SOCKET) && *connected == has(wire::STREAM_CONNECTED));
                }
                Stream::File(file) => prop_assert_eq!((file.path, file.ino), (&streams[n][..], n as u64)),
                Stream::Closed => panic!("{infos:?}"),
            }
        }
        prop_assert_eq!((e.euid, e.loginuid), (euid, (loginuid != u32::MAX).then_some(loginuid)));
        prop_assert!(e.memfd && !e.deleted);
        prop_assert!(comm.starts_with(e.comm) && !e.comm.contains(&0));
        prop_assert_eq!(e.layer == Layer::Upper, layer == wire::LAYER_UPPER);
    }

    #[test]
    fn opens_are_read_back(path in bytes(4096), base in bytes(4096), ret: i64, dirfd: i32, flags: u32, info: u8) {
        let body = OpenBody {
            ret: ret.cast_unsigned(), dirfd: dirfd.cast_unsigned(), flags, info,
            path_len: path.len() as u16,
            base_len: base.len() as u16,
            ..OpenBody::zeroed()
        };
        let bytes = record(header(hook::OPEN, wire::event::OPENAT2), &body, &[&path, &base]);
        let Body::Open(o) = decode(&bytes).unwrap().body else { panic!() };
        let (given, base) = if info & wire::OPEN_RESOLVED != 0 { (&base, &Vec::new()) } else { (&path, &base) };
        prop_assert_eq!((o.path, o.given, o.base), (&path[..], &given[..], &base[..]));
        prop_assert_eq!((o.ret, o.dirfd, o.flags), (ret, dirfd, flags));
        prop_assert_eq!((o.resolved, o.created), (info & wire::OPEN_RESOLVED != 0, info & wire::OPEN_CREATED != 0));
    }

    #[test]
    fn connects_are_read_back(addr: [u8; 16], family in prop::sample::select(vec![0u16, 1, 2, 10, 77]), port: u16, path in bytes(108)) {
        let ends = Ends { addr, family, port, ..Ends::zeroed() };
        let body = ConnectBody { ends, path_len: path.len() as u16, ..ConnectBody::zeroed() };
        let bytes = record(header(hook::CONNECT, wire::event::CONNECT), &body, &[&path]);
        let Body::Connect(c) = decode(&bytes).unwrap().body else { panic!() };
        let expected: Option<std::net::IpAddr> = match family {
            2 => Some(<[u8; 4]>::try_from(&addr[..4]).unwrap().into()),
            10 => Some(addr.into()),
            _ => None,
        };
        prop_assert_eq!((c.addr, c.port, c.unix_path), (expected, port, &path[..]));
    }

    #[test]
    fn any_other_length_is_refused(path in bytes(200), cut in 1usize..200, extra in bytes(50)) {
        let body = OpenBody { path_len: path.len() as u16, ..OpenBody::zeroed() };
        let whole = record(header(hook::OPEN, wire::event::OPEN), &body, &[&path]);
        prop_assert!(decode(&whole).is_ok());
        let cut = whole.len() - cut.min(whole.len());
        let is_short = matches!(decode(&whole[..cut]), Err(RecordError::Short { .. }));
        prop_assert!(is_short);
        let long = [&whole[..], &extra].concat();
        prop_assert_eq!(decode(&long).is_ok(), extra.is_empty());
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in bytes(600)) {
        let _ = decode(&bytes);
    }

    /// Bytes that look like a record up to their lengths, so that the checks behind the header are reached.
    #[test]
    fn plausible_bytes_never_panic(event in 0..EventType::ALL.len(), mut rest in bytes(900), lens in vec(0u8..40, 32)) {
        // Lengths stand at the end of each body: small ones let the variable parts be reached.
        for (at, len) in lens.iter().enumerate() {
            for place in [size_of::<CallBody>(), size_of::<OpenBody>(), size_of::<ConnectBody>()] {
                if let Some(pair) = place.checked_sub(2 * at + 2).and_then(|p| rest.get_mut(p..p + 2)) && *len < 20 {
                    pair.copy_from_slice(&[*len, 0]);
                }
            }
        }
        let event_type = EventType::ALL[event];
        let bytes = [header(event_type.hook() as u8, event_type as u8).as_bytes(), &rest].concat();
        let _ = decode(&bytes);
    }

    /// Of any type with a generic record: what was put in comes out, and which parts there are follows from its marks.
    #[test]
    fn calls_are_read_back(
        event in wire::event::ACCEPT..wire::event::COUNT as u8, ret: i64, args: [u64; 6], info in 0u8..16, fd: i32,
        (sock_type, family, sock_family) in (0u16..3, prop::sample::select(vec![0u16, 1, 2, 10, 17]), 0u16..20),
        (mode, port, local_port, addr) in any::<(u16, u16, u16, [u8; 16])>(),
        (path, base, path2, base2, text, object) in (bytes(600), bytes(300), bytes(600), bytes(300), bytes(200), bytes(600)),
    ) {
        let len = |b: &Vec<u8>| u16::try_from(b.len()).unwrap();
        let body = CallBody {
            ret: ret.cast_unsigned(), args, fd: fd.cast_unsigned(), mode, info,
            ends: Ends { addr, family, sock_family, sock_type, port, local_port, ..Ends::zeroed() },
            path_len: len(&path), base_len: len(&base), path2_len: len(&path2), base2_len: len(&base2),
            text_len: len(&text), object_len: len(&object),
            ..CallBody::zeroed()
        };
        let event_type = EventType::ALL[usize::from(event)];
        let head = header(event_type.hook() as u8, event);
        let parts = [&path[..], &base, &path2, &base2, &text, &object];
        let bytes = record(head, &body, &parts);
        let decoded = decode(&bytes).unwrap();
        prop_assert_eq!(decoded.header.event_type, event_type);
        let Body::Call(c) = decoded.body else { panic!() };
        prop_assert_eq!((c.ret, c.args, c.text), (ret, args, &text[..]));
        prop_assert_eq!([c.path.path, c.path.base, c.path2.path, c.path2.base], [&path[..], &base, &path2, &base2]);
        let has = |bit: u8| info & bit != 0;
        let is_socket = sock_type != 0 || has(wire::CALL_ADDRESS);
        prop_assert_eq!(c.fd, has(wire::CALL_FD).then_some(fd));
        prop_assert_eq!(c.file.map(|f| (f.path, f.mode)), (has(wire::CALL_FD) && !is_socket).then_some((&object[..], mode)));
        let socket = c.socket.as_ref();
        prop_assert_eq!(socket.map(|s| (s.unix_path, s.port, s.local_port)), is_socket.then_some((&object[..], port, local_port)));
        let is_ip = has(wire::CALL_ADDRESS) && matches!(family, 2 | 10);
        prop_assert_eq!(socket.is_some_and(|s| s.addr.is_some()), is_ip);
        prop_assert_eq!((c.given, c.connected), (has(wire::CALL_GIVEN), has(wire::CALL_CONNECTED)));
        prop_assert!(decode(&bytes[..bytes.len() - 1]).is_err() && decode(&[&bytes[..], b"x"].concat()).is_err());
    }

    #[test]
    fn forks_are_read_back(child_pid: u32, child_start: u64, comm: [u8; 16]) {
        let body = ForkBody { child_pid, child_start, comm, ..ForkBody::zeroed() };
        let bytes = record(header(hook::FORK, wire::event::CLONE3), &body, &[]);
        let Body::Fork(f) = decode(&bytes).unwrap().body else { panic!() };
        prop_assert_eq!((f.child_pid, f.child_start), (child_pid, child_start));
    }
}
