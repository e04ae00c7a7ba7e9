//! Generated conditions and events for tests: all operators, kinds, transformers and quantifiers; missing and pending values;
//! values of another type than the field's. Cheap, so that a million cases take minutes: a small generator of numbers instead
//! of a framework. A failure is repeated by its seed.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use crate::{
    eval::{Leaf, Truth},
    event::{Event, EventType},
    field::{Field, FieldRef, Kind, Many},
    priority::Priority,
    ruleset::{Exception, Rule, Ruleset, SCHEMA_VERSION},
    source::{ObjectRef, RuleSelector, RuleState},
    syntax::{Comparison, Expr, Function, Op, Operand, Quantifier, Right, Text},
    value::{Lookup, Value},
};
use std::{collections::HashMap, sync::OnceLock};

/// SplitMix64.
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }
    /// 0..n.
    pub fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap() % n
    }
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

/// Fields that conditions are made of: every kind, every supply, one value and many.
fn fields() -> &'static [FieldRef] {
    static FIELDS: OnceLock<Vec<FieldRef>> = OnceLock::new();
    FIELDS.get_or_init(|| {
        let names = "proc.name proc.pname proc.exepath proc.cmdline proc.args fd.name fd.name fd.directory fd.filename \
            fs.path.name fd.nameraw user.name container.id container.id container.name container.image.repository k8s.ns.name \
            k8s.pod.label[app] evt.type evt.type evt.dir evt.res evt.arg[flags] proc.aname[2] proc.aname proc.aname fd.ip fd.net \
            fd.port proc.pid proc.tty user.uid fd.num evt.rawres fd.sport fd.rport evt.rawarg[flags] proc.duration evt.time \
            evt.rawtime evt.is_open_read evt.is_open_write evt.is_open_create evt.failed container.privileged fd.sip fd.rip \
            fd.snet fd.rnet fd.typechar eyas.io_uring evt.num evt.source evt.buffer evt.latency fd.types";
        names.split_whitespace().map(|name| FieldRef::parse(name).unwrap()).collect()
    })
}

const TEXTS: [&str; 40] = [
    "sh",
    "bash",
    "nginx",
    "a",
    "ab",
    "abc",
    "ABC",
    "b",
    "",
    "host",
    "3ad7b26ded6d",
    "root",
    "O_RDONLY",
    "ENOENT",
    "SUCCESS",
    "/etc/shadow",
    "/etc/ssh/sshd_config",
    "/etc",
    "/etc/",
    "/",
    "/home/a/.ssh/id_rsa",
    "/home/a/.ssh",
    "/usr/bin/sh",
    "/usr/bin/",
    "/tmp/x",
    "x",
    "id_rsa",
    "shadow",
    ".ssh",
    "curl",
    "sh -c curl x",
    "-a -b 5 rest",
    "YWJj",
    "16",
    "0x10",
    "3",
    "true",
    "openat",
    "execve",
    "f",
];
const GLOBS: [&str; 10] =
    ["/etc/*", "/home/*/.ssh/*", "*.ssh*", "*a*b*", "?b", "[a-c]*", "*", "/usr/bin/*sh", "[!s]h", "*/SSHD_config"];
const EXPRESSIONS: [&str; 8] =
    ["/etc/.*", ".*(curl|wget).*", "a|bash", "(sh|bash)+", "[a-z]+", "/home/[^/]*/\\.ssh/.*", "(?i)ABC", ".*"];
const NUMBERS: [&str; 12] =
    ["0", "1", "3", "-1", "-2", "16", "0x10", "443", "65535", "18446744073709551615", "5", "100"];
const ADDRESSES: [&str; 6] = ["10.0.0.1", "10.0.0.2", "192.168.1.1", "::1", "fe80::1", "::ffff:10.0.0.1"];
const BLOCKS: [&str; 8] = [
    "10.0.0.0/8",
    "10.0.0.0/31",
    "192.168.0.0/16",
    "0.0.0.0/0",
    "::/0",
    "fe80::/10",
    "::ffff:10.0.0.0/104",
    "10.0.0.1",
];
const HEX: [&str; 4] = ["2f", "6162", "2f657463", ""];

fn literal(rng: &mut Rng, kind: Kind, op: Op) -> Text {
    let pool: &[&str] = match (op, kind) {
        (Op::Glob | Op::Iglob | Op::Pmatch, _) if rng.one_in(2) => &GLOBS,
        (Op::Regex, _) => &EXPRESSIONS,
        (Op::Bcontains | Op::Bstartswith, _) => &HEX,
        (_, Kind::Text | Kind::Bytes) => &TEXTS,
        (_, Kind::Dyn) => {
            if rng.one_in(2) {
                &NUMBERS
            } else {
                &TEXTS
            }
        }
        (_, Kind::Bool) => &["true", "false"],
        (_, Kind::Ip) => &ADDRESSES,
        (_, Kind::Net) => &BLOCKS,
        (_, Kind::Clock) => &["00:00:00.000000001", "0", "00:00:05.000000000", "00:0"],
        _ => &NUMBERS,
    };
    Text::from(*rng.pick(pool))
}

