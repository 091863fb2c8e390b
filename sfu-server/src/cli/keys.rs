//! `sfu keys new`

use std::process::ExitCode;

use clap::Subcommand;
use sfu_server::auth::{ApiKey, new_key};

#[derive(Subcommand)]
pub(super) enum KeysCommand {
    /// Make a key: random, and printed as a part of a configuration file.
    New {
        /// The rooms it is good for: those whose names begin so.
        #[arg(long, value_name = "PREFIX", default_value = "")]
        room_prefix: String,
    },
}

pub(super) fn run(command: &KeysCommand) -> ExitCode {
    let KeysCommand::New { room_prefix } = command;
    print!("{}", describe(&ApiKey { room_prefix: room_prefix.clone(), ..new_key() }));
    ExitCode::SUCCESS
}

fn describe(key: &ApiKey) -> String {
    let quote = |text: &str| toml::Value::from(text).to_string();
    let mut text = format!("[auth.keys.{}]\n", quote(&key.name));
    text.push_str(&format!("secret = {}\n", quote(key.secret.expose())));
    if !key.room_prefix.is_empty() {
        text.push_str(&format!("room_prefix = {}\n", quote(&key.room_prefix)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use sfu_server::config::{Flags, Variables, load};

    #[test]
    fn a_new_key_is_a_configuration() {
        let key = ApiKey { room_prefix: "team \"a\"".to_owned(), ..new_key() };
        let text = ("SFU_CONFIG".to_owned(), describe(&key));
        let loaded = load(&Flags::default(), &Variables::from_iter([text])).unwrap();
        let found = &loaded.settings.auth.keys[&key.name];
        assert_eq!(found.secret.expose(), key.secret.expose());
        assert_eq!(found.room_prefix, key.room_prefix);
        assert!(loaded.settings.auth.is_decided());
        assert_ne!(new_key().secret.expose(), key.secret.expose());
    }
}
