//! The catalogue: every field name that the language knows, in one table.
//!
//! A row says: variant, name, kind of value, argument, how many values, who supplies it, one line for people. The enum
//! [`Field`], the lookup by name, the type check, the derivation of needed hooks and `docs/fields.md` all follow from
//! it. A name that no hook supplies yet is here too (`Nobody`): rules that use it load with a warning, and it is
//! `Missing` in every event.
use super::{
    ArgRule::{Ancestor, Key, No, OptIndex, OptKey},
    FieldDef,
    Kind::{Bool, Bytes, Clock, Duration, Dyn, Float, Int, Ip, Net, Port, Text, Time, Uint},
    Many::{Any, One, Set},
    Supply,
    Supply::{By, Container, Event, Nobody, Pod, Process, User},
};
use crate::event::Hook::{
    Accept, Bind, Bpf, Chmod, Chown, Connect, Dup, IoUring, Link, Listen, Memfd, Mkdir, Module, Mount, Namespace, Open,
    Rename, Root, Send, Socket, Splice, Unlink, Userfaultfd,
};

/// Events with a descriptor of any kind. Those of the last row take one, which may be a file's or a socket's.
const FD: Supply = By(&[
    Open,
    Connect,
    Accept,
    Socket,
    Memfd,
    Bpf,
    Userfaultfd, //
    Bind,
    Listen,
    Send,
    Dup,
    Chmod,
    Chown,
    Module,
    Namespace,
    IoUring,
    Splice,
]);
/// Events that may have a file's descriptor.
const FILE: Supply = By(&[
    Open,
    Memfd,
    Bpf,
    Userfaultfd, //
    Bind,
    Listen,
    Send,
    Dup,
    Chmod,
    Chown,
    Module,
    Namespace,
    IoUring,
    Splice,
]);
/// Events that may have a socket's descriptor.
const SOCKET: Supply = By(&[
    Connect, Accept, Socket, //
    Bind, Listen, Send, Dup, Chmod, Chown, Module, Namespace, IoUring, Splice,
]);
/// Events that may have a socket's other end: bind has none.
const PEER: Supply = By(&[
    Connect, Accept, Socket, //
    Listen, Send, Dup, Chmod, Chown, Module, Namespace, IoUring, Splice,
]);
/// Events of calls that are given a path.
const PATH: Supply = By(&[Open, Unlink, Chmod, Chown, Mkdir, Mount, Root]);
/// Events of calls that are given two paths.
const PATHS: Supply = By(&[Rename, Link, Mount]);
/// Events of calls that are given a path or two.
const ANY_PATH: Supply = By(&[Open, Unlink, Chmod, Chown, Mkdir, Mount, Root, Rename, Link]);

macro_rules! catalogue {
    ($( $variant:ident $name:literal $kind:ident $arg:ident $many:ident $supply:expr; $text:literal; )*) => {
        /// Every field of the language. `as usize` is its index in [`catalogue()`](super::catalogue()).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[expect(missing_docs, reason = "each row of the table has its description in FieldDef")]
        #[repr(u16)]
        pub enum Field { $($variant),* }

        /// All fields, in the order of [`Field`].
        pub(super) static CATALOGUE: &[FieldDef] = &[$(FieldDef {
            field: Field::$variant, name: $name, kind: $kind, arg: $arg, many: $many, supply: $supply, description: $text,
        }),*];
    };
}

