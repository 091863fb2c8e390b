//! Makes keys and tokens: for the command line and for `POST /api/v1/tokens`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};

use super::claims::Claims;
use super::keys::ApiKey;
use crate::config::Secret;

/// Why no token was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MintError {
    #[error("this key is for other rooms")]
    OtherRooms,
    #[error("the token cannot be signed")]
    Signing,
}

/// A token with these claims, signed with `key`; `iss` is the key's name, whatever it was.
pub fn token(key: &ApiKey, claims: &Claims) -> Result<String, MintError> {
    if !claims.video.room.starts_with(&key.room_prefix) {
        return Err(MintError::OtherRooms);
    }
    let claims = Claims { iss: key.name.clone(), ..claims.clone() };
    let secret = EncodingKey::from_secret(key.secret.expose().as_bytes());
    encode(&Header::new(Algorithm::HS256), &claims, &secret).map_err(|_| MintError::Signing)
}

/// A new key for any room: a name of 12 characters and 256 random bits.
pub fn new_key() -> ApiKey {
    let name = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 9]>());
    let secret = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
    ApiKey { name, secret: Secret::new(secret), room_prefix: String::new() }
}
