//! A value that is never shown.

use std::cell::Cell;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, Serializer};

/// What stands for a secret wherever it would be shown.
const MASK: &str = "********";

thread_local! {
    static IS_MASKED: Cell<bool> = const { Cell::new(true) };
}

/// Runs `f` with secrets written out: to compare settings, never to show them.
pub(super) fn unmasked<T>(f: impl FnOnce() -> T) -> T {
    struct Restore;
    impl Drop for Restore {
        fn drop(&mut self) {
            IS_MASKED.set(true);
        }
    }
    IS_MASKED.set(false);
    let _restore = Restore;
    f()
}

/// A secret of the configuration. Any setting of this type can be given as `<name>_file` too: then
/// it is the content of that file, without the newline at its end.
#[derive(Clone, Deserialize, PartialEq, Eq)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// The secret itself. Whoever calls this does not print it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(if IS_MASKED.get() { MASK } else { &self.0 })
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "x-secret": true })
    }
}
