//! A handler that follows log files; all of it is in the library beside, which the fuzzer links as well.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    logwatch::main()
}
