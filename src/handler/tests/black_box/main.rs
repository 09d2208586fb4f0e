//! The handler from outside: the real binary over pipes and sockets, one property a test.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot be set up has failed")]

mod closing;
mod command_line;
mod configuration;
mod documents;
mod gemini;
mod harness;
mod hosts;
mod kept;
mod linting;
mod listings;
mod logging;
mod menus;
mod other_menus;
mod pages;
mod paths;
mod payloads;
mod probes;
mod requests;
mod searching;
mod statistics;
mod users;
mod web;
mod wire_content;
mod wire_requests;
