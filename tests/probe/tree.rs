//! The file system: what can be opened, written and filled.

use crate::{Answer, call, see::path};

const HERE: i64 = libc::AT_FDCWD as i64;
const CREATE: i64 = (libc::O_WRONLY | libc::O_CREAT | libc::O_CLOEXEC) as i64;

fn openat(file: &str, flags: i64, mode: i64) -> Answer {
    let name = path(file);
    call(libc::SYS_openat, [HERE, name.as_ptr() as i64, flags, mode, 0, 0])
}

pub fn open(file: &str) -> Answer {
    openat(file, (libc::O_RDONLY | libc::O_CLOEXEC).into(), 0)
}

/// Asks btrfs to make a subvolume, or to destroy one, in the root.
pub fn ask_btrfs(request: u64) -> Answer {
    let root = openat("/", (libc::O_RDONLY | libc::O_CLOEXEC).into(), 0)?;
    let mut arguments = [0u8; 4096];
    // Where either request has the first byte of a name.
    arguments[8] = b'x';
    arguments[56] = b'x';
    arguments[..8].copy_from_slice(&root.to_ne_bytes());
    call(libc::SYS_ioctl, [root, request as i64, arguments.as_mut_ptr() as i64, 0, 0, 0])
}

/// To be written and read.
pub fn create(file: &str) -> Answer {
    openat(file, (libc::O_RDWR | libc::O_CREAT | libc::O_CLOEXEC).into(), 0o644)
}

/// Makes or overwrites a file with one line; the answer is the number of bytes written.
pub fn write(file: &str) -> Answer {
    let fd = openat(file, CREATE | libc::O_TRUNC as i64, 0o644)?;
    let line = b"written by the probe\n";
    call(libc::SYS_write, [fd, line.as_ptr() as i64, line.len() as i64, 0, 0, 0])
}

/// Makes a file that is born set-uid, and writes to it.
pub fn write_setuid(file: &str) -> Answer {
    let fd = openat(file, CREATE, 0o4755)?;
    let line = b"written by the probe\n";
    call(libc::SYS_write, [fd, line.as_ptr() as i64, line.len() as i64, 0, 0, 0])
}

/// The same by openat2(2), whose mode no filter sees.
pub fn openat2_setuid(file: &str) -> Answer {
    let name = path(file);
    let how: [u64; 3] = [CREATE as u64, 0o4755, 0];
    call(libc::SYS_openat2, [HERE, name.as_ptr() as i64, how.as_ptr() as i64, 24, 0, 0])
}

/// A file without a name, set-gid from the first.
pub fn tmpfile_setgid(directory: &str) -> Answer {
    openat(directory, (libc::O_TMPFILE | libc::O_RDWR | libc::O_CLOEXEC).into(), 0o2755)
}

pub fn mkdirat_setgid(file: &str) -> Answer {
    let name = path(file);
    call(libc::SYS_mkdirat, [HERE, name.as_ptr() as i64, 0o2755, 0, 0, 0])
}

/// How many mounts the host has made so far, in effect.
pub fn unique_mount_id(file: &str) -> Answer {
    let name = path(file);
    let mut found = [0u64; 32];
    call(libc::SYS_statx, [HERE, name.as_ptr() as i64, 0, 0x4000, found.as_mut_ptr() as i64, 0])?;
    Ok(found[18] as i64)
}

pub fn chmod_setuid(file: &str) -> Answer {
    let name = path(file);
    call(libc::SYS_fchmodat, [HERE, name.as_ptr() as i64, 0o4755, 0, 0, 0])
}

/// Reads a file and prints it, so that a test sees what this sandbox sees.
pub fn cat(file: &str) -> Answer {
    let fd = open(file)?;
    let mut buffer = [0u8; 4096];
    let n = call(libc::SYS_read, [fd, buffer.as_mut_ptr() as i64, buffer.len() as i64, 0, 0, 0])?;
    println!("content {}", String::from_utf8_lossy(&buffer[..n as usize]).trim_end());
    Ok(n)
}

pub fn mknod(file: &str) -> Answer {
    let name = path(file);
    let null = libc::makedev(1, 3) as i64;
    call(libc::SYS_mknodat, [HERE, name.as_ptr() as i64, (libc::S_IFCHR | 0o666).into(), null, 0, 0])
}

pub fn chroot(file: &str) -> Answer {
    let name = path(file);
    call(libc::SYS_chroot, [name.as_ptr() as i64, 0, 0, 0, 0, 0])
}

/// Writes until the kernel refuses and says how far it came.
pub fn fill(file: &str) -> i32 {
    let fd = match openat(file, CREATE, 0o644) {
        Ok(fd) => fd,
        Err(errno) => {
            println!("fill open errno {errno}");
            return 0;
        }
    };
    let block = vec![0x5a_u8; 65536];
    let mut bytes = 0;
    loop {
        match call(libc::SYS_write, [fd, block.as_ptr() as i64, block.len() as i64, 0, 0, 0]) {
            Ok(n) => bytes += n,
            Err(errno) => {
                println!("fill {bytes} errno {errno}");
                return 0;
            }
        }
        if bytes > 1 << 30 {
            println!("fill {bytes} ok");
            return 0;
        }
    }
}

/// Makes empty files until the kernel refuses.
pub fn inodes(directory: &str) -> i32 {
    for made in 0..100_000 {
        match openat(&format!("{directory}/{made}"), CREATE, 0o644) {
            Ok(fd) => {
                let _closed = call(libc::SYS_close, [fd, 0, 0, 0, 0, 0]);
            }
            Err(errno) => {
                println!("inodes {made} errno {errno}");
                return 0;
            }
        }
    }
    println!("inodes 100000 ok");
    0
}
