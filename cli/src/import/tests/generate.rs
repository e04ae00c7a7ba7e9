//! Rules files and events out of bytes: the files as text, and what the model makes of them.
use super::model::{Exception, Facts, Model, Rule};
use serde_json::{Value, json};

const FIELDS: [&str; 4] = ["proc.name", "fd.name", "proc.exepath", "proc.cmdline"];
const VALUES: [&str; 6] = ["a", "b", "/etc", "/etc/shadow", "x y", "sh -c a"];

/// Choices from bytes; when they are used up it is always the first choice.
pub struct Choices<'b> {
    bytes: &'b [u8],
}

impl<'b> Choices<'b> {
    pub fn new(bytes: &'b [u8]) -> Self {
        Self { bytes }
    }

    fn below(&mut self, n: usize) -> usize {
        let Some((first, rest)) = self.bytes.split_first() else { return 0 };
        self.bytes = rest;
        usize::from(*first) % n
    }

    fn one<'t>(&mut self, of: &[&'t str]) -> &'t str {
        of[self.below(of.len())]
    }

    fn chance(&mut self, one_in: usize) -> bool {
        self.below(one_in) == one_in - 1
    }

    /// A value as conditions write it.
    fn value(&mut self) -> String {
        let value = self.one(&VALUES);
        if value.contains(' ') { format!("\"{value}\"") } else { value.to_owned() }
    }

    fn list(&mut self, lists: &[String]) -> String {
        let items: Vec<String> = (0..=self.below(3))
            .map(|_| match lists {
                [] => self.value(),
                some if self.chance(2) => some[self.below(some.len())].clone(),
                _ => self.value(),
            })
            .collect();
        format!("({})", items.join(", "))
    }

    fn comparison(&mut self, lists: &[String]) -> String {
        let field = self.one(&FIELDS);
        match self.below(6) {
            0 => format!("{field} in {}", self.list(lists)),
            1 => format!("{field}={}", self.value()),
            2 => format!("{field} != {}", self.value()),
            3 => format!("{field} startswith {}", self.value()),
            4 => format!("{field} contains {}", self.value()),
            _ => format!("{field} exists"),
        }
    }

    fn condition(&mut self, depth: usize, lists: &[String], macros: &[String]) -> String {
        if depth == 0 || self.chance(4) {
            if !macros.is_empty() && self.chance(3) {
                return macros[self.below(macros.len())].clone();
            }
            return self.comparison(lists);
        }
        let left = self.condition(depth - 1, lists, macros);
        let right = self.condition(depth - 1, lists, macros);
        match self.below(5) {
            0 => format!("{left} and {right}"),
            1 => format!("{left} or {right}"),
            2 => format!("({left} or {right})"),
            3 => format!("not ({left}) and {right}"),
            _ => format!("not {right}"),
        }
    }

    fn exception(&mut self, name: &str, lists: &[String]) -> Exception {
        let single = self.chance(2);
        let fields: Vec<String> = match single {
            true => vec![self.one(&FIELDS).to_owned()],
            false => FIELDS[..=self.below(3)].iter().map(|f| (*f).to_owned()).collect(),
        };
        let comp = |choices: &mut Self| if single { "in" } else { choices.one(&["=", "in", "startswith"]) };
        let comps: Vec<String> = fields.iter().map(|_| comp(self).to_owned()).collect();
        let mut exception = Exception { name: name.to_owned(), fields, single, comps, values: Vec::new() };
        exception.values = self.exception_values(&exception, lists);
        exception
    }

    fn exception_values(&mut self, exception: &Exception, lists: &[String]) -> Vec<Vec<String>> {
        let tuple = |choices: &mut Self| -> Vec<String> {
            let one = |comp: &String| match comp.as_str() {
                "in" if !exception.single => choices.list(lists),
                "in" if !lists.is_empty() && choices.chance(3) => lists[choices.below(lists.len())].clone(),
                _ => choices.one(&VALUES).to_owned(),
            };
            exception.comps.iter().map(one).collect()
        };
        (0..=self.below(2)).map(|_| tuple(self)).collect()
    }
}

/// A generated case.
#[derive(Debug)]
pub struct Case {
    pub files: Vec<String>,
    pub model: Model,
}

