//! From a tree as written to a resolved one: macros and lists taken in, fields looked up, literals checked.
//!
//! Every problem is collected, not only the first. What is wrong inside a library's macro is told at the place of its
//! use, since that text belongs to another object, whose own outcome has the details.
use super::{
    problem::{Place, Suggest as _, code, has_error},
    scope::{Item, ListDef, Scope},
};
use crate::{
    diagnostic::{Diagnostic, Severity, Span},
    eval::{Leaf, check_arguments},
    event_names,
    field::{Field, FieldRef},
    source::ObjectRef,
    syntax::{
        Ast, Comparison, Expr, MAX_DEPTH, MAX_NODES, Op, Operand, Right, Text,
        ast::{self, Compare, Literal, Node, Spanned},
        suggest,
    },
};
use std::sync::Arc;

/// Most items of a list, nested lists taken in.
const MAX_ITEMS: usize = 1_000_000;
/// Most problems of one condition that are told.
const MAX_PROBLEMS: usize = 100;
/// Most macros within macros: each takes stack.
const MAX_MACROS: usize = 200;

/// Resolves trees in one scope.
pub struct Resolver<'a> {
    scope: &'a Scope<'a>,
    /// Problems found; the result is only good without an error among them.
    pub problems: Vec<Diagnostic>,
    nodes: usize,
    /// Macros being resolved, to find cycles.
    open: Vec<(String, usize)>,
    /// How many of these are of libraries: the outermost tells what is wrong inside.
    in_libraries: usize,
}

/// Where the resolver is: the text, the level that names are looked for from, and the depth of the tree so far.
#[derive(Clone, Copy)]
struct At<'a> {
    place: Place<'a>,
    level: usize,
    depth: usize,
}

impl<'a> Resolver<'a> {
    pub const fn new(scope: &'a Scope<'a>) -> Self {
        Self { scope, problems: Vec::new(), nodes: 0, open: Vec::new(), in_libraries: 0 }
    }

    /// Resolves a parsed condition. `None`: there are errors in `problems`.
    pub fn resolve(&mut self, ast: &Ast, part: &str) -> Option<Expr> {
        self.nodes = 0;
        let at = At { place: Place { part, text: &ast.text }, level: 0, depth: 0 };
        let expr = self.node(&ast.root, at);
        expr.filter(|_| !has_error(&self.problems))
    }

    /// Resolves a node that stands in the text of a part, with names looked for from a level on.
    pub fn resolve_at(&mut self, node: &Node, place: Place<'_>, level: usize) -> Option<Expr> {
        self.nodes = 0;
        self.node(node, At { place, level, depth: 0 })
    }

    fn node(&mut self, node: &Node, at: At<'_>) -> Option<Expr> {
        self.nodes += 1;
        let at = At { depth: at.depth + 1, ..at };
        if self.nodes > MAX_NODES || at.depth > MAX_DEPTH {
            // Told once: what comes after is of the same kind.
            if !has_error(&self.problems) {
                let bound = format!("more than {MAX_NODES} parts or {MAX_DEPTH} levels");
                let message = format!("with its macros the condition has {bound}");
                self.problems.push(at.place.error(code::CONDITION, at.place.whole(), message));
            }
            return None;
        }
        // Each problem holds the whole text: of very many the first ones must do.
        if self.problems.len() > MAX_PROBLEMS && has_error(&self.problems) {
            return None;
        }
        match node {
            Node::And(parts) => self.parts(parts, at).and_then(Expr::all),
            Node::Or(parts) => self.parts(parts, at).and_then(Expr::any),
            Node::Not(inner) => self.node(inner, at).map(Expr::negate),
            Node::Macro(name) => self.use_macro(name, at),
            Node::Exists(operand) => self.operand(operand, at).map(Expr::Exists),
            Node::Compare(compare) => self.compare(compare, at),
        }
    }

    fn parts(&mut self, parts: &[Node], at: At<'_>) -> Option<Vec<Expr>> {
        // All of them, also after one that failed, so that each problem is told.
        let resolved: Vec<Option<Expr>> = parts.iter().map(|part| self.node(part, at)).collect();
        resolved.into_iter().collect()
    }

