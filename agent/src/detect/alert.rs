//! From a match to its alert, and what makes two alerts the same.
use super::Armed;
use crate::fields::View;
use engine::{
    event::{Event, EventType},
    field::{Arg, Field, FieldRef, Kind},
    syntax::Operand,
    value::{Lookup, Value},
};
use router::alert::{Alert, Container, Pod};
use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};
use std::{
    fmt::Write as _,
    hash::{BuildHasher as _, Hash, Hasher, RandomState},
};

/// Nanoseconds since boot and what to add to them for nanoseconds since 1970.
#[must_use]
pub fn clock() -> (u64, i64) {
    use rustix::time::{ClockId, clock_gettime};
    let nanos = |id| {
        let t = clock_gettime(id);
        t.tv_sec.saturating_mul(1_000_000_000).saturating_add(t.tv_nsec)
    };
    let (boot, wall) = (nanos(ClockId::Boottime), nanos(ClockId::Realtime));
    (u64::try_from(boot).unwrap_or_default(), wall.saturating_sub(boot))
}

/// Whether a field differs between matches that people call the same: times, ids of processes, numbers of events and
/// descriptors, ports that the kernel picked.
fn is_volatile(field: &FieldRef) -> bool {
    use Field as F;
    if matches!(field.field.def().kind, Kind::Time | Kind::Clock | Kind::Duration) {
        return true;
    }
    if matches!(field.field, F::EvtArg | F::EvtRawarg) {
        return matches!(&field.arg, Some(Arg::Key(key))
            if matches!(key.as_str(), "pid" | "tid" | "ptid" | "vpid" | "fd" | "res" | "tuple") || key.parse::<u32>().is_ok());
    }
    matches!(
        field.field,
        F::EvtNum
            | F::EvtCpu
            | F::EvtArgs
            | F::EvtInfo
            | F::EvtRawres
            | F::ProcPid
            | F::ProcVpid
            | F::ProcPpid
            | F::ProcPvpid
            | F::ProcApid
            | F::ProcSid
            | F::ProcPgid
            | F::ProcVpgid
            | F::ProcLoginshellid
            | F::ThreadTid
            | F::ThreadVtid
            | F::ThreadNametid
            | F::FdNum
            | F::FdUid
            | F::FdPort
            | F::FdCport
            | F::FdLport
    )
}

/// What stands for a field in a fingerprint; `None`: nothing does.
fn identity(field: &FieldRef, event_type: Option<EventType>) -> Option<FieldRef> {
    let connection = event_type == Some(EventType::Connect);
    match field.field {
        _ if is_volatile(field) => None,
        // The client's port is in the name.
        Field::FdName | Field::FdContainername if connection => Some(FieldRef::parse("evt.arg.addr").ok()?),
        _ => Some(field.clone()),
    }
}

fn fields(operand: &Operand, each: &mut dyn FnMut(&FieldRef)) {
    match operand {
        Operand::Field(field) => each(field),
        Operand::Call { args, .. } | Operand::List(args) => args.iter().for_each(|a| fields(a, each)),
        Operand::Text(_) => {}
    }
}

/// What a match is folded by: random keys, so that nobody can choose values that fold onto another's.
pub(super) fn fold_key(armed: &Armed, rule: usize, view: &View<'_>, random: &RandomState) -> u64 {
    let mut hasher = random.build_hasher();
    (armed.generation, rule).hash(&mut hasher);
    view.container().map(|c| &c.id).hash(&mut hasher);
    each_identity(armed, rule, view, &mut |_, value| value.hash(&mut hasher));
    hasher.finish()
}

/// Values of the output's fields that count, with their names, in order.
fn each_identity(armed: &Armed, rule: usize, view: &View<'_>, each: &mut dyn FnMut(&str, &[u8])) {
    for (name, operand) in armed.plan.template(rule).fields() {
        fields(operand, &mut |field| {
            if let Some(field) = identity(field, view.event_type()) {
                hashed(&view.field(&field), &mut |bytes| each(name, bytes));
            }
        });
    }
}

fn hashed(lookup: &Lookup<'_>, each: &mut dyn FnMut(&[u8])) {
    fn value(v: &Value<'_>, each: &mut dyn FnMut(&[u8])) {
        match v {
            Value::Str(s) => each(s),
            Value::Int(n) => each(&n.to_le_bytes()),
            Value::Uint(n) => each(&n.to_le_bytes()),
            Value::Bool(b) => each(&[u8::from(*b)]),
            Value::Ip(ip) => each(ip.to_string().as_bytes()),
            Value::List(items) => items.iter().for_each(|i| value(i, each)),
        }
    }
    match lookup {
        Lookup::Value(v) => value(v, each),
        Lookup::Missing | Lookup::Pending => each(b""),
    }
}

/// The stable fingerprint: the same over restarts, nodes apart by their containers.
fn fingerprint(armed: &Armed, rule: usize, view: &View<'_>) -> String {
    let mut hash = Sha256::new();
    let mut add = |part: &[u8]| {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    };
    if let Some(rule) = armed.ruleset().rules.get(rule) {
        add(rule.id.namespace.as_bytes());
        add(rule.id.name.as_bytes());
    }
    add(view.container().map_or("", |c| &*c.id).as_bytes());
    each_identity(armed, rule, view, &mut |name, value| {
        add(name.as_bytes());
        add(value);
    });
    hash.finalize().iter().take(8).fold(String::with_capacity(16), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The alert of one match.
pub(super) fn build(armed: &Armed, index: usize, view: &View<'_>, node: &str, given_up: bool) -> Alert {
    let ruleset = armed.ruleset();
    let rule = &ruleset.rules[index];
    let template = armed.plan.template(index);
    let mut output_fields = template.values(view);
    // Receivers made for Falco take the time from here.
    let time = view.time();
    output_fields.entry("evt.time").or_insert_with(|| Json::from(time));
    let pod = view.pod();
    let container = view.container().map(|c| Container {
        id: c.id.to_string(),
        name: pod.container().map(|m| m.name.clone()).unwrap_or_default(),
        image: pod.container().map(|m| m.image.clone()).unwrap_or_default(),
    });
    let lacks_pod = given_up && container.is_some() && pod.container().is_none();
    Alert {
        id: uuid::Uuid::new_v4(),
        node: node.to_owned(),
        time,
        rule: rule.title.clone(),
        policy: rule.id.clone(),
        priority: rule.priority,
        tags: rule.tags.clone(),
        source: "syscall".to_owned(),
        output: template.render(view),
        output_fields,
        fingerprint: fingerprint(armed, index, view),
        count: 1,
        last_time: time,
        revision: ruleset.revision.clone(),
        container,
        pod: pod.pod().map(|p| Pod {
            namespace: p.namespace.clone(),
            name: p.name.clone(),
            uid: p.uid.clone(),
            service_account: p.service_account.clone(),
        }),
        metadata_missing: lacks_pod,
    }
}
