//! Colours for people. `anstream` takes them out where stdout is no terminal, or NO_COLOR is set.
use anstyle::{AnsiColor, Style};
use engine::priority::Priority;

/// All is well; a part that holds.
pub const GOOD: Style = bold(AnsiColor::Green);
/// Something is wrong; a part that does not hold.
pub const BAD: Style = bold(AnsiColor::Red);
/// Look here.
pub const DULL: Style = bold(AnsiColor::Yellow);
/// A heading.
pub const HEAD: Style = Style::new().bold();
/// Less important.
pub const FAINT: Style = Style::new().dimmed();

const fn bold(color: AnsiColor) -> Style {
    Style::new().fg_color(Some(anstyle::Color::Ansi(color))).bold()
}

/// As the agent colours alerts.
pub const fn priority(priority: Priority) -> Style {
    let color = match priority {
        Priority::Emergency | Priority::Alert | Priority::Critical => AnsiColor::BrightRed,
        Priority::Error => AnsiColor::Red,
        Priority::Warning => AnsiColor::Yellow,
        Priority::Notice => AnsiColor::Cyan,
        Priority::Informational | Priority::Debug => return Style::new(),
    };
    Style::new().fg_color(Some(anstyle::Color::Ansi(color)))
}

/// Text from events on one line: a process chooses its name, so it must not choose what a terminal does.
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { line.extend(c.escape_default()) } else { line.push(c) }
    }
    line
}
