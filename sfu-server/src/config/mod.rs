//! What the server can be told: one typed [`Settings`], a section a file. `load` puts it together
//! from defaults, a TOML file, the environment and the command line; `reference` writes
//! `docs/configuration.md` from the types, so their comments are what operators read.
//!
//! To add a setting: a field with a doc comment and a default in its section, its rule in
//! `validate`, `x-reload` if it may change while the server runs, and
//! `SFU_BLESS=1 cargo test --release -p sfu-server --lib configuration_reference`.

mod advertised;
mod auth;
mod drain;
mod environment;
mod fault;
mod flags;
mod http;
mod ice;
mod limits;
mod live;
mod load;
mod log;
mod media;
mod print;
mod reference;
mod schema;
mod secret;
mod telemetry;
mod tls;
mod webhooks;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use advertised::Advertised;
pub use auth::{AuthSettings, KeySettings};
pub use drain::DrainSettings;
pub use environment::Variables;
pub use fault::{Fault, Faults};
pub use flags::Flags;
pub use http::HttpSettings;
pub use ice::IceSettings;
pub use limits::LimitSettings;
pub use live::{Live, Reloaded};
pub use load::{Loaded, Source, load};
pub use log::{LogFormat, LogSettings};
pub use media::{MediaSettings, PlacementPolicy};
pub use print::print;
pub use reference::reference;
pub use secret::Secret;
pub use telemetry::TelemetrySettings;
pub use tls::{TlsMode, TlsSettings};
pub use webhooks::{WebhookEndpoint, WebhookSettings};

/// Everything the server can be told. The defaults make a ready development server.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    pub auth: AuthSettings,
    pub drain: DrainSettings,
    pub http: HttpSettings,
    pub ice: IceSettings,
    pub limits: LimitSettings,
    pub log: LogSettings,
    pub media: MediaSettings,
    pub telemetry: TelemetrySettings,
    pub tls: TlsSettings,
    pub webhooks: WebhookSettings,
}

impl Settings {
    /// What no type can say: every rule that is broken.
    pub fn validate(&self) -> Faults {
        let mut faults = Faults::default();
        self.auth.validate(&mut faults);
        self.webhooks.validate(&mut faults);
        self.http.validate(&mut faults);
        self.ice.validate(&mut faults);
        self.limits.validate(&mut faults);
        self.log.validate(&mut faults);
        self.media.validate(&mut faults);
        self.drain.validate(&mut faults);
        self.telemetry.validate(&mut faults);
        self.tls.validate(&mut faults);
        faults
    }
}

#[cfg(test)]
mod tests;
