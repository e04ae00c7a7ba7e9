//! One event as a line: `field=value` for people, an object of fields for programs (what `kubectl eyas eval` reads).
use crate::{fields::View, output::Format};
use anyhow::Context as _;
use engine::{
    event::{Event as _, EventType},
    field::{ArgRule, FieldRef, Supply, catalogue},
    output::Template,
    value::{Lookup, Value},
};
use serde_json::{Map, Value as Json};

/// What text shows besides the arguments, in this order.
const USUAL: [&str; 12] = [
    "evt.res",
    "proc.name",
    "proc.pid",
    "proc.pname",
    "proc.cmdline",
    "proc.exepath",
    "user.name",
    "container.id",
    "k8s.ns.name",
    "k8s.pod.name",
    "fd.name",
    "fd.type",
];

/// Characters of a value that text shows.
const SHOWN: usize = 256;

/// A field and the template that shows it alone.
struct Shown {
    field: FieldRef,
    template: Template,
}

/// See the module.
pub(super) struct Lines {
    format: Format,
    time: Template,
    /// By event type.
    fields: Vec<Vec<Shown>>,
    /// The event's arguments too, by the names that they have.
    arguments: bool,
}

impl Lines {
    /// Lines with `only` these fields; all that suit the format when that is empty.
    ///
    /// # Errors
    /// A field that no template takes.
    pub fn new(format: Format, only: &[FieldRef]) -> anyhow::Result<Self> {
        let shown = |field: FieldRef| {
            let template = template(&field)?;
            anyhow::Ok(Shown { field, template })
        };
        let of = |event_type: &EventType| -> anyhow::Result<Vec<Shown>> {
            let fields = match (only.is_empty(), format) {
                (false, _) => only.to_vec(),
                (true, Format::Text) => USUAL.iter().map(|name| FieldRef::parse(name)).collect::<Result<_, _>>()?,
                (true, Format::Json) => all(*event_type),
            };
            fields.into_iter().map(shown).collect()
        };
        let fields = EventType::ALL.iter().map(of).collect::<anyhow::Result<_>>()?;
        Ok(Self { format, time: template(&FieldRef::parse("evt.time")?)?, fields, arguments: only.is_empty() })
    }

    /// Appends the event and a line feed.
    pub fn write(&self, view: &View<'_>, event_type: EventType, to: &mut Vec<u8>) {
        let fields = self.fields.get(event_type as usize).map_or(&[][..], Vec::as_slice);
        let fields = fields.iter().filter(|f| matches!(view.field(&f.field), Lookup::Value(_)));
        match self.format {
            Format::Json => {
                let mut map = Map::new();
                fields.for_each(|shown| map.extend(shown.template.values(view)));
                if self.arguments {
                    for argument in view.arguments() {
                        let text = String::from_utf8_lossy(&argument.text).into_owned();
                        map.insert(format!("evt.arg[{}]", argument.name), text.into());
                        map.insert(format!("evt.rawarg[{}]", argument.name), raw(&argument.raw()));
                    }
                }
                to.extend_from_slice(Json::Object(map).to_string().as_bytes());
            }
            Format::Text => {
                to.extend_from_slice(self.time.render(view).as_bytes());
                to.push(b' ');
                to.extend_from_slice(event_type.as_str().as_bytes());
                for shown in fields {
                    pair(&shown.field.to_string(), &shown.template.render(view), to);
                }
                if self.arguments {
                    for argument in view.arguments() {
                        let name = format!("evt.arg.{}", argument.name);
                        pair(&name, &String::from_utf8_lossy(&argument.text), to);
                    }
                }
            }
        }
        to.push(b'\n');
    }
}

fn template(field: &FieldRef) -> anyhow::Result<Template> {
    Template::parse(&format!("%{field}")).map_err(|d| anyhow::anyhow!(d.one_line())).with_context(|| field.to_string())
}

/// Fields that events of a type may have and that need no argument.
fn all(event_type: EventType) -> Vec<FieldRef> {
    let plain = catalogue().iter().filter(|def| {
        def.arg != ArgRule::Key && !def.is_deprecated() && def.supply != Supply::Nobody && def.supply.covers(event_type)
    });
    plain.map(|def| FieldRef::plain(def.field)).collect()
}

fn raw(value: &Value<'_>) -> Json {
    match value {
        Value::Int(n) => Json::from(*n),
        Value::Str(bytes) => String::from_utf8_lossy(bytes).into_owned().into(),
        _ => Json::Null,
    }
}

/// ` name=value`, in quotes where a value has spaces, quotes or control characters; a long one cut, and how much.
fn pair(name: &str, value: &str, to: &mut Vec<u8>) {
    if let Some((end, _)) = value.char_indices().nth(SHOWN) {
        pair(name, &value[..end], to);
        to.extend_from_slice(format!("(+{} bytes)", value.len() - end).as_bytes());
        return;
    }
    to.push(b' ');
    to.extend_from_slice(name.as_bytes());
    to.push(b'=');
    let plain = !value.is_empty() && value.chars().all(|c| !c.is_control() && !c.is_whitespace() && c != '"');
    if plain {
        to.extend_from_slice(value.as_bytes());
    } else {
        to.extend_from_slice(Json::from(value).to_string().as_bytes());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn every_type_has_lines_and_values_are_quoted_where_they_need_it() {
        for format in [Format::Text, Format::Json] {
            let lines = Lines::new(format, &[]).unwrap();
            assert!(lines.fields.iter().all(|fields| fields.len() >= USUAL.len()));
        }
        let mut line = Vec::new();
        pair("a", "/etc/passwd", &mut line);
        pair("b", "cat \"x\"\n", &mut line);
        pair("c", "", &mut line);
        assert_eq!(String::from_utf8(line).unwrap(), r#" a=/etc/passwd b="cat \"x\"\n" c="""#);
        let mut line = Vec::new();
        pair("d", &"é".repeat(SHOWN + 2), &mut line);
        assert_eq!(String::from_utf8(line).unwrap(), format!(" d={}(+4 bytes)", "é".repeat(SHOWN)));
    }
}
