//! `required_engine_version` and `required_plugin_versions`.
use super::{
    code,
    item::Item,
    place::Finding,
    yaml::{Node, Range, Tree},
};

/// Falco's engine version whose language this is.
pub const ENGINE: [u32; 3] = [0, 63, 0];
/// Plugins whose fields Eyas supplies itself.
const BUILT_IN: [&str; 2] = ["container", "k8smeta"];

/// `x.y.z`.
fn version(text: &str) -> Option<[u32; 3]> {
    // What follows a hyphen or a plus sign does not count.
    let plain = text.split(['-', '+']).next()?;
    let parts: Vec<u32> = plain.split('.').map(str::parse).collect::<Result<_, _>>().ok()?;
    parts.try_into().ok()
}

pub fn engine(item: &mut Item<'_>) {
    let Some(node) = item.required("required_engine_version") else { return };
    let Some(text) = item.plain("required_engine_version", node) else { return };
    let Some(wanted) = text.parse().map(|minor| [0, minor, 0]).ok().or_else(|| version(text)) else {
        let message = format!("{text:?} is no engine version");
        let hint = "write three numbers, 0.31.0, or one, 31";
        return item.tell(node.at, Finding::error(code::YAML_VALIDATE, message).hint(hint));
    };
    let [major, minor, patch] = ENGINE;
    if wanted[0] != major || wanted > ENGINE {
        let [a, b, c] = wanted;
        let message = format!("the rules need engine version {a}.{b}.{c}; this is {major}.{minor}.{patch}");
        let hint = "take an older version of the rules, or a newer Eyas";
        item.tell(node.at, Finding::error(code::VALIDATE, message).hint(hint));
    }
}

pub fn plugins(item: &mut Item<'_>) {
    let Some(node) = item.required("required_plugin_versions") else { return };
    let Some(list) = node.list() else {
        let message = format!("`required_plugin_versions` is a list, not {}", node.what());
        let at = if node.at.end > node.at.start { node.at } else { item.head };
        let hint = "write [{name: container, version: 0.4.0}]";
        return item.tell(at, Finding::error(code::YAML_VALIDATE, message).hint(hint));
    };
    for plugin in list {
        let Some((name, at)) = requirement(item, plugin) else { continue };
        let mut names = vec![name];
        for alternative in plugin.get("alternatives").map(|n| alternatives(item, n)).unwrap_or_default() {
            let Some((name, at)) = requirement(item, alternative) else { continue };
            if names.contains(&name) {
                let message = format!("plugin {name} is there twice among its alternatives");
                item.tell(at, Finding::error(code::VALIDATE, message).hint("remove one of them"));
            }
            names.push(name);
        }
        if !names.iter().any(|name| BUILT_IN.contains(name)) {
            let message = format!("there is no plugin {}; rules about its events are skipped", names.join(" or "));
            item.tell(at, Finding::warning(code::UNAVAILABLE, message));
        }
    }
}

fn alternatives<'a>(item: &mut Item<'_>, node: &'a Node) -> &'a [Node] {
    node.list().unwrap_or_else(|| {
        let message = format!("`alternatives` is a list, not {}", node.what());
        item.tell(node.at, Finding::error(code::YAML_VALIDATE, message));
        &[]
    })
}

fn requirement<'a>(item: &mut Item<'_>, node: &'a Node) -> Option<(&'a str, Range)> {
    let error =
        |message: String| Finding::error(code::YAML_VALIDATE, message).hint("write {name: container, version: 0.4.0}");
    if !matches!(node.tree, Tree::Map(_)) {
        item.tell(node.at, error(format!("a plugin's requirement is a map, not {}", node.what())));
        return None;
    }
    let head = Range { start: node.at.start, end: node.at.start.saturating_add(1) };
    let [name, wanted] = ["name", "version"].map(|key| {
        let found = node.get(key).filter(|n| !n.is_null());
        let text = found.and_then(|n| n.text().filter(|t| !t.is_empty()).map(|text| (text, n.at)));
        if text.is_none() {
            item.tell(found.map_or(head, |n| n.at), error(format!("a plugin's requirement has no `{key}`")));
        }
        text
    });
    let (name, (wanted, at)) = (name?, wanted?);
    if version(wanted).is_none() {
        let message = format!("{wanted:?} is no version of plugin {}", name.0);
        item.tell(at, Finding::error(code::VALIDATE, message).hint("write three numbers: 0.4.0"));
        return None;
    }
    Some(name)
}
