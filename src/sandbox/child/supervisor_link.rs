//! The child's link to the supervisor: it dies with it, learns its identity from it, and reports to it.

use super::operand::Operand;
use super::rootfs;
use super::step::{AtStep, Failure, Step, verify};
use super::wire::{self, Report};
use crate::plan::identity::Identity;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use sys::{self, Errno, Ignoring, privilege, process, socket};

/// Both descriptors are close-on-exec: the handler has neither.
#[derive(Debug, Clone, Copy)]
pub struct SupervisorLink<'a> {
    /// Readable once the supervisor is dead. Opened before the clone: getppid(2) is 0 in a new pid namespace,
    /// dead or not.
    pub pidfd: BorrowedFd<'a>,
    /// Reports go up, the identity and acknowledgements come down.
    pub channel: BorrowedFd<'a>,
}

impl SupervisorLink<'_> {
    /// Asks to be killed when the supervisor dies, then looks whether it has died already.
    ///
    /// The kernel checks the dying parent's right to signal us: a supervisor without CAP_KILL would be
    /// outlived without any error, so start-up refuses without it.
    pub fn die_with_it(&self) -> Result<(), Failure> {
        privilege::set_parent_death_signal(libc::SIGKILL).step(Step::ParentDeathSignal)?;
        let set = privilege::parent_death_signal().step(Step::ParentDeathSignal)?;
        verify(Step::ParentDeathSignal, set == libc::SIGKILL)?;
        let mut watched = [libc::pollfd { fd: self.pidfd.as_raw_fd(), events: libc::POLLIN, revents: 0 }];
        let dead = sys::poll(&mut watched, Some(0)).step(Step::SupervisorAlive)?;
        verify(Step::SupervisorAlive, dead == 0)
    }

    /// Waits for the ids, which may depend on our own pid and are then known only after the clone. The user
    /// namespace for an idmapped snapshot comes with them.
    pub fn receive_identity(&self) -> Result<(Identity, Option<OwnedFd>), Failure> {
        let step = Step::ReceiveIdentity;
        let mut message = [0; wire::IDENTITY_LEN];
        let (count, userns) = socket::receive_with_fd(self.channel, &mut message).step(step)?;
        if count != message.len() {
            return Err(Failure { step, operand: Operand::None, errno: Errno::EPIPE });
        }
        Ok((wire::decode_identity(message), userns))
    }

    /// Waits until the supervisor has left the host's network namespace, follows it (by its pidfd, Linux
    /// 5.8), and looks. `names` is the child's /proc/self/ns, which no path leads to any more.
    pub fn join_network(&self, names: BorrowedFd<'_>) -> Result<(), Failure> {
        let step = Step::Network;
        let mut message = [0; wire::NETWORK_LEN];
        let count = sys::read(self.channel, &mut message).step(step)?;
        if count != message.len() {
            return Err(Failure { step, operand: Operand::None, errno: Errno::EPIPE });
        }
        process::setns(self.pidfd, libc::CLONE_NEWNET).step(step)?;
        let joined = rootfs::namespace_id(names, c"net").step(step)?;
        verify(step, joined == u64::from_ne_bytes(message))
    }

    /// The id map of the next writable bind.
    pub(crate) fn receive_user_namespace(&self) -> Result<OwnedFd, Failure> {
        let step = Step::ReceiveIdentity;
        let (_, userns) = socket::receive_with_fd(self.channel, &mut [0]).step(step)?;
        userns.ok_or(Errno::EPIPE).step(step)
    }

    /// Tells the supervisor and waits until it has acted upon it.
    pub fn report_and_wait(&self, report: Report, step: Step) -> Result<(), Failure> {
        sys::write(self.channel, &report.encode()).step(step)?;
        let count = sys::read(self.channel, &mut [0]).step(step)?;
        if count == 1 { Ok(()) } else { Err(Failure { step, operand: Operand::None, errno: Errno::EPIPE }) }
    }

    /// Reports the failure of the set-up. If the report is lost, the supervisor sees the child die.
    pub fn report_failure(&self, failure: Failure) {
        sys::write(self.channel, &Report::Failed(failure).encode())
            .ignoring("nobody hears it, so nobody waits");
    }
}
