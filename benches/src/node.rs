//! Events as a busy node makes them, with field values that cost nothing to ask for: what is timed is the engine.
//!
//! Out of a hundred, 82 open files (most of them by the loader and out of /proc), 10 start programs, 8 connect. No rule of the
//! stable set, of the defaults or of [`crate::variety`] matches any of them.
use engine::{
    event::{Event, EventType},
    field::{Arg, Field, FieldRef},
    value::{Lookup, Value},
};
use std::{net::IpAddr, ops::ControlFlow};

/// A process, with what rules ask of it.
#[derive(Clone, Copy, Debug)]
pub struct Process {
    name: &'static str,
    exepath: &'static str,
    cmdline: &'static str,
    args: &'static str,
    parent_exepath: &'static str,
    parent_cmdline: &'static str,
    /// The parent first.
    ancestors: &'static [&'static str],
    container: &'static str,
    namespace: Option<&'static str>,
    tty: i64,
}

const NGINX: Process = Process {
    name: "nginx",
    exepath: "/usr/sbin/nginx",
    cmdline: "nginx: worker process",
    args: "worker process",
    parent_exepath: "/usr/sbin/nginx",
    parent_cmdline: "nginx: master process nginx -g daemon off;",
    ancestors: &["nginx", "containerd-shim", "systemd"],
    container: "3ad7b26ded6d",
    namespace: Some("shop"),
    tty: 0,
};
const JAVA: Process = Process {
    name: "java",
    exepath: "/opt/java/openjdk/bin/java",
    cmdline: "java -XX:MaxRAMPercentage=75 -Dspring.profiles.active=production -jar /app/orders-service.jar --server.port=8080",
    args: "-XX:MaxRAMPercentage=75 -Dspring.profiles.active=production -jar /app/orders-service.jar --server.port=8080",
    parent_exepath: "/usr/bin/tini",
    parent_cmdline: "tini -- java -jar /app/orders-service.jar",
    ancestors: &["tini", "containerd-shim", "systemd"],
    container: "91c5d07fe2aa",
    namespace: Some("orders"),
    tty: 0,
};
const KUBELET: Process = Process {
    name: "kubelet",
    exepath: "/usr/bin/kubelet",
    cmdline: "/usr/bin/kubelet --config=/var/lib/kubelet/config.yaml --node-ip=10.0.3.17",
    args: "--config=/var/lib/kubelet/config.yaml --node-ip=10.0.3.17",
    parent_exepath: "/usr/lib/systemd/systemd",
    parent_cmdline: "/usr/lib/systemd/systemd --switched-root --system",
    ancestors: &["systemd"],
    container: "host",
    namespace: None,
    tty: 0,
};
/// A readiness probe: a shell that a runtime starts.
const PROBE: Process = Process {
    name: "pg_isready",
    exepath: "/usr/lib/postgresql/16/bin/pg_isready",
    cmdline: "pg_isready -U app -h 127.0.0.1 -p 5432",
    args: "-U app -h 127.0.0.1 -p 5432",
    parent_exepath: "/usr/bin/dash",
    parent_cmdline: "sh -c exec pg_isready -U app -h 127.0.0.1 -p 5432",
    ancestors: &["sh", "containerd-shim", "systemd"],
    container: "b7d0a1c2e3f4",
    namespace: Some("orders"),
    tty: 0,
};
const SHELL: Process = Process {
    name: "sh",
    exepath: "/usr/bin/dash",
    cmdline: "sh -c /usr/local/bin/backup.sh --target s3://backups/orders --keep 14",
    args: "-c /usr/local/bin/backup.sh --target s3://backups/orders --keep 14",
    parent_exepath: "/usr/bin/runc",
    parent_cmdline: "runc init",
    ancestors: &["runc", "containerd-shim", "systemd"],
    container: "b7d0a1c2e3f4",
    namespace: Some("orders"),
    tty: 0,
};

/// An event of it.
#[derive(Clone, Copy, Debug)]
pub struct Node {
    event_type: EventType,
    process: Process,
    path: &'static str,
    directory: &'static str,
    filename: &'static str,
    write: bool,
    result: i64,
    remote: Option<(IpAddr, u64)>,
}

/// A hundred events, mixed.
#[must_use]
pub fn events() -> Vec<Node> {
    let kinds: Vec<(usize, Node)> = vec![
        (14, open(PROBE, "/etc/ld.so.cache")),
        (18, open(PROBE, "/usr/lib/x86_64-linux-gnu/libc.so.6")),
        (10, open(SHELL, "/usr/lib/x86_64-linux-gnu/libcrypto.so.3")),
        (14, open(KUBELET, "/proc/28114/stat")),
        (6, open(KUBELET, "/sys/fs/cgroup/kubepods.slice/memory.stat")),
        (8, open(NGINX, "/usr/share/nginx/html/assets/app.3f9c2d.js")),
        (4, Node { write: true, ..open(NGINX, "/var/lib/nginx/tmp/client_body/0000000042") }),
        (5, open(JAVA, "/app/BOOT-INF/lib/jackson-databind-2.17.1.jar")),
        (3, Node { result: -2, ..open(JAVA, "/app/config/application-production.properties") }),
        (6, exec(PROBE)),
        (4, exec(SHELL)),
        (5, connect(JAVA, [10, 96, 14, 2], 5432)),
        (3, connect(NGINX, [10, 244, 3, 9], 8080)),
    ];
    // Dealt in turns, as they come on a node: not in runs of one kind.
    let most = kinds.iter().map(|(times, _)| *times).max().unwrap_or_default();
    (0..most).flat_map(|turn| kinds.iter().filter(move |(times, _)| turn < *times).map(|(_, node)| *node)).collect()
}

