//! Operations on the connection's descriptors.

use crate::{Answer, call, read, tree, write_all};

/// Where the connection goes on.
const ASIDE: i64 = 9;

fn put(from: i64, at: i64) -> Answer {
    call(libc::SYS_dup3, [from, at, 0, 0, 0, 0])
}

/// Puts a file in the place of the connection, and answers on a copy of it.
pub fn exchange() -> Answer {
    put(0, ASIDE)?;
    let file = tree::create("/tmp/exchanged")?;
    put(file, 0)?;
    put(file, 1)?;
    write_all(9, b"exchanged\n");
    let answer = read(9, &mut [0])?;
    write_all(9, b"there\n");
    Ok(answer)
}

/// Puts the one and the other there, again and again.
pub fn alternate() -> Answer {
    put(0, ASIDE)?;
    let file = tree::create("/tmp/exchanged")?;
    write_all(9, b"exchanged\n");
    loop {
        for number in [0, 1] {
            put(file, number)?;
        }
        for number in [0, 1] {
            put(ASIDE, number)?;
        }
    }
}

/// Keeps what is there while the sandbox is parked; with a connection says how it finds it, and leaves a mark
/// on it.
pub fn mark() -> Answer {
    put(0, ASIDE)?;
    call(libc::SYS_sched_yield, [0; 6])?;
    let flags = call(libc::SYS_fcntl, [ASIDE, libc::F_GETFL.into(), 0, 0, 0, 0])?;
    let marked = flags | i64::from(libc::O_APPEND);
    call(libc::SYS_fcntl, [ASIDE, libc::F_SETFL.into(), marked, 0, 0, 0])?;
    Ok(i64::from(flags == marked))
}
