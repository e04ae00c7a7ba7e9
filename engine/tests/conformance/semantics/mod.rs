//! What each operator says of each type of value: condition and truth, by event.
mod falco;
mod text;
mod unfit;
mod values;

pub use unfit::UNFIT;

/// An event as a field map (JSON), and what conditions say of it.
pub struct Table {
    /// For messages.
    pub name: &'static str,
    /// The event.
    pub event: &'static str,
    /// Condition and whether it holds.
    pub rows: &'static [(&'static str, bool)],
}

/// The tables.
pub const TABLES: &[&[Table]] = &[text::TABLES, values::TABLES, falco::TABLES];
