//! Limits on the connections of a service.

use super::values::Rate;

/// How many connections at a time, and what counts as one source.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) total: usize,
    pub(crate) per_source: usize,
    pub(crate) prefix4: u8,
    pub(crate) prefix6: u8,
    pub(crate) rate: Option<Rate>,
}