    fn use_macro(&mut self, name: &Spanned<String>, at: At<'_>) -> Option<Expr> {
        let Some((def, level)) = self.scope.find_macro(&name.value, at.level) else {
            self.problems.push(self.unknown_macro(name, at));
            return None;
        };
        def.used.set(true);
        let Ok(ast) = &def.ast else {
            // A local macro's mistake is told where it is defined.
            if let (Some(owner), Err(error)) = (&def.owner, &def.ast) {
                self.library_problem(name, owner, error, at);
            }
            return None;
        };
        let key = (name.value.clone(), level);
        if self.open.contains(&key) {
            let chain: Vec<_> = self.open.iter().map(|(n, _)| n.as_str()).chain([name.value.as_str()]).collect();
            let message = format!("macro {} refers to itself: {}", name.value, chain.join(" -> "));
            self.problems.push(at.place.error(code::CONDITION, name.span, message));
            return None;
        }
        if self.open.len() >= MAX_MACROS {
            let message = format!("macros are nested deeper than {MAX_MACROS} levels at macro {}", name.value);
            let problem = at.place.error(code::CONDITION, name.span, message);
            self.problems.push(problem.suggest(Some("write some of them out")));
            return None;
        }
        self.open.push(key);
        let inner = At { place: Place { part: &def.part, text: &ast.text }, level, depth: at.depth };
        let outer_problems = std::mem::take(&mut self.problems);
        self.in_libraries += usize::from(def.owner.is_some());
        let expr = self.node(&ast.root, inner);
        self.in_libraries -= usize::from(def.owner.is_some());
        let found = std::mem::replace(&mut self.problems, outer_problems);
        self.open.pop();
        match &def.owner {
            None => self.add_new(found),
            // Its warnings are the library's.
            Some(owner) => {
                if let Some(error) = found.iter().find(|d| d.severity == Severity::Error) {
                    self.library_problem(name, owner, error, at);
                }
            }
        }
        expr
    }

    /// Tells what is wrong inside a library's macro.
    fn library_problem(&mut self, name: &Spanned<String>, owner: &ObjectRef, error: &Diagnostic, at: At<'_>) {
        if self.in_libraries > 0 {
            self.problems.push(error.clone());
            return;
        }
        let message = format!("macro {} of RuleLibrary {owner} has an error: {}", name.value, error.message);
        let problem = at.place.error(code::CONDITION, name.span, message);
        self.problems.push(problem.suggest(error.suggestion.clone()));
    }

    /// Adds problems of a local macro, once however often it is used.
    fn add_new(&mut self, found: Vec<Diagnostic>) {
        for problem in found {
            if !self.problems.contains(&problem) {
                self.problems.push(problem);
            }
        }
    }

    fn unknown_macro(&self, name: &Spanned<String>, at: At<'_>) -> Diagnostic {
        let word = name.value.as_str();
        if self.scope.find_list(word, at.level).is_some() {
            let message = format!("{word} is a list, not a condition");
            let hint = format!("write field in ({word})");
            return at.place.error(code::CONDITION, name.span, message).suggest(Some(hint));
        }
        let close = suggest::closest(word, self.scope.macro_names(at.level)).map(|c| format!("did you mean {c}?"));
        let close = close.unwrap_or_else(|| "define it in `macros`, or in a RuleLibrary of this namespace".to_owned());
        at.place.error(code::CONDITION, name.span, format!("unknown macro {word}")).suggest(Some(close))
    }

    fn field(&mut self, field: &Spanned<String>, at: At<'_>) -> Option<FieldRef> {
        match FieldRef::parse(&field.value) {
            Ok(found) => {
                let def = found.field.def();
                if def.is_deprecated() {
                    let message = format!("field {} is deprecated", def.name);
                    self.problems.push(at.place.warning(code::DEPRECATED, field.span, message));
                }
                Some(found)
            }
            Err(error) => {
                let problem = at.place.error(code::CONDITION, field.span, error.to_string());
                self.problems.push(problem.suggest(error.suggestion()));
                None
            }
        }
    }

