//! What the engine asks of an event: its type and the values of its fields.
//!
//! `EventType` and `Hook` are the vocabulary between rules and the kernel side: a rule names event types
//! (`evt.type = openat`), a hook supplies them. The agent attaches a hook only when an active rule needs it; process
//! life-cycle hooks (exec, fork, exit) are always attached since process state needs them.
use crate::{
    field::FieldRef,
    value::{Lookup, Value},
};
use serde::{Deserialize, Serialize};

macro_rules! event_types {
    ($( $variant:ident $name:literal $hook:ident; )*) => {
        /// Event types that a hook of ours supplies (`evt.type`; the names are Falco's).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[allow(missing_docs, reason = "the names are those of the system calls")]
        #[repr(u8)]
        pub enum EventType { $($variant),* }
        impl EventType {
            /// All, in order of their discriminant.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];
            /// The value of `evt.type`.
            #[must_use]
            pub const fn as_str(self) -> &'static str { match self { $(Self::$variant => $name),* } }
            /// The hook that supplies it.
            #[must_use]
            pub const fn hook(self) -> Hook { match self { $(Self::$variant => Hook::$hook),* } }
        }
    };
}

event_types! {
    Execve "execve" Exec;
    Execveat "execveat" Exec;
    Clone "clone" Fork;
    Clone3 "clone3" Fork;
    Fork "fork" Fork;
    Vfork "vfork" Fork;
    Procexit "procexit" Exit;
    Open "open" Open;
    Openat "openat" Open;
    Openat2 "openat2" Open;
    Creat "creat" Open;
    Connect "connect" Connect;
    Accept "accept" Accept;
    Accept4 "accept4" Accept;
    Bind "bind" Bind;
    Listen "listen" Listen;
    Socket "socket" Socket;
    Sendto "sendto" Send;
    Sendmsg "sendmsg" Send;
    Sendmmsg "sendmmsg" Send;
    Dup "dup" Dup;
    Dup2 "dup2" Dup;
    Dup3 "dup3" Dup;
    Pipe "pipe" Pipe;
    Pipe2 "pipe2" Pipe;
    Unlink "unlink" Unlink;
    Unlinkat "unlinkat" Unlink;
    Rmdir "rmdir" Unlink;
    Rename "rename" Rename;
    Renameat "renameat" Rename;
    Renameat2 "renameat2" Rename;
    Link "link" Link;
    Linkat "linkat" Link;
    Symlink "symlink" Link;
    Symlinkat "symlinkat" Link;
    Chmod "chmod" Chmod;
    Fchmod "fchmod" Chmod;
    Fchmodat "fchmodat" Chmod;
    Fchmodat2 "fchmodat2" Chmod;
    Chown "chown" Chown;
    Fchown "fchown" Chown;
    Lchown "lchown" Chown;
    Fchownat "fchownat" Chown;
    Mkdir "mkdir" Mkdir;
    Mkdirat "mkdirat" Mkdir;
    Mount "mount" Mount;
    Umount2 "umount2" Mount;
    MoveMount "move_mount" Mount;
    Chroot "chroot" Root;
    PivotRoot "pivot_root" Root;
    Setuid "setuid" Setid;
    Setgid "setgid" Setid;
    Setreuid "setreuid" Setid;
    Setregid "setregid" Setid;
    Setresuid "setresuid" Setid;
    Setresgid "setresgid" Setid;
    Capset "capset" Capset;
    Ptrace "ptrace" Ptrace;
    ProcessVmReadv "process_vm_readv" Vm;
    ProcessVmWritev "process_vm_writev" Vm;
    MemfdCreate "memfd_create" Memfd;
    InitModule "init_module" Module;
    FinitModule "finit_module" Module;
    DeleteModule "delete_module" Module;
    Bpf "bpf" Bpf;
    Setns "setns" Namespace;
    Unshare "unshare" Namespace;
    Kill "kill" Signal;
    Tkill "tkill" Signal;
    Tgkill "tgkill" Signal;
    Prctl "prctl" Prctl;
    Userfaultfd "userfaultfd" Userfaultfd;
    IoUringSetup "io_uring_setup" IoUring;
    IoUringRegister "io_uring_register" IoUring;
    Splice "splice" Splice;
    Sendfile "sendfile" Splice;
}

