//! Who is served: limits on all connections and on those of one source. Comes before a sandbox is spent.

use crate::connection::{Connection, Kind};
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// How many connections at a time, and what counts as one source.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) total: usize,
    pub(crate) per_source: usize,
    pub(crate) prefix4: u8,
    pub(crate) prefix6: u8,
}

/// Where connections come from, as far as they are counted together. Whoever has an IPv6 address has a /64 of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Source {
    V4(u32),
    V6(u128),
    Uid(u32),
    /// By hand: not limited by source.
    Other,
}

impl Source {
    fn of(connection: &Connection, limits: &Limits) -> Source {
        match connection.kind {
            Kind::Tcp(ends) => Source::network(ends.peer.ip(), limits),
            Kind::Unix => connection.peer_uid().map_or(Source::Other, Source::Uid),
            Kind::ByHand => Source::Other,
        }
    }

    fn network(address: IpAddr, limits: &Limits) -> Source {
        match address {
            IpAddr::V4(v4) => Source::V4(v4.to_bits() & high_bits_32(limits.prefix4)),
            IpAddr::V6(v6) => Source::V6(v6.to_bits() & high_bits_128(limits.prefix6)),
        }
    }
}

fn high_bits_32(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0)
}

fn high_bits_128(prefix: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(prefix.min(128))).unwrap_or(0)
}

/// Counts what is being served. The table holds no more sources than there are connections.
#[derive(Debug)]
pub(super) struct Admission {
    limits: Limits,
    total: usize,
    by_source: HashMap<Source, usize>,
    log_again: Option<Instant>,
    unlogged: u64,
}

/// A rejection is logged this often; those between are counted.
const LOG_EVERY: Duration = Duration::from_secs(1);

/// The limit that a connection is over.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Rejected {
    Total,
    Source,
}

impl Rejected {
    pub(super) fn option(&self) -> &'static str {
        match self {
            Rejected::Total => "max-connections",
            Rejected::Source => "max-per-source",
        }
    }
}

impl Admission {
    pub(super) fn new(limits: Limits) -> Admission {
        Admission { limits, total: 0, by_source: HashMap::new(), log_again: None, unlogged: 0 }
    }

    /// Other limits for those who come from now on.
    pub(super) fn change(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// How many are being served or wait for it.
    pub(super) fn count(&self) -> usize {
        self.total
    }

    /// Counts the connection, if it is within the limits. Each that is counted must be released at its end.
    pub(super) fn admit(&mut self, connection: &Connection) -> Result<Source, Rejected> {
        self.count_in(Source::of(connection, &self.limits))
    }

    fn count_in(&mut self, source: Source) -> Result<Source, Rejected> {
        if self.total >= self.limits.total {
            return Err(Rejected::Total);
        }
        let of_source = self.by_source.entry(source).or_default();
        if source != Source::Other && *of_source >= self.limits.per_source {
            return Err(Rejected::Source);
        }
        *of_source += 1;
        self.total += 1;
        Ok(source)
    }

    pub(super) fn release(&mut self, source: Source) {
        self.total = self.total.saturating_sub(1);
        let Some(of_source) = self.by_source.get_mut(&source) else { return };
        *of_source = of_source.saturating_sub(1);
        if *of_source == 0 {
            self.by_source.remove(&source);
        }
    }

    /// Whether this rejection is to be logged, and how many were not since the last that was.
    pub(super) fn log_rejection(&mut self, now: Instant) -> Option<u64> {
        if self.log_again.is_some_and(|again| now < again) {
            self.unlogged += 1;
            return None;
        }
        self.log_again = Some(now + LOG_EVERY);
        Some(std::mem::take(&mut self.unlogged))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { total: 10, per_source: 2, prefix4: 32, prefix6: 64 };

    fn source(address: &str) -> Source {
        Source::network(address.parse().unwrap(), &LIMITS)
    }

    #[test]
    fn a_64_is_one_ipv6_source_and_an_address_one_ipv4_source() {
        assert_eq!(source("2001:db8::1"), source("2001:db8::ffff:1"));
        assert_ne!(source("2001:db8::1"), source("2001:db8:0:1::1"));
        assert_ne!(source("192.0.2.1"), source("192.0.2.2"));
    }

    #[test]
    fn one_source_over_its_limit_leaves_the_others_theirs() {
        let mut admission = Admission::new(LIMITS);
        let one = source("192.0.2.1");
        assert!(admission.count_in(one).is_ok() && admission.count_in(one).is_ok());
        assert_eq!(admission.count_in(one), Err(Rejected::Source));
        assert!(admission.count_in(source("192.0.2.2")).is_ok());
        admission.release(one);
        assert!(admission.count_in(one).is_ok());
    }

    #[test]
    fn the_table_is_empty_when_all_have_ended() {
        let mut admission = Admission::new(LIMITS);
        for n in 0..10 {
            admission.count_in(Source::V4(n)).unwrap();
        }
        assert_eq!(admission.count_in(Source::V4(99)), Err(Rejected::Total));
        for n in 0..10 {
            admission.release(Source::V4(n));
        }
        assert_eq!((admission.count(), admission.by_source.len()), (0, 0));
    }

    #[test]
    fn a_prefix_of_0_is_everybody() {
        let limits = Limits { prefix4: 0, prefix6: 0, ..LIMITS };
        assert_eq!(Source::network("192.0.2.1".parse().unwrap(), &limits), Source::V4(0));
        assert_eq!(Source::network("2001:db8::1".parse().unwrap(), &limits), Source::V6(0));
    }

    #[test]
    fn rejections_are_logged_once_a_second_with_the_number_between() {
        let mut admission = Admission::new(LIMITS);
        let now = Instant::now();
        assert_eq!(admission.log_rejection(now), Some(0));
        assert_eq!(admission.log_rejection(now), None);
        assert_eq!(admission.log_rejection(now + LOG_EVERY), Some(1));
    }
}
