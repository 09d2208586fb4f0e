//! Long runs under load, with kills and restarts. One of these tests runs at a time.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod hosts;
mod kills;
mod logwatch;
mod restart;
mod soak;
mod succession;

/// Held by the test that runs: two loads at once would measure each other.
static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());

fn alone() -> std::sync::MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
