//! The messages of a process and its successor, and the socket that they go by.

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, recv, send};
use report::counters::{Counters, Ended};
use serde::{Deserialize, Serialize};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Instant;
use sys::{Errno, Ignoring};

/// More than any message has.
const MESSAGE_MAX: usize = 1 << 18;

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Message {
    /// It could not be executed.
    Failed(String),
    /// Base and size of every range that sandboxes of the predecessor may have their ids from.
    Ranges(Vec<(u32, u32)>),
    Ready,
    /// The counts of the service with this index.
    Counters(usize, Box<Counters>),
    TakeOver,
    Ended(usize, EndedConnection),
    Stop,
}

/// [`Ended`], with words of its own.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct EndedConnection {
    at: u64,
    outcome: String,
    peer: String,
    launched: bool,
    /// Waiting, set-up, run, processor, in microseconds.
    times: [u64; 4],
    selector: Option<String>,
}

impl From<&Ended<'_>> for EndedConnection {
    fn from(ended: &Ended<'_>) -> EndedConnection {
        EndedConnection {
            at: ended.at,
            outcome: ended.outcome.to_owned(),
            peer: ended.peer.to_owned(),
            launched: ended.launched,
            times: [ended.wait_us, ended.setup_us, ended.run_us, ended.cpu_us],
            selector: ended.selector.map(str::to_owned),
        }
    }
}

impl EndedConnection {
    pub(super) fn as_ended(&self) -> Ended<'_> {
        let [wait_us, setup_us, run_us, cpu_us] = self.times;
        Ended {
            at: self.at,
            outcome: &self.outcome,
            peer: &self.peer,
            launched: self.launched,
            wait_us,
            setup_us,
            run_us,
            cpu_us,
            selector: self.selector.as_deref(),
        }
    }
}

/// A socket whose messages keep their bounds; never waited for.
#[derive(Debug)]
pub(super) struct Channel(pub(super) OwnedFd);

#[derive(Debug)]
pub(super) enum Received {
    Message(Message),
    Nothing,
    Closed,
}

impl Channel {
    pub(super) fn send(&self, message: &Message) -> Result<(), Errno> {
        let bytes = serde_json::to_vec(message).map_err(|_unserializable| Errno::EINVAL)?;
        send(self.0.as_raw_fd(), &bytes, MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT).map(drop)
    }

    /// Waits until the other process has read enough to make room, but not longer than until then.
    pub(super) fn send_until(&self, message: &Message, end: Instant) -> Result<(), Errno> {
        loop {
            let sent = self.send(message);
            let rest = end.saturating_duration_since(Instant::now());
            if sent != Err(Errno::EAGAIN) || rest.is_zero() {
                return sent;
            }
            let mut watched = [PollFd::new(self.as_fd(), PollFlags::POLLOUT)];
            let rest = PollTimeout::try_from(rest).unwrap_or(PollTimeout::ZERO);
            poll(&mut watched, rest).ignoring("sending says what is wrong");
        }
    }

    /// The next message that this version knows.
    pub(super) fn receive(&self) -> Received {
        let mut bytes = vec![0; MESSAGE_MAX];
        loop {
            match recv(self.0.as_raw_fd(), &mut bytes, MsgFlags::MSG_DONTWAIT) {
                Ok(0) => return Received::Closed,
                Ok(count) => {
                    let known = bytes.get(..count).and_then(|bytes| serde_json::from_slice(bytes).ok());
                    if let Some(message) = known {
                        return Received::Message(message);
                    }
                }
                // The other process has ended without reading all; what it said before comes next.
                Err(Errno::EINTR | Errno::ECONNRESET) => {}
                Err(Errno::EAGAIN) => return Received::Nothing,
                Err(_) => return Received::Closed,
            }
        }
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn pair() -> (Channel, OwnedFd) {
        let (ours, theirs) = sys::socket::message_pair().unwrap();
        (Channel(ours), theirs)
    }

    #[test]
    fn a_message_of_another_version_is_passed_over() {
        let (channel, other) = pair();
        for text in [r#"{"Sing":"loud"}"#, "no JSON", r#""Ready""#] {
            send(other.as_raw_fd(), text.as_bytes(), MsgFlags::empty()).unwrap();
        }
        assert!(matches!(channel.receive(), Received::Message(Message::Ready)));
        assert!(matches!(channel.receive(), Received::Nothing));
        drop(other);
        assert!(matches!(channel.receive(), Received::Closed));
    }

    /// Counts are as long as peers and handlers make them, and services are many.
    #[test]
    fn what_is_told_last_arrives_after_more_counts_than_there_is_room_for() {
        let (channel, other) = pair();
        let mut counters = Counters::default();
        for n in 0..64 {
            counters.selectors.count(&format!("/{n:0>127}"));
        }
        let counts = Message::Counters(0, Box::new(counters));
        let (mut sent, end) = (0, Instant::now() + Duration::from_secs(5));
        while channel.send(&counts).is_ok() {
            sent += 1;
        }
        let reader = std::thread::spawn(move || {
            let other = Channel(other);
            let mut heard = 0;
            std::thread::sleep(Duration::from_millis(50));
            loop {
                match other.receive() {
                    Received::Message(Message::TakeOver) => return heard,
                    Received::Message(_) => heard += 1,
                    Received::Nothing => std::thread::yield_now(),
                    Received::Closed => panic!("it was not told"),
                }
            }
        });
        channel.send_until(&Message::TakeOver, end).unwrap();
        assert_eq!(reader.join().unwrap(), sent);
        assert!(sent < 32, "{sent} services would have to be told before there is no room");
    }

    #[test]
    fn nobody_waits_for_long_for_a_process_that_does_not_read() {
        let (channel, _other) = pair();
        while channel.send(&Message::Ready).is_ok() {}
        let end = Instant::now() + Duration::from_millis(20);
        assert_eq!(channel.send_until(&Message::TakeOver, end), Err(Errno::EAGAIN));
    }

    #[test]
    fn the_end_of_a_connection_counts_as_it_would_have_here() {
        let ended = Ended {
            at: 90_000,
            outcome: "wall",
            peer: "[2001:db8::1]:7",
            launched: true,
            wait_us: 1,
            setup_us: 2,
            run_us: 3,
            cpu_us: 4,
            selector: Some("/a \"b\""),
        };
        let (channel, other) = pair();
        Channel(other).send(&Message::Ended(0, (&ended).into())).unwrap();
        let Received::Message(Message::Ended(0, told)) = channel.receive() else { panic!("no such message") };
        let counted = |ended: &Ended<'_>| {
            let mut counters = Counters::default();
            counters.ended(ended);
            serde_json::to_string(&counters).unwrap()
        };
        assert_eq!(counted(&told.as_ended()), counted(&ended));
    }
}