    fn operand(&mut self, operand: &ast::Operand, at: At<'_>) -> Option<Operand> {
        Some(match operand {
            ast::Operand::Field(field) => Operand::Field(self.field(field, at)?),
            ast::Operand::Text(literal) => Operand::Text(literal.value.text.clone()),
            ast::Operand::List(items, _) => Operand::List(self.operands(items, at)?),
            ast::Operand::Call { function, args, selector, span } => {
                let args = self.operands(args, at)?;
                if let Err(message) = check_arguments(*function, &args) {
                    self.problems.push(at.place.error(code::CONDITION, *span, message));
                    return None;
                }
                Operand::Call { function: *function, args, selector: selector.clone() }
            }
        })
    }

    fn operands(&mut self, operands: &[ast::Operand], at: At<'_>) -> Option<Vec<Operand>> {
        let resolved: Vec<_> = operands.iter().map(|operand| self.operand(operand, at)).collect();
        resolved.into_iter().collect()
    }

    fn compare(&mut self, compare: &Compare, at: At<'_>) -> Option<Expr> {
        let left = self.operand(&compare.left, at);
        let (right, spans) = self.right(&compare.right, at)?;
        let comparison = Comparison { left: left?, op: compare.op.value, quantifier: compare.quantifier, right };
        if let Err(error) = Leaf::check(&comparison) {
            let span = match error.item {
                Some(item) => spans.get(item).or(spans.last()).copied().unwrap_or(compare.op.span),
                None => compare.op.span,
            };
            let problem = at.place.error(code::CONDITION, span, error.message);
            self.problems.push(problem.suggest(error.suggestion));
            return None;
        }
        self.check_literals(&comparison, &spans, at);
        Some(Expr::Compare(Box::new(comparison)))
    }

    /// The right-hand side and the place of each literal.
    fn right(&mut self, right: &ast::Right, at: At<'_>) -> Option<(Right, Vec<Span>)> {
        Some(match right {
            ast::Right::Value(literal) => {
                // Falco pastes lists as text, so the name of a list with one item stands for that item.
                let named = list_name(&literal.value).and_then(|w| self.named_list(w, at.level, literal.span, at));
                let text = match named {
                    None => literal.value.text.clone(),
                    Some(items) => match &*items.ok()? {
                        [only] => only.clone(),
                        items => {
                            let name = literal.value.text.lossy();
                            let message = format!("{name} is a list of {} items, not a single value", items.len());
                            let hint = format!("write in ({name}) for the list, or \"{name}\" for the word itself");
                            self.problems
                                .push(at.place.error(code::CONDITION, literal.span, message).suggest(Some(hint)));
                            return None;
                        }
                    },
                };
                (Right::Value(text), vec![literal.span])
            }
            ast::Right::Operand(operand) => (Right::Operand(self.operand(operand, at)?), vec![operand.span()]),
            ast::Right::Named(name) => match self.named_list(&name.value, at.level, name.span, at) {
                Some(Ok(items)) => {
                    let spans = vec![name.span; items.len().max(1)];
                    (Right::List(items), spans)
                }
                Some(Err(())) => return None,
                None => {
                    let names = self.scope.list_names(at.level);
                    let close = suggest::closest(&name.value, names).map(|c| format!("did you mean {c}?"));
                    let close = close.unwrap_or_else(|| "a list of values stands in parentheses: (a, b)".to_owned());
                    let message = format!("unknown list {}", name.value);
                    self.problems.push(at.place.error(code::CONDITION, name.span, message).suggest(Some(close)));
                    return None;
                }
            },
            ast::Right::List(items) => {
                if let [only] = items.as_slice()
                    && let Some(word) = list_name(&only.value)
                    && let Some(found) = self.named_list(word, at.level, only.span, at)
                {
                    let items = found.ok()?;
                    let spans = vec![only.span; items.len().max(1)];
                    return Some((Right::List(items), spans));
                }
                let (mut texts, mut spans) = (Vec::with_capacity(items.len()), Vec::with_capacity(items.len()));
                for item in items {
                    match list_name(&item.value).and_then(|w| self.named_list(w, at.level, item.span, at)) {
                        Some(found) => texts.extend(found.ok()?.iter().cloned()),
                        None => texts.push(item.value.text.clone()),
                    }
                    spans.resize(texts.len(), item.span);
                }
                (Right::List(texts.into()), spans)
            }
        })
    }

