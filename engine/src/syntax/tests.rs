//! Tests of the grammar: what is read, how it is written back, what is refused and how.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use super::*;
use crate::{compile::check_condition, source::Sources};
use proptest::prelude::*;
use rstest::rstest;

/// The canonical text of a condition without macros.
fn canonical(text: &str) -> String {
    match check_condition(text, &Sources::default()) {
        Ok((expr, _)) => expr.to_string(),
        Err(problems) => {
            panic!("{text}: {:?}", problems.iter().map(crate::diagnostic::Diagnostic::one_line).collect::<Vec<_>>())
        }
    }
}

#[rstest]
#[case::precedence(
    "proc.name=a or proc.name=b and not proc.name=c",
    "proc.name = a or proc.name = b and not proc.name = c"
)]
#[case::parentheses("(proc.name=a or proc.name=b) and proc.pid>1", "(proc.name = a or proc.name = b) and proc.pid > 1")]
#[case::flattened(
    "((proc.name=a and (proc.name=b)) and proc.name=c)",
    "proc.name = a and proc.name = b and proc.name = c"
)]
#[case::not_repeats("not not proc.name = a", "not not proc.name = a")]
#[case::not_glued("not(proc.name = a or proc.name = b)", "not (proc.name = a or proc.name = b)")]
#[case::glued_connectives(
    "(proc.name=a)and(proc.name=b)or(proc.name=c)",
    "proc.name = a and proc.name = b or proc.name = c"
)]
#[case::double_equals("proc.name == a", "proc.name = a")]
#[case::exists("proc.tty exists and not fd.sip exists", "proc.tty exists and not fd.sip exists")]
#[case::bare_sign("evt.dir=< and evt.dir = >", "evt.dir = < and evt.dir = >")]
#[case::list("proc.name in (a, 'b c' ,\"d\")", "proc.name in (a, \"b c\", d)")]
#[case::empty_list("proc.name in ()", "proc.name in ()")]
#[case::glued_list("proc.name in(a,b)", "proc.name in (a, b)")]
#[case::pmatch("fd.name pmatch (/etc, /var/*/log)", "fd.name pmatch (/etc, /var/*/log)")]
#[case::intersects("proc.aname intersects (a, b)", "proc.aname intersects (a, b)")]
#[case::hex("fd.num >= 0x10 and fd.num < -1", "fd.num >= 0x10 and fd.num < -1")]
#[case::escapes(r#"proc.name = "a\"b\\c\x41\t""#, r#"proc.name = "a\"b\\cA\t""#)]
#[case::single_quotes(r#"proc.name = 'it\'s "x"'"#, r#"proc.name = "it's \"x\"""#)]
#[case::raw_bytes(r#"proc.name contains "\xff\xfe""#, r#"proc.name contains "\xff\xfe""#)]
#[case::doubled_backslash(r#"proc.name regex "a\\d+\\.b""#, r"proc.name regex a\d+\.b")]
#[case::many_nots(
    "not not not proc.name = a or not not not not not(proc.name = b)",
    "not proc.name = a or not proc.name = b"
)]
#[case::escaped_argument(r#"k8s.pod.label["a \"b\""] = x"#, r#"k8s.pod.label["a \"b\""] = x"#)]
#[case::argument("proc.aname[2]=a and evt.arg.flags contains O_X", "proc.aname[2] = a and evt.arg[flags] contains O_X")]
#[case::quoted_argument("k8s.pod.label['a b'] = x", "k8s.pod.label[\"a b\"] = x")]
#[case::quantifiers(
    "proc.name startswith anyof (a, b) and fd.name contains allof (c) and proc.exe glob oneof (d*)",
    "proc.name startswith anyof (a, b) and fd.name contains allof (c) and proc.exe glob oneof (d*)"
)]
#[case::quantifier_as_value("proc.name = anyof and proc.pname = oneof", "proc.name = anyof and proc.pname = oneof")]
#[case::transformers(
    "toupper(tolower(proc.name)) = A and len( proc.args ) > 3",
    "toupper(tolower(proc.name)) = A and len(proc.args) > 3"
)]
#[case::right_side(
    "proc.name = val(proc.pname) and proc.exe = basename(proc.exepath)",
    "proc.name = val(proc.pname) and proc.exe = basename(proc.exepath)"
)]
#[case::many_arguments(
    "concat(fd.rip, \":\", fd.rport) in (a) and join(' ', (proc.name, proc.pname)) = x and getopt(proc.args, \"nt:\")[t] = v",
    "concat(fd.rip, \":\", fd.rport) in (a) and join(\" \", (proc.name, proc.pname)) = x and getopt(proc.args, \"nt:\")[t] = v"
)]
#[case::white_space("\n proc.name\t=\r\n a \n", "proc.name = a")]
#[case::words_inside("proc.name=android or proc.name = notepad", "proc.name = android or proc.name = notepad")]
#[case::non_ascii("proc.name = käse", "proc.name = \"käse\"")]
#[case::bytes_in_hex(
    "proc.args bcontains 2F62 and proc.args bstartswith 2f",
    "proc.args bcontains 2F62 and proc.args bstartswith 2f"
)]
fn reads_and_writes_back(#[case] text: &str, #[case] expected: &str) {
    assert_eq!(canonical(text), expected);
    assert_eq!(canonical(expected), expected);
}

