//! What comes out of good files.
use super::loaded;

#[test]
fn the_published_ruleset_loads() {
    let Some(text) = crate::testing::shared("falco/falco_rules.yaml") else { return };
    let loaded = loaded(&[("falco_rules.yaml", &text)]);
    let errors: Vec<String> = loaded.problems.iter().filter(|p| p.is_error()).map(|p| p.render(false)).collect();
    assert!(errors.is_empty(), "{}", errors.join("\n"));
    assert_eq!((loaded.rules.len(), loaded.macros.len(), loaded.lists.len()), (25, 87, 49));
    for p in &loaded.problems { println!("{}", p.render(false)); }
}