    /// What is wrong with a list itself: it may contain itself.
    pub fn check_list(&self, name: &str, part: &str) -> Option<Diagnostic> {
        let (def, level) = self.scope.find_list(name, 0)?;
        let error = self.flat(name, def, level, &mut Vec::new()).err()?;
        let place = Place { part, text: name };
        Some(place.error(code::CONDITION, place.whole(), format!("list {name}: {error}")))
    }

    /// The items of a list of this name. `None`: there is no such list; an error is in `problems`.
    fn named_list(&mut self, name: &str, level: usize, span: Span, at: At<'_>) -> Option<Result<Arc<[Text]>, ()>> {
        let (def, level) = self.scope.find_list(name, level)?;
        def.used.set(true);
        Some(self.flat(name, def, level, &mut Vec::new()).map_err(|message| {
            let owner = def.owner.as_ref().map(|id| format!(" of RuleLibrary {id}")).unwrap_or_default();
            let message = format!("list {name}{owner}: {message}");
            self.problems.push(at.place.error(code::CONDITION, span, message));
        }))
    }

    /// The items of a list, nested lists taken in; made once. `open`: the lists that this is for.
    fn flat(
        &self,
        name: &str,
        def: &ListDef,
        level: usize,
        open: &mut Vec<(String, usize)>,
    ) -> Result<Arc<[Text]>, String> {
        if let Some(known) = def.flat.get() {
            return known.clone();
        }
        open.push((name.to_owned(), level));
        let flat = self.flatten(def.items.take(), level, open);
        open.pop();
        def.flat.get_or_init(|| flat).clone()
    }

    fn flatten(&self, items: Vec<Item>, level: usize, open: &mut Vec<(String, usize)>) -> Result<Arc<[Text]>, String> {
        let mut flat = Vec::with_capacity(items.len().min(MAX_ITEMS));
        for item in items {
            let nested = item.text.as_str().filter(|_| !item.quoted);
            match nested.and_then(|name| Some((name, self.scope.find_list(name, level)?))) {
                None if flat.len() < MAX_ITEMS => flat.push(item.text),
                None => return Err(format!("more than {MAX_ITEMS} items")),
                Some((name, (def, below))) => {
                    def.used.set(true);
                    if open.iter().any(|(known, at)| known == name && *at == below) {
                        return Err(format!("it contains itself by way of {name}"));
                    }
                    if open.len() >= MAX_DEPTH / 10 {
                        return Err("lists are nested too deep".to_owned());
                    }
                    let inner = self.flat(name, def, below, open)?;
                    if flat.len() + inner.len() > MAX_ITEMS {
                        return Err(format!("more than {MAX_ITEMS} items"));
                    }
                    flat.extend_from_slice(&inner);
                }
            }
        }
        Ok(flat.into())
    }

    /// Words that are suspicious though they fit: `<NA>`, event types that do not exist.
    fn check_literals(&mut self, comparison: &Comparison, spans: &[Span], at: At<'_>) {
        let literals = match &comparison.right {
            Right::Value(one) => std::slice::from_ref(one),
            Right::List(items) => items,
            Right::Operand(_) => return,
        };
        let by_name = matches!(comparison.op, Op::Eq | Op::Ne | Op::In);
        let names_events = matches!(&comparison.left, Operand::Field(f) if f.field == Field::EvtType);
        for (literal, span) in literals.iter().zip(spans) {
            if literal.as_bytes() == b"<NA>" {
                let hint = "write `exists`, or `not ... exists`";
                let message = "a missing value equals nothing, also not <NA>";
                self.problems.push(at.place.warning(code::NA, *span, message).suggest(Some(hint)));
            }
            if names_events && by_name && !event_names::is_known(&literal.lossy()) {
                let close = suggest::closest(&literal.lossy(), event_names::all());
                let problem = at.place.error(code::CONDITION, *span, format!("unknown event type {literal}"));
                self.problems.push(problem.suggest(close.map(|c| format!("did you mean {c}?"))));
            }
        }
    }
}

/// A literal that may be the name of a list.
pub fn list_name(literal: &Literal) -> Option<&str> {
    literal.text.as_str().filter(|_| !literal.quoted)
}
