//! The other commands: run, check, explain, unit, nspawn; options and messages.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod check;
mod exit_status;
mod explain;
mod first_hour;
mod messages;
mod nspawn;
mod nspawn_calls;
mod nspawn_inside;
mod operator;
mod rootless;
mod run;
mod service_file;
mod trial;
mod unit;
mod unit_options;
