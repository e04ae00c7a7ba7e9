//! user.* and group.*: ids from the record and the process, names from the user database of where the process lives.
use super::View;
use crate::users::Database;
use engine::{
    field::Field,
    value::{Lookup, Value},
};
use std::sync::Arc;

fn uint(n: u32) -> Lookup<'static> {
    Lookup::Value(Value::Uint(u64::from(n)))
}

/// Empty is missing: containers without a database know root by name alone.
fn text<'a>(bytes: Option<Box<[u8]>>) -> Lookup<'a> {
    bytes.filter(|b| !b.is_empty()).map(Vec::from).into()
}

pub(super) fn lookup<'a>(view: &View<'_>, field: Field) -> Option<Lookup<'a>> {
    let (header, credentials) = (&view.record.header, &view.process.credentials);
    let user = || database(view).user(header.uid);
    Some(match field {
        Field::UserUid => uint(header.uid),
        Field::UserEuid => uint(credentials.euid),
        Field::GroupGid => uint(header.gid),
        Field::GroupEgid => uint(credentials.egid),
        Field::UserName => text(user().map(|u| u.name)),
        Field::UserHomedir => text(user().map(|u| u.home)),
        Field::UserShell => text(user().map(|u| u.shell)),
        Field::GroupName => text(database(view).group(header.gid)),
        Field::UserLoginuid => Lookup::Value(Value::Int(credentials.loginuid.map_or(-1, i64::from))),
        // Who logs in does so on the node.
        Field::UserLoginname => {
            text(credentials.loginuid.and_then(|uid| view.around.users.host().user(uid)).map(|u| u.name))
        }
        _ => return None,
    })
}

fn database(view: &View<'_>) -> Arc<Database> {
    match view.container() {
        None => view.around.users.host(),
        Some(container) => view.around.users.of_container(&container.id, view.process.key.pid),
    }
}
