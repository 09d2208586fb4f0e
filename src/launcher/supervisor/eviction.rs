//! Room for newcomers: where reserved places are being used, the oldest connection that never sent a byte
//! loses its own.
//!
//! A connection costs its peer nothing. A peer that has sent its request has at least begun to use its place.

use super::Supervisor;
use super::live::Verdict;
use crate::config::service::ServiceId;
use crate::connection::{self, Connection, Kind};
use crate::outcome::Outcome;
use std::time::Instant;

/// A connection without a byte, by where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Silent {
    Awaited(u64),
    /// It waits for a sandbox, at this place.
    Waiting(usize),
    Served(u64),
}

impl Supervisor<'_> {
    /// Somebody has been admitted. Gives a reserved place back, if they are used.
    pub(super) fn make_room(&mut self, service: ServiceId) {
        if !self.services[service].admission.is_crowded() {
            return;
        }
        match self.oldest_silent(service) {
            Some(Silent::Awaited(id)) => self.evict_awaited(id),
            Some(Silent::Waiting(index)) => {
                if let Some(arrival) = self.services[service].pool.waiting.remove(index) {
                    self.end_unserved(arrival, Outcome::Evicted);
                }
            }
            Some(Silent::Served(id)) => self.end_with(id, Verdict::Evicted),
            None => self.evict_handshake(service),
        }
    }

    fn oldest_silent(&self, service: ServiceId) -> Option<Silent> {
        let awaited = self.longest_awaited(service).map(|(began, id)| (began, Silent::Awaited(id)));
        let of_service = self.live.iter().filter(|(_, live)| live.service_id == service);
        let mut served: Vec<(Instant, u64)> =
            of_service.filter_map(|(id, live)| Some((live.served.as_ref()?.began, *id))).collect();
        served.sort_unstable();
        // The kernel is asked about the oldest first, and about no more than it takes.
        let silent = served.into_iter().find_map(|(_, id)| {
            let began = self.live.get(&id)?.silent_since(self.diag.as_ref())?;
            Some((began, Silent::Served(id)))
        });
        let waiting = self.services[service].pool.waiting.iter().enumerate();
        let waiting = waiting.filter(|(_, arrival)| has_sent_nothing(&arrival.connection));
        let waiting = waiting.map(|(index, arrival)| (arrival.began, Silent::Waiting(index)));
        awaited.into_iter().chain(silent).chain(waiting).min().map(|(_, silent)| silent)
    }
}

fn has_sent_nothing(connection: &Connection) -> bool {
    matches!(connection.kind, Kind::Tcp(_))
        && connection::traffic(connection.ends().0, connection.kind)
            .is_ok_and(|traffic| traffic.received == 0)
}
