//! The sub-commands of the `bench` program, and what they share: the server's process, its metrics
//! and the report.

pub mod churn;
pub mod lean;
pub mod load;
mod metrics;
mod process;
pub mod publish;
mod report;

pub use metrics::Metrics;
pub use process::{ProcessUse, Server, ServerArgs};
pub use report::{Report, print_report};

use std::time::Duration;

/// Reads a duration such as `500ms`, `60s` or `5m`; a bare number is seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split_unit(text)?;
    match unit {
        "" | "s" => Ok(Duration::from_secs_f64(number)),
        "ms" => Ok(Duration::from_secs_f64(number / 1000.0)),
        "m" | "min" => Ok(Duration::from_secs_f64(number * 60.0)),
        _ => Err(format!("unknown unit of time: {unit}")),
    }
}

/// Reads a bit rate such as `1mbps` or `500kbps`; a bare number is bits per second.
pub(crate) fn bitrate(text: &str) -> Result<u64, String> {
    let lower = text.to_ascii_lowercase();
    let (number, unit) = split_unit(&lower)?;
    let factor = match unit {
        "" | "bps" => 1.0,
        "k" | "kbps" => 1e3,
        "m" | "mbps" => 1e6,
        _ => return Err(format!("unknown unit of bit rate: {unit}")),
    };
    // Not negative, and rounded to whole bits on purpose.
    Ok((number * factor) as u64)
}

fn split_unit(text: &str) -> Result<(f64, &str), String> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number = text[..end].parse().map_err(|_| format!("not a number: {text}"))?;
    Ok((number, text[end..].trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units() {
        assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1.5m"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("20ms"), Ok(Duration::from_millis(20)));
        assert_eq!(bitrate("1Mbps"), Ok(1_000_000));
        assert_eq!(bitrate("800 kbps"), Ok(800_000));
        assert!(duration("-1s").is_err() && bitrate("1 mile").is_err() && duration("").is_err());
    }
}
