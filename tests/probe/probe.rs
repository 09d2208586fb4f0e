//! A handler for tests: does one thing inside the sandbox and prints the kernel's answer on fd 1.
//!
//! `probe [@TAG] VERB [ARGS]`. The tag lets the tests find this process in /proc. A denied call ends the
//! probe, so each verb makes as few calls as possible.

mod attempt;
mod calls;
mod change;
mod memory;
mod place;
mod see;
mod socket;
mod system;
mod tree;

use std::io::Write;
use std::os::fd::RawFd;

/// The result of an attempted call, or its errno.
type Answer = Result<i64, i32>;

fn main() {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|a| a.starts_with('@')) {
        args.remove(0);
    }
    let verb = if args.is_empty() { String::new() } else { args.remove(0) };
    let status = perform(&verb, &args);
    let _flushed_or_peer_gone = std::io::stdout().flush();
    // SAFETY: ends the process; nothing of it is used afterwards.
    unsafe { libc::_exit(status) }
}

fn perform(verb: &str, args: &[String]) -> i32 {
    match verb {
        "see" => see::see(args),
        "try" => attempt::attempt(args),
        "calls" => calls::calls(args),
        "answers" => calls::answers(args),
        "flood" => calls::flood(args),
        "ends" => calls::ends(args.first().map_or("", String::as_str)),
        "env" => see::environment(),
        "echo" => echo(),
        "big" => big(number(args, 0)),
        "sleep" => sleep(),
        "lock" => lock(args.first().map_or("", String::as_str)),
        "keep" => tree::write(args.first().map_or("/tmp/keep", String::as_str)).map_or(1, |_| sleep()),
        "meet" => meet(),
        "banner" => banner(),
        "spin" => spin(),
        "finish" => finish(),
        "stderr" => complain(number(args, 0), args.get(1).map_or("line", String::as_str)),
        "bytes" => raw_stderr(args),
        "exit" => i32::try_from(number(args, 0)).unwrap_or(255),
        "signal" => signal(number(args, 0)),
        "abort" => std::process::abort(),
        "crash" => memory::crash(),
        "illegal" => memory::illegal(),
        "alloc" => memory::alloc(),
        "fill" => tree::fill(args.first().map_or("/tmp/fill", String::as_str)),
        "inodes" => tree::inodes(args.first().map_or("/tmp", String::as_str)),
        _ => {
            eprintln!("probe: no verb {verb:?}");
            64
        }
    }
}

fn number(args: &[String], index: usize) -> u64 {
    args.get(index).and_then(|a| a.parse().ok()).unwrap_or(0)
}

/// The errno of the call that just failed.
fn errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// One raw system call; an attempt wants the kernel's answer, not libc's.
fn call(number: i64, args: [i64; 6]) -> Answer {
    let [a, b, c, d, e, f] = args;
    // SAFETY: the callers pass either scalars or pointers to memory that outlives the call; that the kernel
    // may refuse is the purpose.
    let answer = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    if answer < 0 { Err(errno()) } else { Ok(answer) }
}

fn read(fd: RawFd, buffer: &mut [u8]) -> Answer {
    call(libc::SYS_read, [fd.into(), buffer.as_mut_ptr() as i64, buffer.len() as i64, 0, 0, 0])
}

/// Writes all of `bytes`; false when the other end has gone or refuses.
fn write_all(fd: RawFd, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        match call(libc::SYS_write, [fd.into(), bytes.as_ptr() as i64, bytes.len() as i64, 0, 0, 0]) {
            Ok(n) => bytes = &bytes[n as usize..],
            Err(libc::EINTR) => {}
            Err(_) => return false,
        }
    }
    true
}

/// Copies fd 0 to fd 1 until the peer has sent everything.
fn echo() -> i32 {
    let mut buffer = [0u8; 16384];
    loop {
        match read(0, &mut buffer) {
            Ok(0) => return 0,
            Ok(n) if write_all(1, &buffer[..n as usize]) => {}
            Ok(_) | Err(_) => return 1,
        }
    }
}

