//! Profiles: what a handler may call, as files; the built-in ones are in `src/seccomp/profiles/`.

pub mod constants;
pub mod model;
pub mod parse;
pub mod texts;

mod condition;
mod statement;

#[cfg(test)]
mod tests;
