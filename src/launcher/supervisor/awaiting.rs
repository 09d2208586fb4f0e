//! Connections that have no sandbox yet: admitted, they wait until their peer is known and there is something
//! to serve.

use super::Supervisor;
use super::deadlines::Deadline;
use super::live::Arrival;
use super::origin::{Origin, token};
use crate::config::service::ServiceId;
use crate::log;
use crate::outcome::{Outcome, Record};
use crate::proxy_header::{self, HEADER_MAX, Parsed, Spoken};
use nix::sys::epoll::{EpollEvent, EpollFlags};
use nix::sys::socket::{MsgFlags, recv};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};
use sys::{Errno, Ignoring};

/// A proxy sends its header with the first bytes of a connection; the protocol asks for patience of 3 seconds
/// at least.
const HEADER_TIME: Duration = Duration::from_secs(5);

/// A health check closes as soon as it is connected. Whoever does not is served after this, silent or not.
const CHECK_TIME: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Awaited {
    arrival: Arrival,
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// A proxy's header.
    Header,
    /// The first byte of the peer's.
    Data,
    /// The first byte of a connection that a proxy made for itself: a health check sends none.
    DataOfProxy,
}

/// The state of a peer that has not sent data yet.
#[derive(Debug, PartialEq, Eq)]
enum FirstByte {
    Nothing,
    Something,
    /// The peer has ended without a byte.
    Ended,
}

/// Looks without taking anything: every byte is the handler's.
fn look(socket: BorrowedFd<'_>) -> FirstByte {
    match peek(socket, &mut [0]) {
        Ok(1..) => FirstByte::Something,
        Err(Errno::EAGAIN | Errno::EINTR) => FirstByte::Nothing,
        Ok(0) | Err(_) => FirstByte::Ended,
    }
}