#[rstest]
#[case::empty(
    "",
    "1:1: error LOAD_ERR_COMPILE_CONDITION: the condition is empty; write at least one comparison: proc.name = bash"
)]
#[case::trailing_and(
    "proc.name = a and ",
    "1:15: error LOAD_ERR_COMPILE_CONDITION: nothing follows `and`; write a condition behind it, such as `and proc.name = bash`, or remove it"
)]
#[case::unclosed("(proc.name = a", "1:1: error LOAD_ERR_COMPILE_CONDITION: this `(` is never closed; add `)`")]
#[case::closes_nothing("proc.name = a)", "1:14: error LOAD_ERR_COMPILE_CONDITION: this `)` closes nothing")]
#[case::ampersands(
    "proc.name = a && proc.name = b",
    "1:15: error LOAD_ERR_COMPILE_CONDITION: expected `and`, `or`, `)` or the end, found `&&`; write `and`"
)]
#[case::bang(
    "!proc.name = a",
    "1:1: error LOAD_ERR_COMPILE_CONDITION: expected a field, a macro, `not` or `(`, found `!proc.name`; write `not`"
)]
#[case::no_quotes(
    "proc.name = a b",
    "1:15: error LOAD_ERR_COMPILE_CONDITION: expected `and`, `or`, `)` or the end, found `b`; values with spaces or special characters need quotes"
)]
#[case::no_operator(
    "proc.name",
    "1:10: error LOAD_ERR_COMPILE_CONDITION: expected an operator after the field, found the end; write `exists` to ask whether it has a value, or compare it: `= value`, `in (a, b)`"
)]
#[case::close_operator(
    "proc.name contain a",
    "1:11: error LOAD_ERR_COMPILE_CONDITION: expected an operator after the field, found `contain`; did you mean contains?"
)]
#[case::no_dot(
    "name = a",
    "1:1: error LOAD_ERR_COMPILE_CONDITION: `name` is no field: fields have a dot in their names; did you mean proc.name?"
)]
#[case::list_for_one(
    "proc.name = (a, b)",
    "1:13: error LOAD_ERR_COMPILE_CONDITION: this operator takes one value, not a list; use `in (a, b)`, or `= anyof (a, b)`"
)]
#[case::trailing_comma(
    "proc.name in (a,)",
    "1:17: error LOAD_ERR_COMPILE_CONDITION: expected an item of the list, found `)`; write an item, or remove the comma; \"\" is the empty text"
)]
#[case::open_list("proc.name in (a, b", "1:14: error LOAD_ERR_COMPILE_CONDITION: this list is never closed; add `)`")]
#[case::open_string(
    "proc.name = \"a",
    "1:13: error LOAD_ERR_COMPILE_CONDITION: the string that begins here has no closing quote; add \" at its end; a quote inside is written \\\""
)]
#[case::half_escape("proc.name = \"\\x4\"", "1:14: error LOAD_ERR_COMPILE_CONDITION: \\x wants two hex digits")]
#[case::ordered_list(
    "proc.pid < anyof (1)",
    "1:10: error LOAD_ERR_COMPILE_CONDITION: `<` orders numbers and takes no `anyof`"
)]
#[case::transformer(
    "tolowr(proc.name) = a",
    "1:1: error LOAD_ERR_COMPILE_CONDITION: unknown transformer `tolowr`; did you mean tolower?"
)]
#[case::val_left(
    "val(proc.name) = a",
    "1:1: error LOAD_ERR_COMPILE_CONDITION: unknown transformer `val`; val(field) stands on the right of an operator only, and does not nest"
)]
#[case::val_nests(
    "proc.name = val(tolower(proc.name))",
    "1:13: error LOAD_ERR_COMPILE_CONDITION: val() takes exactly one field; write val(proc.pname); transformers stand on the right without val"
)]
#[case::second_line(
    "proc.name = a\nand\n  fd.name ~ b",
    "3:11: error LOAD_ERR_COMPILE_CONDITION: expected an operator after the field, found `~`; write `exists` to ask whether it has a value, or compare it: `= value`, `in (a, b)`"
)]
fn refuses_with_place_and_advice(#[case] text: &str, #[case] message: &str) {
    let error = parse_condition(text).unwrap_err().one_line();
    assert_eq!(error.strip_prefix("condition:").unwrap_or(&error), message);
}

