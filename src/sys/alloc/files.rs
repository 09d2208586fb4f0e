//! What /proc tells of descriptors.

use crate::{Errno, Result, check};
use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

/// Whether the open file, which may be O_PATH, has an extended attribute (getxattr(2), by its link in /proc).
pub fn file_has_attribute(file: BorrowedFd<'_>, name: &CStr) -> Result<bool> {
    let path = CString::new(format!("/proc/self/fd/{}", file.as_raw_fd())).map_err(|_nul| Errno::EINVAL)?;
    // SAFETY: two C strings; with size 0 nothing is written.
    let size = unsafe { libc::getxattr(path.as_ptr(), name.as_ptr(), ptr::null_mut(), 0) };
    match check(i64::try_from(size).map_err(|_more_than_64_bits| Errno::EOVERFLOW)?) {
        Ok(_) => Ok(true),
        Err(Errno::ENODATA | Errno::EOPNOTSUPP) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// The number that the process has in our pid namespace (pidfd_open(2), `Pid:`).
pub fn number_of(pidfd: BorrowedFd<'_>) -> Result<u32> {
    let shown = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd()));
    let shown = shown.map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))?;
    // -1: it has been reaped.
    let number = shown.lines().find_map(|line| line.strip_prefix("Pid:")?.trim().parse().ok());
    number.ok_or(Errno::ESRCH)
}