fn peek(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<usize, Errno> {
    recv(socket.as_raw_fd(), buffer, MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT)
}

/// The state of a proxy's header.
#[derive(Debug, PartialEq, Eq)]
enum Header {
    Incomplete,
    /// Taken from the socket; the peer's first byte comes next.
    Whole(Spoken),
    /// The proxy has ended without a byte, as a health check does.
    None,
    Wrong(&'static str),
}

/// Takes a header, whole and no byte further, once it is there.
fn take_header(socket: BorrowedFd<'_>) -> Header {
    let mut buffer = [0; HEADER_MAX];
    let count = match peek(socket, &mut buffer) {
        Ok(0) => return Header::None,
        Ok(count) => count,
        Err(Errno::EAGAIN | Errno::EINTR) => return Header::Incomplete,
        Err(_) => return Header::None,
    };
    match proxy_header::parse(&buffer[..count]) {
        Parsed::Incomplete => Header::Incomplete,
        Parsed::Malformed(why) => Header::Wrong(why),
        Parsed::Header { length, spoken } => {
            let taken = recv(socket.as_raw_fd(), &mut buffer[..length], MsgFlags::MSG_DONTWAIT);
            if taken == Ok(length) { Header::Whole(spoken) } else { Header::Wrong("it could not be taken") }
        }
    }
}

impl Supervisor<'_> {
    /// A proxy's connection: who its peer is comes first.
    pub(super) fn on_proxied(&mut self, arrival: Arrival) {
        let header = take_header(arrival.connection.ends().0);
        self.on_header(arrival, header);
    }

    fn on_header(&mut self, mut arrival: Arrival, header: Header) {
        match header {
            Header::Incomplete => self.keep_awaiting(arrival, What::Header),
            Header::None => drop(self.uncount(arrival)),
            Header::Wrong(why) => self.close_headless(arrival, why),
            Header::Whole(spoken) => {
                match spoken {
                    Spoken::For { peer, local } => arrival.connection.set_proxied(peer, local),
                    Spoken::ForItself => return self.on_proxys_own(arrival),
                }
                self.identify(arrival);
            }
        }
    }

    /// A proxy's own connection has a sandbox only if it asks something, or stays. A health check ends at once,
    /// and leaves no record.
    fn on_proxys_own(&mut self, arrival: Arrival) {
        match look(arrival.connection.ends().0) {
            FirstByte::Something => self.identify(arrival),
            FirstByte::Ended => drop(self.uncount(arrival)),
            FirstByte::Nothing => self.keep_awaiting(arrival, What::DataOfProxy),
        }
    }

    fn identify(&mut self, arrival: Arrival) {
        let admission = &mut self.services[arrival.service].admission;
        match admission.identify(&arrival.connection, Instant::now()) {
            Ok(source) => {
                self.make_room(arrival.service);
                self.on_arrival(Arrival { source, ..arrival });
            }
            Err(rejected) => self.reject(arrival.service, arrival.connection, &rejected),
        }
    }

    /// An admitted connection: served at once, or when it has said something, as its service asks.
    pub(super) fn on_arrival(&mut self, arrival: Arrival) {
        if self.services[arrival.service].service.wait_for_data.is_none() {
            return self.serve_connection(arrival);
        }
        match look(arrival.connection.ends().0) {
            FirstByte::Something => self.serve_connection(arrival),
            FirstByte::Ended => self.end_unserved(arrival, Outcome::NoData),
            FirstByte::Nothing => self.keep_awaiting(arrival, What::Data),
        }
    }

    fn keep_awaiting(&mut self, arrival: Arrival, what: What) {
        let id = self.next_id;
        self.next_id += 1;
        // Edge-triggered: data that has come and is not enough makes no more events.
        let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLET;
        let event = EpollEvent::new(flags, token(Origin::Awaited, id));
        if let Err(errno) = self.epoll.add(arrival.connection.ends().0, event) {
            self.pause_accepting(Instant::now(), errno);
            return self.turn_away(arrival);
        }
        let service = &self.services[arrival.service].service;
        let own = match what {
            What::Header => Some(HEADER_TIME),
            What::DataOfProxy => Some(CHECK_TIME),
            What::Data => service.wait_for_data.and_then(|time| time.0),
        };
        if let Some(time) = [own, service.wall_time].into_iter().flatten().min() {
            self.deadlines.set(arrival.began + time, Deadline::AwaitEnd(id));
        }
        self.awaited.insert(id, Awaited { arrival, what });
    }

    pub(super) fn on_awaited(&mut self, id: u64) {
        let Some(Awaited { arrival, what }) = self.awaited.get(&id) else { return };
        let socket = arrival.connection.ends().0;
        match what {
            What::Header => {
                let header = take_header(socket);
                if header != Header::Incomplete
                    && let Some(Awaited { arrival, .. }) = self.take_awaited(id)
                {
                    self.on_header(arrival, header);
                }
            }
            What::DataOfProxy => {
                if look(socket) != FirstByte::Nothing
                    && let Some(Awaited { arrival, .. }) = self.take_awaited(id)
                {
                    self.on_proxys_own(arrival);
                }
            }
            What::Data => {
                if look(socket) != FirstByte::Nothing
                    && let Some(Awaited { arrival, .. }) = self.take_awaited(id)
                {
                    self.on_arrival(arrival);
                }
            }
        }
    }

    pub(super) fn on_await_end(&mut self, id: u64) {
        let Some(Awaited { arrival, what }) = self.take_awaited(id) else { return };
        let wall = self.services[arrival.service].service.wall_time;
        match what {
            What::Header => self.close_headless(arrival, "it did not come in time"),
            What::DataOfProxy => self.identify(arrival),
            What::Data if wall.is_some_and(|wall| arrival.began.elapsed() >= wall) => {
                self.end_unserved(arrival, Outcome::WallTime);
            }
            What::Data => self.end_unserved(arrival, Outcome::NoData),
        }
    }

    /// The connection of a service that has waited longest for its first byte.
    pub(super) fn longest_awaited(&self, service: ServiceId) -> Option<(Instant, u64)> {
        let of_service = |(_, awaited): &(&u64, &Awaited)| awaited.arrival.service == service;
        let all = self.awaited.iter().filter(of_service);
        all.map(|(id, awaited)| (awaited.arrival.began, *id)).min()
    }

    pub(super) fn evict_awaited(&mut self, id: u64) {
        if let Some(Awaited { arrival, .. }) = self.take_awaited(id) {
            self.end_unserved(arrival, Outcome::Evicted);
        }
    }

    fn take_awaited(&mut self, id: u64) -> Option<Awaited> {
        let awaited = self.awaited.remove(&id)?;
        self.deadlines.cancel(Deadline::AwaitEnd(id));
        self.epoll.delete(awaited.arrival.connection.ends().0).ignoring("it is not watched any more");
        Some(awaited)
    }

    /// Gives up the connection's place among the admitted ones.
    fn uncount(&mut self, arrival: Arrival) -> Arrival {
        self.release(arrival.service, arrival.conn, arrival.source);
        arrival
    }

    /// Closes a connection that no sandbox was spent on.
    pub(super) fn end_unserved(&mut self, arrival: Arrival, outcome: Outcome) {
        let arrival = self.uncount(arrival);
        let service = Rc::clone(&self.services[arrival.service].service);
        let conn = self.number(arrival.conn);
        let (peer, waited) = (arrival.connection.peer(), arrival.began.elapsed());
        let record = Record::unserved(conn, &peer, &service.name, outcome, waited);
        self.record(arrival.service, &record, None);
    }

    fn close_headless(&mut self, arrival: Arrival, why: &str) {
        let arrival = self.uncount(arrival);
        let state = &mut self.services[arrival.service];
        if let Some(unlogged) = state.admission.log_rejection(Instant::now()) {
            log::no_header(&state.service.name, &arrival.connection.peer(), why, unlogged);
        }
    }

    /// Refuses a connection that cannot be waited for, or not any more.
    pub(super) fn turn_away(&mut self, arrival: Arrival) {
        let arrival = self.uncount(arrival);
        let service = Rc::clone(&self.services[arrival.service].service);
        self.refuse(arrival.connection, &service.on_refusal);
    }

    pub(super) fn turn_all_awaited_away(&mut self) {
        let ids: Vec<u64> = self.awaited.keys().copied().collect();
        for id in ids {
            if let Some(Awaited { arrival, .. }) = self.take_awaited(id) {
                self.turn_away(arrival);
            }
        }
    }
}