#[test]
fn depth_is_bounded_and_never_overflows_the_stack() {
    let nested = |n: usize| format!("{}proc.name = a{}", "not (proc.pid = 1 or ".repeat(n), ")".repeat(n));
    // As deep as allowed: parsed, resolved, printed, stored, compared and dropped on a test's small stack.
    let (expr, _) = check_condition(&nested(499), &Sources::default()).unwrap();
    let json = serde_json::to_string(&expr).unwrap();
    assert_eq!(serde_json::from_str::<Expr>(&json).unwrap(), expr);
    assert_eq!(check_condition(&expr.to_string(), &Sources::default()).unwrap().0, expr);
    for text in [nested(30_000), "(".repeat(100_000), "not(".repeat(200_000), "not (not ".repeat(100_000)] {
        let error = parse_condition(&text).unwrap_err();
        assert!(error.message.contains("deeper than 1000"), "{}", error.message);
    }
    // Nots in a row are no levels.
    parse_condition(&format!("{}proc.name = a", "not ".repeat(200_000))).unwrap();
}

#[test]
fn stored_conditions_are_checked() {
    for (json, reason) in [
        ("[]", "not one whole condition"),
        ("[{\"and\":2}]", "malformed `and`"),
        ("[\"not\"]", "`not` without operand"),
        ("[{\"exists\":{\"field\":\"proc.nam\"}}]", "unknown field proc.nam"),
        ("[{\"exists\":{\"field\":\"proc.name\"}},{\"exists\":{\"field\":\"proc.name\"}}]", "not one whole condition"),
    ] {
        let error = serde_json::from_str::<Expr>(json).unwrap_err().to_string();
        assert!(error.contains(reason), "{json}: {error}");
    }
    let deep = format!("[{{\"exists\":{{\"field\":\"proc.name\"}}}}{}]", ",\"not\"".repeat(1000));
    assert!(serde_json::from_str::<Expr>(&deep).unwrap_err().to_string().contains("deeper than 1000"));
}

#[test]
fn the_published_ruleset_parses() {
    let Some(yaml) = crate::testing::shared("falco/falco_rules.yaml") else { return };
    let conditions = conditions_of(&yaml);
    assert!(conditions.len() > 100, "{}", conditions.len());
    for condition in conditions {
        if let Err(error) = parse_condition(&condition) {
            panic!("{}\n{condition}", error.one_line());
        }
    }
}

/// The values of `condition:` keys of a YAML file whose blocks are folded (`>`), plain, or on one line.
fn conditions_of(yaml: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = yaml.lines().peekable();
    while let Some(line) = lines.next() {
        let Some((key, rest)) = line.split_once("condition:") else { continue };
        if !key.trim_start_matches('-').trim().is_empty() {
            continue;
        }
        let indent = key.len();
        let mut text = rest.trim().trim_start_matches(['>', '-', '|']).trim().to_owned();
        while let Some(next) = lines.next_if(|l| l.trim().is_empty() || l.len() - l.trim_start().len() > indent) {
            text.push(' ');
            text.push_str(next.trim());
        }
        let text = text.trim();
        let quoted = text.strip_prefix('"').and_then(|t| t.strip_suffix('"'));
        found.push(quoted.unwrap_or(text).to_owned());
    }
    found
}

