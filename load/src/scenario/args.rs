//! The command line: what load to make. Anything left out comes from the preset.

use std::net::IpAddr;
use std::time::Duration;

use clap::Args;

use super::plan::Via;
use super::preset::Preset;
use crate::signal::Layout;

/// Which server.
#[derive(Clone, Debug, Args)]
pub struct Target {
    /// The server's base URL.
    #[arg(long, default_value = "http://127.0.0.1:7880")]
    pub url: String,
    /// The server's process on this machine, whose CPU time and memory are then told. Without it
    /// they come from the `process_*` series of its /metrics, if there are any.
    #[arg(long)]
    pub pid: Option<u32>,
}

/// What load to make.
#[derive(Clone, Debug, Args)]
pub struct LoadArgs {
    /// Where everything not said otherwise comes from.
    #[arg(long, value_enum, default_value = "fan-out")]
    pub preset: Preset,
    /// How clients join: WHIP and WHEP (any server), or this server's WebSocket.
    #[arg(long, value_enum)]
    pub via: Option<Via>,

    /// The room; with several, a prefix.
    #[arg(long, default_value = "load")]
    pub room: String,
    /// Rooms; each has all of the participants named below.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub rooms: Option<u32>,
    /// Participants of a room that send video.
    #[arg(long, visible_alias = "publishers", value_name = "N")]
    pub video_publishers: Option<u32>,
    /// Participants of a room that send audio; the first of them send both.
    #[arg(long, value_name = "N")]
    pub audio_publishers: Option<u32>,
    /// Participants of a room that only watch.
    #[arg(long, visible_alias = "viewers", value_name = "N")]
    pub subscribers: Option<u32>,
    /// Publishers also watch each other, as in a meeting (with --via ws).
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub meeting: Option<bool>,
    /// No sound.
    #[arg(long)]
    pub no_audio: bool,

    /// What each who watches asks for (with --via ws): tiles, each of a size that fits it. Without:
    /// everything.
    #[arg(long, value_enum)]
    pub layout: Option<Layout>,
    /// Microphones take turns in being loud, for active-speaker detection.
    #[arg(long)]
    pub simulate_speakers: bool,
    /// Cameras send three encodings.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub simulcast: Option<bool>,

    /// Video rate of a publisher, such as 1mbps; of the highest encoding with simulcast.
    #[arg(long, value_parser = bitrate, conflicts_with = "burst")]
    pub bitrate: Option<f64>,
    /// Video frames per second.
    #[arg(long, value_parser = positive)]
    pub fps: Option<f64>,
    /// Longest video packet as it leaves, tag included, in bytes.
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(120..=1400))]
    pub packet_size: Option<u32>,
    /// Packets of a frame, all of --packet-size; instead of --bitrate.
    #[arg(long, value_name = "PACKETS", value_parser = clap::value_parser!(u32).range(1..=500))]
    pub burst: Option<u32>,
    /// Packets of a key frame; five times those of another if absent.
    #[arg(long, value_name = "PACKETS", value_parser = clap::value_parser!(u32).range(1..=500))]
    pub keyframe_burst: Option<u32>,
    /// Audio packet as it leaves, tag included, in bytes; 50 of them a second.
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(72..=1400))]
    pub audio_packet_size: Option<u32>,

    /// Joins per second.
    #[arg(long, value_name = "PER_SECOND", value_parser = positive)]
    pub join_rate: Option<f64>,
    /// So many more subscribers in all join within one second, in the middle of the measured time.
    #[arg(long, value_name = "N")]
    pub storm: Option<u32>,
    /// Between the last join and the measured time.
    #[arg(long, value_parser = duration, default_value = "2s")]
    pub warm_up: Duration,
    /// The measured time, such as 60s.
    #[arg(long, value_parser = duration)]
    pub duration: Option<Duration>,

    /// Threads that receive.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub threads: u32,
    /// One in N media packets is decrypted, for its delay; 1: all.
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub decrypt: u32,
    /// Between transport-wide feedback messages of a client; 0: none, and no receiver reports.
    #[arg(long, value_parser = duration, default_value = "100ms")]
    pub feedback: Duration,
    /// Ask for no missing packet.
    #[arg(long)]
    pub no_nack: bool,
    /// Each client throws away one in N video packets, and has to get them by NACK.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub lose_one_in: u32,
    /// Offer AES-CM-HMAC-SHA1 only, instead of AES-GCM first.
    #[arg(long)]
    pub aes_cm: bool,
    /// Where clients' sockets are bound; tells between IPv4 and IPv6.
    #[arg(long, value_name = "IP", default_value = "0.0.0.0")]
    pub bind: IpAddr,

    /// Token of the Authorization header of WHIP and WHEP.
    #[arg(long, value_name = "TOKEN")]
    pub bearer: Option<String>,
    /// Path of WHIP, in which {room} and {publisher} stand for the room and the publisher's number.
    #[arg(long, value_name = "PATH", default_value = "whip/{room}")]
    pub whip_path: String,
    /// Path of WHEP, likewise; the publisher is the one that is watched.
    #[arg(long, value_name = "PATH", default_value = "whep/{room}")]
    pub whep_path: String,

    /// A packet that takes longer is late.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "100ms")]
    pub late: Duration,
    /// Fail (exit code 1) if more per cent of the packets are lost.
    #[arg(long, value_name = "PERCENT")]
    pub max_loss: Option<f64>,
    /// Fail if the 99th percentile of the delay is above this.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub max_p99: Option<Duration>,
    /// Fail if the 95th percentile of the time from the start of a join to media is above this.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub max_join: Option<Duration>,
    /// No progress display.
    #[arg(long)]
    pub quiet: bool,
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number > 0.0 && number <= 1e6 => Ok(number),
        _ => Err("must be a number above 0".to_owned()),
    }
}

