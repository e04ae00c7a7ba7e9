//! Output templates: `%field`, `%field[arg]`, `%tolower(proc.name)`, `%%` for a percent sign, and `%container.info`, which
//! stands for what is known of the container and its pod.
mod parse;
#[cfg(test)]
mod tests;

use crate::{
    diagnostic::Diagnostic,
    eval::{render_clock, value_of},
    event::Event,
    field::Kind,
    matching::bytes,
    syntax::Operand,
    value::{Lookup, Value},
};
use serde_json::{Map, Value as Json};

/// What a missing value looks like in text.
const MISSING: &str = "<NA>";

/// A checked output template.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    parts: Vec<Part>,
    fields: Vec<(String, Operand)>,
}

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Text(String),
    Value(Operand),
}

impl Template {
    /// Parses a template.
    ///
    /// # Errors
    /// An unknown field, or a malformed argument or transformer, with its place.
    pub fn parse(text: &str) -> Result<Self, Box<Diagnostic>> {
        parse::template(text)
    }

    /// The text of an alert. Missing and pending values are `<NA>`; bytes that are not UTF-8 are replaced.
    #[must_use]
    pub fn render(&self, event: &impl Event) -> String {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Value(operand) => match value_of(operand, event) {
                    Lookup::Value(value) => out.push_str(&shown(operand, &value)),
                    Lookup::Missing | Lookup::Pending => out.push_str(MISSING),
                },
            }
        }
        out
    }

    /// Every field named, as the keys of [`Template::values`]: as written, and what transformers were applied to also on
    /// its own (receivers made for Falco expect that).
    #[must_use]
    pub fn fields(&self) -> &[(String, Operand)] {
        &self.fields
    }

    /// The values of [`Template::fields`], typed; missing ones are null, times are numbers (nanoseconds).
    #[must_use]
    pub fn values(&self, event: &impl Event) -> Map<String, Json> {
        let value = |operand| match value_of(operand, event) {
            Lookup::Value(value) => json(&value),
            Lookup::Missing | Lookup::Pending => Json::Null,
        };
        self.fields.iter().map(|(name, operand)| (name.clone(), value(operand))).collect()
    }
}

fn shown(operand: &Operand, value: &Value<'_>) -> String {
    match (operand, value) {
        (Operand::Field(f), Value::Uint(ns)) if f.field.def().kind == Kind::Clock => render_clock(f.field, *ns),
        (_, Value::List(items)) => {
            let items: Vec<String> = items.iter().map(|item| shown(operand, item)).collect();
            format!("({})", items.join(","))
        }
        (_, value) => String::from_utf8_lossy(&bytes(value)).into_owned(),
    }
}

fn json(value: &Value<'_>) -> Json {
    match value {
        Value::Int(n) => Json::from(*n),
        Value::Uint(n) => Json::from(*n),
        Value::Bool(b) => Json::from(*b),
        Value::List(items) => items.iter().map(json).collect(),
        Value::Str(_) | Value::Ip(_) => Json::from(String::from_utf8_lossy(&bytes(value)).into_owned()),
    }
}
