//! The settings in force as TOML, each with where it came from; secrets are masked.

use std::fmt::Write as _;

use toml::{Table, Value};

use super::Loaded;
use super::schema::Node;

/// What `sfu config print` prints: a configuration file that says the same.
pub fn print(loaded: &Loaded) -> String {
    let table = Table::try_from(&loaded.settings).expect("settings are made of what TOML has");
    let mut text = String::new();
    section(&Node::root(), loaded, &mut Vec::new(), &table, &mut text);
    text
}

fn section(
    schema: &Node,
    loaded: &Loaded,
    path: &mut Vec<String>,
    table: &Table,
    out: &mut String,
) {
    let is_section = |name: &str, value: &Value| {
        let child = schema.child(name);
        child.is_some_and(|child| child.has_properties() || child.map_item().is_some())
            && value.is_table()
    };
    let is_empty = |value: &Value| value.as_table().is_some_and(Table::is_empty);
    let plain = table.iter().filter(|(name, value)| !is_section(name, value) && !is_empty(value));
    for (name, value) in plain {
        let mut place = path.clone();
        place.push(name.clone());
        let place = place.join(".");
        let source = loaded.sources.get(&place);
        let source = source.map_or_else(|| "default".to_owned(), ToString::to_string);
        let _ = writeln!(out, "{} = {value} # {source}", key(name));
    }
    for (name, value) in table {
        let (true, Value::Table(inner)) = (is_section(name, value), value) else { continue };
        path.push(name.clone());
        if !inner.is_empty() {
            let heading: Vec<String> = path.iter().map(|name| key(name)).collect();
            let gap = if out.is_empty() { "" } else { "\n" };
            let _ = writeln!(out, "{gap}[{}]", heading.join("."));
        }
        let child = schema.child(name).expect("a section is in the schema");
        section(&child, loaded, path, inner, out);
        path.pop();
    }
}

/// A name as TOML wants it.
fn key(name: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.chars().all(is_bare) {
        return name.to_owned();
    }
    Value::from(name).to_string()
}
