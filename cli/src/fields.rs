//! `fields`: the catalogue.
use crate::args::{FieldsArgs, Verdict};
use anyhow::Result;
use engine::field::{ArgRule, FieldDef, Supply, catalogue, markdown};
use std::io::Write as _;

/// Runs it.
///
/// # Errors
/// The output cannot be written.
pub fn run(args: &FieldsArgs) -> Result<Verdict> {
    let mut out = std::io::stdout().lock();
    if args.markdown {
        out.write_all(markdown().as_bytes())?;
        return Ok(Verdict::Good);
    }
    let wanted = args.filter.as_deref().unwrap_or_default().to_lowercase();
    let fits = |def: &&FieldDef| def.name.contains(&wanted) || def.description.to_lowercase().contains(&wanted);
    let mut found = 0;
    for def in catalogue().iter().filter(fits) {
        found += 1;
        let arg = match def.arg {
            ArgRule::No => "",
            ArgRule::OptIndex | ArgRule::Ancestor => "[n]",
            ArgRule::OptKey | ArgRule::Key => "[name]",
        };
        let nobody = if def.supply == Supply::Nobody { " (no hook supplies it yet)" } else { "" };
        let name = format!("{}{arg}", def.name);
        writeln!(out, "{name:<42} {:<16} {}{nobody}", def.kind.as_str(), def.description)?;
    }
    if found == 0 {
        writeln!(out, "no field has {wanted:?} in its name or description")?;
    }
    Ok(Verdict::of(found > 0))
}

#[cfg(test)]
mod tests {
    //! The documentation follows the catalogue.
    #![allow(clippy::unwrap_used, reason = "tests")]

    #[test]
    fn the_page_of_fields_is_up_to_date() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/fields.md");
        let page = std::fs::read_to_string(path).unwrap();
        assert!(page == engine::field::markdown(), "run: cargo run -p eyas-cli -- fields --markdown > docs/fields.md");
    }
}
