//! Admission: limits on all connections and on those of one source, before a sandbox is used.

use super::rate_limited::RateLimited;
use crate::config::admission::Limits;
use crate::config::values::Rate;
use crate::connection::{Connection, Kind};
use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::time::Instant;

/// The source of connections, for counting. IPv6 is counted by /64, because one host has that many addresses,
/// and by the networks around it, because one customer has that many /64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Source {
    V4(u32),
    /// The first bits, and how many they are.
    V6(u128, u8),
    Uid(u32),
    /// Descriptor 0 of no socket, or not known yet: not limited by source.
    Other,
}

impl Source {
    fn of(connection: &Connection, limits: &Limits) -> Source {
        match (connection.addresses(), connection.kind) {
            (Some(ends), _) => Source::network(ends.peer.ip(), limits),
            (None, Kind::Unix) => connection.peer_uid().map_or(Source::Other, Source::Uid),
            (None, Kind::Tcp(_) | Kind::ByHand) => Source::Other,
        }
    }

    fn network(address: IpAddr, limits: &Limits) -> Source {
        match address {
            IpAddr::V4(v4) => Source::V4(v4.to_bits() & high_bits_32(limits.prefix4)),
            IpAddr::V6(v6) => Source::V6(v6.to_bits() & high_bits_128(limits.prefix6), limits.prefix6),
        }
    }

    /// Itself and the networks around it, each with the factor of its limits. Beside a /64 these are the /56
    /// and the /48, which providers give to one customer.
    fn levels(self) -> impl DoubleEndedIterator<Item = (Source, u32)> + Clone {
        let around = |more: u8| match self {
            Source::V6(bits, prefix) if prefix > 2 * SITE_BITS => {
                let prefix = prefix - more;
                Some(Source::V6(bits & high_bits_128(prefix), prefix))
            }
            _ => None,
        };
        let [first, second] =
            [(SITE_BITS, 2), (2 * SITE_BITS, 4)].map(|(more, factor)| (around(more), factor));
        [(Some(self), 1), first, second].into_iter().filter_map(|(source, factor)| Some((source?, factor)))
    }

    /// The widest network that it belongs to.
    fn widest(self) -> Source {
        self.levels().next_back().map_or(self, |(source, _)| source)
    }
}

/// As many reserved places a source may have: one after the other needs two, since the end of a connection
/// is known here a moment later than to its client.
const RESERVED_EACH: usize = 2;

/// From one network to the next wider one.
const SITE_BITS: u8 = 8;

fn high_bits_32(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0)
}

fn high_bits_128(prefix: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(prefix.min(128))).unwrap_or(0)
}

/// State of a source that has connections, or whose rate has not recovered.
#[derive(Debug, Default)]
struct Known {
    connections: usize,
    /// Time at which the source may have its whole burst again. One connection moves this on by one N-th part
    /// of the rate's time.
    rested_at: Option<Instant>,
}

/// Counts what is being served. The table holds no more sources than there are connections and
/// [`RESTLESS_MAX`].
#[derive(Debug)]
pub(super) struct Admission {
    limits: Limits,
    total: usize,
    by_source: HashMap<Source, Known>,
    /// The sources whose rate is not at rest, the next to be so first.
    restless: BTreeSet<(Instant, Source)>,
    rejections: RateLimited,
}

/// Maximum number of sources that are remembered for their rate alone. Beyond it, the source closest to
/// recovery is forgotten. The limit on all connections still applies to a client with more addresses, which
/// cannot lock out others.
const RESTLESS_MAX: usize = 16_384;

/// The limit that a connection is over.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Rejected {
    Total,
    /// The remaining places are for sources that have next to none.
    Reserved,
    Source,
    Rate,
}

impl Rejected {
    pub(super) fn option(&self) -> &'static str {
        match self {
            Rejected::Total | Rejected::Reserved => "max-connections",
            Rejected::Source => "max-per-source",
            Rejected::Rate => "rate",
        }
    }
}

impl Admission {
    pub(super) fn new(limits: Limits) -> Admission {
        let (by_source, restless) = (HashMap::new(), BTreeSet::new());
        Admission { limits, total: 0, by_source, restless, rejections: RateLimited::default() }
    }

    /// Other limits for those who come from now on. Under another rate all sources begin at rest.
    pub(super) fn change(&mut self, limits: Limits) {
        if self.limits.rate != limits.rate {
            while !self.restless.is_empty() {
                self.forget_first();
            }
        }
        self.limits = limits;
    }

