//! A rule's condition as a tree for people: which part a macro, a list, an inline exception or tenancy has put there.
//!
//! Invariant: `outline(rule).expr()` is the condition that `rules::compile` makes (tested), so that what is explained is
//! what is evaluated.
use super::{
    oldest_first,
    problem::Place,
    resolve::{Resolver, list_name},
    rules::exception_condition,
    scope::{Libraries, Names, Scope},
};
use crate::{
    field::{Field, FieldRef},
    source::{RuleSource, Sources},
    syntax::{
        Expr, MAX_DEPTH, MAX_NODES, Op,
        ast::{Compare, Node, Right},
        parse_condition,
    },
    testing::{LeafPart, Origin, Part, Shape},
};

/// The outline of a rule with the libraries of `sources`. `None`: its condition or an inline exception does not compile;
/// [`compile`](super::compile()) says why.
#[must_use]
pub fn outline(source: &RuleSource, sources: &Sources) -> Option<Part> {
    let (libraries, _) = oldest_first(&sources.libraries, |l| &l.meta);
    let (libraries, _) = Libraries::new(libraries.into_iter());
    let (namespace, system) = (&source.meta.id.namespace, &sources.system_namespace);
    let mut local = Names::default();
    local.add(&source.definitions, None, &mut Vec::new());
    let scope = libraries.scope(Some(&local), namespace, system);
    let mut walk = Walk { scope: &scope, resolver: Resolver::new(&scope), nodes: 0, open: Vec::new() };

    let mut parts = vec![walk.text(&source.condition, "condition")?];
    for exception in &source.exceptions {
        if let Some(text) = exception_condition(exception).ok()? {
            let inner = walk.text(&text, "exceptions")?;
            let from = vec![Origin::Exception { name: exception.name.clone() }];
            parts.push(Part { from, shape: Shape::Not(Box::new(inner)) });
        }
    }
    let condition = together(parts, Shape::And)?;
    if namespace == system {
        return Some(condition);
    }
    let expr = Expr::compare(FieldRef::plain(Field::K8sNsName), Op::Eq, namespace.as_str());
    let from = vec![Origin::Tenancy { namespace: namespace.clone() }];
    let bound = Part { from, shape: Shape::Leaf(LeafPart { expr, lists: Vec::new() }) };
    Some(Part::new(Shape::And(vec![bound, condition])))
}

/// One part, or several in one. `None`: there is none.
fn together(mut parts: Vec<Part>, shape: fn(Vec<Part>) -> Shape) -> Option<Part> {
    if parts.len() < 2 { parts.pop() } else { Some(Part::new(shape(parts))) }
}

struct Walk<'a> {
    scope: &'a Scope<'a>,
    resolver: Resolver<'a>,
    nodes: usize,
    /// Macros being looked into, to find cycles.
    open: Vec<(String, usize)>,
}

/// Where the walk is: the text, the level that names are looked for from, and the depth.
#[derive(Clone, Copy)]
struct At<'t> {
    place: Place<'t>,
    level: usize,
    depth: usize,
}

