//! An event made from a map of field names to values.
use crate::{
    event::{Event, EventType},
    event_names,
    field::{Arg, Field, FieldDef, FieldRef, Kind, Many, Supply},
    syntax::suggest,
    value::{Lookup, Value},
};
use indexmap::IndexMap;
use serde_json::Value as Json;
use std::{collections::HashMap, ops::ControlFlow};

/// Why a field map is no event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct MapError {
    /// The key.
    pub field: String,
    /// What is wrong with it.
    pub reason: String,
}

/// See the module. Fields that follow from others need not be given: `evt.dir`, `fd.directory` and `fd.filename` from
/// `fd.name`, `proc.aname[0]` and the like from `proc.name`, `proc.aname` from its numbered forms.
#[derive(Clone, Debug, Default)]
pub struct MapEvent {
    event_type: Option<EventType>,
    /// `None`: given as null, so missing.
    values: HashMap<FieldRef, Option<Value<'static>>>,
}

/// Fields of which number 0 is the process's and number 1 the parent's.
const ANCESTORS: [(Field, Field, Option<Field>); 5] = [
    (Field::ProcAname, Field::ProcName, Some(Field::ProcPname)),
    (Field::ProcAexe, Field::ProcExe, Some(Field::ProcPexe)),
    (Field::ProcAexepath, Field::ProcExepath, Some(Field::ProcPexepath)),
    (Field::ProcAcmdline, Field::ProcCmdline, Some(Field::ProcPcmdline)),
    (Field::ProcApid, Field::ProcPid, Some(Field::ProcPpid)),
];

impl MapEvent {
    /// From field names (as conditions write them) and values. A value of null is missing.
    ///
    /// # Errors
    /// An unknown field, a value that does not fit it, or a field that events of the type never have.
    pub fn from_map(map: &IndexMap<String, Json>) -> Result<Self, MapError> {
        let mut event = Self::default();
        for (name, json) in map {
            let failed = |reason: String| MapError { field: name.clone(), reason };
            let field = FieldRef::parse(name).map_err(|error| {
                let hint = error.suggestion().map(|s| format!("; {s}")).unwrap_or_default();
                failed(format!("{error}{hint}"))
            })?;
            let value = match json {
                Json::Null => None,
                json => Some(convert(&field, json).map_err(failed)?),
            };
            event.values.insert(field, value);
        }
        event.set_type()?;
        event.check_supply()?;
        Ok(event)
    }

    fn set_type(&mut self) -> Result<(), MapError> {
        let Some(Some(Value::Str(name))) = self.values.get(&FieldRef::plain(Field::EvtType)) else { return Ok(()) };
        let name = String::from_utf8_lossy(name);
        self.event_type = EventType::ALL.iter().copied().find(|t| t.as_str() == name);
        if self.event_type.is_none() && !event_names::is_known(&name) {
            let hint = suggest::closest(&name, event_names::all()).map(|c| format!("; did you mean {c}?"));
            let reason = format!("unknown event type {name}{}", hint.unwrap_or_default());
            return Err(MapError { field: "evt.type".to_owned(), reason });
        }
        Ok(())
    }

    /// A test of an event that cannot be would prove nothing.
    fn check_supply(&self) -> Result<(), MapError> {
        let Some(event_type) = self.event_type else { return Ok(()) };
        for field in self.values.iter().filter(|(_, value)| value.is_some()).map(|(field, _)| field) {
            let FieldDef { name, supply, .. } = field.field.def();
            if supply.covers(event_type) {
                continue;
            }
            let reason = match supply {
                Supply::Nobody => "no hook supplies this field yet".to_owned(),
                Supply::By(hooks) => {
                    let hooks: Vec<_> = hooks.iter().map(|h| h.as_str()).collect();
                    format!("events of type {} have no {name}; it comes with {}", event_type.as_str(), hooks.join(", "))
                }
                _ => continue,
            };
            return Err(MapError { field: field.to_string(), reason });
        }
        Ok(())
    }

