//! Connections that cost no sandbox yet: admitted, and waited for until there is something to serve.

use super::Supervisor;
use super::deadlines::Deadline;
use super::live::Arrival;
use super::origin::{Origin, token};
use crate::log;
use crate::outcome::{Outcome, Record};
use crate::sys::{Errno, Ignoring};
use nix::sys::epoll::{EpollEvent, EpollFlags};
use nix::sys::socket::{MsgFlags, recv};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::rc::Rc;
use std::time::Instant;

/// What the peer has done so far.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Nothing,
    Something,
    /// It has ended without a byte.
    Ended,
}

/// Looks without taking anything: every byte is the handler's.
fn look(socket: BorrowedFd<'_>) -> Said {
    let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
    match recv(socket.as_raw_fd(), &mut [0], flags) {
        Ok(1..) => Said::Something,
        Err(Errno::EAGAIN | Errno::EINTR) => Said::Nothing,
        Ok(0) | Err(_) => Said::Ended,
    }
}

impl Supervisor<'_> {
    /// An admitted connection: served at once, or when it has said something, as its service asks.
    pub(super) fn on_arrival(&mut self, arrival: Arrival) {
        if self.services[arrival.service].service.wait_for_data.is_none() {
            return self.serve_connection(arrival);
        }
        match look(arrival.connection.ends().0) {
            Said::Something => self.serve_connection(arrival),
            Said::Ended => self.end_unserved(arrival, Outcome::NoData),
            Said::Nothing => self.keep_awaiting(arrival),
        }
    }

    fn keep_awaiting(&mut self, arrival: Arrival) {
        let id = self.next_id;
        self.next_id += 1;
        // By edge: what has come and is not enough makes no more events.
        let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLET;
        let event = EpollEvent::new(flags, token(Origin::Awaited, id));
        if let Err(errno) = self.epoll.add(arrival.connection.ends().0, event) {
            log::backing_off(errno);
            return self.turn_away(arrival);
        }
        let service = &self.services[arrival.service].service;
        let times = [service.wait_for_data.and_then(|time| time.0), service.wall_time];
        if let Some(time) = times.into_iter().flatten().min() {
            self.deadlines.set(arrival.began + time, Deadline::AwaitEnd(id));
        }
        self.awaited.insert(id, arrival);
    }

    pub(super) fn on_awaited(&mut self, id: u64) {
        let Some(arrival) = self.awaited.get(&id) else { return };
        let said = look(arrival.connection.ends().0);
        if said == Said::Nothing {
            return;
        }
        let Some(arrival) = self.take_awaited(id) else { return };
        match said {
            Said::Something => self.serve_connection(arrival),
            Said::Nothing | Said::Ended => self.end_unserved(arrival, Outcome::NoData),
        }
    }

    pub(super) fn on_await_end(&mut self, id: u64) {
        let Some(arrival) = self.take_awaited(id) else { return };
        let wall = self.services[arrival.service].service.wall_time;
        let whole = wall.is_some_and(|wall| arrival.began.elapsed() >= wall);
        self.end_unserved(arrival, if whole { Outcome::WallTime } else { Outcome::NoData });
    }

    fn take_awaited(&mut self, id: u64) -> Option<Arrival> {
        let arrival = self.awaited.remove(&id)?;
        self.epoll.delete(arrival.connection.ends().0).ignoring("it is not watched any more");
        Some(arrival)
    }

    /// Closes a connection that no sandbox was spent on.
    fn end_unserved(&mut self, arrival: Arrival, outcome: Outcome) {
        let state = &mut self.services[arrival.service];
        state.admission.release(arrival.source);
        let service = Rc::clone(&state.service);
        let conn = self.next_conn;
        self.next_conn += 1;
        let (peer, waited) = (arrival.connection.peer(), Instant::now() - arrival.began);
        log::ended(&Record::unserved(conn, &peer, &service.name, outcome, waited));
    }

    /// Nothing could be done for it, or nothing is done any more.
    pub(super) fn turn_away(&mut self, arrival: Arrival) {
        let state = &mut self.services[arrival.service];
        state.admission.release(arrival.source);
        let service = Rc::clone(&state.service);
        self.refuse(arrival.connection, &service.on_refusal);
    }

    pub(super) fn turn_all_awaited_away(&mut self) {
        for (_, arrival) in std::mem::take(&mut self.awaited) {
            self.epoll.delete(arrival.connection.ends().0).ignoring("it is not watched any more");
            self.turn_away(arrival);
        }
    }
}
