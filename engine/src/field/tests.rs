//! Tests of the catalogue and of references.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use super::*;
use rstest::rstest;

#[test]
fn the_table_is_in_the_order_of_the_enum() {
    for (at, def) in catalogue().iter().enumerate() {
        assert_eq!(def.field as usize, at, "{}", def.name);
        assert_eq!(Field::by_name(def.name), Some(def.field), "{} is there twice", def.name);
        assert!(def.description.ends_with('.') && def.name.contains('.'), "{}", def.name);
    }
}

#[rstest]
#[case("proc.name", "proc.name")]
#[case("proc.aname", "proc.aname")]
#[case("proc.aname[2]", "proc.aname[2]")]
#[case("evt.arg.flags", "evt.arg[flags]")]
#[case("evt.arg[0]", "evt.arg[0]")]
#[case("evt.rawarg.mode", "evt.rawarg[mode]")]
#[case("k8s.pod.label[app.kubernetes.io/name]", "k8s.pod.label[app.kubernetes.io/name]")]
#[case("k8s.pod.label[\"a b\"]", "k8s.pod.label[\"a b\"]")]
#[case("container.mount.dest['/etc']", "container.mount.dest[/etc]")]
fn references_parse_and_print(#[case] text: &str, #[case] canonical: &str) {
    let field = FieldRef::parse(text).unwrap();
    assert_eq!(field.to_string(), canonical);
    assert_eq!(FieldRef::parse(canonical).unwrap(), field);
}

#[rstest]
#[case("fd.nam", "unknown field fd.nam", Some("did you mean fd.name?"))]
#[case("proc.aname[x]", "the argument of proc.aname is a number, not \"x\"", Some("write proc.aname[1]"))]
#[case("proc.name[1]", "field proc.name takes no argument", Some("write proc.name"))]
#[case("evt.arg", "field evt.arg needs an argument in brackets", Some("write evt.arg[...]"))]
#[case("evt.arg[a", "malformed argument in evt.arg[a; write field[argument] or field[\"argument\"]", None)]
#[case("evt.arg[]", "malformed argument in evt.arg[]; write field[argument] or field[\"argument\"]", None)]
fn bad_references_say_why(#[case] text: &str, #[case] message: &str, #[case] suggestion: Option<&str>) {
    let error = FieldRef::parse(text).unwrap_err();
    assert_eq!(error.to_string(), message);
    assert_eq!(error.suggestion().as_deref(), suggestion);
}

#[test]
fn all_names_of_the_reference_list_are_known() {
    let Some(table) = crate::testing::shared("falco/fields.tsv") else { return };
    let missing: Vec<_> = table
        .lines()
        .skip(1)
        .filter_map(|line| line.split('\t').next())
        .filter(|name| Field::by_name(name).is_none())
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