    fn get(&self, field: &FieldRef) -> Option<Value<'_>> {
        match self.values.get(field)? {
            Some(Value::Str(s)) => Some(Value::from(&**s)),
            other => other.clone(),
        }
    }

    fn derived(&self, field: &FieldRef) -> Option<Value<'_>> {
        match (field.field, &field.arg) {
            (Field::EvtDir, _) => return Some(Value::from("<")),
            (Field::EvtSource, _) => return Some(Value::from("syscall")),
            (Field::FdDirectory, _) => {
                return self.path_part(|path, slash| if slash == 0 { &path[..1] } else { &path[..slash] });
            }
            (Field::FdFilename, _) => return self.path_part(|path, slash| &path[slash + 1..]),
            (Field::FsPathName, _) => return self.get(&FieldRef::plain(Field::FdName)),
            (Field::K8sPodSaName, _) => return self.get(&FieldRef::plain(Field::K8sSaName)),
            _ => {}
        }
        for (numbered, own, parent) in ANCESTORS {
            match (&field.arg, parent) {
                (Some(Arg::Index(0)), _) if field.field == numbered => return self.get(&FieldRef::plain(own)),
                (Some(Arg::Index(1)), Some(parent)) if field.field == numbered => {
                    return self.get(&FieldRef::plain(parent));
                }
                (None, Some(parent)) if field.field == parent => {
                    return self.get(&FieldRef { field: numbered, arg: Some(Arg::Index(1)) });
                }
                _ => {}
            }
        }
        None
    }

    fn path_part(&self, part: impl Fn(&[u8], usize) -> &[u8]) -> Option<Value<'_>> {
        let Some(Some(Value::Str(path))) = self.values.get(&FieldRef::plain(Field::FdName)) else { return None };
        let slash = path.iter().rposition(|b| *b == b'/')?;
        Some(Value::from(part(path, slash)))
    }

    /// The numbered values of a field asked for without number.
    fn ancestors(&self, field: Field) -> Vec<Value<'_>> {
        let numbered = |n| self.values.contains_key(&FieldRef { field, arg: Some(Arg::Index(n)) });
        // Numbers may have gaps: a test gives only the ancestors that matter.
        (1..=64)
            .filter(|n| numbered(*n) || *n == 1)
            .filter_map(|n| match self.field(&FieldRef { field, arg: Some(Arg::Index(n)) }) {
                Lookup::Value(value) => Some(value),
                Lookup::Missing | Lookup::Pending => None,
            })
            .collect()
    }
}

impl Event for MapEvent {
    fn event_type(&self) -> Option<EventType> {
        self.event_type
    }

    fn field(&self, field: &FieldRef) -> Lookup<'_> {
        if self.values.contains_key(field) {
            return self.get(field).map_or(Lookup::Missing, Lookup::Value);
        }
        if field.many() != Many::One {
            let values = self.ancestors(field.field);
            return if values.is_empty() { Lookup::Missing } else { Lookup::Value(Value::List(values)) };
        }
        self.derived(field).map_or(Lookup::Missing, Lookup::Value)
    }

    fn visit(&self, field: &FieldRef, visit: &mut dyn FnMut(&Lookup<'_>) -> ControlFlow<()>) {
        match self.field(field) {
            Lookup::Value(Value::List(items)) => {
                let _ = items.into_iter().try_for_each(|item| visit(&Lookup::Value(item)));
            }
            one => {
                let _ = visit(&one);
            }
        }
    }
}

fn convert(field: &FieldRef, json: &Json) -> Result<Value<'static>, String> {
    if let Json::Array(items) = json {
        if field.many() == Many::One {
            return Err("takes one value, not a list".to_owned());
        }
        return Ok(Value::List(items.iter().map(|item| convert(field, item)).collect::<Result<_, _>>()?));
    }
    let kind = field.field.def().kind;
    let text = match json {
        Json::String(text) => text.clone(),
        Json::Number(_) | Json::Bool(_) => json.to_string(),
        Json::Null | Json::Array(_) | Json::Object(_) => return Err("takes a plain value".to_owned()),
    };
    let wrong = || format!("{text:?} is no {}", kind.as_str());
    Ok(match kind {
        Kind::Text | Kind::Bytes => Value::from(text),
        Kind::Dyn => match text.parse() {
            Ok(number) => Value::Uint(number),
            Err(_) => Value::from(text),
        },
        Kind::Int | Kind::Duration => Value::Int(text.parse().map_err(|_| wrong())?),
        Kind::Uint | Kind::Port | Kind::Time => Value::Uint(text.parse().map_err(|_| wrong())?),
        Kind::Clock => text.parse().map_or_else(|_| Value::from(text.clone()), Value::Uint),
        Kind::Float => return Err("no event has a field of this kind".to_owned()),
        Kind::Bool => Value::Bool(text.parse().map_err(|_| wrong())?),
        Kind::Ip | Kind::Net => Value::Ip(text.parse().map_err(|_| wrong())?),
    })
}
