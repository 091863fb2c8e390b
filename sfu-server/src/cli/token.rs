//! `sfu token`

use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use clap::Args;
use sfu_server::auth::{ApiKey, Claims, Keys, VideoGrant, token};
use sfu_server::config::{Flags, Settings};

/// What the token is to say.
#[derive(Args)]
pub(super) struct Token {
    #[command(flatten)]
    flags: Flags,
    /// The room it is about.
    #[arg(long)]
    room: String,
    /// Who it is for: one participant of this identity is in the room at a time.
    #[arg(long)]
    identity: String,
    /// What others see.
    #[arg(long, default_value = "")]
    name: String,
    /// How long it is valid: `90s`, `15m`, `6h`.
    #[arg(long, default_value = "6h", value_parser = duration)]
    ttl: Duration,
    /// Only to watch and listen.
    #[arg(long)]
    no_publish: bool,
    /// Only to publish.
    #[arg(long)]
    no_subscribe: bool,
    /// To administer the room too.
    #[arg(long)]
    admin: bool,
    /// The key to sign it with; may be left out if there is only one.
    #[arg(long, value_name = "NAME")]
    key: Option<String>,
}

pub(super) fn run(args: &Token) -> ExitCode {
    super::with_settings(&args.flags, |loaded| {
        match make(args, &loaded.settings, SystemTime::now()) {
            Ok(token) => {
                println!("{token}");
                ExitCode::SUCCESS
            }
            Err(error) => {
                eprintln!("sfu token: {error:#}");
                ExitCode::FAILURE
            }
        }
    })
}

fn make(args: &Token, settings: &Settings, now: SystemTime) -> anyhow::Result<String> {
    let key = choose(args, settings)?;
    let longest = settings.auth.token_lifetime_max_seconds;
    let ttl = args.ttl.as_secs();
    anyhow::ensure!(
        ttl <= longest,
        "the server refuses tokens that are valid for over {longest} s"
    );
    let now = now.duration_since(SystemTime::UNIX_EPOCH).context("the clock is wrong")?.as_secs();
    let claims = Claims {
        sub: args.identity.clone(),
        name: args.name.clone(),
        iat: Some(now),
        nbf: Some(now),
        exp: now + ttl,
        video: VideoGrant {
            room: args.room.clone(),
            room_join: true,
            room_admin: args.admin,
            can_publish: args.no_publish.then_some(false),
            can_subscribe: args.no_subscribe.then_some(false),
            ..VideoGrant::default()
        },
        ..Claims::default()
    };
    Ok(token(&key, &claims)?)
}

fn choose(args: &Token, settings: &Settings) -> anyhow::Result<ApiKey> {
    let keys = Keys::new(&settings.auth)?;
    let mut names = settings.auth.keys.keys();
    let name = match (&args.key, names.next(), names.next()) {
        (Some(name), ..) | (None, Some(name), None) => name,
        (None, None, _) => anyhow::bail!("there is no key: `sfu keys new` makes one"),
        (None, Some(_), Some(_)) => anyhow::bail!("there are several keys: name one with --key"),
    };
    keys.key(name).with_context(|| format!("there is no key {name}"))
}

/// A whole number of seconds, minutes, hours or days.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "is to be like 90s, 15m, 6h or 1d".to_owned();
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 24 * 3600,
        _ => return Err(wrong()),
    };
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    let seconds = number.checked_mul(seconds).filter(|n| *n > 0).ok_or_else(wrong)?;
    Ok(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use sfu_server::config::{Loaded, Variables, load};

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        token: Token,
    }

    fn token_of(config: &str, flags: &str) -> Result<String, String> {
        let variable = ("SFU_CONFIG".to_owned(), config.to_owned());
        let loaded: Loaded = load(&Flags::default(), &Variables::from_iter([variable])).unwrap();
        let words = ["token", "--room", "r", "--identity", "ann"].into_iter();
        let cli = Cli::try_parse_from(words.chain(flags.split_whitespace()));
        let cli = cli.map_err(|e| e.to_string())?;
        make(&cli.token, &loaded.settings, SystemTime::now()).map_err(|e| format!("{e:#}"))
    }

    fn key(name: &str) -> String {
        format!("[auth.keys.{name}]\nsecret = \"{}\"\n", "x".repeat(32))
    }

    #[test]
    fn a_token_is_signed_with_the_one_key_or_the_one_that_is_named() {
        assert_eq!(token_of(&key("a"), "").unwrap().split('.').count(), 3);
        let both = key("a") + &key("b");
        assert!(token_of(&both, "").unwrap_err().contains("--key"));
        assert!(token_of(&both, "--key b --ttl 90s --no-publish").is_ok());
        assert!(token_of(&both, "--key c").unwrap_err().contains("no key c"));
        assert!(token_of("", "").unwrap_err().contains("sfu keys new"));
    }

    #[test]
    fn a_token_that_would_be_refused_is_not_made() {
        assert!(token_of(&key("a"), "--ttl 2d").unwrap_err().contains("valid for over"));
        for ttl in ["", "0s", "5", "5x", "h", "-1h", "99999999999999999999h"] {
            assert!(token_of(&key("a"), &format!("--ttl {ttl}")).is_err(), "{ttl}");
        }
        let other = key("a") + "room_prefix = \"team-\"\n";
        assert!(token_of(&other, "").unwrap_err().contains("other rooms"));
    }
}
