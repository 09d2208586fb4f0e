//! The isolation of a sandbox: identity, calls, files, limits, and nothing left of it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod apart;
mod calls;
mod crash;
mod denied;
mod hardening;
mod kernel;
mod landlock;
mod learning;
mod leftovers;
mod limits;
mod locks;
mod profiles;
mod sandbox;
mod tree_profile;
