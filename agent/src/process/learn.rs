//! What the table learns from a record of any kind.
use super::{Process, Table};
use crate::{
    container::Containers,
    probe::record::{Body, Record},
};
use engine::event::Hook;
use std::sync::Arc;

impl Table {
    /// Takes in a record; the process whose event it is, as it is now (of an exec: what was executed).
    pub fn learn(&mut self, record: &Record<'_>, containers: &mut Containers) -> Arc<Process> {
        let header = &record.header;
        match &record.body {
            Body::Exec(exec) => self.exec(header, exec, containers),
            Body::Fork(fork) => {
                let maker = self.actor(header, containers);
                self.fork(header, fork, containers);
                maker
            }
            Body::Exit(_) => {
                let process = self.actor(header, containers);
                self.exit(header);
                process
            }
            Body::Call(call) if header.hook == Hook::Dup => self.dup(header, call, containers),
            Body::FailedExec(_) | Body::Open(_) | Body::Connect(_) | Body::Call(_) => self.actor(header, containers),
        }
    }
}