    /// How many are being served or wait for it.
    pub(super) fn count(&self) -> usize {
        self.total
    }

    /// Number of different sources.
    pub(super) fn sources(&self) -> usize {
        self.by_source.values().filter(|known| known.connections > 0).count()
    }

    /// Counts the connection, if it is within the limits. Each that is counted must be released at its end.
    pub(super) fn admit(&mut self, connection: &Connection, now: Instant) -> Result<Source, Rejected> {
        self.count_in(Source::of(connection, &self.limits), now)
    }

    /// Counts a connection whose peer is known only when it has said more.
    pub(super) fn admit_unidentified(&mut self, now: Instant) -> Result<Source, Rejected> {
        self.count_in(Source::Other, now)
    }

    /// Counts such a connection by its source, now that it is known. Over the limit, it is not counted
    /// any more.
    pub(super) fn identify(&mut self, connection: &Connection, now: Instant) -> Result<Source, Rejected> {
        self.release(Source::Other);
        self.admit(connection, now)
    }

    fn count_in(&mut self, source: Source, now: Instant) -> Result<Source, Rejected> {
        self.forget_rested(now);
        if self.total >= self.limits.total {
            return Err(Rejected::Total);
        }
        if source != Source::Other {
            if self.total >= self.unreserved() && self.connections_of(source.widest()) >= RESERVED_EACH {
                return Err(Rejected::Reserved);
            }
            for (network, factor) in source.levels() {
                let factor = usize::try_from(factor).unwrap_or(1);
                let most = self.limits.per_source.saturating_mul(factor);
                if self.connections_of(network) >= most {
                    return Err(Rejected::Source);
                }
            }
            self.count_rate(source, now)?;
        }
        for (network, _) in source.levels() {
            self.by_source.entry(network).or_default().connections += 1;
        }
        self.total += 1;
        Ok(source)
    }

    fn connections_of(&self, source: Source) -> usize {
        self.by_source.get(&source).map_or(0, |known| known.connections)
    }

    /// As many places may be taken by whoever comes first. Where one source may have all of them, all of them
    /// may.
    fn unreserved(&self) -> usize {
        let Limits { total, per_source, .. } = self.limits;
        if per_source < total { total - total / 4 } else { total }
    }

    /// Whether reserved places are being used, so that one that is taken for nothing should be given back.
    pub(super) fn is_crowded(&self) -> bool {
        self.total > self.unreserved()
    }

    /// Counts it in all networks that it belongs to, or in none.
    fn count_rate(&mut self, source: Source, now: Instant) -> Result<(), Rejected> {
        let Some(Rate { count, time }) = self.limits.rate else { return Ok(()) };
        let rested_at = |known: Option<&Known>, factor: u32| {
            let before = known.and_then(|known| known.rested_at);
            before.unwrap_or(now).max(now) + time / count.saturating_mul(factor)
        };
        for (network, factor) in source.levels() {
            let rested_at = rested_at(self.by_source.get(&network), factor);
            // A time that does not divide evenly is rounded down for each of the N.
            if rested_at > now + time {
                return Err(Rejected::Rate);
            }
        }
        for (network, factor) in source.levels() {
            let rested_at = rested_at(self.by_source.get(&network), factor);
            self.move_rest(network, rested_at);
        }
        Ok(())
    }

    fn move_rest(&mut self, source: Source, rested_at: Instant) {
        let before = self.by_source.get(&source).and_then(|known| known.rested_at);
        if let Some(before) = before {
            self.restless.remove(&(before, source));
        } else if self.restless.len() >= RESTLESS_MAX {
            self.forget_first();
        }
        self.restless.insert((rested_at, source));
        self.by_source.entry(source).or_default().rested_at = Some(rested_at);
    }

