//! Loaded files as the engine's sources, and what compiling them says, at its place in the files.
use super::{
    code, judge,
    model::Loaded,
    names::object_names,
    place::{Finding, Named, Place, is_full, push, push_untold},
    yaml::to_u32,
};
use crate::{
    compile::{Compiled, ObjectKind, Outcome, compile},
    diagnostic::{Diagnostic, Severity, Span},
    output::Template,
    source::{Definitions, InlineException, LibrarySource, Meta, ObjectRef, RuleSource, RuleState, Sources},
    syntax::Operand,
};
use std::collections::HashMap;

/// The library that macros and lists are compiled in, where nobody gives another name.
pub const LIBRARY: &str = "falco";

impl Loaded {
    /// Everything that can be used, as objects of a namespace: a rule each, and one library of macros and lists.
    #[must_use]
    pub fn sources(&self, namespace: &str, library: &str) -> Sources {
        let id = |name: &str| ObjectRef { namespace: namespace.to_owned(), name: name.to_owned() };
        let names = object_names(self.rules.iter().map(|rule| rule.name.as_str()));
        let rules = self.rules.iter().zip(&names).filter(|(rule, _)| rule.refused.is_none()).map(|(rule, name)| {
            let exceptions: Vec<InlineException> =
                rule.exceptions.iter().filter(|_| !rule.open_or).map(|e| e.inline.clone()).collect();
            RuleSource {
                meta: Meta { id: id(name), origin: self.rule_line(rule), ..Meta::default() },
                title: rule.name.clone(),
                description: rule.description.clone(),
                condition: judge::whole_condition(rule).text,
                output: rule.output.text.clone(),
                priority: rule.priority,
                tags: rule.tags.clone(),
                state: if rule.enabled { RuleState::Active } else { RuleState::Disabled },
                definitions: Definitions::default(),
                exceptions,
                tenant_exceptions: None,
                tests: Vec::new(),
            }
        });
        let macros = self.macros.iter().filter(|m| m.refused.is_none());
        let lists = self.lists.iter().filter(|l| l.refused.is_none());
        let definitions = Definitions {
            macros: macros.map(|m| (m.name.clone(), m.condition.text.clone())).collect(),
            lists: lists.map(|l| (l.name.clone(), l.items.clone())).collect(),
        };
        let meta = Meta { id: id(library), ..Meta::default() };
        let is_empty = definitions == Definitions::default();
        Sources {
            system_namespace: namespace.to_owned(),
            rules: rules.collect(),
            libraries: if is_empty { Vec::new() } else { vec![LibrarySource { meta, definitions }] },
            ..Sources::default()
        }
    }

    /// Compiles what can be used. What is wrong joins the problems, and what cannot be used is marked as refused.
    pub fn compile(&mut self) -> Compiled {
        let namespace = "eyas-system";
        let compiled = compile(&self.sources(namespace, LIBRARY), None);
        let names = object_names(self.rules.iter().map(|rule| rule.name.as_str()));
        let rules: HashMap<&str, usize> = names.iter().enumerate().map(|(i, name)| (name.as_str(), i)).collect();
        let macros: HashMap<String, usize> = self.macros.iter().enumerate().map(|(i, m)| (m.name.clone(), i)).collect();
        let lists: HashMap<String, usize> = self.lists.iter().enumerate().map(|(i, l)| (l.name.clone(), i)).collect();
        for outcome in &compiled.outcomes {
            match outcome.kind {
                ObjectKind::Library => {
                    for diagnostic in &outcome.diagnostics {
                        self.library_problem(diagnostic, &macros, &lists);
                    }
                }
                ObjectKind::Rule => {
                    if let Some(index) = rules.get(outcome.id.name.as_str()) {
                        self.rule_problems(*index, outcome);
                    }
                }
                ObjectKind::Exception | ObjectKind::Route => {}
            }
        }
        self.sort_problems();
        compiled
    }

