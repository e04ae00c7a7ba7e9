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
}

/// A point in the kernel that programs are attached to. Metrics and status name hooks by `as_str`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names say it")]
#[repr(u8)]
pub enum Hook {
    Exec,
    Fork,
    Exit,
    Open,
    Connect,
}

impl Hook {
    /// All, in order of their discriminant.
    pub const ALL: &'static [Self] = &[Self::Exec, Self::Fork, Self::Exit, Self::Open, Self::Connect];

    /// The name in metrics and status.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exec => "exec",
            Self::Fork => "fork",
            Self::Exit => "exit",
            Self::Open => "open",
            Self::Connect => "connect",
        }
    }

    /// Life-cycle hooks are attached whatever the rules say: process state needs them.
    #[must_use]
    pub const fn is_life_cycle(self) -> bool {
        matches!(self, Self::Exec | Self::Fork | Self::Exit)
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
