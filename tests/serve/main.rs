//! `dayfly serve`: admission, the warm pool, several services, reloads, records and the end.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod admission;
mod bad_day;
mod fair;
mod mounting;
mod records;
mod self_reload;
mod serve;
mod services;
mod shortage;
mod sighup;
mod statistics;
mod stop;
mod succession;
mod top;
mod warm;
mod zygote;