fn operand(rng: &mut Rng) -> Operand {
    let field = |rng: &mut Rng| Operand::Field(rng.pick(fields()).clone());
    if !rng.one_in(5) {
        return field(rng);
    }
    let text = |text: &str| Operand::Text(Text::from(text));
    let function = *rng.pick(Function::ALL);
    let nested = |rng: &mut Rng| {
        let inner = field(rng);
        match rng.below(4) {
            0 => Operand::Call { function: Function::ToLower, args: vec![inner], selector: None },
            _ => inner,
        }
    };
    let (args, selector) = match function {
        Function::Join if rng.one_in(2) => (vec![text(" "), Operand::List(vec![field(rng), field(rng)])], None),
        Function::Join => (vec![text(","), field(rng)], None),
        Function::Concat => (vec![nested(rng), text(":"), field(rng)], None),
        Function::Getopt if rng.one_in(2) => {
            (vec![Operand::List(vec![text("-a"), field(rng), field(rng)]), text("ab:c")], None)
        }
        Function::Getopt => (vec![field(rng), text("ab:c")], rng.one_in(2).then(|| "b".to_owned())),
        _ => (vec![nested(rng)], None),
    };
    Operand::Call { function, args, selector }
}

/// A leaf that compiles.
fn leaf(rng: &mut Rng) -> Expr {
    loop {
        let left = operand(rng);
        if rng.one_in(12) {
            return Expr::Exists(left);
        }
        let kind = crate::eval::kind_of(&left);
        let op = if rng.one_in(2) { *rng.pick(&[Op::Eq, Op::In, Op::Startswith]) } else { *rng.pick(Op::ALL) };
        let quantifier = (!op.takes_list() && rng.one_in(8)).then(|| *rng.pick(Quantifier::ALL));
        let many = op.takes_list() || quantifier.is_some();
        let right = if quantifier.is_none() && rng.one_in(10) {
            Right::Operand(operand(rng))
        } else if many {
            let length = if rng.one_in(3) { 5 + rng.below(4) } else { rng.below(4) };
            Right::List((0..length).map(|_| literal(rng, kind, op)).collect())
        } else {
            Right::Value(literal(rng, kind, op))
        };
        let expr = Expr::Compare(Box::new(Comparison { left, op, quantifier, right }));
        if Leaf::build(&expr).is_ok() {
            return expr;
        }
    }
}

/// A condition. `pool`: parts that conditions share, as macros are.
pub fn condition(rng: &mut Rng, pool: &[Expr], depth: usize) -> Expr {
    if !pool.is_empty() && rng.one_in(6) {
        return rng.pick(pool).clone();
    }
    match rng.below(if depth == 0 { 1 } else { 6 }) {
        0 => leaf(rng),
        1 => condition(rng, pool, depth - 1).negate(),
        n => {
            let parts = (0..2 + rng.below(3)).map(|_| condition(rng, pool, depth - 1)).collect();
            if n < 4 { Expr::And(parts) } else { Expr::Or(parts) }
        }
    }
}

/// A condition as it is compared with: prepared once, evaluated from left to right without anything else.
pub enum Naive {
    And(Vec<Naive>),
    Or(Vec<Naive>),
    Not(Box<Naive>),
    Leaf(Leaf),
}

impl Naive {
    pub fn new(expr: &Expr) -> Self {
        match expr {
            Expr::And(parts) => Self::And(parts.iter().map(Self::new).collect()),
            Expr::Or(parts) => Self::Or(parts.iter().map(Self::new).collect()),
            Expr::Not(inner) => Self::Not(Box::new(Self::new(inner))),
            leaf => Self::Leaf(Leaf::build(leaf).unwrap().unwrap()),
        }
    }
    pub fn evaluate(&self, event: &dyn Event) -> Truth {
        match self {
            Self::And(parts) => parts.iter().map(|part| part.evaluate(event)).min().unwrap_or(Truth::True),
            Self::Or(parts) => parts.iter().map(|part| part.evaluate(event)).max().unwrap_or(Truth::False),
            Self::Not(inner) => !inner.evaluate(event),
            Self::Leaf(leaf) => leaf.evaluate(event),
        }
    }
}

/// An event of arbitrary values.
#[derive(Debug)]
pub struct AnyEvent {
    pub event_type: Option<EventType>,
    pub values: HashMap<FieldRef, Lookup<'static>>,
}

