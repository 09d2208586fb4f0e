//! Loop devices: a file as a block device (loop(4)).

use super::{Result, check};
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd};

// uapi/linux/loop.h
const LOOP_CONFIGURE: u32 = 0x4c0a;
const LOOP_CTL_GET_FREE: u32 = 0x4c82;
const LO_FLAGS_READ_ONLY: u32 = 1;
const LO_FLAGS_AUTOCLEAR: u32 = 4;

/// `struct loop_info64`.
#[repr(C)]
struct LoopInfo {
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    size_limit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
}

/// `struct loop_config`.
#[repr(C)]
struct LoopConfig {
    fd: u32,
    block_size: u32,
    info: LoopInfo,
    reserved: [u64; 8],
}

/// The number of a device that nobody uses, yet.
pub fn free(control: BorrowedFd<'_>) -> Result<u32> {
    // SAFETY: the request takes no argument.
    let number = check(unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE as libc::Ioctl) }.into())?;
    Ok(u32::try_from(number).unwrap_or(u32::MAX))
}

/// Makes the device read the file, and vanish with its last user (Linux 5.8). EBUSY: somebody else was
/// faster.
pub fn configure(device: BorrowedFd<'_>, file: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: the struct is integers only, for which zero is a value.
    let mut config: LoopConfig = unsafe { mem::zeroed() };
    config.fd = file.as_raw_fd().unsigned_abs();
    config.info.flags = LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR;
    let request = LOOP_CONFIGURE as libc::Ioctl;
    // SAFETY: `config` is a live struct of the size that the request reads.
    check(unsafe { libc::ioctl(device.as_raw_fd(), request, &raw const config) }.into()).map(drop)
}
