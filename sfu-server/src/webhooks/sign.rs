//! The signature of a message: base64 of HMAC-SHA256 over `id.timestamp.body`.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Bytes of a secret that the specification asks for.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// A secret, read from `whsec_` and base64.
#[derive(Clone)]
pub(crate) struct WebhookSecret(hmac::Key);

impl WebhookSecret {
    /// `None` if it is no such secret.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let bytes = STANDARD.decode(text.strip_prefix("whsec_")?).ok()?;
        let is_long_enough = SECRET_BYTES.contains(&bytes.len());
        is_long_enough.then(|| Self(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
    }
}

/// The value of `webhook-signature`: one signature for each secret, while secrets change two.
pub(super) fn signature(secrets: &[WebhookSecret], id: &str, timestamp: u64, body: &str) -> String {
    let signed = format!("{id}.{timestamp}.{body}");
    let one = |secret: &WebhookSecret| {
        format!("v1,{}", STANDARD.encode(hmac::sign(&secret.0, signed.as_bytes())))
    };
    secrets.iter().map(one).collect::<Vec<_>>().join(" ")
}

/// Seconds since 1970 as RFC 3339, after Howard Hinnant's civil_from_days.
pub(super) fn rfc3339(unix: u64) -> String {
    let (days, second) = (unix / 86_400, unix % 86_400);
    // Days of years that begin in March, in eras of 400 years.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the test suites of the reference libraries.
    #[test]
    fn the_specifications_vector_is_signed_as_it_says() {
        let secret = WebhookSecret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
        let body = "{\"test\": 2432232314}";
        let got = signature(&[secret], id, 1_614_265_330, body);
        assert_eq!(got, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn with_two_secrets_there_are_two_signatures() {
        let one = WebhookSecret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let other = WebhookSecret::parse("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").unwrap();
        let both = signature(&[one.clone(), other], "m", 1, "{}");
        let (first, second) = both.split_once(' ').unwrap();
        assert_eq!(first, signature(&[one], "m", 1, "{}"));
        assert!(second.starts_with("v1,") && second != first);
    }

    #[test]
    fn what_is_no_secret_is_refused() {
        for wrong in ["", "whsec_", "whsec_AAAA", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_!"] {
            assert!(WebhookSecret::parse(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn times_are_written_as_rfc_3339() {
        for (unix, want) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_827_696, "2000-02-29T12:34:56Z"),
            (1_709_164_799, "2024-02-28T23:59:59Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(unix), want);
        }
    }
}
