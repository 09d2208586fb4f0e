//! The sandbox's file system: snapshots, binds, images, credentials and passed files.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod bind;
mod btrfs;
mod credential;
mod host_template;
mod images;
mod mount_namespace;
mod mount_points;
mod passed_files;
mod read_only_overlay;
mod snapshot;
mod submounts;
