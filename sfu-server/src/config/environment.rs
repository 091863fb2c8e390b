//! Settings from environment variables: `SFU__MEDIA__UDP_PORT` is `media.udp_port`.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::Faults;
use super::load::{Given, Source, child_or_file, unknown};
use super::schema::{Kind, Node};

/// What every variable of a setting begins with.
const PREFIX: &str = "SFU__";

/// The environment.
#[derive(Clone, Debug, Default)]
pub struct Variables(BTreeMap<String, String>);

impl Variables {
    /// Those of this process that are named for it.
    pub fn of_process() -> Self {
        let readable = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        std::env::vars_os().filter_map(readable).collect()
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

impl FromIterator<(String, String)> for Variables {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(all: I) -> Self {
        Self(all.into_iter().filter(|(name, _)| name.starts_with("SFU_")).collect())
    }
}

/// All that is given in variables.
pub(super) fn read(root: &Node, variables: &Variables, faults: &mut Faults) -> Vec<Given> {
    let named = variables
        .0
        .iter()
        .filter_map(|(name, value)| Some((name, name.strip_prefix(PREFIX)?, value)));
    let mut all = Vec::new();
    for (variable, path, text) in named {
        let source = Source::Variable(variable.clone());
        let path = path.split("__").map(str::to_lowercase).collect();
        match parse(root, path, text, source.clone()) {
            Ok(given) => all.push(given),
            Err(message) => faults.add("", format!("{source}: {message}")),
        }
    }
    all
}

/// Text for a setting, read as its type says.
pub(super) fn parse(
    root: &Node,
    path: Vec<String>,
    text: &str,
    source: Source,
) -> Result<Given, String> {
    let mut node = root.clone();
    for name in &path {
        node = child_or_file(&node, name).ok_or_else(|| unknown(&node, name))?;
    }
    let value = value(&node, text)?;
    Ok(Given { path, value, source })
}

fn value(node: &Node, text: &str) -> Result<Value, String> {
    let wrong = |what: &str| format!("`{text}` is no {what}");
    match node.kind() {
        Kind::Text => Ok(text.into()),
        Kind::Integer => text.trim().parse().map(Value::Integer).map_err(|_| wrong("whole number")),
        Kind::Number => text.trim().parse().map(Value::Float).map_err(|_| wrong("number")),
        Kind::Boolean => {
            text.trim().parse().map(Value::Boolean).map_err(|_| wrong("true or false"))
        }
        Kind::Table => toml(text),
        Kind::List if text.trim_start().starts_with('[') => toml(text),
        Kind::List => {
            let item = node.item().ok_or("the items of this list have no type")?;
            let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
            words.map(|word| value(&item, word)).collect::<Result<Vec<_>, _>>().map(Value::Array)
        }
    }
}

/// A value in TOML's own notation.
fn toml(text: &str) -> Result<Value, String> {
    let parsed: Result<Table, _> = format!("value = {text}").parse();
    let mut table = parsed.map_err(|e| format!("`{text}` is no TOML: {}", e.message()))?;
    table.remove("value").ok_or_else(|| format!("`{text}` is no value"))
}
