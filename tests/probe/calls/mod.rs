//! `probe calls NAME…`: makes each system call as an ordinary program does, and prints the kernel's answer.
//!
//! Other calls prepare its operands (a file, a timer, a child). `probe answers NAME=NUMBER[,ARGUMENT…]…`
//! makes calls that are answered or denied anyway; arguments that are not given are zeros.

mod files;
mod kernel;
mod processes;
mod trees;

use crate::{Answer, call};

pub fn calls(names: &[String]) -> i32 {
    for name in names {
        let families = [files::call_of, trees::call_of, kernel::call_of, processes::call_of];
        match families.iter().find_map(|family| family(name)) {
            Some(Ok(value)) => println!("{name} ok {value}"),
            Some(Err(errno)) => println!("{name} errno {errno}"),
            None => println!("{name} unknown"),
        }
    }
    0
}

pub fn answers(pairs: &[String]) -> i32 {
    for pair in pairs {
        let (name, words) = pair.split_once('=').unwrap_or((pair, "-1"));
        let mut words = words.split(',').map(|word| word.parse().unwrap_or(-1));
        let number = words.next().unwrap_or(-1);
        match call(number, std::array::from_fn(|_| words.next().unwrap_or(0))) {
            Ok(value) => println!("{name} ok {value}"),
            Err(errno) => println!("{name} errno {errno}"),
        }
    }
    0
}

/// `probe flood THREADS ROUNDS NUMBER…`: each thread makes each call so often, with arguments that no
/// call takes.
pub fn flood(words: &[String]) -> i32 {
    let number = |index: usize| words.get(index).and_then(|word| word.parse().ok()).unwrap_or(0);
    let (threads, rounds) = (number(0), number(1));
    let calls: Vec<i64> = words.iter().skip(2).filter_map(|word| word.parse().ok()).collect();
    let began = std::time::Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                for _ in 0..rounds {
                    for number in &calls {
                        let _whatever = call(*number, [-1; 6]);
                    }
                }
            });
        }
    });
    println!("made {} in {} us", calls.len() as u64 * threads * rounds, began.elapsed().as_micros());
    0
}

/// An error that shows that the call was executed.
fn even(answer: Answer, errno: i32) -> Answer {
    match answer {
        Err(found) if found == errno => Ok(0),
        answer => answer,
    }
}

/// Interrupts what waits for a signal: SIGALRM, handled, after 5 ms.
fn alarm_soon() {
    extern "C" fn nothing(_: i32) {}
    // SAFETY: the handler touches nothing; the timer is a live struct.
    unsafe {
        libc::signal(libc::SIGALRM, nothing as *const () as usize);
        let mut timer: libc::itimerval = std::mem::zeroed();
        timer.it_value.tv_usec = 5000;
        libc::syscall(libc::SYS_setitimer, libc::ITIMER_REAL, &raw const timer, 0);
    }
}

/// A new file, open for reading and writing, with eight bytes in it.
fn a_file(name: &std::ffi::CStr) -> Result<i64, i32> {
    let flags = libc::O_RDWR | libc::O_CREAT | libc::O_TRUNC;
    let fd = call(libc::SYS_openat, [HERE, name.as_ptr() as i64, flags.into(), 0o644, 0, 0])?;
    call(libc::SYS_write, [fd, c"contents".as_ptr() as i64, 8, 0, 0, 0])?;
    call(libc::SYS_lseek, [fd, 0, libc::SEEK_SET.into(), 0, 0, 0])?;
    Ok(fd)
}

const HERE: i64 = libc::AT_FDCWD as i64;

/// The two calls that end the process, in the process itself.
pub fn ends(name: &str) -> i32 {
    let number = if name == "exit" { libc::SYS_exit } else { libc::SYS_exit_group };
    println!("came back {:?}", call(number, [7, 0, 0, 0, 0, 0]));
    1
}