impl Event for AnyEvent {
    fn event_type(&self) -> Option<EventType> {
        self.event_type
    }
    fn field(&self, field: &FieldRef) -> Lookup<'_> {
        match self.values.get(field) {
            None | Some(Lookup::Missing) => Lookup::Missing,
            Some(Lookup::Pending) => Lookup::Pending,
            Some(Lookup::Value(Value::Str(text))) => Lookup::Value(Value::from(&**text)),
            Some(Lookup::Value(value)) => Lookup::Value(value.clone()),
        }
    }
}

fn value(rng: &mut Rng, kind: Kind) -> Value<'static> {
    let text = |rng: &mut Rng| Value::from((*rng.pick(&TEXTS)).to_owned());
    let number = |rng: &mut Rng| *rng.pick(&[0_i64, 1, 3, -1, -2, 16, 443, 5]);
    match kind {
        Kind::Text | Kind::Bytes => text(rng),
        Kind::Int | Kind::Duration => Value::Int(number(rng)),
        Kind::Uint | Kind::Port | Kind::Time => Value::Uint(number(rng).unsigned_abs()),
        Kind::Clock => Value::Uint(*rng.pick(&[1, 5_000_000_000])),
        Kind::Dyn if rng.one_in(2) => Value::Int(number(rng)),
        Kind::Dyn => text(rng),
        Kind::Float => Value::Int(number(rng)),
        Kind::Bool => Value::Bool(rng.one_in(2)),
        Kind::Ip | Kind::Net => Value::Ip(rng.pick(&ADDRESSES).parse().unwrap()),
    }
}

/// An event of any type. What its type cannot have is missing, and it says its type: on that plans rely.
pub fn event(rng: &mut Rng) -> AnyEvent {
    let event_type = (!rng.one_in(12)).then(|| *rng.pick(EventType::ALL));
    let mut values = HashMap::new();
    for field in fields() {
        let def = field.field.def();
        let known = match field.field {
            Field::EvtType => Some(event_type.map_or("ptrace", EventType::as_str)),
            Field::EvtDir => Some("<"),
            Field::EvtSource => Some("syscall"),
            _ => None,
        };
        let lookup = if let Some(text) = known {
            text.into()
        } else if event_type.is_some_and(|t| !def.supply.covers(t)) || rng.one_in(6) {
            Lookup::Missing
        } else if rng.one_in(10) {
            Lookup::Pending
        } else if field.many() == Many::One {
            // Sometimes of another type: numbers come as text from arguments, text is a number in others.
            let kind =
                if rng.one_in(16) { *rng.pick(&[Kind::Text, Kind::Int, Kind::Ip, Kind::Bool]) } else { def.kind };
            Lookup::Value(value(rng, kind))
        } else {
            Lookup::Value(Value::List((0..rng.below(4)).map(|_| value(rng, def.kind)).collect()))
        };
        values.insert(field.clone(), lookup);
    }
    AnyEvent { event_type, values }
}

/// A ruleset of these conditions, each exception for every second rule.
pub fn ruleset(conditions: &[Expr], exceptions: &[Expr]) -> Ruleset {
    let id = |name: String| ObjectRef { namespace: "eyas-system".into(), name };
    let rule = |(n, condition): (usize, &Expr)| Rule {
        id: id(format!("r{n}")),
        uid: String::new(),
        generation: 1,
        title: format!("r{n}"),
        description: String::new(),
        condition: condition.clone(),
        output: "x".into(),
        priority: Priority::Warning,
        tags: vec![],
        state: RuleState::Active,
        unavailable_fields: vec![],
    };
    let exception = |(n, condition): (usize, &Expr)| Exception {
        id: id(format!("e{n}")),
        uid: String::new(),
        generation: 1,
        selector: RuleSelector::default(),
        rules: (n % 2..conditions.len()).step_by(2).map(|rule| id(format!("r{rule}"))).collect(),
        condition: Some(condition.clone()),
        expires_at: None,
    };
    Ruleset {
        schema: SCHEMA_VERSION,
        revision: String::new(),
        rules: conditions.iter().enumerate().map(rule).collect(),
        exceptions: exceptions.iter().enumerate().map(exception).collect(),
        routes: vec![],
    }
}

/// How many cases a test runs: `EYAS_CASES`, or what fits into every test run.
pub fn cases(default: u64) -> u64 {
    std::env::var("EYAS_CASES")
        .ok()
        .map_or(default, |n| n.parse().unwrap_or_else(|_| panic!("EYAS_CASES={n} is no number")))
}

/// Where a test's cases start: `EYAS_SEED`, or always the same.
pub fn seed(default: u64) -> u64 {
    std::env::var("EYAS_SEED")
        .ok()
        .map_or(default, |n| n.parse().unwrap_or_else(|_| panic!("EYAS_SEED={n} is no number")))
}
