//! The variables of socket activation, a line each: a bounded number, a name for each descriptor, none empty.
//!
//! Run by the fuzzer, and over its seeds by the tests.

use crate::activation::variables::Variables;

const PID: u32 = 7;
const ID: u64 = 70;

pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.split('\n').map(|line| (line != "-").then(|| line.to_owned()));
    let mut next = || lines.next().flatten();
    let variables = Variables { pid: next(), pidfd_id: next(), count: next(), names: next() };
    match variables.count(PID, || Some(ID)) {
        Ok(0) => {}
        Ok(count) => {
            assert!(count <= 1024);
            assert_eq!(variables.pid.as_ref().and_then(|pid| pid.parse().ok()), Some(PID));
            let names = variables.names(count);
            assert_eq!(names.len(), count);
            assert!(names.iter().all(|name| !name.is_empty() && !name.contains(':')));
        }
        Err(message) => assert!(message.contains("LISTEN_FDS")),
    }
}