/// Reads a duration such as `500ms`, `60s` or `5m`; a bare number is seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split_unit(text)?;
    let seconds = match unit {
        "" | "s" => number,
        "ms" => number / 1000.0,
        "m" | "min" => number * 60.0,
        "h" => number * 3600.0,
        _ => return Err(format!("unknown unit of time: {unit}")),
    };
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

/// Reads a bit rate such as `1mbps` or `500kbps`; a bare number is bits per second.
fn bitrate(text: &str) -> Result<f64, String> {
    let lower = text.to_ascii_lowercase();
    let (number, unit) = split_unit(&lower)?;
    let factor = match unit {
        "" | "bps" => 1.0,
        "k" | "kbps" => 1e3,
        "m" | "mbps" => 1e6,
        _ => return Err(format!("unknown unit of bit rate: {unit}")),
    };
    positive(&format!("{number}")).or(Err(format!("not a bit rate: {text}")))?;
    Ok(number * factor)
}

fn split_unit(text: &str) -> Result<(f64, &str), String> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number = text[..end].parse().map_err(|_| format!("not a number: {text}"))?;
    Ok((number, text[end..].trim()))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        load: LoadArgs,
    }

    pub(crate) fn parse(words: &str) -> Result<LoadArgs, clap::Error> {
        let words = std::iter::once("load").chain(words.split_whitespace());
        Cli::try_parse_from(words).map(|cli| cli.load)
    }

    #[test]
    fn flags_are_read() {
        let args = parse("--preset meeting --viewers 5 --bitrate 1.5mbps --duration 2m").unwrap();
        assert_eq!((args.subscribers, args.bitrate), (Some(5), Some(1.5e6)));
        assert_eq!(args.duration, Some(Duration::from_secs(120)));
        assert_eq!(parse("--layout 3x3").unwrap().layout, Some(Layout::Three));
        assert_eq!(parse("--simulcast").unwrap().simulcast, Some(true));
        assert_eq!(parse("--simulcast false").unwrap().simulcast, Some(false));
        assert_eq!(parse("--feedback 0").unwrap().feedback, Duration::ZERO);
    }

    #[test]
    fn nonsense_is_refused() {
        for words in [
            "--rooms 0",
            "--burst 3 --bitrate 1mbps",
            "--bitrate 0",
            "--bitrate 5miles",
            "--duration -1s",
            "--fps 0",
            "--packet-size 9000",
            "--layout 6x6",
            "--join-rate NaN",
        ] {
            assert!(parse(words).is_err(), "{words}");
        }
    }
}
