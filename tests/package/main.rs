//! The package, `dayfly template` and the scripts.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod completions;
mod package;
mod scripts;
mod template_build;