macro_rules! hooks {
    ($( $variant:ident $name:literal; )*) => {
        /// A point in the kernel that programs are attached to. Metrics and status name hooks by `as_str`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[allow(missing_docs, reason = "the names say it")]
        #[repr(u8)]
        pub enum Hook { $($variant),* }
        impl Hook {
            /// All, in order of their discriminant.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];
            /// The name in metrics and status.
            #[must_use]
            pub const fn as_str(self) -> &'static str { match self { $(Self::$variant => $name),* } }
        }
    };
}

hooks! {
    Exec "exec";
    Fork "fork";
    Exit "exit";
    Open "open";
    Connect "connect";
    Accept "accept";
    Bind "bind";
    Listen "listen";
    Socket "socket";
    Send "send";
    Dup "dup";
    Pipe "pipe";
    Unlink "unlink";
    Rename "rename";
    Link "link";
    Chmod "chmod";
    Chown "chown";
    Mkdir "mkdir";
    Mount "mount";
    Root "root";
    Setid "setid";
    Capset "capset";
    Ptrace "ptrace";
    Vm "vm";
    Memfd "memfd";
    Module "module";
    Bpf "bpf";
    Namespace "namespace";
    Signal "signal";
    Prctl "prctl";
    Userfaultfd "userfaultfd";
    IoUring "io_uring";
    Splice "splice";
}

impl Hook {
    /// Life-cycle hooks are attached whatever the rules say: process state needs them.
    #[must_use]
    pub const fn is_life_cycle(self) -> bool {
        matches!(self, Self::Exec | Self::Fork | Self::Exit)
    }

    /// The event types that it supplies.
    pub fn event_types(self) -> impl Iterator<Item = EventType> {
        EventType::ALL.iter().copied().filter(move |t| t.hook() == self)
    }
}

/// A set of event types.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventTypes(u128);

const _: () = assert!(EventType::ALL.len() <= 128, "a set has a bit for each event type");

impl EventTypes {
    /// None.
    pub const NONE: Self = Self(0);
    /// All.
    pub const ALL: Self = Self(u128::MAX >> (128 - EventType::ALL.len()));

    /// Bit n: the event type with discriminant n.
    #[must_use]
    pub const fn bits(self) -> u128 {
        self.0
    }

    /// Whether it holds a type.
    #[must_use]
    pub const fn contains(self, event_type: EventType) -> bool {
        self.0 >> event_type as u8 & 1 == 1
    }

    /// With one more.
    #[must_use]
    pub const fn with(self, event_type: EventType) -> Self {
        Self(self.0 | 1 << event_type as u8)
    }

    /// What either holds.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What both hold.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether there is none in it.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Its types, in order.
    pub fn iter(self) -> impl Iterator<Item = EventType> {
        EventType::ALL.iter().copied().filter(move |t| self.contains(*t))
    }
}

impl FromIterator<EventType> for EventTypes {
    fn from_iter<I: IntoIterator<Item = EventType>>(types: I) -> Self {
        types.into_iter().fold(Self::NONE, Self::with)
    }
}

/// An event whose fields can be asked for. Implemented by the agent over decoded records, and by `testing` over maps.
pub trait Event {
    /// The value of `evt.type`; rules are indexed by it. `None`: unknown to us (test events only).
    fn event_type(&self) -> Option<EventType>;

    /// The value of a field.
    fn field(&self, field: &FieldRef) -> Lookup<'_>;

    /// Whether `test` holds for any value of a field with many (`proc.aname` without index). Override where the values
    /// can be visited without building a list. `Lookup::Value` is passed with each single value, or Missing / Pending.
    fn visit(&self, field: &FieldRef, visit: &mut dyn FnMut(&Lookup<'_>) -> std::ops::ControlFlow<()>) {
        match self.field(field) {
            Lookup::Value(Value::List(items)) => {
                for item in items {
                    if visit(&Lookup::Value(item)).is_break() {
                        return;
                    }
                }
            }
            one => {
                let _ = visit(&one);
            }
        }
    }
}
