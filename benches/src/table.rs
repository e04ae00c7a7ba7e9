//! Figures beside what is aimed at.
use std::fmt::Write;

/// One figure.
pub struct Figure {
    /// What was measured.
    pub what: String,
    /// Measured.
    pub is: f64,
    /// Aimed at: at most this (or at least, see `more_is_better`). None: there is no aim.
    pub aim: Option<f64>,
    /// The unit of both.
    pub unit: &'static str,
    /// An aim is a floor, not a ceiling.
    pub more_is_better: bool,
}

impl Figure {
    /// A figure that should be at most `aim`.
    pub fn at_most(what: impl Into<String>, is: f64, aim: f64, unit: &'static str) -> Self {
        Self { what: what.into(), is, aim: Some(aim), unit, more_is_better: false }
    }

    /// A figure that is only told.
    pub fn told(what: impl Into<String>, is: f64, unit: &'static str) -> Self {
        Self { what: what.into(), is, aim: None, unit, more_is_better: false }
    }

    /// Whether the aim is reached; true without one.
    #[must_use]
    pub fn reached(&self) -> bool {
        self.aim.is_none_or(|aim| if self.more_is_better { self.is >= aim } else { self.is <= aim })
    }
}

/// As Markdown, which reads well on a terminal too.
#[must_use]
pub fn render(figures: &[Figure]) -> String {
    let mut text = String::from("| what | measured | aim | |\n|---|---:|---:|---|\n");
    for figure in figures {
        let sign = if figure.more_is_better { ">" } else { "<" };
        let aim = figure.aim.map_or_else(String::new, |a| format!("{sign} {} {}", number(a), figure.unit));
        let verdict = match (figure.aim, figure.reached()) {
            (None, _) => "",
            (_, true) => "reached",
            (_, false) => "not yet",
        };
        let _ = writeln!(text, "| {} | {} {} | {aim} | {verdict} |", figure.what, number(figure.is), figure.unit);
    }
    text
}

fn number(value: f64) -> String {
    match value.abs() {
        v if v >= 1000.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
