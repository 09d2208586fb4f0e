//! Memory: faults, limits, and code made at run time.

use crate::{Answer, call, see::path};

const PAGE: i64 = 4096;
const PRIVATE: i64 = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as i64;
const RW: i64 = (libc::PROT_READ | libc::PROT_WRITE) as i64;
const EXEC: i64 = libc::PROT_EXEC as i64;
const READ: i64 = libc::PROT_READ as i64;

/// A fault that no disposition can turn away, also as PID 1.
pub fn crash() -> i32 {
    // SAFETY: it is the purpose to fault here; nothing runs afterwards.
    unsafe { std::ptr::without_provenance_mut::<u8>(8).write_volatile(1) };
    1
}

pub fn illegal() -> i32 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: raises SIGILL, which is the purpose.
    unsafe {
        std::arch::asm!("ud2")
    };
    #[cfg(target_arch = "aarch64")]
    // SAFETY: raises SIGILL, which is the purpose.
    unsafe {
        std::arch::asm!("udf #0")
    };
    1
}

/// Takes memory and touches it until it is refused.
pub fn alloc() -> i32 {
    const BLOCK: i64 = 1 << 20;
    for taken in 0..4096 {
        match call(libc::SYS_mmap, [0, BLOCK, RW, PRIVATE, -1, 0]) {
            Ok(start) => {
                for page in 0..(BLOCK / PAGE) {
                    // SAFETY: the page lies inside the mapping just made, which is never unmapped.
                    unsafe { ((start + page * PAGE) as *mut u8).write_volatile(1) };
                }
            }
            Err(errno) => {
                println!("alloc {taken} errno {errno}");
                return 0;
            }
        }
    }
    println!("alloc 4096 ok");
    0
}

pub fn mmap_exec() -> Answer {
    call(libc::SYS_mmap, [0, PAGE, READ | EXEC, PRIVATE, -1, 0])
}

pub fn mmap_write_exec() -> Answer {
    call(libc::SYS_mmap, [0, PAGE, RW | EXEC, PRIVATE, -1, 0])
}

/// Of the host's pool of huge pages, which it has set apart for others.
pub fn mmap_huge() -> Answer {
    let flags = PRIVATE | i64::from(libc::MAP_HUGETLB);
    call(libc::SYS_mmap, [0, 2 << 20, RW, flags, -1, 0])
}

pub fn advise(advice: i32) -> Answer {
    call(libc::SYS_madvise, [page()?, PAGE, advice.into(), 0, 0, 0])
}

/// Maps a file of the template for execution, as a loader would.
pub fn mmap_file_exec(file: &str) -> Answer {
    let name = path(file);
    let fd = call(libc::SYS_openat, [libc::AT_FDCWD.into(), name.as_ptr() as i64, 0, 0, 0, 0])?;
    call(libc::SYS_mmap, [0, PAGE, READ | EXEC, libc::MAP_PRIVATE.into(), fd, 0])
}

fn page() -> Answer {
    call(libc::SYS_mmap, [0, PAGE, RW, PRIVATE, -1, 0])
}

pub fn mprotect_exec() -> Answer {
    call(libc::SYS_mprotect, [page()?, PAGE, READ | EXEC, 0, 0, 0])
}

pub fn pkey_mprotect_exec() -> Answer {
    call(libc::SYS_pkey_mprotect, [page()?, PAGE, READ | EXEC, -1, 0, 0])
}
