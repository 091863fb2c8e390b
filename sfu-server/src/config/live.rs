//! The settings in force, which change when the configuration is read again.

use std::sync::Arc;

use parking_lot::RwLock;
use toml::{Table, Value};

use super::Settings;
use super::schema::Node;
use super::secret::unmasked;

/// The settings in force, shared by everything that looks at them. Look anew for each decision;
/// what is derived from settings and kept (keys, certificates) is renewed where a reload is
/// carried out.
#[derive(Clone, Debug, Default)]
pub struct Live(Arc<RwLock<Arc<Settings>>>);

/// What became of a new configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// Settings that changed, dotted, and are in force.
    pub changed: Vec<String>,
    /// Settings that differ from those in force but wait for the next start.
    pub waiting: Vec<String>,
}

impl Live {
    pub fn new(settings: Settings) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(settings))))
    }

    /// The settings of this moment.
    pub fn now(&self) -> Arc<Settings> {
        Arc::clone(&self.0.read())
    }

    /// Puts `new` in force as far as it may change while the server runs, and says what changed
    /// and what did not.
    pub fn replace(&self, new: &Settings) -> Reloaded {
        let mut in_force = self.0.write();
        let mut outcome = Reloaded::default();
        let mut tree = tree(&in_force);
        take_over(&Node::root(), &mut Vec::new(), &mut tree, &self::tree(new), &mut outcome);
        let settings = tree.try_into().expect("a mixture of two valid settings is valid");
        *in_force = Arc::new(settings);
        outcome
    }
}

/// Settings as a table, secrets included.
fn tree(settings: &Settings) -> Table {
    unmasked(|| Table::try_from(settings)).expect("settings are made of what TOML has")
}

/// Copies what may be reloaded from `new` to `old`.
fn take_over(
    schema: &Node,
    path: &mut Vec<String>,
    old: &mut Table,
    new: &Table,
    outcome: &mut Reloaded,
) {
    for (name, child) in schema.properties() {
        if old.get(&name) == new.get(&name) {
            continue;
        }
        path.push(name.clone());
        if child.reloads() {
            outcome.changed.push(path.join("."));
            match new.get(&name) {
                Some(value) => old.insert(name, value.clone()),
                None => old.remove(&name),
            };
        } else if let (Some(Value::Table(old)), Some(Value::Table(new))) =
            (old.get_mut(&name), new.get(&name))
            && child.has_properties()
        {
            take_over(&child, path, old, new, outcome);
        } else {
            outcome.waiting.push(path.join("."));
        }
        path.pop();
    }
}
