//! seccomp: two filters, as programs for the kernel.
//!
//! The **profile** is an allow-list, read from a file ([`profile`]) and compiled by seccompiler
//! ([`compile`]). The **guard** ([`guard`]) is a fixed deny-list under every profile: a linear program with
//! call numbers and constructors of its own.

#![forbid(unsafe_code)]

pub mod abi;
pub mod admit;
pub mod advice;
pub mod compile;
pub mod guard;
pub mod guard_clone;
pub mod learning;
pub mod lessons;
pub mod profile;

mod bpf;
mod guard_emit;
mod interpret;
mod shrink;

#[cfg(test)]
mod cross_check;
#[cfg(test)]
mod guard_check;