fn open(process: Process, path: &'static str) -> Node {
    let (directory, filename) = path.rsplit_once('/').unwrap_or_default();
    Node { path, directory, filename, result: 3, ..event(EventType::Openat, process) }
}

fn event(event_type: EventType, process: Process) -> Node {
    let (path, directory, filename) = ("", "", "");
    Node { event_type, process, path, directory, filename, write: false, result: 0, remote: None }
}

fn exec(process: Process) -> Node {
    event(EventType::Execve, process)
}

fn connect(process: Process, address: [u8; 4], port: u64) -> Node {
    let remote = Some((IpAddr::from(address), port));
    Node { result: -115, remote, ..event(EventType::Connect, process) }
}

impl Node {
    fn of_file(&self, field: Field) -> Lookup<'_> {
        if self.path.is_empty() {
            return Lookup::Missing;
        }
        match field {
            Field::FdName | Field::FsPathName | Field::EvtAbspath | Field::FdNameraw => self.path.into(),
            Field::FdDirectory => self.directory.into(),
            Field::FdFilename => self.filename.into(),
            Field::EvtIsOpenRead => Value::Bool(!self.write).into(),
            Field::EvtIsOpenWrite => Value::Bool(self.write).into(),
            Field::EvtIsOpenCreate | Field::EvtIsOpenExec | Field::FdIsUpperLayer => Value::Bool(false).into(),
            Field::FdTypechar => "f".into(),
            Field::FdType => "file".into(),
            Field::FdNum => Value::Int(self.result).into(),
            _ => Lookup::Missing,
        }
    }

    fn of_socket(&self, field: Field) -> Lookup<'_> {
        let Some((address, port)) = self.remote else { return Lookup::Missing };
        match field {
            Field::FdSip | Field::FdRip | Field::FdSnet | Field::FdRnet => Value::Ip(address).into(),
            Field::FdSport | Field::FdRport => Value::Uint(port).into(),
            Field::FdTypechar => "4".into(),
            Field::FdType => "ipv4".into(),
            Field::FdL4proto => "tcp".into(),
            Field::FdNum => Value::Int(7).into(),
            _ => Lookup::Missing,
        }
    }
}

impl Event for Node {
    fn event_type(&self) -> Option<EventType> {
        Some(self.event_type)
    }

    fn field(&self, field: &FieldRef) -> Lookup<'_> {
        let p = &self.process;
        let ancestor = |n: usize| p.ancestors.get(n).copied().into();
        match (field.field, &field.arg) {
            (Field::EvtType | Field::SyscallType, _) => self.event_type.as_str().into(),
            (Field::EvtNum, _) => Value::Uint(814_223).into(),
            (Field::EvtRes, _) if self.result < 0 => "ENOENT".into(),
            (Field::EvtRes, _) => "SUCCESS".into(),
            (Field::EvtRawres, _) => Value::Int(self.result).into(),
            (Field::EvtFailed, _) => Value::Bool(self.result < 0).into(),
            (Field::ProcName, _) => p.name.into(),
            (Field::ProcExe, _) => p.name.into(),
            (Field::ProcExepath, _) => p.exepath.into(),
            (Field::ProcCmdline, _) => p.cmdline.into(),
            (Field::ProcArgs, None) => p.args.into(),
            (Field::ProcPname, _) => ancestor(0),
            (Field::ProcPexe, _) => ancestor(0),
            (Field::ProcPexepath, _) => p.parent_exepath.into(),
            (Field::ProcPcmdline, _) => p.parent_cmdline.into(),
            (Field::ProcAname, Some(Arg::Index(0))) => p.name.into(),
            (Field::ProcAname, Some(Arg::Index(n))) => ancestor(*n as usize - 1),
            (Field::ProcTty, _) => Value::Int(p.tty).into(),
            (Field::ProcDuration, _) => Value::Int(86_400_000_000_000).into(),
            (Field::ProcIsExeUpperLayer | Field::ProcIsExeFromMemfd, _) => Value::Bool(false).into(),
            (Field::UserUid, _) => Value::Uint(101).into(),
            (Field::UserName, _) => "app".into(),
            (Field::UserLoginuid, _) => Value::Int(-1).into(),
            (Field::ContainerId, _) => p.container.into(),
            (Field::ContainerKind, _) => p.namespace.map(|_| "main").into(),
            (Field::ContainerPrivileged, _) => {
                p.namespace.map_or(Lookup::Missing, |_| Lookup::Value(Value::Bool(false)))
            }
            (Field::K8sNsName, _) => p.namespace.into(),
            (field, _) if self.event_type == EventType::Connect => self.of_socket(field),
            (field, _) => self.of_file(field),
        }
    }

    fn visit(&self, field: &FieldRef, visit: &mut dyn FnMut(&Lookup<'_>) -> ControlFlow<()>) {
        if field.field == Field::ProcAname && field.arg.is_none() {
            for name in self.process.ancestors {
                if visit(&(*name).into()).is_break() {
                    return;
                }
            }
        } else {
            let _ = visit(&self.field(field));
        }
    }
}
