//! From everywhere a setting may come from to one [`Settings`]: command line over environment over
//! file over default. Unknown names are errors that say which name is meant, and every fault is
//! reported at once with its source.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::environment::Variables;
use super::schema::{Kind, Node, nearest};
use super::{Faults, Flags, Settings, environment};

/// A configuration file and a file with a secret are no longer than this.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Settings, and where each of those that were given came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub settings: Settings,
    /// Only what is not the default, by dotted path.
    pub sources: BTreeMap<String, Source>,
    /// Files this was read from: whoever watches for changes looks at them.
    pub files: Vec<PathBuf>,
}

/// Where a setting came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    File(PathBuf),
    Variable(String),
    Flag(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Variable(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "{name}"),
        }
    }
}

/// One value at one place, from one source.
pub(super) struct Given {
    pub(super) path: Vec<String>,
    pub(super) value: Value,
    pub(super) source: Source,
}

/// Reads everything. `variables` is the environment.
pub fn load(flags: &Flags, variables: &Variables) -> Result<Loaded, Faults> {
    let mut loader = Loader { root: Node::root(), faults: Faults::default(), files: Vec::new() };
    let mut layers = Vec::new();
    if let Some(path) = flags.config_file(variables) {
        layers.extend(loader.file(&path));
    }
    if let Some(text) = variables.get("SFU_CONFIG") {
        layers.extend(loader.text(text, &Source::Variable("SFU_CONFIG".to_owned())));
    }
    layers.extend(environment::read(&loader.root, variables, &mut loader.faults));
    layers.extend(flags.given(&loader.root, &mut loader.faults));
    let layers = layers.into_iter().filter_map(|given| loader.resolve(given)).collect();
    loader.finish(layers)
}

struct Loader {
    root: Node,
    faults: Faults,
    files: Vec<PathBuf>,
}

impl Loader {
    fn file(&mut self, path: &Path) -> Vec<Given> {
        let source = Source::File(path.to_owned());
        match read(path) {
            Ok(text) => {
                self.files.push(path.to_owned());
                self.text(&text, &source)
            }
            Err(message) => {
                self.fault(&[], message, &source);
                Vec::new()
            }
        }
    }

    fn text(&mut self, text: &str, source: &Source) -> Vec<Given> {
        let mut all = Vec::new();
        match text.parse::<Table>() {
            Ok(table) => {
                let root = self.root.clone();
                self.flatten(&root, &mut Vec::new(), table, source, &mut all);
            }
            Err(e) => self.fault(&[], format!("is no TOML: {}", e.to_string().trim_end()), source),
        }
        all
    }

    /// Sections and maps are taken apart; everything else is one value.
    fn flatten(
        &mut self,
        schema: &Node,
        path: &mut Vec<String>,
        table: Table,
        source: &Source,
        all: &mut Vec<Given>,
    ) {
        for (name, value) in table {
            path.push(name);
            let name = path.last().expect("pushed above");
            match (child_or_file(schema, name), value) {
                (None, _) => {
                    let message = unknown(schema, name);
                    self.fault(path, message, source);
                }
                (Some(child), Value::Table(table)) if child.kind() == Kind::Table => {
                    self.flatten(&child, path, table, source, all);
                }
                (Some(_), value) => {
                    all.push(Given { path: path.clone(), value, source: source.clone() });
                }
            }
            path.pop();
        }
    }

    /// Puts the content of secrets' files in their place.
    fn resolve(&mut self, mut given: Given) -> Option<Given> {
        let (name, parents) = given.path.split_last().expect("no value is given at the top");
        let parent = parents.iter().try_fold(self.root.clone(), |node, name| node.child(name))?;
        if parent.child(name).is_none() {
            let secret = name.strip_suffix("_file").unwrap_or(name).to_owned();
            let value = self.secret(&given.value, &given.path, &given.source)?;
            let mut path = parents.to_vec();
            path.push(secret);
            return Some(Given { path, value, source: given.source });
        }
        let child = parent.child(name).expect("looked at above");
        self.resolve_within(&child, &given.path, &mut given.value, &given.source);
        Some(given)
    }