impl Walk<'_> {
    fn text(&mut self, text: &str, part: &str) -> Option<Part> {
        let ast = parse_condition(text).ok()?;
        self.node(&ast.root, At { place: Place { part, text }, level: 0, depth: 0 })
    }

    fn node(&mut self, node: &Node, at: At<'_>) -> Option<Part> {
        let at = At { depth: at.depth + 1, ..at };
        self.nodes += 1;
        if self.nodes > MAX_NODES || at.depth > MAX_DEPTH {
            return None;
        }
        // Each case has its own function: the frame of this one is on the stack a thousand times.
        match node {
            Node::And(parts) => together(self.parts(parts, at)?, Shape::And),
            Node::Or(parts) => together(self.parts(parts, at)?, Shape::Or),
            Node::Not(inner) => self.negation(inner, at),
            Node::Macro(name) => self.use_macro(&name.value, at),
            Node::Exists(_) | Node::Compare(_) => self.leaf(node, at),
        }
    }

    fn parts(&mut self, nodes: &[Node], at: At<'_>) -> Option<Vec<Part>> {
        let mut parts = Vec::with_capacity(nodes.len());
        for node in nodes {
            parts.push(self.node(node, at)?);
        }
        Some(parts)
    }

    fn negation(&mut self, inner: &Node, at: At<'_>) -> Option<Part> {
        let inner = Box::new(self.node(inner, at)?);
        Some(Part::new(Shape::Not(inner)))
    }

    fn use_macro(&mut self, name: &str, at: At<'_>) -> Option<Part> {
        let (def, level) = self.scope.find_macro(name, at.level)?;
        let ast = def.ast.as_ref().ok()?;
        let key = (name.to_owned(), level);
        if self.open.contains(&key) {
            return None;
        }
        self.open.push(key);
        let place = Place { part: &def.part, text: &ast.text };
        let mut part = self.node(&ast.root, At { place, level, depth: at.depth })?;
        self.open.pop();
        part.from.insert(0, Origin::Macro { name: name.to_owned(), library: def.owner.clone() });
        Some(part)
    }

    fn leaf(&mut self, node: &Node, at: At<'_>) -> Option<Part> {
        let expr = self.resolver.resolve_at(node, at.place, at.level)?;
        let lists = if let Node::Compare(compare) = node { self.lists(compare, at.level) } else { Vec::new() };
        Some(Part::new(Shape::Leaf(LeafPart { expr, lists })))
    }

    /// The names of lists on the right-hand side.
    fn lists(&self, compare: &Compare, level: usize) -> Vec<String> {
        match &compare.right {
            Right::Named(name) => vec![name.value.clone()],
            Right::List(items) => {
                let names = items.iter().filter_map(|item| list_name(&item.value));
                names.filter(|name| self.scope.find_list(name, level).is_some()).map(str::to_owned).collect()
            }
            Right::Value(_) | Right::Operand(_) => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    //! What is explained is what is evaluated.
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::*;
    use crate::{
        compile::{compile, failed_tests},
        priority::Priority,
        source::{Definitions, Expect, InlineException, LibrarySource, Meta, ObjectRef, RuleState, RuleTest},
    };

    fn meta(namespace: &str, name: &str) -> Meta {
        Meta { id: ObjectRef { namespace: namespace.into(), name: name.into() }, ..Meta::default() }
    }

    fn definitions(macros: &[(&str, &str)], lists: &[(&str, &[&str])]) -> Definitions {
        let items = |items: &[&str]| items.iter().map(ToString::to_string).collect();
        Definitions {
            macros: macros.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect(),
            lists: lists.iter().map(|(name, given)| (name.to_string(), items(given))).collect(),
        }
    }

    fn sources(namespace: &str, condition: &str) -> Sources {
        let library =
            definitions(&[("opened", "evt.type = open and known"), ("known", "fd.num >= 0")], &[("a", &["x", "y"])]);
        let exception = InlineException {
            name: "cats".into(),
            fields: vec!["proc.name".into()],
            comps: Vec::new(),
            values: vec![vec![vec!["cat".into()]]],
        };
        let rule = RuleSource {
            meta: meta(namespace, "r"),
            title: "r".into(),
            description: String::new(),
            condition: condition.into(),
            output: "x".into(),
            priority: Priority::Notice,
            tags: Vec::new(),
            state: RuleState::Active,
            definitions: definitions(&[("quiet", "not proc.name in (a, z)")], &[]),
            exceptions: vec![exception],
            tenant_exceptions: None,
            tests: Vec::new(),
        };
        let libraries = vec![LibrarySource { meta: meta("eyas-system", "lib"), definitions: library }];
        Sources { system_namespace: "eyas-system".into(), rules: vec![rule], libraries, ..Sources::default() }
    }

    #[test]
    fn the_outline_is_the_compiled_condition() {
        let text = "opened and quiet and (fd.name = /etc/x or not (proc.name = b and fd.name in (a)))";
        for namespace in ["eyas-system", "shop"] {
            let sources = sources(namespace, text);
            let part = outline(&sources.rules[0], &sources).unwrap();
            let compiled = compile(&sources, None);
            let wanted = &compiled.ruleset.rules[0].condition;
            // A tenant's bound stays apart in the ruleset; the canonical text shows it as one conjunction with brackets.
            assert_eq!(part.expr().to_string(), Part::of(wanted).expr().to_string());
        }
    }

    #[test]
    fn parts_say_where_they_came_from() {
        let sources = sources("shop", "opened and fd.name in (a)");
        let part = outline(&sources.rules[0], &sources).unwrap();
        let [bound, condition] = part.children() else { panic!("{part:?}") };
        assert_eq!((part.without_tenancy(), condition.without_tenancy()), (condition, condition));
        assert_eq!(bound.from, [Origin::Tenancy { namespace: "shop".into() }]);
        let [inner, exception] = condition.children() else { panic!("{condition:?}") };
        assert_eq!(exception.from, [Origin::Exception { name: "cats".into() }]);
        let [opened, list] = inner.children() else { panic!("{inner:?}") };
        let library = Some(ObjectRef { namespace: "eyas-system".into(), name: "lib".into() });
        assert_eq!(opened.from, [Origin::Macro { name: "opened".into(), library: library.clone() }]);
        assert_eq!(opened.children()[1].from, [Origin::Macro { name: "known".into(), library }]);
        assert!(matches!(&list.shape, Shape::Leaf(leaf) if leaf.lists == ["a"]), "{list:?}");
    }

    #[test]
    fn every_failed_event_is_told_as_compile_tells_the_first() {
        let mut sources = sources("shop", "opened and fd.name = /etc/x");
        let event = |name: &str| {
            let fields = serde_json::json!({"evt.type": "open", "fd.num": 3, "fd.name": name});
            serde_json::from_value(fields).unwrap()
        };
        let events = vec![event("/tmp/x"), event("/etc/x"), event("/tmp/y")];
        let test = RuleTest { name: "t".into(), events, expect: Expect::Match };
        let none = RuleTest { name: "none".into(), events: Vec::new(), expect: Expect::Match };
        sources.rules[0].tests = vec![test, none];
        let failures = failed_tests(&sources.rules[0], &sources);
        let places: Vec<_> = failures.iter().map(|f| (f.index, f.event)).collect();
        assert_eq!(places, [(0, Some(0)), (0, Some(2)), (1, None)]);
        let outcomes = compile(&sources, None).outcomes;
        let first = outcomes.iter().find_map(|outcome| outcome.failed_test.as_ref());
        assert_eq!(first, failures.first());
        assert!(failures[1].message.ends_with("`fd.name = /etc/x` was false: fd.name=/tmp/y"), "{}", failures[1]);
    }

    #[test]
    fn what_does_not_compile_has_no_outline() {
        let mut sources = sources("eyas-system", "me or me");
        sources.rules[0].definitions = definitions(&[("me", "me or me")], &[]);
        assert_eq!(outline(&sources.rules[0], &sources), None);
    }

    #[test]
    fn the_deepest_condition_has_an_outline_on_a_small_stack() {
        let levels = 995;
        let text =
            format!("{}proc.name = b{}", "(fd.num = 1 or (fd.num = 2 and ".repeat(levels / 2), "))".repeat(levels / 2));
        let sources = sources("eyas-system", &text);
        let part = outline(&sources.rules[0], &sources).unwrap();
        let event = crate::testing::MapEvent::default();
        let traced = crate::testing::trace(&part, &event);
        // Neither of the outermost two holds: that decides, whatever is below.
        assert_eq!(traced.reasons(&part).len(), 2);
        assert!(part.cost() > 0);
    }
}
