//! Credentials: content that the launcher has read for a handler, in a small read-only tmpfs of each sandbox.
//! Only its uid can read it, as with systemd's LoadCredential= (systemd.exec(5)).

use super::operand::{Mount, Operand, place};
use super::rootfs::{FLAGS_READ_ONLY, READ_ONLY, attach_and_verify, new_tmpfs, verify_flags};
use super::step::{AtStep, Failure, Step, verify_on};
use crate::plan::credentials::{Content, Credential, Credentials};
use crate::plan::identity::Identity;
use crate::plan::rootfs::Plan;
use std::os::fd::{AsFd, BorrowedFd};
use sys::mount as sysmount;
use sys::{self, Errno};

pub(crate) fn mount(plan: &Plan, root: BorrowedFd<'_>, identity: Identity) -> Result<(), Failure> {
    let Some(Credentials { list, bounds }) = &plan.credentials else { return Ok(()) };
    let (step, all) = (Step::Credentials, Operand::Mount(Mount::Credentials));
    let tree = new_tmpfs(&bounds.bytes, &bounds.inodes, c"0700", step, all)?;
    for (index, credential) in list.iter().enumerate() {
        write(tree.as_fd(), credential, identity).step_on(step, Operand::Credential(place(index)))?;
    }
    // The mode while it is ours still: later it would take CAP_FOWNER.
    sysmount::chmod(tree.as_fd(), c".", 0o500).step_on(step, all)?;
    sysmount::chown(tree.as_fd(), c".", identity.uid, identity.gid).step_on(step, all)?;
    let owner = sysmount::owner(tree.as_fd()).step_on(step, all)?;
    verify_on(step, all, owner == (identity.uid, identity.gid))?;
    sysmount::set_attributes(tree.as_fd(), READ_ONLY, false).step_on(step, all)?;
    verify_flags(tree.as_fd(), FLAGS_READ_ONLY, step, all)?;
    attach_and_verify(plan, root, tree.as_fd(), Mount::Credentials, FLAGS_READ_ONLY)
}

fn write(directory: BorrowedFd<'_>, credential: &Credential, identity: Identity) -> Result<(), Errno> {
    let Credential { name, content: Content(content) } = credential;
    let mut rest = content.as_slice();
    let file = sysmount::create(directory, name, 0o400)?;
    while !rest.is_empty() {
        let count = sys::write(file.as_fd(), rest)?;
        rest = rest.get(count..).filter(|_| count > 0).ok_or(Errno::EIO)?;
    }
    sysmount::chown(directory, name, identity.uid, identity.gid)
}
