//! Snapshots of btrfs: made and destroyed by ioctl(2), which is all that the kernel has for it (ioctl_btrfs
//! in its headers).

use super::{Errno, Result, check};
use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd};

// uapi/linux/btrfs.h
const SNAP_CREATE_V2: u32 = 0x5000_9417;
const SNAP_DESTROY: u32 = 0x5000_940f;

/// `struct btrfs_ioctl_vol_args_v2`. No flags: the snapshot can be written, even where its source is
/// read-only.
#[repr(C)]
struct Create {
    source: i64,
    transid: u64,
    flags: u64,
    unused: [u64; 4],
    name: [u8; 4040],
}

/// `struct btrfs_ioctl_vol_args`.
#[repr(C)]
struct Destroy {
    unused: i64,
    name: [u8; 4088],
}

/// The inode that the root of every subvolume has (BTRFS_FIRST_FREE_OBJECTID).
pub const SUBVOLUME_ROOT: u64 = 256;

/// Makes a snapshot of the subvolume that `source` is the root of. Both descriptors must be open for reading.
///
/// The call waits until the file system has committed a transaction: milliseconds, and all snapshots that are
/// asked for by then are in one commit, if they are made in different directories.
pub fn snapshot(source: BorrowedFd<'_>, dir: BorrowedFd<'_>, name: &CStr) -> Result<()> {
    let source = i64::from(source.as_raw_fd());
    let mut arguments = Create { source, transid: 0, flags: 0, unused: [0; 4], name: [0; 4040] };
    write_name(&mut arguments.name, name)?;
    let request = SNAP_CREATE_V2 as libc::Ioctl;
    // SAFETY: `arguments` is a live struct of the size that the request reads, its name ended by a NUL byte.
    check(unsafe { libc::ioctl(dir.as_raw_fd(), request, &raw const arguments) }.into()).map(drop)
}

/// Destroys a snapshot with all that is in it; what still uses it keeps its open files until they are closed.
pub fn destroy(dir: BorrowedFd<'_>, name: &CStr) -> Result<()> {
    let mut arguments = Destroy { unused: 0, name: [0; 4088] };
    write_name(&mut arguments.name, name)?;
    let request = SNAP_DESTROY as libc::Ioctl;
    // SAFETY: as above.
    check(unsafe { libc::ioctl(dir.as_raw_fd(), request, &raw const arguments) }.into()).map(drop)
}

/// Leaves at least the last byte as it is: zero.
fn write_name(room: &mut [u8], name: &CStr) -> Result<()> {
    let name = name.to_bytes();
    let most = room.len() - 1;
    let place = room.get_mut(..most).and_then(|room| room.get_mut(..name.len()));
    place.ok_or(Errno::ENAMETOOLONG)?.copy_from_slice(name);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_structs_have_the_size_that_their_requests_say() {
        for (request, size) in [(SNAP_CREATE_V2, size_of::<Create>()), (SNAP_DESTROY, size_of::<Destroy>())] {
            assert_eq!((request >> 16) as usize & 0x3fff, size);
        }
    }

    #[test]
    fn a_name_that_leaves_no_room_for_its_end_is_refused() {
        let mut room = [0; 4];
        assert_eq!(write_name(&mut room, c"abcd"), Err(Errno::ENAMETOOLONG));
        assert_eq!(write_name(&mut room, c"abc"), Ok(()));
        assert_eq!(room, *b"abc\0");
    }
}
