//! Reads a token: pinned algorithm, one key by name, strict claims. A refusal does not say why.

use std::sync::Arc;

use jsonwebtoken::{Algorithm, Header, Validation, dangerous};
use serde::Deserialize;

use super::claims::Claims;
use super::keys::{KeyRing, Keys};
use crate::limits::TOKEN_BYTES_MAX;

/// Who is asking.
#[derive(Clone, Debug)]
pub(crate) enum Caller {
    /// There are no keys: anybody.
    Anybody,
    /// The administrator's key.
    Admin,
    /// A token.
    Token(Arc<Verified>),
}

/// A token that was signed by one of the keys, is in its time, and keeps to that key's rooms.
#[derive(Clone, Debug)]
pub(crate) struct Verified {
    pub(crate) claims: Claims,
}

/// No token, or none that counts. Clients are told nothing more; why is for the log alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused(pub(crate) &'static str);

impl KeyRing {
    /// Who presents this credential at `unix_now`: the administrator's key, or a token. Any of them
    /// will do where there are no keys.
    pub(crate) fn identify(
        &self,
        credential: Option<&str>,
        unix_now: u64,
    ) -> Result<Caller, Refused> {
        let keys = self.now();
        if keys.is_empty() {
            return Ok(Caller::Anybody);
        }
        let credential = credential.ok_or(Refused("there is none"))?;
        if credential.len() > TOKEN_BYTES_MAX {
            return Err(Refused("it is too long"));
        }
        // Both are looked at, whichever it is: the time says nothing either.
        let is_admin = keys.is_admin(credential);
        let token = keys.verify(credential, unix_now);
        if is_admin { Ok(Caller::Admin) } else { token.map(Arc::new).map(Caller::Token) }
    }
}

impl Keys {
    fn verify(&self, token: &str, unix_now: u64) -> Result<Verified, Refused> {
        /// The one claim that is read before anything is proven: it says which key to try.
        #[derive(Deserialize)]
        struct Issuer {
            iss: String,
        }
        let issuer = dangerous::insecure_decode_claims::<Issuer>(token).map(|claims| claims.iss);
        let issuer = issuer.unwrap_or_default();
        let key = self.by_name.get(&issuer);
        let decoding = key.map_or(&self.nobodys, |key| &key.decoding);
        let token = jsonwebtoken::decode::<Claims>(token, decoding, &signature_only());
        let key = key.ok_or(Refused("no key has the name of its issuer"))?;
        let token = token.map_err(|_| Refused("its signature or its claims are wrong"))?;
        let claims = token.claims;
        if !is_plain(&token.header, &issuer) {
            return Err(Refused("its header brings or demands something"));
        }
        self.check_time(&claims, unix_now)?;
        if !claims.video.room.starts_with(&key.room_prefix) {
            return Err(Refused("its key is for other rooms"));
        }
        Ok(Verified { claims })
    }

    fn check_time(&self, claims: &Claims, now: u64) -> Result<(), Refused> {
        let is_early = |from: Option<u64>| from.is_some_and(|from| from > now + self.leeway);
        if claims.exp.saturating_add(self.leeway) <= now {
            return Err(Refused("its time is over"));
        }
        if claims.exp > now.saturating_add(self.lifetime_max + self.leeway) {
            return Err(Refused("it would be good for too long"));
        }
        if is_early(claims.nbf) || is_early(claims.iat) {
            return Err(Refused("its time has not begun: do the clocks agree?"));
        }
        Ok(())
    }
}

/// The library proves the signature, by HS256 and nothing else. Time is looked at here, where it is
/// an argument.
fn signature_only() -> Validation {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.validate_exp = false;
    validation.validate_nbf = false;
    // A token that was made out to somebody else is not for us; ours have no audience.
    validation.validate_aud = true;
    validation.set_required_spec_claims(&["exp", "iss"]);
    validation
}

/// A header that brings no key of its own and demands nothing (RFC 7515 §4.1). A key id may repeat
/// the issuer; it is compared and never looked up.
fn is_plain(header: &Header, issuer: &str) -> bool {
    let Header { typ, kid, jku, jwk, x5u, x5c, crit, enc, zip, .. } = header;
    let is_jwt = typ.as_deref().is_none_or(|typ| typ.eq_ignore_ascii_case("JWT"));
    let names_issuer = kid.as_deref().is_none_or(|kid| kid == issuer);
    let brings_nothing = jku.is_none() && jwk.is_none() && x5u.is_none() && x5c.is_none();
    let demands_nothing = crit.is_none() && enc.is_none() && zip.is_none();
    is_jwt && names_issuer && brings_nothing && demands_nothing
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