/// Reads one line, then answers with so many bytes, each a function of its place.
fn big(length: u64) -> i32 {
    let mut one = [0u8; 1];
    while let Ok(1) = read(0, &mut one) {
        if one[0] == b'\n' {
            break;
        }
    }
    let mut block = Vec::with_capacity(65536);
    let mut place = 0;
    while place < length {
        block.clear();
        while block.len() < 65536 && place < length {
            block.push(byte_at(place));
            place += 1;
        }
        if !write_all(1, &block) {
            return 1;
        }
    }
    match call(libc::SYS_shutdown, [1, libc::SHUT_WR.into(), 0, 0, 0, 0]) {
        Ok(_) => 0,
        Err(_) => 2,
    }
}

/// The tests compute the same; see tests/connection/halfclose.rs.
fn byte_at(place: u64) -> u8 {
    (place.wrapping_mul(2_654_435_761) >> 13) as u8
}

/// Says that it is there, then waits for the peer to close or to send a line.
fn sleep() -> i32 {
    write_all(1, b"ready\n");
    let mut one = [0u8; 1];
    loop {
        match read(0, &mut one) {
            Ok(0) => return 0,
            Ok(_) if one[0] == b'\n' => {
                write_all(1, b"bye\n");
                return 0;
            }
            Ok(_) => {}
            Err(_) => return 1,
        }
    }
}

/// Locks a file for itself and stays, if nobody else has a lock on it.
fn lock(path: &str) -> i32 {
    let locked = tree::open(path)
        .and_then(|fd| call(libc::SYS_flock, [fd, (libc::LOCK_EX | libc::LOCK_NB).into(), 0, 0, 0, 0]));
    match locked {
        Ok(_) => sleep(),
        Err(errno) => {
            println!("errno {errno}");
            0
        }
    }
}

/// Reads a word, leaves it wherever it may write, and says who and what it meets there; waits for one more
/// line, so that others can do the same meanwhile, and looks again.
fn meet() -> i32 {
    let Some(word) = line() else { return 1 };
    see::see(&["ids".into(), "pid".into(), "/".into(), "/tmp".into()]);
    for directory in ["/tmp", ""] {
        // Under a readonly snapshot there is only one place.
        let _may_be_refused = tree::write(&format!("{directory}/{word}"));
    }
    println!("met {word}");
    let _flushed = std::io::stdout().flush();
    let Some(again) = line() else { return 1 };
    see::see(&["/tmp".into(), "/".into()]);
    println!("met {again}");
    0
}

/// One line of fd 0, byte by byte: what follows it stays there.
fn line() -> Option<String> {
    let (mut line, mut one) = (Vec::new(), [0u8; 1]);
    while read(0, &mut one) == Ok(1) {
        if one[0] == b'\n' {
            return String::from_utf8(line).ok();
        }
        line.push(one[0]);
    }
    None
}

/// Speaks before it reads, as CTF tasks and SMTP do, and answers with the line it got.
fn banner() -> i32 {
    write_all(1, b"welcome\n");
    let mut line = [0u8; 256];
    let Ok(n) = read(0, &mut line) else { return 1 };
    write_all(1, &line[..n as usize]);
    0
}

/// Ends its answer and goes on.
fn finish() -> i32 {
    write_all(1, b"whole\n");
    if call(libc::SYS_shutdown, [1, libc::SHUT_WR.into(), 0, 0, 0, 0]).is_err() {
        return 1;
    }
    loop {
        std::hint::spin_loop();
    }
}

fn spin() -> i32 {
    write_all(1, b"ready\n");
    loop {
        std::hint::spin_loop();
    }
}

fn complain(lines: u64, text: &str) -> i32 {
    for n in 0..lines {
        if !write_all(2, format!("{text} {n}\n").as_bytes()) {
            return 1;
        }
    }
    0
}

/// Writes hexadecimal bytes to fd 2: control characters, no newline, journal prefixes.
fn raw_stderr(args: &[String]) -> i32 {
    let hex = args.first().map_or("", String::as_str).as_bytes();
    let bytes: Vec<u8> = hex
        .chunks(2)
        .filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect();
    i32::from(!write_all(2, &bytes))
}

/// Sends itself a signal. As PID 1 most of them do nothing.
fn signal(number: u64) -> i32 {
    // SAFETY: raise(3) takes a number and touches no memory of ours.
    let sent = unsafe { libc::raise(i32::try_from(number).unwrap_or(0)) };
    if sent == 0 { 0 } else { 1 }
}