    fn library_problem(
        &mut self,
        diagnostic: &Diagnostic,
        macros: &HashMap<String, usize>,
        lists: &HashMap<String, usize>,
    ) {
        let part = |prefix: &str| diagnostic.part.strip_prefix(prefix).and_then(|p| p.strip_suffix(']'));
        let error = diagnostic.severity == Severity::Error;
        if let Some(index) = part("macros[").and_then(|name| macros.get(name)) {
            let definition = &mut self.macros[*index];
            let place = definition.condition.place(&self.files, diagnostic.span).unwrap_or(definition.place);
            // A macro of unknown fields harms only the rules that use it.
            let harmless = error && is_unknown_filter(diagnostic);
            if error {
                definition.refused.get_or_insert_with(|| without_library(&diagnostic.message));
            }
            let object = definition.named();
            self.tell(place, object, diagnostic, "condition", harmless);
        } else if let Some(index) = part("lists[").and_then(|name| lists.get(name)) {
            let list = &mut self.lists[*index];
            if error {
                list.refused.get_or_insert_with(|| diagnostic.message.clone());
            }
            let (place, object) = (list.place, list.named());
            self.tell(place, object, diagnostic, "items", false);
        }
    }

    fn rule_problems(&mut self, index: usize, outcome: &Outcome) {
        let errors = || outcome.diagnostics.iter().filter(|d| d.severity == Severity::Error);
        let rule = &mut self.rules[index];
        let skipped = rule.skip_if_unknown_filter && !outcome.accepted && errors().all(is_unknown_filter);
        if let Some(first) = errors().next() {
            rule.refused.get_or_insert_with(|| {
                let why = if skipped { "; it has skip-if-unknown-filter" } else { "" };
                format!("{}{why}", without_library(&first.message))
            });
        }
        let warn_types = rule.warn_evttypes;
        self.deprecated_output(index);
        let rule = &self.rules[index];
        let object = rule.named();
        for diagnostic in &outcome.diagnostics {
            if is_full(&self.problems) {
                if diagnostic.severity == Severity::Error && !skipped {
                    push_untold(&mut self.problems);
                }
                continue;
            }
            if !warn_types && diagnostic.code == crate::compile::NO_EVTTYPE {
                continue;
            }
            let rule = &self.rules[index];
            let part = diagnostic.part.as_str();
            let exception = part.strip_prefix("exceptions[").and_then(|p| p.strip_suffix(']')?.parse::<usize>().ok());
            let place = match (part, exception) {
                ("condition", _) => judge::whole_condition(rule).place(&self.files, diagnostic.span),
                ("output", _) => rule.output.place(&self.files, diagnostic.span),
                (_, Some(at)) => rule.exceptions.get(at).map(|e| e.place),
                // Told when the file was read.
                ("exceptions", _) => continue,
                _ => None,
            };
            let place = place.unwrap_or(rule.place);
            let part = if exception.is_some() { "exceptions" } else { part };
            self.tell(place, object.clone(), diagnostic, part, skipped && diagnostic.severity == Severity::Error);
        }
    }

    /// Deprecated fields in an output; in conditions they are told by the compiler.
    fn deprecated_output(&mut self, index: usize) {
        let rule = &self.rules[index];
        let Ok(template) = Template::parse(&rule.output.text) else { return };
        let mut found = Vec::new();
        for (written, operand) in template.fields() {
            let Operand::Field(field) = operand else { continue };
            let name = field.field.def().name;
            if let Some(at) = rule.output.text.find(written.as_str()).filter(|_| field.field.def().is_deprecated()) {
                let span = Span { start: to_u32(at), end: to_u32(at + written.len()) };
                let place = rule.output.place(&self.files, span).unwrap_or(rule.place);
                let finding = Finding::warning(code::DEPRECATED, format!("field {name} is deprecated")).part("output");
                found.push(self.files.problem(place, Some(rule.named()), finding));
            }
        }
        found.into_iter().for_each(|problem| push(&mut self.problems, problem));
    }

    /// `harmless`: an error that is a warning here.
    fn tell(&mut self, place: Place, object: Named, diagnostic: &Diagnostic, part: &str, harmless: bool) {
        let finding = Finding {
            severity: if harmless { Severity::Warning } else { diagnostic.severity },
            code: if harmless { code::UNKNOWN_FILTER } else { &diagnostic.code },
            part,
            message: without_library(&diagnostic.message),
            suggestion: diagnostic.suggestion.clone(),
        };
        let problem = self.files.problem(place, Some(object), finding);
        push(&mut self.problems, problem);
    }
}

/// Whether an error is about a field or an event type that does not exist.
fn is_unknown_filter(diagnostic: &Diagnostic) -> bool {
    diagnostic.message.contains("unknown field") || diagnostic.message.contains("unknown event type")
}

/// Files know no libraries.
fn without_library(message: &str) -> String {
    message.replace(&format!(" of RuleLibrary eyas-system/{LIBRARY}"), "")
}