/// Files out of bytes: definitions, then files that change them.
pub fn case(bytes: &[u8]) -> Case {
    let choices = &mut Choices::new(bytes);
    let mut model = Model::default();
    let mut first = Vec::new();
    let mut lists: Vec<String> = Vec::new();
    for n in 0..choices.below(4) {
        let name = format!("list_{n}");
        let mut items: Vec<String> = (0..choices.below(3)).map(|_| choices.one(&VALUES).to_owned()).collect();
        if !lists.is_empty() && choices.chance(2) {
            items.push(lists[choices.below(lists.len())].clone());
        }
        // A list without items may leave nothing to compare with.
        items.push("c".to_owned());
        first.push(json!({"list": name, "items": items}));
        model.lists.insert(name.clone(), items);
        lists.push(name);
    }
    let mut macros: Vec<String> = Vec::new();
    for n in 0..choices.below(3) {
        let name = format!("macro_{n}");
        let condition = choices.condition(2, &lists, &macros);
        first.push(json!({"macro": name, "condition": condition}));
        model.macros.insert(name.clone(), condition);
        macros.push(name);
    }
    for n in 0..=choices.below(2) {
        let name = format!("A rule, number {n}");
        let condition = choices.condition(2, &lists, &macros);
        let exceptions: Vec<Exception> =
            (0..choices.below(3)).map(|e| choices.exception(&format!("e{e}"), &lists)).collect();
        let enabled = !choices.chance(6);
        let mut object = json!({"rule": name, "desc": "d", "output": "o", "priority": "info", "condition": condition});
        if !exceptions.is_empty() {
            object["exceptions"] = exceptions.iter().map(written).collect();
        }
        if !enabled {
            object["enabled"] = json!(false);
        }
        first.push(object);
        model.rules.insert(name, Rule { condition, enabled, exceptions });
    }
    let mut second = Vec::new();
    for _ in 0..choices.below(4) {
        second.extend(change(choices, &mut model, &lists, &macros));
    }
    let text = |objects: &[Value]| objects.iter().map(|object| format!("- {object}\n")).collect::<String>();
    Case { files: vec![text(&first), text(&second)], model }
}

/// One object of a later file.
fn change(choices: &mut Choices<'_>, model: &mut Model, lists: &[String], macros: &[String]) -> Option<Value> {
    let names: Vec<String> = model.rules.keys().cloned().collect();
    let name = &names[choices.below(names.len())];
    let rule = model.rules.get_mut(name)?;
    let old = choices.chance(2);
    Some(match choices.below(8) {
        0 => {
            let more = format!("{} {}", choices.one(&["and", "or"]), choices.condition(1, lists, macros));
            rule.condition = format!("{} {more}", rule.condition);
            appended(json!({"rule": name, "condition": more}), "condition", old)
        }
        1 => {
            rule.condition = choices.condition(2, lists, macros);
            json!({"rule": name, "condition": rule.condition, "override": {"condition": "replace"}})
        }
        2 => {
            rule.enabled = !rule.enabled;
            let mut object = json!({"rule": name, "enabled": rule.enabled});
            if !old {
                object["override"] = json!({"enabled": "replace"});
            }
            object
        }
        3 => {
            let exception = choices.exception("new", lists);
            let there = rule.exceptions.iter().position(|e| e.name == "new");
            let mut object = json!({"rule": name, "exceptions": [written(&exception)]});
            match there {
                Some(at) => {
                    let values = choices.exception_values(&rule.exceptions[at].clone(), lists);
                    let more = Exception { values, ..rule.exceptions[at].clone() };
                    let values = written(&more)["values"].clone();
                    object["exceptions"] = json!([{"name": "new", "values": values}]);
                    rule.exceptions[at].values.extend(more.values);
                }
                None => rule.exceptions.push(exception),
            }
            appended(object, "exceptions", old)
        }
        4 => {
            rule.exceptions = vec![choices.exception("only", lists)];
            let exceptions: Value = rule.exceptions.iter().map(written).collect();
            json!({"rule": name, "exceptions": exceptions, "override": {"exceptions": "replace"}})
        }
        5 => {
            let name = macros.first()?;
            let more = format!("{} {}", choices.one(&["and", "or"]), choices.comparison(lists));
            let condition = model.macros.get_mut(name)?;
            *condition = format!("{condition} {more}");
            appended(json!({"macro": name, "condition": more}), "condition", old)
        }
        6 => {
            let name = macros.last()?;
            let condition = choices.comparison(lists);
            model.macros.insert(name.clone(), condition.clone());
            json!({"macro": name, "condition": condition})
        }
        _ => {
            let name = lists.last()?;
            let items = vec![choices.one(&VALUES).to_owned()];
            model.lists.get_mut(name)?.extend(items.clone());
            appended(json!({"list": name, "items": items}), "items", old)
        }
    })
}

fn appended(mut object: Value, key: &str, old: bool) -> Value {
    if old {
        object["append"] = json!(true);
    } else {
        object["override"] = json!({key: "append"});
    }
    object
}

/// An exception as a file has it.
fn written(exception: &Exception) -> Value {
    let Exception { name, fields, single, comps, values } = exception;
    if *single {
        let values: Vec<&String> = values.iter().map(|v| &v[0]).collect();
        return json!({"name": name, "fields": fields[0], "values": values});
    }
    json!({"name": name, "fields": fields, "comps": comps, "values": values})
}

/// Events out of bytes: each field is there or not.
pub fn events(bytes: &[u8]) -> Vec<Facts> {
    let choices = &mut Choices::new(bytes);
    let mut event = || {
        let mut facts = Facts::new();
        for field in FIELDS {
            if !choices.chance(5) {
                facts.insert(field.to_owned(), choices.one(&["a", "b", "c", "/etc", "/etc/shadow", "x y"]).to_owned());
            }
        }
        facts
    };
    (0..8).map(|_| event()).collect()
}
