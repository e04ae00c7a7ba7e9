//! Times as text, in UTC.
use crate::field::Field;
use std::fmt::{Result, Write};

/// A time (nanoseconds since 1970) as the field shows it.
#[must_use]
pub fn render(field: Field, ns: u64) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write(field, ns, &mut text);
    text
}

/// The same into what is there already.
pub(super) fn write(field: Field, ns: u64, out: &mut impl Write) -> Result {
    let (seconds, nanos) = (ns / 1_000_000_000, ns % 1_000_000_000);
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    match field {
        Field::EvtTimeIso8601 => write!(out, "{year:04}-{month:02}-{day:02}T")?,
        Field::EvtDatetime | Field::EvtDatetimeS => write!(out, "{year:04}-{month:02}-{day:02} ")?,
        _ => {}
    }
    write!(out, "{hour:02}:{minute:02}:{second:02}")?;
    match field {
        Field::EvtTimeS | Field::EvtDatetimeS => Ok(()),
        Field::EvtTimeIso8601 => write!(out, ".{nanos:09}+0000"),
        _ => write!(out, ".{nanos:09}"),
    }
}

/// Year, month and day of a day since 1970-01-01 (proleptic Gregorian; years counted from March, so that leap days end
/// them).
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year_of_era + carry, month, day)
}