    /// The same for the tables of a list, whose names are checked here too.
    fn resolve_within(&mut self, schema: &Node, path: &[String], value: &mut Value, from: &Source) {
        let (Some(item), Value::Array(values)) = (schema.item(), value) else { return };
        if !item.has_properties() {
            return;
        }
        for table in values.iter_mut().filter_map(Value::as_table_mut) {
            for (name, value) in std::mem::take(table) {
                let mut path = path.to_vec();
                path.push(name.clone());
                match child_or_file(&item, &name) {
                    None => self.fault(&path, unknown(&item, &name), from),
                    Some(_) if item.child(&name).is_none() => {
                        let secret = name.strip_suffix("_file").unwrap_or(&name).to_owned();
                        if let Some(value) = self.secret(&value, &path, from) {
                            table.insert(secret, value);
                        }
                    }
                    Some(_) => {
                        table.insert(name, value);
                    }
                }
            }
        }
    }

    fn secret(&mut self, file: &Value, path: &[String], source: &Source) -> Option<Value> {
        let Some(file) = file.as_str().map(Path::new) else {
            self.fault(path, "must be the path of a file", source);
            return None;
        };
        match read(file) {
            Ok(text) => {
                self.files.push(file.to_owned());
                Some(Value::from(text.trim_end_matches(['\r', '\n'])))
            }
            Err(message) => {
                self.fault(path, format!("{}: {message}", file.display()), source);
                None
            }
        }
    }

    /// Later values replace earlier ones.
    fn finish(mut self, given: Vec<Given>) -> Result<Loaded, Faults> {
        let mut table = Table::new();
        let mut sources = BTreeMap::new();
        for given in given {
            sources.insert(given.path.join("."), given.source);
            insert(&mut table, &given.path, given.value);
        }
        let settings: Settings = match serde_path_to_error::deserialize(Value::Table(table)) {
            Ok(settings) => settings,
            Err(e) => {
                let message = e.inner().to_string();
                self.faults.add(e.path().to_string(), message.trim_end());
                Settings::default()
            }
        };
        self.faults.0.extend(settings.validate().0);
        for fault in self.faults.0.iter_mut().filter(|fault| fault.source.is_none()) {
            let place = sources.iter().find(|(path, _)| is_within(&fault.path, path));
            fault.source = place.map(|(_, source)| source.to_string());
        }
        if !self.faults.is_empty() {
            return Err(self.faults);
        }
        Ok(Loaded { settings, sources, files: self.files })
    }

    fn fault(&mut self, path: &[String], message: impl Into<String>, source: &Source) {
        self.faults.add(path.join("."), message);
        let fault = self.faults.0.last_mut().expect("added above");
        fault.source = Some(source.to_string());
    }
}

/// Whether `path` is `outer` or lies within it.
fn is_within(path: &str, outer: &str) -> bool {
    path.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// The setting of this name; for `<secret>_file` the secret.
pub(super) fn child_or_file(schema: &Node, name: &str) -> Option<Node> {
    let secret = || schema.child(name.strip_suffix("_file")?).filter(Node::is_secret);
    schema.child(name).or_else(secret)
}

/// What is said of a name that is no setting.
pub(super) fn unknown(schema: &Node, name: &str) -> String {
    let names: Vec<String> = schema.properties().map(|(name, _)| name).collect();
    match nearest(name, names.iter().map(String::as_str)) {
        Some(meant) => format!("there is no such setting; did you mean `{meant}`?"),
        None => format!("there is no such setting; here are: {}", names.join(", ")),
    }
}

fn insert(table: &mut Table, path: &[String], value: Value) {
    let (name, parents) = path.split_last().expect("no value is given at the top");
    let table = parents.iter().fold(table, |table, name| {
        let entry = table.entry(name.as_str()).or_insert_with(|| Table::new().into());
        entry.as_table_mut().expect("only sections and maps are parents: see flatten")
    });
    table.insert(name.clone(), value);
}

fn read(path: &Path) -> Result<String, String> {
    use std::io::Read as _;
    let file = std::fs::File::open(path).map_err(|e| format!("cannot be read: {e}"))?;
    let mut text = String::new();
    let mut limited = file.take(FILE_BYTES_MAX + 1);
    limited.read_to_string(&mut text).map_err(|e| format!("cannot be read: {e}"))?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("is over {FILE_BYTES_MAX} bytes"));
    }
    Ok(text)
}
