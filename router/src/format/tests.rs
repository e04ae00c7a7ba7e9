#![allow(clippy::unwrap_used, reason = "tests")]
use super::*;
use crate::testing::alert;

#[test]
fn falco_shape_is_what_receivers_made_for_falco_read() {
    insta::assert_snapshot!(serde_json::to_string_pretty(&falco(&alert(1))).unwrap());
}

#[test]
fn a_line_is_one_line_and_text_tells_the_count() {
    let mut a = alert(2);
    a.output = "two\nlines".to_owned();
    a.count = 3;
    assert!(!falco_line(&a).contains('\n'));
    assert!(text_line(&a).ends_with("two\\nlines (3 times)"));
    assert!(text_line(&a).starts_with("02:07:35.000000001: Warning "));
}

#[test]
fn any_time_prints() {
    for t in [i64::MIN, -1, 0, 1, i64::MAX] {
        assert_eq!(rfc3339_nanos(t).len(), 30, "{t}");
        assert_eq!(clock_nanos(t).len(), 18, "{t}");
    }
}
