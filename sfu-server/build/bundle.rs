//! Many modules as one, so that a visitor asks for two scripts and not for forty: each module
//! becomes a function that is called once, in the order in which a browser would run them. Only the
//! forms of `import` and `export` that the page uses are understood; any other stops the build.

use std::collections::{BTreeMap, BTreeSet};

/// Modules by path, as they are embedded: without comments.
pub(crate) type Modules = BTreeMap<String, String>;

/// One module that does what `members` do, in the order given: imported ones first. It exports what
/// they export of `wanted`.
///
/// # Panics
/// On a form that is not understood, and on two exports of one name.
pub(crate) fn bundle(
    modules: &Modules,
    members: &[String],
    wanted: &BTreeSet<String>,
    outside: &dyn Fn(&str) -> Option<String>,
) -> String {
    let inside = names(modules, &|path| members.iter().any(|each| each == path));
    let mut out = String::new();
    let mut bodies = String::new();
    let mut exports = BTreeMap::new();
    let mut imports = BTreeSet::new();
    for path in members {
        let Parts { imported, exported, code } = parts(path, &modules[path]);
        bodies.push_str(&format!("const {} = (() => {{\n", variable(path)));
        let mut result = Vec::new();
        for (from, names) in &imported {
            if members.contains(from) {
                bodies.push_str(&format!(
                    "const {{{}}} = {};\n",
                    names.replace(" as ", ": "),
                    variable(from)
                ));
            } else {
                let url = outside(from).unwrap_or_else(|| format!("/{from}"));
                imports.insert(format!("import {{{names}}} from '{url}';\n"));
            }
        }
        bodies.push_str(&code);
        for (name, from) in exported {
            if !inside.contains(&name) && !wanted.contains(&name) {
                continue;
            }
            let value = from.map_or(String::new(), |from| format!(": {}.{name}", variable(&from)));
            result.push(format!("{name}{value}"));
            let home = if value.is_empty() { path.clone() } else { continue };
            let other = exports.insert(name.clone(), home);
            assert!(other.is_none(), "{path} exports {name}, and so does {other:?}");
        }
        bodies.push_str(&format!("return {{ {} }};\n}})();\n", result.join(", ")));
    }
    out.extend(imports);
    out.push_str(&bodies);
    let mut by_module: BTreeMap<&String, Vec<&String>> = BTreeMap::new();
    for (name, home) in exports.iter().filter(|(name, _)| wanted.contains(*name)) {
        by_module.entry(home).or_default().push(name);
    }
    for (home, names) in by_module {
        let names = names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
        out.push_str(&format!("export const {{ {names} }} = {};\n", variable(home)));
    }
    out
}

/// What the modules that `who` says import from anywhere, or hand on, or take from a module when
/// they load it late: `const { … } = await import(…)`.
pub(crate) fn names(modules: &Modules, who: &dyn Fn(&str) -> bool) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for (path, source) in modules.iter().filter(|(path, _)| who(path)) {
        let imported = parts(path, source).imported;
        for (_, names) in imported {
            all.extend(
                names
                    .split(',')
                    .map(|name| name.split(" as ").next().unwrap_or(name).trim().to_owned()),
            );
        }
        let handed_on = parts(path, source).exported.into_iter().filter(|(_, from)| from.is_some());
        all.extend(handed_on.map(|(name, _)| name));
    }
    all
}

/// A module's static imports and itself, imported ones first, as far as `belongs` says.
///
/// # Panics
/// If modules import each other in a circle.
pub(crate) fn order(modules: &Modules, entry: &str, belongs: &dyn Fn(&str) -> bool) -> Vec<String> {
    fn visit(
        modules: &Modules,
        path: &str,
        belongs: &dyn Fn(&str) -> bool,
        way: &mut Vec<String>,
        done: &mut Vec<String>,
    ) {
        assert!(!way.iter().any(|each| each == path), "{way:?} and {path} import each other");
        if done.iter().any(|each| each == path) {
            return;
        }
        way.push(path.to_owned());
        for (from, _) in parts(path, &modules[path]).imported {
            if belongs(&from) {
                visit(modules, &from, belongs, way, done);
            }
        }
        way.pop();
        done.push(path.to_owned());
    }
    let mut done = Vec::new();
    visit(modules, entry, belongs, &mut Vec::new(), &mut done);
    done
}

/// A module whose imports come from the bundle that holds them, if one does; one line for each.
pub(crate) fn redirect(
    path: &str,
    source: &str,
    bundled: &dyn Fn(&str) -> Option<String>,
) -> String {
    let mut moved: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let mut rest = String::new();
    for line in source.lines() {
        let from = line.starts_with("import ").then(|| quoted(line)).flatten();
        match (from.and_then(|from| bundled(&resolve(path, from))), braced(line)) {
            (Some(url), Some(names)) => moved.entry(url).or_default().push(names.trim()),
            _ => {
                rest.push_str(line);
                rest.push('\n');
            }
        }
    }
    let imports = moved
        .iter()
        .map(|(url, names)| format!("import {{ {} }} from '{url}';\n", names.join(", ")));
    imports.collect::<String>() + &rest
}

struct Parts {
    /// Path and the names between the braces, as written.
    imported: Vec<(String, String)>,
    /// Names, and where those come from that are only handed on.
    exported: Vec<(String, Option<String>)>,
    code: String,
}

fn parts(path: &str, source: &str) -> Parts {
    let mut parts = Parts { imported: Vec::new(), exported: Vec::new(), code: String::new() };
    for line in source.lines() {
        if line.starts_with("import ") {
            let from = quoted(line).unwrap_or_else(|| panic!("{path}: {line}"));
            let names = braced(line).unwrap_or_else(|| panic!("{path}: {line}"));
            parts.imported.push((resolve(path, from), names.to_owned()));
        } else if let (true, Some(from)) = (line.starts_with("export {"), quoted(line)) {
            let names = braced(line).unwrap_or_else(|| panic!("{path}: {line}"));
            let from = resolve(path, from);
            parts.imported.push((from.clone(), String::new()));
            parts
                .exported
                .extend(names.split(',').map(|name| (name.trim().to_owned(), Some(from.clone()))));
        } else if let Some(rest) = line.strip_prefix("export ") {
            let words = rest.strip_prefix("async ").unwrap_or(rest);
            let declared = ["function* ", "function ", "class ", "const "]
                .iter()
                .find_map(|word| words.strip_prefix(word));
            let declared = declared.unwrap_or_else(|| panic!("{path}: {line}"));
            let end =
                declared.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(declared.len());
            assert!(end > 0, "{path}: {line}");
            parts.exported.push((declared[..end].to_owned(), None));
            parts.code.push_str(rest);
            parts.code.push('\n');
        } else {
            parts.code.push_str(line);
            parts.code.push('\n');
        }
    }
    parts
}

fn quoted(line: &str) -> Option<&str> {
    line.split('\'').nth(1)
}

fn braced(line: &str) -> Option<&str> {
    Some(line.split_once('{')?.1.split_once('}')?.0)
}

/// Where a specifier leads, as a path from the page's folder.
fn resolve(path: &str, from: &str) -> String {
    let mut folders: Vec<&str> = path.split('/').collect();
    folders.pop();
    for part in from.split('/') {
        match part {
            "." => {}
            ".." => drop(folders.pop()),
            part => folders.push(part),
        }
    }
    folders.join("/")
}

/// A name for what a module exports, that no module uses itself.
fn variable(path: &str) -> String {
    let name = path.trim_end_matches(".js").rsplit('/').next().unwrap_or(path);
    format!("${}", name.replace(|c: char| !c.is_alphanumeric(), "_"))
}