catalogue! {
    EvtNum "evt.num" Uint No One Event; "Number of the event since the agent's start.";
    EvtTime "evt.time" Clock No One Event; "Time of day (UTC) with nanoseconds.";
    EvtTimeS "evt.time.s" Clock No One Event; "Time of day (UTC) in seconds.";
    EvtTimeIso8601 "evt.time.iso8601" Clock No One Event; "Date and time (UTC) in ISO 8601 with nanoseconds.";
    EvtDatetime "evt.datetime" Clock No One Event; "Date and time (UTC) with nanoseconds.";
    EvtDatetimeS "evt.datetime.s" Clock No One Event; "Date and time (UTC) in seconds.";
    EvtRawtime "evt.rawtime" Time No One Event; "Nanoseconds since 1970.";
    EvtRawtimeS "evt.rawtime.s" Time No One Event; "Whole seconds since 1970.";
    EvtRawtimeNs "evt.rawtime.ns" Time No One Event; "The nanoseconds part of the time.";
    EvtReltime "evt.reltime" Duration No One Event; "Nanoseconds since the agent's start.";
    EvtReltimeS "evt.reltime.s" Duration No One Event; "Whole seconds since the agent's start.";
    EvtReltimeNs "evt.reltime.ns" Duration No One Event; "The nanoseconds part of the time since the agent's start.";
    EvtOutputtime "evt.outputtime" Clock No One Event; "Same as evt.time.";
    EvtLatency "evt.latency" Duration No One Nobody; "Time between call and return.";
    EvtLatencyS "evt.latency.s" Duration No One Nobody; "Seconds part of the time between call and return.";
    EvtLatencyNs "evt.latency.ns" Duration No One Nobody; "Nanoseconds part of the time between call and return.";
    EvtLatencyQuantized "evt.latency.quantized" Uint No One Nobody; "Logarithm of the time between call and return.";
    EvtLatencyHuman "evt.latency.human" Text No One Nobody; "Time between call and return, for people.";
    EvtDeltatime "evt.deltatime" Duration No One Nobody; "Time since the event before.";
    EvtDeltatimeS "evt.deltatime.s" Duration No One Nobody; "Seconds part of the time since the event before.";
    EvtDeltatimeNs "evt.deltatime.ns" Duration No One Nobody; "Nanoseconds part of the time since the event before.";
    EvtDir "evt.dir" Text No One Event; "Direction: always `<`, since events are seen when they are done.";
    EvtType "evt.type" Text No One Event; "Name of the event, such as openat.";
    EvtTypeIs "evt.type.is" Uint Key One Event; "1 when the event is of the type in the argument, else 0.";
    SyscallType "syscall.type" Text No One Event; "Name of the system call; missing for events that are none (procexit).";
    EvtCategory "evt.category" Text No One Event; "Kind of event: file, net, process, user, ipc, memory, signal, system, other.";
    EvtCpu "evt.cpu" Int No One Event; "Processor that the event happened on.";
    EvtArgs "evt.args" Text No One Event; "All arguments, as `name=value` separated by spaces.";
    EvtArg "evt.arg" Text Key One Event; "One argument, by name or number: evt.arg.flags, evt.arg[0].";
    EvtRawarg "evt.rawarg" Dyn Key One Event; "One argument as a number where it is one: evt.rawarg.flags.";
    EvtInfo "evt.info" Text No One Event; "Same as evt.args.";
    EvtBuffer "evt.buffer" Bytes No One Nobody; "Data that was read or written.";
    EvtBuflen "evt.buflen" Uint No One Nobody; "Length of the data.";
    EvtBuflenIn "evt.buflen.in" Uint No One Nobody; "Length of data read.";
    EvtBuflenOut "evt.buflen.out" Uint No One Nobody; "Length of data written.";
    EvtBuflenFile "evt.buflen.file" Uint No One Nobody; "Length of data read from or written to a file.";
    EvtBuflenFileIn "evt.buflen.file.in" Uint No One Nobody; "Length of data read from a file.";
    EvtBuflenFileOut "evt.buflen.file.out" Uint No One Nobody; "Length of data written to a file.";
    EvtBuflenNet "evt.buflen.net" Uint No One Nobody; "Length of data on a socket.";
    EvtBuflenNetIn "evt.buflen.net.in" Uint No One Nobody; "Length of data received.";
    EvtBuflenNetOut "evt.buflen.net.out" Uint No One Nobody; "Length of data sent.";
    EvtRes "evt.res" Text No One Event; "Result: SUCCESS, or the name of the error (ENOENT).";
    EvtRawres "evt.rawres" Int No One Event; "Result as a number; errors are negative.";
    EvtFailed "evt.failed" Bool No One Event; "The call returned an error.";
    EvtIsIo "evt.is_io" Bool No One Event; "Reads or writes data (true for sendto, sendmsg, sendmmsg and sendfile).";
    EvtIsIoRead "evt.is_io_read" Bool No One Event; "Reads data (false for all events so far).";
    EvtIsIoWrite "evt.is_io_write" Bool No One Event; "Writes data (true for sendto, sendmsg, sendmmsg and sendfile).";
    EvtIoDir "evt.io_dir" Text No One By(&[Send, Splice]); "R for reads, W for writes (sendto, sendmsg, sendmmsg, sendfile).";
    EvtIsWait "evt.is_wait" Bool No One Event; "Waits, like sleep or poll (false for all events so far).";
    EvtWaitLatency "evt.wait_latency" Duration No One Nobody; "Time spent waiting.";
    EvtIsSyslog "evt.is_syslog" Bool No One Nobody; "A write to the system log.";
    EvtCount "evt.count" Uint No One Event; "Always 1.";
    EvtCountError "evt.count.error" Uint No One Event; "1 when the call failed.";
    EvtCountErrorFile "evt.count.error.file" Uint No One Event; "1 when a call on a file failed.";
    EvtCountErrorNet "evt.count.error.net" Uint No One Event; "1 when a call on a socket failed.";
    EvtCountErrorMemory "evt.count.error.memory" Uint No One Event; "1 when a call on memory failed (memfd_create).";
    EvtCountErrorOther "evt.count.error.other" Uint No One Event; "1 when another call failed.";
    EvtCountExit "evt.count.exit" Uint No One Event; "Always 1.";
    EvtCountProcinfo "evt.count.procinfo" Uint No One Nobody; "1 for process information events.";
    EvtCountThreadinfo "evt.count.threadinfo" Uint No One Nobody; "1 for thread information events.";
    EvtAbspath "evt.abspath" Text OptKey One ANY_PATH; "Absolute path that the call was given, resolved against its directory; of two paths evt.abspath.src or evt.abspath.dst.";
    EvtIsOpenRead "evt.is_open_read" Bool No One By(&[Open]); "Opened for reading (O_RDONLY or O_RDWR).";
    EvtIsOpenWrite "evt.is_open_write" Bool No One By(&[Open]); "Opened for writing (O_WRONLY or O_RDWR).";
    EvtIsOpenExec "evt.is_open_exec" Bool No One By(&[Open]); "Created with an execute bit in its mode.";
    EvtIsOpenCreate "evt.is_open_create" Bool No One By(&[Open]); "The open may create the file (O_CREAT or O_TMPFILE).";
    EvtInfraDockerName "evt.infra.docker.name" Text No One Nobody; "Docker infrastructure event.";
    EvtInfraDockerContainerId "evt.infra.docker.container.id" Text No One Nobody; "Container of a Docker infrastructure event.";
    EvtInfraDockerContainerName "evt.infra.docker.container.name" Text No One Nobody; "Container name of a Docker infrastructure event.";
    EvtInfraDockerContainerImage "evt.infra.docker.container.image" Text No One Nobody; "Image of a Docker infrastructure event.";
    EvtPluginname "evt.pluginname" Text No One Nobody; "Plugin that made the event.";
    EvtPlugininfo "evt.plugininfo" Text No One Nobody; "What the plugin says of the event.";
    EvtSource "evt.source" Text No One Event; "Always syscall.";
    EvtIsAsync "evt.is_async" Bool No One Event; "Always false.";
    EvtAsynctype "evt.asynctype" Text No One Nobody; "Type of an asynchronous event.";
    EvtHostname "evt.hostname" Text No One Event; "Name of the node.";

    ProcExe "proc.exe" Text No One Process; "First argument (argv[0]).";
    ProcPexe "proc.pexe" Text No One Process; "First argument of the parent.";
    ProcAexe "proc.aexe" Text Ancestor Any Process; "First argument of the n-th ancestor (0 is the process), or of any.";
    ProcExepath "proc.exepath" Text No One Process; "Path of the executable, links resolved.";
    ProcPexepath "proc.pexepath" Text No One Process; "Path of the parent's executable.";
    ProcAexepath "proc.aexepath" Text Ancestor Any Process; "Path of the executable of the n-th ancestor, or of any.";
    ProcName "proc.name" Text No One Process; "Name of the process (the kernel's comm, at most 15 bytes).";
    ProcPname "proc.pname" Text No One Process; "Name of the parent.";
    ProcAname "proc.aname" Text Ancestor Any Process; "Name of the n-th ancestor (0 is the process), or of any.";
    ProcArgs "proc.args" Text OptIndex One Process; "Arguments after the first, separated by spaces; with an index, one of them (0 is the first after argv[0]).";
    ProcAargs "proc.aargs" Text Ancestor Any Process; "Arguments of the n-th ancestor, or of any.";
    ProcCmdline "proc.cmdline" Text No One Process; "proc.name and proc.args.";
    ProcPcmdline "proc.pcmdline" Text No One Process; "Command line of the parent.";
    ProcAcmdline "proc.acmdline" Text Ancestor Any Process; "Command line of the n-th ancestor, or of any.";
    ProcCmdnargs "proc.cmdnargs" Uint No One Process; "Number of arguments after the first.";
    ProcCmdlenargs "proc.cmdlenargs" Uint No One Process; "Bytes of all arguments after the first, without the spaces.";
    ProcExeline "proc.exeline" Text No One Process; "proc.exe and proc.args.";
    ProcEnv "proc.env" Text OptKey One Nobody; "Environment; with a name, that variable.";
    ProcAenv "proc.aenv" Text OptKey Any Nobody; "Environment of ancestors.";
    ProcCwd "proc.cwd" Text No One Process; "Working directory.";
    ProcLoginshellid "proc.loginshellid" Int No One Process; "Pid of the oldest shell among the ancestors.";
    ProcTty "proc.tty" Uint No One Process; "Device number of the terminal; 0 for none.";
    ProcPid "proc.pid" Int No One Process; "Process id (thread group id), as the host sees it.";
    ProcPpid "proc.ppid" Int No One Process; "Process id of the parent.";
    ProcApid "proc.apid" Int Ancestor Any Process; "Process id of the n-th ancestor (0 is the process), or of any.";
    ProcVpid "proc.vpid" Int No One Process; "Process id inside its pid namespace.";
    ProcPvpid "proc.pvpid" Int No One Process; "Process id of the parent inside its pid namespace.";
    ProcSid "proc.sid" Int No One Process; "Session id.";
    ProcSname "proc.sname" Text No One Process; "Name of the session's leader.";
    ProcSidExe "proc.sid.exe" Text No One Process; "First argument of the session's leader.";
    ProcSidExepath "proc.sid.exepath" Text No One Process; "Path of the executable of the session's leader.";
    ProcVpgid "proc.vpgid" Int No One Process; "Process group id inside its pid namespace.";
    ProcVpgidName "proc.vpgid.name" Text No One Process; "Name of the process group's leader.";
    ProcVpgidExe "proc.vpgid.exe" Text No One Process; "First argument of the process group's leader.";
    ProcVpgidExepath "proc.vpgid.exepath" Text No One Process; "Path of the executable of the process group's leader.";
    ProcPgid "proc.pgid" Int No One Process; "Process group id.";
    ProcPgidName "proc.pgid.name" Text No One Process; "Name of the process group's leader.";
    ProcPgidExe "proc.pgid.exe" Text No One Process; "First argument of the process group's leader.";
    ProcPgidExepath "proc.pgid.exepath" Text No One Process; "Path of the executable of the process group's leader.";
    ProcDuration "proc.duration" Duration No One Process; "Nanoseconds since the process was started.";
    ProcPpidDuration "proc.ppid.duration" Duration No One Process; "Nanoseconds since the parent was started.";
    ProcPidTs "proc.pid.ts" Duration No One Process; "Start of the process in nanoseconds since 1970.";
    ProcPpidTs "proc.ppid.ts" Duration No One Process; "Start of the parent in nanoseconds since 1970.";
    ProcIsExeWritable "proc.is_exe_writable" Bool No One Nobody; "The user that runs the executable may write it.";
    ProcIsExeUpperLayer "proc.is_exe_upper_layer" Bool No One Process; "Drift: the executable is in the overlay's upper layer, so not from the image.";
    ProcIsExeLowerLayer "proc.is_exe_lower_layer" Bool No One Process; "The executable is in the overlay's lower layer, so from the image.";
    ProcIsExeFromMemfd "proc.is_exe_from_memfd" Bool No One Process; "Drift: the executable has no file (memfd_create).";
    ProcIsExeDeleted "proc.is_exe_deleted" Bool No One Process; "Drift: the executable's file has no name any more.";
    ProcIsExeFromVolume "proc.is_exe_from_volume" Bool No One Nobody; "Drift: the executable is on a volume mounted into the container.";
    ProcIsScriptUpperLayer "proc.is_script_upper_layer" Bool No One Nobody; "Drift: the script that the interpreter runs is in the upper layer.";
    ProcIsSeeded "proc.is_seeded" Bool No One Process; "Known from /proc (it ran before the agent), not from its exec.";
    ProcIsSidLeader "proc.is_sid_leader" Bool No One Process; "Leads its session.";
    ProcIsVpgidLeader "proc.is_vpgid_leader" Bool No One Process; "Leads its process group, seen inside its pid namespace.";
    ProcIsPgidLeader "proc.is_pgid_leader" Bool No One Process; "Leads its process group.";
    ProcExeIno "proc.exe_ino" Int No One Process; "Inode number of the executable.";
    ProcExeInoCtime "proc.exe_ino.ctime" Time No One Process; "Last status change of the executable, nanoseconds since 1970.";
    ProcExeInoMtime "proc.exe_ino.mtime" Time No One Process; "Last change of the executable's content, nanoseconds since 1970.";
    ProcExeInoCtimeDurationProcStart "proc.exe_ino.ctime_duration_proc_start" Duration No One Process; "Nanoseconds between the executable's status change and the start of the process.";
    ProcExeInoCtimeDurationPidnsStart "proc.exe_ino.ctime_duration_pidns_start" Duration No One Nobody; "Nanoseconds between the pid namespace's start and the executable's status change.";
    ProcPidnsInitStartTs "proc.pidns_init_start_ts" Uint No One Nobody; "Start of the pid namespace, nanoseconds since 1970.";
    ProcIsContainerHealthcheck "proc.is_container_healthcheck" Bool No One Nobody; "Runs as the container's health check.";
    ProcIsContainerLivenessProbe "proc.is_container_liveness_probe" Bool No One Nobody; "Runs as the container's liveness probe.";
    ProcIsContainerReadinessProbe "proc.is_container_readiness_probe" Bool No One Nobody; "Runs as the container's readiness probe.";
    ThreadCapPermitted "thread.cap_permitted" Text No One Process; "Permitted capabilities, separated by spaces (CAP_SYS_ADMIN).";
    ThreadCapInheritable "thread.cap_inheritable" Text No One Process; "Inheritable capabilities.";
    ThreadCapEffective "thread.cap_effective" Text No One Process; "Effective capabilities.";
    ProcFdopencount "proc.fdopencount" Uint No One Nobody; "Number of open file descriptors.";
    ProcFdlimit "proc.fdlimit" Int No One Nobody; "Limit of open file descriptors.";
    ProcFdusage "proc.fdusage" Float No One Nobody; "Open file descriptors as a share of the limit.";
    ProcVmsize "proc.vmsize" Uint No One Nobody; "Virtual memory in KiB.";
    ProcVmrss "proc.vmrss" Uint No One Nobody; "Resident memory in KiB.";
    ProcVmswap "proc.vmswap" Uint No One Nobody; "Swapped memory in KiB.";
    ProcNthreads "proc.nthreads" Uint No One Nobody; "Number of threads.";
    ProcNchilds "proc.nchilds" Uint No One Nobody; "Number of children.";
    ProcStdinType "proc.stdin.type" Text No One Process; "Type of standard input, as fd.type: file, pipe, ipv4, unix ...";
    ProcStdoutType "proc.stdout.type" Text No One Process; "Type of standard output.";
    ProcStderrType "proc.stderr.type" Text No One Process; "Type of standard error.";
    ProcStdinName "proc.stdin.name" Text No One Process; "Name of standard input, as fd.name.";
    ProcStdoutName "proc.stdout.name" Text No One Process; "Name of standard output.";
    ProcStderrName "proc.stderr.name" Text No One Process; "Name of standard error.";
    ThreadPfmajor "thread.pfmajor" Uint No One Nobody; "Major page faults.";
    ThreadPfminor "thread.pfminor" Uint No One Nobody; "Minor page faults.";
    ThreadTid "thread.tid" Int No One Process; "Thread id, as the host sees it.";
    ThreadIsmain "thread.ismain" Bool No One Process; "The thread is its process's first.";
    ThreadVtid "thread.vtid" Int No One Process; "Thread id inside its pid namespace.";
    ThreadNametid "thread.nametid" Text No One Process; "proc.name and the thread id, as `name:tid`.";
    ThreadExectime "thread.exectime" Duration No One Nobody; "Processor time since the last schedule.";
    ThreadTotexectime "thread.totexectime" Duration No One Nobody; "Processor time in all.";
    ThreadCgroups "thread.cgroups" Text No One Process; "The control groups of the thread.";
    ThreadCgroup "thread.cgroup" Text Key One Nobody; "The control group of one subsystem.";
    ThreadCpu "thread.cpu" Float No One Nobody; "Processor use in percent.";
    ThreadCpuUser "thread.cpu.user" Float No One Nobody; "Processor use in user mode.";
    ThreadCpuSystem "thread.cpu.system" Float No One Nobody; "Processor use in the kernel.";
    ThreadVmsize "thread.vmsize" Uint No One Nobody; "Virtual memory in KiB, main thread only.";
    ThreadVmrss "thread.vmrss" Uint No One Nobody; "Resident memory in KiB, main thread only.";
    ThreadVmsizeB "thread.vmsize.b" Uint No One Nobody; "Virtual memory in bytes, main thread only.";
    ThreadVmrssB "thread.vmrss.b" Uint No One Nobody; "Resident memory in bytes, main thread only.";

    FdNum "fd.num" Int No One FD; "File descriptor; negative when a call that makes one failed.";
    FdType "fd.type" Text No One FD; "Type of descriptor: file, directory, ipv4, ipv6, unix, netlink, pipe, memfd, event, eventpoll, inotify, timerfd, signalfd, pidfd, bpf, userfaultfd, io_uring.";
    FdTypechar "fd.typechar" Text No One FD; "Type in one letter: f file, d directory (of opens: with O_DIRECTORY), 4 IPv4, 6 IPv6, u unix or userfaultfd, n netlink, p pipe, m memfd, e event, l eventpoll, i inotify, t timerfd, s signalfd, P pidfd, b bpf, r io_uring, o other.";
    FdName "fd.name" Text No One FD; "Absolute path of a file; `client:port->server:port` of a connection; own address of a socket that is only bound; path of a unix socket; `pipe:[inode]`, `ns:[inode]` (a namespace), `memfd:name`, `[eventpoll]` and the like.";
    FdNameraw "fd.nameraw" Text No One FILE; "Path as the call gave it; of a descriptor that it was given the file's own.";
    FdDirectory "fd.directory" Text No One FILE; "Directory part of fd.name.";
    FdFilename "fd.filename" Text No One FILE; "Last part of fd.name.";
    FdIp "fd.ip" Ip No Any SOCKET; "Address of either end.";
    FdCip "fd.cip" Ip No One PEER; "Address of the client: of accept the other end, of connect and sendto this one; of others it is guessed by the ports.";
    FdSip "fd.sip" Ip No One SOCKET; "Address of the server: of accept, bind and listen this end, of connect and sendto the other one.";
    FdLip "fd.lip" Ip No One SOCKET; "Local address.";
    FdRip "fd.rip" Ip No One PEER; "Remote address.";
    FdPort "fd.port" Port No Any SOCKET; "Port of either end.";
    FdCport "fd.cport" Port No One PEER; "Port of the client.";
    FdSport "fd.sport" Port No One SOCKET; "Port of the server.";
    FdLport "fd.lport" Port No One SOCKET; "Local port.";
    FdRport "fd.rport" Port No One PEER; "Remote port.";
    FdL4proto "fd.l4proto" Text No One SOCKET; "Protocol: tcp, udp, icmp, raw.";
    FdSockfamily "fd.sockfamily" Text No One SOCKET; "Family of the socket: ip or unix.";
    FdIsServer "fd.is_server" Bool No One SOCKET; "This process is the server (accept, bind, listen; of a connected socket that was dup'ed by its port, below 32768).";
    FdUid "fd.uid" Text No One FD; "Process id and descriptor, as `pid.fd`: names the descriptor on the node.";
    FdContainername "fd.containername" Text No One FD; "container.id and fd.name, as `id:name`.";
    FdContainerdirectory "fd.containerdirectory" Text No One FILE; "container.id and fd.directory, as `id:directory`.";
    FdProto "fd.proto" Port No Any Nobody; "Protocol by either port.";
    FdCproto "fd.cproto" Text No One Nobody; "Protocol by the client's port.";
    FdSproto "fd.sproto" Text No One Nobody; "Protocol by the server's port.";
    FdLproto "fd.lproto" Text No One Nobody; "Protocol by the local port.";
    FdRproto "fd.rproto" Text No One Nobody; "Protocol by the remote port.";
    FdNet "fd.net" Net No Any SOCKET; "Address of either end, compared with blocks (10.0.0.0/8).";
    FdCnet "fd.cnet" Net No One PEER; "Address of the client, compared with blocks.";
    FdSnet "fd.snet" Net No One SOCKET; "Address of the server, compared with blocks.";
    FdLnet "fd.lnet" Net No One SOCKET; "Local address, compared with blocks.";
    FdRnet "fd.rnet" Net No One PEER; "Remote address, compared with blocks.";
    FdConnected "fd.connected" Bool No One SOCKET; "The socket is connected (not refused, not in progress).";
    FdNameChanged "fd.name_changed" Bool No One SOCKET; "The event gave the socket a name (connect, bind, sendto with an address).";
    FdCipName "fd.cip.name" Text No One Nobody; "Host name of the client.";
    FdSipName "fd.sip.name" Text No One Nobody; "Host name of the server.";
    FdLipName "fd.lip.name" Text No One Nobody; "Host name of the local end.";
    FdRipName "fd.rip.name" Text No One Nobody; "Host name of the remote end.";
    FdDev "fd.dev" Int No One FILE; "Device number of the file.";
    FdDevMajor "fd.dev.major" Int No One FILE; "Major device number of the file.";
    FdDevMinor "fd.dev.minor" Int No One FILE; "Minor device number of the file.";
    FdIno "fd.ino" Int No One FILE; "Inode number of the file.";
    FdTypes "fd.types" Text OptIndex Set Nobody; "Types of all descriptors that the call was given.";
    FdIsUpperLayer "fd.is_upper_layer" Bool No One FILE; "The file is in the overlay's upper layer, so not from the image.";
    FdIsLowerLayer "fd.is_lower_layer" Bool No One FILE; "The file is in the overlay's lower layer, so from the image.";
    FsPathName "fs.path.name" Text No One PATH; "Absolute path that the call acted on (unlink, chmod, mkdir, umount2 ...).";
    FsPathNameraw "fs.path.nameraw" Text No One PATH; "The same as the call gave it.";
    FsPathSource "fs.path.source" Text No One PATHS; "Absolute path that was renamed or mounted, or of the link that was made.";
    FsPathSourceraw "fs.path.sourceraw" Text No One PATHS; "The same as the call gave it.";
    FsPathTarget "fs.path.target" Text No One PATHS; "Absolute path after a rename, of a mount point, or that a link leads to.";
    FsPathTargetraw "fs.path.targetraw" Text No One PATHS; "The same as the call gave it.";
    FdlistNums "fdlist.nums" Text No One Nobody; "Descriptors that poll was given.";
    FdlistNames "fdlist.names" Text No One Nobody; "Names of the descriptors that poll was given.";
    FdlistCips "fdlist.cips" Text No One Nobody; "Client addresses of the descriptors that poll was given.";
    FdlistSips "fdlist.sips" Text No One Nobody; "Server addresses of the descriptors that poll was given.";
    FdlistCports "fdlist.cports" Text No One Nobody; "Client ports of the descriptors that poll was given.";
    FdlistSports "fdlist.sports" Text No One Nobody; "Server ports of the descriptors that poll was given.";

    UserUid "user.uid" Uint No One User; "User id, as the host sees it.";
    UserName "user.name" Text No One User; "User name by the node's user database.";
    UserHomedir "user.homedir" Text No One User; "Home directory by the node's user database.";
    UserShell "user.shell" Text No One User; "Shell by the node's user database.";
    UserLoginuid "user.loginuid" Int No One User; "Audit login user id; -1 for none.";
    UserLoginname "user.loginname" Text No One User; "Name of the login user.";
    UserEuid "user.euid" Uint No One User; "Effective user id.";
    GroupGid "group.gid" Uint No One User; "Group id, as the host sees it.";
    GroupName "group.name" Text No One User; "Group name by the node's group database.";
    GroupEgid "group.egid" Uint No One User; "Effective group id.";

    ContainerId "container.id" Text No One Container; "First 12 characters of the container's id; `host` outside of containers.";
    ContainerFullId "container.full_id" Text No One Container; "The container's whole id; `host` outside of containers.";
    ContainerName "container.name" Text No One Container; "Name of the container in its pod; `host` outside of containers.";
    ContainerKind "container.kind" Text No One Container; "Role in the pod: main, init or ephemeral.";
    ContainerImage "container.image" Text No One Container; "Image reference as the pod gives it.";
    ContainerImageId "container.image.id" Text No One Container; "Image id as the runtime reports it.";
    ContainerImageRepository "container.image.repository" Text No One Container; "Image reference without tag and digest.";
    ContainerImageTag "container.image.tag" Text No One Container; "Tag of the image.";
    ContainerImageDigest "container.image.digest" Text No One Container; "Digest of the image (sha256:...).";
    ContainerType "container.type" Text No One Container; "Runtime: containerd, cri-o, docker, podman; `host` outside of containers.";
    ContainerPrivileged "container.privileged" Bool No One Container; "The container is privileged.";
    ContainerMounts "container.mounts" Text No One Container; "Mounts, as `source:destination:mode:rdwr:propagation` separated by commas.";
    ContainerMount "container.mount" Text Key One Container; "One mount, by number or by destination (globs).";
    ContainerMountSource "container.mount.source" Text Key One Container; "Source of a mount, by number or destination.";
    ContainerMountDest "container.mount.dest" Text Key One Container; "Destination of a mount, by number or source.";
    ContainerMountMode "container.mount.mode" Text Key One Container; "Mode of a mount.";
    ContainerMountRdwr "container.mount.rdwr" Text Key One Container; "Whether a mount may be written (true, false).";
    ContainerMountPropagation "container.mount.propagation" Text Key One Container; "Propagation of a mount.";
    ContainerHealthcheck "container.healthcheck" Text No One Nobody; "The container's health check.";
    ContainerLivenessProbe "container.liveness_probe" Text No One Nobody; "The container's liveness probe.";
    ContainerReadinessProbe "container.readiness_probe" Text No One Nobody; "The container's readiness probe.";
    ContainerStartTs "container.start_ts" Time No One Nobody; "Start of the container, nanoseconds since 1970.";
    ContainerDuration "container.duration" Duration No One Nobody; "Nanoseconds since the container's start.";
    ContainerIp "container.ip" Text No One Nobody; "Address of the container.";
    ContainerCniJson "container.cni.json" Text No One Nobody; "Result of the network plugin.";
    ContainerHostPid "container.host_pid" Bool No One Container; "The pod shares the host's pid namespace.";
    ContainerHostNetwork "container.host_network" Bool No One Container; "The pod shares the host's network.";
    ContainerHostIpc "container.host_ipc" Bool No One Container; "The pod shares the host's IPC namespace.";
    ContainerLabel "container.label" Text Key One Nobody; "One label of the container.";
    ContainerLabels "container.labels" Text No One Nobody; "Labels of the container.";

    K8sNsName "k8s.ns.name" Text No One Pod; "Namespace of the pod.";
    K8sPodName "k8s.pod.name" Text No One Pod; "Name of the pod.";
    K8sPodUid "k8s.pod.uid" Text No One Pod; "UID of the pod.";
    K8sPodId "k8s.pod.id" Text No One Pod; "Same as k8s.pod.uid.";
    K8sPodLabel "k8s.pod.label" Text Key One Pod; "One label of the pod: k8s.pod.label[app].";
    K8sPodLabels "k8s.pod.labels" Text No One Pod; "All labels of the pod, as `key:value` separated by commas.";
    K8sPodIp "k8s.pod.ip" Text No One Nobody; "Address of the pod.";
    K8sPodCniJson "k8s.pod.cni.json" Text No One Nobody; "Result of the network plugin.";
    K8sPodSandboxId "k8s.pod.sandbox_id" Text No One Nobody; "First 12 characters of the pod sandbox's id.";
    K8sPodFullSandboxId "k8s.pod.full_sandbox_id" Text No One Nobody; "The pod sandbox's whole id.";
    K8sPodOwnerKind "k8s.pod.owner.kind" Text No One Pod; "Kind of the pod's controller, such as ReplicaSet.";
    K8sPodOwnerName "k8s.pod.owner.name" Text No One Pod; "Name of the pod's controller.";
    K8sPodSaName "k8s.pod.sa.name" Text No One Pod; "Same as k8s.sa.name.";
    K8sSaName "k8s.sa.name" Text No One Pod; "Service account that the pod runs as.";
    K8sNodeName "k8s.node.name" Text No One Event; "Name of the node.";
    K8sExecUser "k8s.exec.user" Text No One Nobody; "Who ran kubectl exec.";
    K8sExecGroups "k8s.exec.groups" Text No Set Nobody; "Groups of who ran kubectl exec.";
    EyasTruncated "eyas.truncated" Bool No One Event; "A path or the arguments were cut at their bound.";
    EyasIoUring "eyas.io_uring" Bool No One Event; "Asked for through an io_uring: told when it was submitted, so that its result is not known (evt.res, evt.rawres and the fd.num of an open are missing).";
    EyasPodPending "eyas.pod_pending" Bool No One Container; "The pod's metadata had not arrived in time.";
}
