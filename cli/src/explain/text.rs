//! Facts for people.
use super::{
    ON_ITS_OWN,
    facts::{Facts, Traced, supplied_by},
};
use crate::style::{self, BAD, DULL, FAINT, GOOD, HEAD};
use anstyle::Style;
use engine::{
    compile::ObjectKind,
    field::{FieldRef, Supply},
    source::RuleState,
    testing::{Part, Shape, Trace, Truth, sentence},
};
use std::fmt::Write as _;

/// Widest first column of the tree; what is longer pushes its notes to the right.
const MAX_WIDTH: usize = 72;
/// Widest column of field names.
const MAX_NAME: usize = 32;
/// Most other reasons that are told.
const MAX_OTHERS: usize = 5;

/// A line of the tree.
struct Row {
    truth: Option<Truth>,
    cost: u32,
    text: String,
    notes: Vec<String>,
}

impl Facts<'_> {
    /// All of it, with colours.
    pub fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail, here and below.
        let _ = self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        if self.rule.title != ON_ITS_OWN {
            self.write_head(out)?;
        }
        if let Some(event) = &self.event {
            write_result(out, event)?;
        }
        self.write_tree(out)?;
        self.write_needs(out)?;
        for exception in &self.exceptions {
            let until = match exception.expires_at.map(jiff::Timestamp::from_second) {
                Some(Ok(at)) => format!("until {at}, "),
                _ => String::new(),
            };
            let when = exception.condition.as_ref().map_or("always".to_owned(), |c| format!("where {c}"));
            writeln!(out, "exception  {}: {until}{}", exception.id, style::one_line(&when))?;
        }
        for problem in &self.problems {
            writeln!(out, "\n{}", problem.render())?;
        }
        Ok(())
    }

    fn write_head(&self, out: &mut String) -> std::fmt::Result {
        let rule = self.rule;
        let paint = style::priority(rule.priority);
        write!(out, "{HEAD}{}{HEAD:#}  {paint}{}{paint:#}  ", rule.title, rule.priority)?;
        let place = if self.place.is_empty() { String::new() } else { format!(", {}", self.place) };
        write!(out, "{FAINT}{} {}{place}{FAINT:#}", ObjectKind::Rule.as_str(), rule.meta.id)?;
        match rule.state {
            RuleState::Active => {}
            RuleState::Shadow => write!(out, "  Shadow: counted, never sent")?,
            RuleState::Disabled => write!(out, "  Disabled: no node evaluates it")?,
        }
        writeln!(out, "\n")
    }

    fn write_tree(&self, out: &mut String) -> std::fmt::Result {
        let trace = self.event.as_ref().map(|event| &event.trace);
        let mut rows = Vec::new();
        collect(&self.part, trace, 0, "", &mut rows);
        let width = rows.iter().map(|row| row.text.chars().count()).filter(|n| *n <= MAX_WIDTH).max().unwrap_or(0);
        let was = if trace.is_some() { "was    " } else { "" };
        let notes = if trace.is_some() { "saw" } else { "supplied by" };
        writeln!(out, "{FAINT}{was} cost  {:<width$}  {notes}{FAINT:#}", "condition")?;
        for Row { truth, cost, text, notes } in rows {
            if let Some(truth) = truth {
                let (style, word) = truth_style(truth);
                write!(out, "{style}{word:<7}{style:#}")?;
            }
            if notes.is_empty() {
                writeln!(out, "{cost:>5}  {text}")?;
            } else {
                writeln!(out, "{cost:>5}  {text:<width$}  {FAINT}{}{FAINT:#}", notes.join("; "))?;
            }
        }
        Ok(())
    }

    fn write_needs(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out)?;
        if self.types.is_empty() {
            writeln!(out, "events     {BAD}none that a hook supplies yet: the rule is never armed{BAD:#}")?;
        }
        for (hook, types) in self.types_by_hook() {
            writeln!(out, "events     {} (hook {})", types.join(", "), hook.as_str())?;
        }
        for filter in &self.kernel_filters {
            writeln!(out, "kernel     {filter}")?;
        }
        for filter in &self.derived_filters {
            writeln!(out, "derived    {filter}")?;
        }
        let width = self.fields.iter().map(|field| field.to_string().len()).max().unwrap_or(0).min(MAX_NAME);
        for field in &self.fields {
            let def = field.field.def();
            let name = field.to_string();
            writeln!(out, "field      {name:<width$}  {FAINT}{}: {}{FAINT:#}", def.kind.as_str(), def.description)?;
        }
        let unavailable = self.unavailable();
        if !unavailable.is_empty() {
            writeln!(out, "{DULL}missing{DULL:#}    no hook supplies {} yet", unavailable.join(", "))?;
        }
        Ok(())
    }
}

