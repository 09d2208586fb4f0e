//! The messages between the supervisor and a child that is setting itself up. Fixed size, no allocation.

use super::operand::Operand;
use super::step::{Failure, Step};
use crate::plan::identity::Identity;
use std::os::fd::RawFd;
use sys::Errno;

pub const REPORT_LEN: usize = 12;
pub const IDENTITY_LEN: usize = 8;
/// The number of the network namespace to join.
pub const NETWORK_LEN: usize = size_of::<u64>();
/// A "go on" with variables for the environment after it, each ended by a NUL byte.
pub const ENVIRONMENT_MAX: usize = 4096;
/// An order to a zygote: which of the descriptors come with it that not every sandbox has.
pub const ORDER_LEN: usize = 1;
pub const WITH_GROUP: u8 = 1;
pub const WITH_STATUS: u8 = 2;
/// Says "go on" to a child that waits.
pub const GO_ON: [u8; 1] = [1];

/// A child's message. The end of the channel means that exec has succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Report {
    Failed(Failure),
    /// The init stub has cloned the handler's process; its pidfd has this number in the stub.
    Handler(RawFd),
    /// The seccomp listener has this number in the process that will exec.
    Listener(RawFd),
    /// A zygote is set up, and waits for an order.
    Waiting,
    /// It has cloned a sandbox, whose first process has this number.
    Cloned(u32),
}

impl Report {
    pub fn encode(self) -> [u8; REPORT_LEN] {
        let (tag, step, operand, value) = match self {
            Report::Failed(failure) => {
                (1, failure.step as u16, failure.operand.to_number(), failure.errno as i32)
            }
            Report::Handler(fd) => (2, 0, 0, fd),
            Report::Listener(fd) => (3, 0, 0, fd),
            Report::Waiting => (4, 0, 0, 0),
            Report::Cloned(pid) => (5, 0, 0, pid.cast_signed()),
        };
        let [t0, t1, t2, t3] = u32::to_ne_bytes(tag);
        let [s0, s1] = step.to_ne_bytes();
        let [o0, o1] = operand.to_ne_bytes();
        let [v0, v1, v2, v3] = value.to_ne_bytes();
        [t0, t1, t2, t3, s0, s1, o0, o1, v0, v1, v2, v3]
    }

    /// None for an invalid message.
    pub fn decode(message: [u8; REPORT_LEN]) -> Option<Report> {
        let [t0, t1, t2, t3, s0, s1, o0, o1, v0, v1, v2, v3] = message;
        let value = i32::from_ne_bytes([v0, v1, v2, v3]);
        match u32::from_ne_bytes([t0, t1, t2, t3]) {
            1 => Some(Report::Failed(Failure {
                step: Step::from_number(u16::from_ne_bytes([s0, s1]))?,
                operand: Operand::from_number(u16::from_ne_bytes([o0, o1]))?,
                errno: Errno::from_raw(value),
            })),
            2 => Some(Report::Handler(value)),
            3 => Some(Report::Listener(value)),
            4 => Some(Report::Waiting),
            5 => Some(Report::Cloned(value.cast_unsigned())),
            _ => None,
        }
    }
}

pub fn encode_identity(identity: Identity) -> [u8; IDENTITY_LEN] {
    let [u0, u1, u2, u3] = identity.uid.to_ne_bytes();
    let [g0, g1, g2, g3] = identity.gid.to_ne_bytes();
    [u0, u1, u2, u3, g0, g1, g2, g3]
}

pub fn decode_identity(message: [u8; IDENTITY_LEN]) -> Identity {
    let [u0, u1, u2, u3, g0, g1, g2, g3] = message;
    Identity { uid: u32::from_ne_bytes([u0, u1, u2, u3]), gid: u32::from_ne_bytes([g0, g1, g2, g3]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_report_survives_the_wire() {
        let failure = Failure { step: Step::Bind, operand: Operand::Limit(7), errno: Errno::ELOOP };
        let others = [Report::Handler(5), Report::Listener(3), Report::Waiting, Report::Cloned(1)];
        for report in others.into_iter().chain([Report::Failed(failure)]) {
            assert_eq!(Report::decode(report.encode()), Some(report));
        }
        assert_eq!(Report::decode([9; REPORT_LEN]), None);
    }

    #[test]
    fn an_identity_survives_the_wire() {
        let identity = Identity { uid: 0x7000_1234, gid: 0x7000_5678 };
        assert_eq!(decode_identity(encode_identity(identity)), identity);
    }
}
