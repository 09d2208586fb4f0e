//! The same tree over Gemini; all of it is in the library beside, which the fuzzer links as well.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    gopher_handler::gemini_main()
}
