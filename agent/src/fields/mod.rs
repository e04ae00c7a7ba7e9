//! Values of fields: [`engine::event::Event`] over a record and the state around it.
//!
//! One file per class of fields: `event` (evt), `args` and `calls` (evt.arg), `process` (proc, thread), `descriptor` and
//! `socket` (fd), `fspath` (fs, evt.abspath), `user` (user, group), `container` (container, k8s); `names`, `flags` and `paths`
//! help them. Each answers `None` for fields that are not its own; a test walks the catalogue and fails when a field that is
//! said to be supplied is nobody's, or one that is not is somebody's.
//!
//! Invariant: asking costs nothing until asked; what can be borrowed from record, process or pod is.
mod args;
mod calls;
mod container;
mod descriptor;
mod event;
mod flags;
mod fspath;
mod names;
mod paths;
mod process;
mod socket;
#[cfg(test)]
mod tests;
mod user;

pub use args::Argument;
pub use container::PodState;

use crate::{
    container::Container,
    probe::record::{Body, Record},
    process::{Process, Table},
    users::Users,
    workload,
};
use engine::{
    event::{Event, EventType},
    field::{Arg, Field, FieldRef},
    value::{Lookup, Value},
};
use std::{cell::OnceCell, ops::ControlFlow};

/// What is the same for all events of a moment.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// Name of the node.
    pub node: &'a str,
    /// All processes.
    pub table: &'a Table,
    /// User databases.
    pub users: &'a Users,
    /// Pods of this node.
    pub pods: &'a workload::Index,
    /// Whether containers of pods that `pods` does not have are to be waited for (in a cluster).
    pub await_pods: bool,
    /// What to add to nanoseconds since boot to get nanoseconds since 1970.
    pub boot_to_wall: i64,
    /// When the agent started, nanoseconds since boot.
    pub agent_start: u64,
}

/// One event, with everything that its fields are made of.
#[derive(Debug)]
pub struct View<'a> {
    around: Surroundings<'a>,
    record: &'a Record<'a>,
    process: &'a Process,
    number: u64,
    /// Waiting for the pod is over: what is not known is missing.
    final_: bool,
    pod: OnceCell<PodState>,
}

impl<'a> View<'a> {
    /// An event of `process`. `number` is its `evt.num`. `last_time`: do not wait for pod metadata any more.
    #[must_use]
    pub fn new(
        around: Surroundings<'a>,
        record: &'a Record<'a>,
        process: &'a Process,
        number: u64,
        last_time: bool,
    ) -> Self {
        Self { around, record, process, number, final_: last_time, pod: OnceCell::new() }
    }

    /// Nanoseconds since 1970.
    #[must_use]
    pub fn time(&self) -> i64 {
        self.wall(self.record.header.time)
    }

    /// The container, `None` on the host.
    #[must_use]
    pub fn container(&self) -> Option<&'a Container> {
        self.process.container.as_deref()
    }

    /// The pod that the container is of, looked up when first asked for.
    #[must_use]
    pub fn pod(&self) -> &PodState {
        self.pod.get_or_init(|| container::pod_of(self.container(), &self.around, self.final_))
    }

    /// Whether pod metadata may still arrive.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.container().is_some() && matches!(self.pod(), PodState::Pending | PodState::Partly(_))
    }

    /// Its arguments, in Falco's order, but those that have no value.
    #[must_use]
    pub fn arguments(&self) -> Vec<Argument> {
        args::arguments(self).into_iter().filter(|argument| !argument.unknown).collect()
    }

    fn wall(&self, boot: u64) -> i64 {
        i64::try_from(boot).unwrap_or(i64::MAX).saturating_add(self.around.boot_to_wall)
    }

    /// What the call returned, where it is one that returns and has done so. A connect that an io_uring is asked for is under way.
    fn result(&self) -> Option<i64> {
        match &self.record.body {
            Body::Open(_) | Body::Call(_) if self.record.header.io_uring => None,
            Body::Exec(_) => Some(0),
            Body::FailedExec(e) => Some(e.ret),
            Body::Fork(f) => Some(i64::from(f.child_pid)),
            Body::Exit(_) => None,
            Body::Open(o) => Some(o.ret),
            Body::Connect(c) => Some(c.ret),
            Body::Call(c) => Some(c.ret),
        }
    }

    fn lookup(&self, field: Field, arg: Option<&Arg>) -> Option<Lookup<'_>> {
        process::lookup(self, field, arg)
            .or_else(|| descriptor::lookup(self, field))
            .or_else(|| fspath::lookup(self, field, arg))
            .or_else(|| container::lookup(self, field, arg))
            .or_else(|| event::lookup(self, field, arg))
            .or_else(|| user::lookup(self, field))
    }
}

impl Event for View<'_> {
    fn event_type(&self) -> Option<EventType> {
        Some(self.record.header.event_type)
    }

    fn field(&self, field: &FieldRef) -> Lookup<'_> {
        self.lookup(field.field, field.arg.as_ref()).unwrap_or(Lookup::Missing)
    }

    fn visit(&self, field: &FieldRef, visit: &mut dyn FnMut(&Lookup<'_>) -> ControlFlow<()>) {
        if field.arg.is_none() && process::visit_ancestors(self, field.field, visit) {
            return;
        }
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
