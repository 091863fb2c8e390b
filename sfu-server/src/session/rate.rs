//! Token buckets: per WebSocket for requests, per address for joins, for requests to the API and
//! for tokens that do not count.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::limits;

/// Lets `per_second` through in the long run, and bursts of `burst`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    tokens: f64,
    burst: f64,
    per_second: f64,
    filled_at: Instant,
}

impl Bucket {
    /// A full bucket.
    pub(crate) fn new(per_second: u32, burst: u32, now: Instant) -> Self {
        let burst = f64::from(burst);
        Self { tokens: burst, burst, per_second: f64::from(per_second), filled_at: now }
    }

    /// Takes a token, if there is one.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(self.filled_at).as_secs_f64();
        self.tokens = (self.tokens + elapsed * self.per_second).min(self.burst);
        self.filled_at = now;
        let has_token = self.tokens >= 1.0;
        if has_token {
            self.tokens -= 1.0;
        }
        has_token
    }

    /// From now to the next token.
    fn wait(&self) -> Duration {
        Duration::from_secs_f64(((1.0 - self.tokens) / self.per_second).clamp(0.0, 3600.0))
    }

    fn is_full(&self, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(self.filled_at).as_secs_f64();
        self.tokens + elapsed * self.per_second >= self.burst
    }
}

/// Something counted per address.
#[derive(Default)]
pub(crate) struct AddressRates {
    bucket_by_address: Mutex<HashMap<IpAddr, Bucket>>,
}

impl AddressRates {
    /// Counts one of `address`, of which there may be `per_second` (0: any number), or says how long
    /// to wait. Loopback is never limited: load tests and proxies come from one address.
    pub(crate) fn admit(
        &self,
        address: IpAddr,
        per_second: u32,
        now: Instant,
    ) -> Result<(), Duration> {
        let per_second = f64::from(per_second);
        self.take(address, per_second, 2.0 * per_second, now)
    }

    /// The same with a burst of its own.
    pub(crate) fn take(
        &self,
        address: IpAddr,
        per_second: f64,
        burst: f64,
        now: Instant,
    ) -> Result<(), Duration> {
        let address = address.to_canonical();
        if per_second == 0.0 || address.is_loopback() {
            return Ok(());
        }
        let mut buckets = self.bucket_by_address.lock();
        let address = network_of(address);
        if !buckets.contains_key(&address) && buckets.len() >= limits::JOIN_ADDRESSES_MAX {
            // A full bucket remembers nothing.
            buckets.retain(|_, bucket| !bucket.is_full(now));
            if buckets.len() >= limits::JOIN_ADDRESSES_MAX {
                return Err(Duration::from_secs(1));
            }
        }
        let bucket = buckets.entry(address).or_insert(Bucket {
            tokens: burst,
            burst,
            per_second,
            filled_at: now,
        });
        (bucket.per_second, bucket.burst) = (per_second, burst);
        if bucket.take(now) { Ok(()) } else { Err(bucket.wait()) }
    }

    /// How long `address` has to wait, if it has; nothing is counted.
    pub(crate) fn wait(&self, address: IpAddr, now: Instant) -> Option<Duration> {
        let address = network_of(address.to_canonical());
        let mut bucket = *self.bucket_by_address.lock().get(&address)?;
        (!bucket.take(now)).then(|| bucket.wait())
    }
}

/// What one subscriber usually has: an IPv4 address, or an IPv6 /64.
fn network_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(5, 20, start);
        assert_eq!((0..100).filter(|_| bucket.take(start)).count(), 20);
        let later = start + Duration::from_secs(2);
        assert_eq!((0..100).filter(|_| bucket.take(later)).count(), 10);
        let much_later = start + Duration::from_secs(3600);
        assert_eq!((0..100).filter(|_| bucket.take(much_later)).count(), 20);
    }

    #[test]
    fn joins_are_limited_per_address_and_never_on_loopback() {
        let rates = AddressRates::default();
        let now = Instant::now();
        let count = |address: &str| {
            let address = address.parse().unwrap();
            (0..100).filter(|_| rates.admit(address, 10, now).is_ok()).count()
        };
        assert_eq!(count("192.0.2.1"), 20);
        assert_eq!(count("192.0.2.2"), 20);
        assert_eq!(count("2001:db8::1"), 20);
        assert_eq!(count("2001:db8::2"), 0, "the same /64");
        assert_eq!(count("127.0.0.9"), 100);
        assert_eq!(count("::1"), 100);
        assert_eq!(count("::ffff:127.0.0.1"), 100);
        assert!(AddressRates::default().admit("192.0.2.1".parse().unwrap(), 0, now).is_ok());
    }

    #[test]
    fn the_wait_is_long_enough() {
        let rates = AddressRates::default();
        let now = Instant::now();
        let address = "192.0.2.1".parse().unwrap();
        while rates.admit(address, 2, now).is_ok() {}
        let wait = rates.admit(address, 2, now).unwrap_err();
        assert!(rates.admit(address, 2, now + wait).is_ok());
    }

    #[test]
    fn the_table_of_addresses_is_bounded_and_forgets_the_quiet() {
        let rates = AddressRates::default();
        let now = Instant::now();
        let address = |n: usize| IpAddr::V4(u32::try_from(n + 0x0100_0000).unwrap().into());
        for n in 0..limits::JOIN_ADDRESSES_MAX {
            assert!(rates.admit(address(n), 1, now).is_ok());
        }
        assert!(rates.admit(address(limits::JOIN_ADDRESSES_MAX), 1, now).is_err());
        let later = now + Duration::from_secs(10);
        assert!(rates.admit(address(limits::JOIN_ADDRESSES_MAX), 1, later).is_ok());
        assert_eq!(rates.bucket_by_address.lock().len(), 1);
    }
}
