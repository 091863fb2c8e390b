//! The keys in force. They change as a whole, while the server runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_lc_rs::{constant_time, digest};
use jsonwebtoken::DecodingKey;
use parking_lot::RwLock;

use crate::config::{AuthSettings, Secret};
use crate::limits;

/// The keys in force, shared by everything that looks at tokens. Cheap to clone.
#[derive(Clone)]
pub struct KeyRing(Arc<RwLock<Arc<Keys>>>);

/// All keys of a moment, checked and ready for use.
pub struct Keys {
    pub(super) by_name: BTreeMap<String, Arc<ReadyKey>>,
    /// The digest of the administrator's key.
    admin: Option<[u8; 32]>,
    /// Furthest end of a token from now, in seconds.
    pub(super) lifetime_max: u64,
    /// Seconds that clocks may differ by.
    pub(super) leeway: u64,
    /// What tokens of unknown keys are checked with, so that it takes as long.
    pub(super) nobodys: DecodingKey,
}

/// A room key as it is configured.
#[derive(Clone, Debug)]
pub struct ApiKey {
    /// What tokens name as their issuer.
    pub name: String,
    pub secret: Secret,
    /// Rooms it is good for: those whose names begin so.
    pub room_prefix: String,
}

/// A room key ready for use.
pub(super) struct ReadyKey {
    pub(super) decoding: DecodingKey,
    pub(super) room_prefix: String,
    pub(super) secret: Secret,
}

/// Why keys cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    #[error("{0} must have {min} bytes at least", min = limits::SECRET_BYTES_MIN)]
    TooShort(String),
    #[error("a key's name must have 1 to {max} printable bytes", max = limits::NAME_BYTES_MAX)]
    Name,
    #[error("more than {max} keys", max = limits::API_KEYS_MAX)]
    TooMany,
}

impl Keys {
    /// The keys of a configuration, if each of them can be used.
    pub fn new(settings: &AuthSettings) -> Result<Self, KeysError> {
        if settings.keys.len() > limits::API_KEYS_MAX {
            return Err(KeysError::TooMany);
        }
        let mut by_name = BTreeMap::new();
        for (name, key) in &settings.keys {
            if !(1..=limits::NAME_BYTES_MAX).contains(&name.len())
                || name.chars().any(char::is_control)
            {
                return Err(KeysError::Name);
            }
            let secret = long_enough(&key.secret, &format!("the secret of key `{name}`"))?;
            let ready = ReadyKey {
                decoding: DecodingKey::from_secret(secret.as_bytes()),
                room_prefix: key.room_prefix.clone(),
                secret: key.secret.clone(),
            };
            by_name.insert(name.clone(), Arc::new(ready));
        }
        let admin = match &settings.admin_key {
            Some(key) => Some(sha256(long_enough(key, "the administrator's key")?.as_bytes())),
            None => None,
        };
        Ok(Self {
            by_name,
            admin,
            lifetime_max: settings.token_lifetime_max_seconds,
            leeway: settings.leeway_seconds,
            nobodys: DecodingKey::from_secret(&rand::random::<[u8; 32]>()),
        })
    }

    /// Whether there are none: everybody may do everything.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty() && self.admin.is_none()
    }

    /// A room key by name, as it was configured.
    pub fn key(&self, name: &str) -> Option<ApiKey> {
        let (name, key) = self.by_name.get_key_value(name)?;
        Some(ApiKey {
            name: name.clone(),
            secret: key.secret.clone(),
            room_prefix: key.room_prefix.clone(),
        })
    }

    /// The names of the room keys, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    /// Whether this is the administrator's key. Digests are compared, so that the time taken says
    /// nothing of length or content.
    pub(super) fn is_admin(&self, presented: &str) -> bool {
        let presented = sha256(presented.as_bytes());
        let own = self.admin.unwrap_or_default();
        let is_same = constant_time::verify_slices_are_equal(&presented, &own).is_ok();
        is_same && self.admin.is_some()
    }
}

impl KeyRing {
    pub fn new(keys: Keys) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(keys))))
    }

    /// The keys of this moment.
    pub fn now(&self) -> Arc<Keys> {
        Arc::clone(&self.0.read())
    }

    /// Puts other keys in force: tokens of a key that is gone are refused from now on, and who has
    /// joined with one stays.
    pub fn replace(&self, keys: Keys) {
        *self.0.write() = Arc::new(keys);
    }
}

fn long_enough<'a>(secret: &'a Secret, what: &str) -> Result<&'a str, KeysError> {
    let secret = secret.expose();
    if secret.len() < limits::SECRET_BYTES_MIN {
        return Err(KeysError::TooShort(what.to_owned()));
    }
    Ok(secret)
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let digest = digest::digest(&digest::SHA256, bytes);
    digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
}
