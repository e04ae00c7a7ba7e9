//! Tests of operators.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use super::*;
use crate::{
    field::Kind,
    syntax::{Op, Quantifier, Text},
};
use rstest::rstest;

fn test(kind: Kind, op: Op, quantifier: Option<Quantifier>, literals: &[&str]) -> Test {
    let literals: Vec<Text> = literals.iter().map(|l| Text::from(*l)).collect();
    Test::build(kind, op, quantifier, &literals).unwrap()
}

#[rstest]
#[case(Op::Eq, "bash", "bash", true)]
#[case(Op::Eq, "bash", "Bash", false)]
#[case(Op::Ne, "bash", "sh", true)]
#[case(Op::Contains, "as", "bash", true)]
#[case(Op::Contains, "", "bash", true)]
#[case(Op::Icontains, "AS", "bash", true)]
#[case(Op::Bcontains, "6173", "bash", true)]
#[case(Op::Startswith, "ba", "bash", true)]
#[case(Op::Bstartswith, "62", "bash", true)]
#[case(Op::Endswith, "sh", "bash", true)]
#[case(Op::Endswith, "ba", "bash", false)]
#[case(Op::Glob, "/etc/*", "/etc/a/b", true)]
#[case(Op::Glob, "/etc/?", "/etc/ab", false)]
#[case(Op::Glob, "*.s[oa]", "/lib/x.so", true)]
#[case(Op::Glob, "[!a-c]*", "dog", true)]
#[case(Op::Glob, "[!a-c]*", "bog", false)]
#[case(Op::Glob, "[[:digit:]]", "7", true)]
#[case(Op::Glob, "[]]", "]", true)]
#[case(Op::Glob, "[a", "[a", true)]
#[case(Op::Glob, "\\*", "*", true)]
#[case(Op::Glob, "\\*", "x", false)]
#[case(Op::Glob, "*a*b*c", "xxaxxbxxbxxc", true)]
#[case(Op::Glob, "*a*b*c", "xxaxxbxxbxx", false)]
#[case(Op::Glob, "**", "", true)]
#[case(Op::Iglob, "B[A]S*", "bash", true)]
#[case(Op::Regex, "b.*h", "bash", true)]
#[case(Op::Regex, "as", "bash", false)]
#[case(Op::Regex, "a|bash", "bash", true)]
#[case(Op::Regex, "a|b", "bash", false)]
#[case(Op::Regex, "\\w+", "bäsh", false)]
#[case(Op::Regex, "bä?sh", "bäsh", true)]
fn text_operators(#[case] op: Op, #[case] literal: &str, #[case] value: &str, #[case] expected: bool) {
    assert_eq!(test(Kind::Text, op, None, &[literal]).matches(&Value::from(value)), expected);
}

#[rstest]
#[case(&["/etc"], "/etc/passwd", true)]
#[case(&["/etc"], "/etc", true)]
#[case(&["/etc"], "/etcetera", false)]
#[case(&["/etc/"], "/etc//x", true)]
#[case(&["/var/run"], "/var", false)]
#[case(&["/"], "/anything", true)]
#[case(&["/var/*/log"], "/var/a/log/x", true)]
#[case(&["/var/*/log"], "/var/a/b/log", false)]
#[case(&["/a/b", "/a/*/c"], "/a/b", true)]
#[case(&["/a/b/d", "/a/*/c"], "/a/b/c", true)]
#[case(&[], "/a", false)]
fn pmatch(#[case] paths: &[&str], #[case] value: &str, #[case] expected: bool) {
    assert_eq!(test(Kind::Text, Op::Pmatch, None, paths).matches(&Value::from(value)), expected);
}

#[rstest]
#[case(Op::Lt, "5", 4, true)]
#[case(Op::Le, "5", 5, true)]
#[case(Op::Gt, "5", 5, false)]
#[case(Op::Ge, "0x5", 5, true)]
#[case(Op::Eq, "-1", -1, true)]
#[case(Op::Ne, "-1", -1, false)]
#[case(Op::Lt, "18446744073709551615", i64::MAX, true)]
fn numbers(#[case] op: Op, #[case] literal: &str, #[case] value: i64, #[case] expected: bool) {
    assert_eq!(test(Kind::Int, op, None, &[literal]).matches(&Value::Int(value)), expected);
}

#[rstest]
#[case(Quantifier::AnyOf, &["a", "b"], "xax", true)]
#[case(Quantifier::AnyOf, &[], "xax", false)]
#[case(Quantifier::AllOf, &["a", "b"], "xax", false)]
#[case(Quantifier::AllOf, &["a", "b"], "ba", true)]
#[case(Quantifier::OneOf, &["a", "b"], "xax", true)]
#[case(Quantifier::OneOf, &["a", "b"], "ba", false)]
fn quantifiers(#[case] quantifier: Quantifier, #[case] items: &[&str], #[case] value: &str, #[case] expected: bool) {
    assert_eq!(test(Kind::Text, Op::Contains, Some(quantifier), items).matches(&Value::from(value)), expected);
}

#[rstest]
#[case(Kind::Net, &["10.0.0.0/8", "192.168.1.1"], "10.255.0.1", true)]
#[case(Kind::Net, &["10.0.0.0/8", "192.168.1.1"], "192.168.1.2", false)]
#[case(Kind::Net, &["0.0.0.0/0"], "1.2.3.4", true)]
#[case(Kind::Net, &["0.0.0.0/0"], "::1", false)]
#[case(Kind::Net, &["::ffff:10.0.0.0/104"], "10.1.1.1", true)]
#[case(Kind::Net, &["10.0.0.0/8"], "::ffff:10.1.1.1", true)]
#[case(Kind::Net, &["fe80::/10"], "fe80::1", true)]
#[case(Kind::Ip, &["1.1.1.1", "::1"], "::1", true)]
#[case(Kind::Ip, &["1.1.1.1"], "::ffff:1.1.1.1", true)]
fn addresses(#[case] kind: Kind, #[case] items: &[&str], #[case] value: &str, #[case] expected: bool) {
    assert_eq!(test(kind, Op::In, None, items).matches(&Value::Ip(value.parse().unwrap())), expected);
}

#[rstest]
#[case(Kind::Text, Op::Lt, "5", "operator `<` does not fit a field of kind text")]
#[case(Kind::Bool, Op::Contains, "t", "operator `contains` does not fit a field of kind boolean")]
#[case(Kind::Bool, Op::Eq, "yes", "yes is no boolean")]
#[case(Kind::Port, Op::Eq, "70000", "70000 is no port")]
#[case(Kind::Net, Op::Eq, "10.0.0.0/40", "10.0.0.0/40 is no address block")]
#[case(Kind::Text, Op::Bcontains, "abc", "abc is no sequence of bytes in hex")]
#[case(Kind::Text, Op::Regex, "a)|(b", "\"a)|(b\" is no regular expression: unopened group")]
#[case(
    Kind::Text,
    Op::Regex,
    "(?P<n>a){500}{500}",
    "\"(?P<n>a){500}{500}\" is no regular expression: Compiled regex exceeds size limit of 1048576 bytes."
)]
fn what_does_not_fit_is_refused(#[case] kind: Kind, #[case] op: Op, #[case] literal: &str, #[case] message: &str) {
    assert_eq!(Test::build(kind, op, None, &[Text::from(literal)]).unwrap_err().message, message);
}