fn write_result(out: &mut String, event: &Traced<'_>) -> std::fmt::Result {
    let why = sentence(&event.reasons);
    match (event.trace.truth, event.silenced_by.first()) {
        (Truth::True, None) => writeln!(out, "{GOOD}match{GOOD:#}: {why}")?,
        (Truth::True, Some(exception)) => {
            writeln!(out, "{DULL}match, silenced by Exception {exception}{DULL:#}: {why}")?;
        }
        (Truth::False, _) => writeln!(out, "{BAD}no match{BAD:#}: {why}")?,
        (Truth::Unknown, _) => writeln!(out, "{DULL}undecided{DULL:#}: {why}")?,
    }
    for other in event.others.iter().take(MAX_OTHERS) {
        writeln!(out, "     also: {}", sentence(other))?;
    }
    if event.others.len() > MAX_OTHERS {
        writeln!(out, "     also: {} more, see below", event.others.len() - MAX_OTHERS)?;
    }
    writeln!(out)
}

fn truth_style(truth: Truth) -> (Style, &'static str) {
    match truth {
        Truth::True => (GOOD, "true"),
        Truth::False => (BAD, "false"),
        Truth::Unknown => (DULL, "?"),
    }
}

/// The lines of a part. A `not` stands on the line of what it negates.
fn collect(part: &Part, trace: Option<&Trace>, depth: usize, negated: &str, rows: &mut Vec<Row>) {
    let mut notes: Vec<String> = part.from.iter().map(ToString::to_string).collect();
    let (word, children) = match &part.shape {
        Shape::And(parts) => ("all of", parts.as_slice()),
        Shape::Or(parts) => ("any of", parts.as_slice()),
        Shape::Not(inner) if inner.from.is_empty() && !matches!(inner.shape, Shape::Not(_)) && part.from.is_empty() => {
            // The truth shown is that of the `not`.
            let mut below = Vec::new();
            collect(inner, trace.and_then(|t| t.children.first()), depth, "not ", &mut below);
            if let Some(first) = below.first_mut() {
                first.truth = trace.map(|t| t.truth);
            }
            rows.append(&mut below);
            return;
        }
        Shape::Not(inner) => ("not", std::slice::from_ref(&**inner)),
        Shape::Leaf(leaf) => {
            if !leaf.lists.is_empty() {
                notes.push(format!("list {}", leaf.lists.join(", ")));
            }
            match trace {
                Some(trace) => notes.extend(trace.seen.iter().map(ToString::to_string)),
                None => notes.extend(leaf.fields().into_iter().map(source)),
            }
            let text = format!("{}{negated}{}", indent(depth), leaf.shown());
            rows.push(Row { truth: trace.map(|t| t.truth), cost: leaf.cost(), text, notes });
            return;
        }
    };
    let text = format!("{}{negated}{word}", indent(depth));
    rows.push(Row { truth: trace.map(|t| t.truth), cost: part.cost(), text, notes });
    for (n, child) in children.iter().enumerate() {
        collect(child, trace.and_then(|t| t.children.get(n)), depth + 1, "", rows);
    }
}

/// Deep trees stay readable on a line.
fn indent(depth: usize) -> String {
    "  ".repeat(depth.min(40))
}

fn source(field: &FieldRef) -> String {
    match field.field.def().supply {
        Supply::Nobody => format!("no hook supplies {field} yet"),
        _ => supplied_by(field),
    }
}
