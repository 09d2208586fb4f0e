//! The launcher; all of it is in the library beside, which the fuzzer links as well.

use std::process::ExitCode;

/// musl's allocator unmaps as soon as it can, which costs a short life more than its memory; this one keeps
/// what it has.
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

fn main() -> ExitCode {
    dayfly::main()
}
