//! YAML that reads back as the same text.
use super::super::text::Yaml;
use proptest::prelude::*;
use serde_json::Value;

proptest! {
    #[test]
    fn every_text_reads_back(text in "\\PC{0,40}|[ -~\n]{0,300}|([a-z(:#'\"\\\\-] ?){0,200}|(true|1e3|0x1f|~|null|-|y)") {
        let mut yaml = Yaml::default();
        yaml.text(0, "text", &text);
        yaml.entry(0, "entry", &text);
        yaml.list(0, "list", &[text.clone(), "b".to_owned()]);
        yaml.comments(0, std::slice::from_ref(&text));
        let written = yaml.finish();
        let read: Value = serde_saphyr::from_str(&written).unwrap_or_else(|e| panic!("{e}\n{written}"));
        prop_assert_eq!(read["text"].as_str(), Some(text.as_str()), "{}", written);
        prop_assert_eq!(read["entry"].as_str(), Some(text.as_str()), "{}", written);
        prop_assert_eq!(read["list"][0].as_str(), Some(text.as_str()), "{}", written);
        prop_assert_eq!(read["list"][1].as_str(), Some("b"));
    }
}

#[test]
fn long_texts_are_folded_and_short_lists_stay_on_a_line() {
    let mut yaml = Yaml::default();
    yaml.text(0, "condition", &"evt.type = open and ".repeat(12));
    yaml.text(0, "output", &format!("{}end", "evt.type = open and ".repeat(12)));
    yaml.list(0, "items", &["ash".to_owned(), "443".to_owned(), "a b".to_owned(), "x: y".to_owned()]);
    insta::assert_snapshot!(yaml.finish(), @r#"
    condition: "evt.type = open and evt.type = open and evt.type = open and evt.type = open and evt.type = open and evt.type = open and evt.type = open and evt.type = open and evt.type = open and evt.type = open and evt.type = open and evt.type = open and "
    output: >-
      evt.type = open and evt.type = open and evt.type = open and evt.type = open and evt.type = open and evt.type =
      open and evt.type = open and evt.type = open and evt.type = open and evt.type = open and evt.type = open and
      evt.type = open and end
    items: [ash, "443", a b, "x: y"]
    "#);
}