    fn forget_rested(&mut self, now: Instant) {
        while self.restless.first().is_some_and(|(rested_at, _)| *rested_at <= now) {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        let Some((_, source)) = self.restless.pop_first() else { return };
        if let Some(known) = self.by_source.get_mut(&source) {
            known.rested_at = None;
            self.forget_if_nothing(source);
        }
    }

    fn forget_if_nothing(&mut self, source: Source) {
        let nothing = |known: &Known| known.connections == 0 && known.rested_at.is_none();
        if self.by_source.get(&source).is_some_and(nothing) {
            self.by_source.remove(&source);
        }
    }

    pub(super) fn release(&mut self, source: Source) {
        self.total = self.total.saturating_sub(1);
        for (network, _) in source.levels() {
            let Some(known) = self.by_source.get_mut(&network) else { continue };
            known.connections = known.connections.saturating_sub(1);
            self.forget_if_nothing(network);
        }
    }

    /// Whether this rejection is to be logged, and how many were not since the last that was.
    pub(super) fn log_rejection(&mut self, now: Instant) -> Option<u64> {
        self.rejections.say(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const LIMITS: Limits = Limits { total: 10, per_source: 2, prefix4: 32, prefix6: 64, rate: None };

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
        assert!(
            admission.count_in(one, Instant::now()).is_ok()
                && admission.count_in(one, Instant::now()).is_ok()
        );
        assert_eq!(admission.count_in(one, Instant::now()), Err(Rejected::Source));
        assert!(admission.count_in(source("192.0.2.2"), Instant::now()).is_ok());
        admission.release(one);
        assert!(admission.count_in(one, Instant::now()).is_ok());
    }

    const MANY: Limits = Limits { total: 100, per_source: 4, ..LIMITS };

    fn count(admission: &mut Admission, address: impl Fn(u32) -> String) -> usize {
        let one = |n| admission.count_in(source(&address(n)), Instant::now()).is_ok();
        (0..64).map(one).filter(|admitted| *admitted).count()
    }

    #[test]
    fn the_networks_around_a_64_have_limits_of_their_own() {
        let mut admission = Admission::new(MANY);
        assert_eq!(count(&mut admission, |_| "2001:db8::1".to_owned()), 4);
        assert_eq!(count(&mut admission, |n| format!("2001:db8:0:{n:x}::1")), 4, "twice as many of a /56");
        assert_eq!(count(&mut admission, |n| format!("2001:db8:0:{:x}::1", 256 + n)), 8, "4 times of a /48");
        assert_eq!(count(&mut admission, |n| format!("2001:db8:0:{:x}::1", 512 * n)), 0);
        assert_eq!(count(&mut admission, |n| format!("2001:db8:{n:x}::1")), 63, "all others");
    }

    #[test]
    fn a_quarter_of_the_places_is_for_sources_that_have_next_to_none() {
        let mut admission = Admission::new(MANY);
        for n in 0..75 {
            assert!(!admission.is_crowded());
            admission.count_in(Source::V4(n / 4), Instant::now()).unwrap();
        }
        assert_eq!(admission.count_in(Source::V4(18), Instant::now()), Err(Rejected::Reserved));
        for n in 0..12 {
            for _ in 0..2 {
                assert_eq!(admission.count_in(Source::V4(99 + n), Instant::now()), Ok(Source::V4(99 + n)));
            }
            assert_eq!(admission.count_in(Source::V4(99 + n), Instant::now()), Err(Rejected::Reserved));
            assert!(admission.is_crowded());
        }
        assert!(admission.count_in(Source::V4(998), Instant::now()).is_ok());
        assert_eq!(admission.count_in(Source::V4(999), Instant::now()), Err(Rejected::Total));
    }

    #[test]
    fn nothing_is_reserved_where_one_source_may_have_all() {
        let mut admission = Admission::new(Limits { total: 8, per_source: 8, ..LIMITS });
        for _ in 0..8 {
            assert!(admission.count_in(Source::V4(1), Instant::now()).is_ok() && !admission.is_crowded());
        }
    }

    #[test]
    fn the_table_is_empty_when_all_have_ended() {
        let mut admission = Admission::new(LIMITS);
        for n in 0..10 {
            admission.count_in(Source::V4(n), Instant::now()).unwrap();
        }
        assert_eq!(admission.count_in(Source::V4(99), Instant::now()), Err(Rejected::Total));
        for n in 0..10 {
            admission.release(Source::V4(n));
        }
        assert_eq!((admission.count(), admission.by_source.len()), (0, 0));
    }

    /// Behind a proxy a connection is counted before its source is known, and then under the source that the
    /// proxy names.
    #[test]
    fn who_is_known_later_takes_one_place_and_none_when_over_a_limit() {
        use std::net::{TcpListener, TcpStream};
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut connection = Connection::from_socket(listener.accept().unwrap().0.into()).unwrap();
        connection.set_proxied("192.0.2.1:70".parse().unwrap(), "192.0.2.9:70".parse().unwrap());
        let (mut admission, now) = (Admission::new(LIMITS), Instant::now());
        for _ in 0..100 {
            assert_eq!(admission.admit_unidentified(now), Ok(Source::Other));
            assert_eq!(admission.identify(&connection, now), Ok(source("192.0.2.1")));
            assert_eq!(admission.count(), 1);
            admission.release(source("192.0.2.1"));
            assert_eq!((admission.count(), admission.by_source.len()), (0, 0));
        }
        for _ in 0..LIMITS.per_source {
            admission.admit(&connection, now).unwrap();
        }
        assert_eq!(admission.admit_unidentified(now), Ok(Source::Other));
        assert_eq!(admission.identify(&connection, now), Err(Rejected::Source));
        assert_eq!((admission.count(), admission.by_source.len()), (LIMITS.per_source, 1));
    }

    #[test]
    fn a_prefix_of_0_is_everybody() {
        let limits = Limits { prefix4: 0, prefix6: 0, ..LIMITS };
        assert_eq!(Source::network("192.0.2.1".parse().unwrap(), &limits), Source::V4(0));
        assert_eq!(Source::network("2001:db8::1".parse().unwrap(), &limits), Source::V6(0, 0));
        assert_eq!(Source::V6(0, 0).levels().count(), 1);
    }

    const SECOND: Duration = Duration::from_secs(1);

    fn with_rate(count: u32) -> Admission {
        let rate = Some(Rate { count, time: SECOND * 10 });
        Admission::new(Limits { total: 1 << 20, per_source: 1 << 20, rate, ..LIMITS })
    }

    #[test]
    fn a_rate_allows_its_number_at_once_and_then_one_each_part_of_its_time() {
        let (mut admission, now) = (with_rate(5), Instant::now());
        let (one, two) = (Source::V4(1), Source::V4(2));
        for _ in 0..5 {
            assert!(admission.count_in(one, now).is_ok());
        }
        assert_eq!(admission.count_in(one, now), Err(Rejected::Rate));
        assert!(admission.count_in(two, now).is_ok());
        assert_eq!(admission.count_in(one, now + SECOND), Err(Rejected::Rate));
        assert!(admission.count_in(one, now + SECOND * 2).is_ok());
        assert_eq!(admission.count_in(one, now + SECOND * 2), Err(Rejected::Rate));
    }

    #[test]
    fn under_another_rate_a_source_begins_at_rest() {
        let (mut admission, now) = (with_rate(1), Instant::now());
        let one = Source::V4(1);
        assert!(admission.count_in(one, now).is_ok());
        assert_eq!(admission.count_in(one, now), Err(Rejected::Rate));
        admission.change(admission.limits);
        assert_eq!(admission.count_in(one, now), Err(Rejected::Rate));
        let rate = Some(Rate { count: 100, time: SECOND });
        admission.change(Limits { rate, ..admission.limits });
        assert!(admission.count_in(one, now).is_ok());
        assert!(admission.restless.iter().all(|(rested_at, _)| *rested_at < now + SECOND));
    }

    #[test]
    fn who_is_rejected_for_its_rate_has_not_used_more_of_it() {
        let (mut admission, now) = (with_rate(1), Instant::now());
        assert!(admission.count_in(Source::V4(1), now).is_ok());
        for _ in 0..1000 {
            assert_eq!(admission.count_in(Source::V4(1), now), Err(Rejected::Rate));
        }
        assert!(admission.count_in(Source::V4(1), now + SECOND * 10).is_ok());
        let mut admission = with_rate(5);
        (0..5).for_each(|_| drop(admission.count_in(Source::V4(1), now)));
        (0..1000).for_each(|_| drop(admission.count_in(Source::V4(1), now)));
        assert!(admission.count_in(Source::V4(1), now + SECOND * 2).is_ok());
    }

    #[test]
    fn a_source_is_forgotten_when_it_has_ended_and_rested() {
        let (mut admission, now) = (with_rate(5), Instant::now());
        admission.count_in(Source::V4(1), now).unwrap();
        admission.release(Source::V4(1));
        assert_eq!(admission.by_source.len(), 1);
        admission.forget_rested(now + SECOND * 2);
        assert_eq!((admission.by_source.len(), admission.restless.len()), (0, 0));
    }

    #[test]
    fn the_table_is_bounded_however_many_sources_come() {
        let (mut admission, now) = (with_rate(5), Instant::now());
        for n in 0..40_000 {
            admission.count_in(Source::V4(n), now).unwrap();
            admission.release(Source::V4(n));
        }
        assert_eq!((admission.by_source.len(), admission.restless.len()), (RESTLESS_MAX, RESTLESS_MAX));
    }

    #[test]
    fn every_limit_that_rejects_is_counted_from_the_start() {
        let options = [Rejected::Total, Rejected::Source, Rejected::Rate].map(|rejected| rejected.option());
        assert_eq!(options, report::counters::REJECTIONS);
    }
}