/// Any resolved condition whose parts fit.
pub(crate) fn any_expr() -> impl Strategy<Value = Expr> {
    let text = prop_oneof![
        "[a-d]{0,3}",
        proptest::sample::select(vec!["/etc/passwd", "a b", "\"", "\\", "and", "not", "(", "é", "anyof", "<NA>", ""])
            .prop_map(str::to_owned),
    ]
    .prop_map(Text::from);
    let raw = proptest::collection::vec(any::<u8>(), 0..4).prop_map(Text::from);
    let text = prop_oneof![4 => text, 1 => raw].boxed();
    let name = proptest::sample::select(vec![
        "proc.name",
        "proc.pname",
        "proc.aname",
        "proc.aname[2]",
        "fd.name",
        "evt.arg[flags]",
        "container.id",
        "k8s.ns.name",
        "k8s.pod.label[a b]",
    ]);
    let field = name.prop_map(|n| crate::field::FieldRef::parse(&n.replace("[a b]", "[\"a b\"]")).unwrap());
    let operand = prop_oneof![
        5 => field.clone().prop_map(Operand::Field),
        1 => (proptest::sample::select(vec![Function::ToLower, Function::ToUpper, Function::Basename, Function::B64]), field.clone())
            .prop_map(|(function, f)| Operand::Call { function, args: vec![Operand::Field(f)], selector: None }),
        1 => (field.clone(), text.clone()).prop_map(|(f, t)| Operand::Call {
            function: Function::Concat,
            args: vec![Operand::Field(f), Operand::Text(t)],
            selector: None,
        }),
    ];
    let one = proptest::sample::select(vec![
        Op::Eq,
        Op::Ne,
        Op::Contains,
        Op::Icontains,
        Op::Startswith,
        Op::Endswith,
        Op::Glob,
        Op::Iglob,
    ]);
    let many = proptest::sample::select(vec![Op::In, Op::Intersects, Op::Pmatch]);
    let quantifier = proptest::sample::select(vec![Quantifier::OneOf, Quantifier::AnyOf, Quantifier::AllOf]);
    let items = proptest::collection::vec(text.clone(), 0..4);
    let compare = |left, op, quantifier, right| Expr::Compare(Box::new(Comparison { left, op, quantifier, right }));
    let types = proptest::sample::select(vec!["open", "openat", "execve", "connect", "clone", "procexit", "ptrace"]);
    let number = (
        proptest::sample::select(vec!["fd.num", "proc.pid", "evt.rawres", "fd.sport"]),
        proptest::sample::select(vec![Op::Eq, Op::Ne, Op::Lt, Op::Le, Op::Gt, Op::Ge]),
        -2..4_i32,
    );
    let truth = (
        proptest::sample::select(vec!["evt.is_open_read", "evt.is_open_write", "evt.is_open_create", "evt.failed"]),
        any::<bool>(),
    );
    let plain = |name: &str| crate::field::FieldRef::parse(name).unwrap();
    let leaf = prop_oneof![
        operand.clone().prop_map(Expr::Exists),
        (operand.clone(), one.clone(), text.clone()).prop_map(move |(l, op, t)| compare(l, op, None, Right::Value(t))),
        (operand.clone(), many, items.clone()).prop_map(move |(l, op, t)| compare(l, op, None, Right::List(t.into()))),
        (operand.clone(), one.clone(), quantifier, items).prop_map(move |(l, op, q, t)| compare(
            l,
            op,
            Some(q),
            Right::List(t.into())
        )),
        (operand, one, field).prop_map(move |(l, op, f)| compare(l, op, None, Right::Operand(Operand::Field(f)))),
        types.prop_map(move |t| Expr::compare(plain("evt.type"), Op::Eq, t)),
        number.prop_map(move |(f, op, n)| {
            let n = if f == "fd.sport" { n.abs() } else { n };
            Expr::compare(plain(f), op, n.to_string())
        }),
        truth.prop_map(move |(f, b)| Expr::compare(plain(f), Op::Eq, b.to_string())),
    ];
    leaf.prop_recursive(5, 40, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 2..4).prop_filter_map("flat", Expr::all),
            proptest::collection::vec(inner.clone(), 2..4).prop_filter_map("flat", Expr::any),
            inner.prop_map(Expr::negate),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_parsed_or_refused(text in "\\PC{0,80}") {
        if let Err(error) = parse_condition(&text) {
            // The place is inside the text, and rendering it does not panic.
            prop_assert!(error.span.end as usize <= text.len());
            let _ = crate::diagnostic::render(&error, false);
        }
    }

    #[test]
    fn any_words_are_parsed_or_refused(words in proptest::collection::vec(proptest::sample::select(vec![
        "proc.name", "fd.num", "=", "!=", ">=", "in", "pmatch", "(", ")", ",", "and", "or", "not", "exists", "\"a b\"", "x",
        "val(", "tolower(", "[", "]", "anyof", "'", "\\", "is_shell",
    ]), 0..20)) {
        let _ = parse_condition(&words.join(" "));
        let _ = parse_condition(&words.concat());
    }

    #[test]
    fn written_conditions_read_back_the_same(expr in any_expr()) {
        let text = expr.to_string();
        let read = check_condition(&text, &Sources::default());
        prop_assert!(read.is_ok() || text.contains("ptrace"), "{text}: {read:?}");
        if let Ok((read, _)) = read {
            prop_assert_eq!(&read, &expr, "{}", text);
        }
        let stored = serde_json::to_string(&expr).unwrap();
        prop_assert_eq!(serde_json::from_str::<Expr>(&stored).unwrap(), expr);
    }
}
