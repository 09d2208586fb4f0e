//! Functions that allocate: for the time before a clone, and for the supervisor. Nothing else in this crate does.

pub mod files;
pub mod names;
pub(crate) mod strings;
