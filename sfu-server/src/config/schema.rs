//! The JSON Schema of [`Settings`], as a tree to walk: which settings there are, of which type,
//! which are secrets, and which may change while the server runs.

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::Settings;

/// One place in the tree: a section, a map or a setting.
#[derive(Clone, Debug)]
pub(super) struct Node(Value);

/// What a setting is, as far as text from the environment has to be told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Integer,
    Number,
    Boolean,
    List,
    /// A section, or a map of names to something.
    Table,
}

impl Node {
    /// The top of the tree.
    pub(super) fn root() -> Self {
        let settings = SchemaSettings::draft2020_12().with(|s| s.inline_subschemas = true);
        Self(settings.into_generator().into_root_schema_for::<Settings>().to_value())
    }

    /// What is called `name` here: in a section one of its settings, in a map anything.
    pub(super) fn child(&self, name: &str) -> Option<Self> {
        let found = self.0.get("properties").and_then(|all| all.get(name));
        let any = || self.0.get("additionalProperties").filter(|any| any.is_object());
        found.or_else(any).map(|child| Self(child.clone()).without_null())
    }

    /// The settings of a section, by name.
    pub(super) fn properties(&self) -> impl Iterator<Item = (String, Self)> {
        let all = self.0.get("properties").and_then(Value::as_object).into_iter().flatten();
        all.map(|(name, child)| (name.clone(), Self(child.clone()).without_null()))
    }

    pub(super) fn has_properties(&self) -> bool {
        self.0.get("properties").is_some()
    }

    /// What a list is made of.
    pub(super) fn item(&self) -> Option<Self> {
        self.0.get("items").map(|item| Self(item.clone()).without_null())
    }

    /// What a map is made of.
    pub(super) fn map_item(&self) -> Option<Self> {
        let any = self.0.get("additionalProperties").filter(|any| any.is_object())?;
        Some(Self(any.clone()).without_null())
    }

    pub(super) fn kind(&self) -> Kind {
        let kind = match self.0.get("type") {
            Some(Value::Array(kinds)) => kinds.iter().find(|kind| *kind != "null"),
            kind => kind,
        };
        match kind.and_then(Value::as_str) {
            Some("integer") => Kind::Integer,
            Some("number") => Kind::Number,
            Some("boolean") => Kind::Boolean,
            Some("array") => Kind::List,
            Some("object") => Kind::Table,
            _ => Kind::Text,
        }
    }

    /// Whether it may change while the server runs.
    pub(super) fn reloads(&self) -> bool {
        self.0.get("x-reload") == Some(&Value::Bool(true))
    }

    pub(super) fn is_secret(&self) -> bool {
        self.0.get("x-secret") == Some(&Value::Bool(true))
    }

    pub(super) fn description(&self) -> &str {
        self.0.get("description").and_then(Value::as_str).unwrap_or_default()
    }

    pub(super) fn default(&self) -> Option<&Value> {
        self.0.get("default").filter(|default| !default.is_null())
    }

    /// The words that are allowed, with what each means; empty if it is not a choice.
    pub(super) fn choices(&self) -> Vec<(String, String)> {
        let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().into();
        let described = self.0.get("oneOf").and_then(Value::as_array).into_iter().flatten();
        let described = described.map(|one| (text(one.get("const")), text(one.get("description"))));
        let bare = self.0.get("enum").and_then(Value::as_array).into_iter().flatten();
        described.chain(bare.map(|one| (text(Some(one)), String::new()))).collect()
    }

    /// An optional setting's schema is the setting's: its absence is no value of TOML.
    fn without_null(mut self) -> Self {
        let Some(Value::Array(any)) = self.0.get_mut("anyOf").map(Value::take) else { return self };
        let own = any.into_iter().find(|one| one.get("type") != Some(&Value::from("null")));
        let (Some(Value::Object(own)), Some(all)) = (own, self.0.as_object_mut()) else {
            return self;
        };
        all.remove("anyOf");
        for (name, value) in own {
            all.entry(name).or_insert(value);
        }
        self
    }
}

/// The name that is most like `wrong`, if one is like it at all.
pub(super) fn nearest<'a>(
    wrong: &str,
    names: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let alike = |name: &str| strsim::jaro_winkler(wrong, name);
    let best = names.into_iter().max_by(|a, b| alike(a).total_cmp(&alike(b)))?;
    (alike(best) > 0.75).then_some(best)
}
