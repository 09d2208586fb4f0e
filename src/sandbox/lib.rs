//! One sandbox: a process tree with namespaces, a root, an identity and filters of its own around
//! one handler.
//!
//! # Theory of operation
//!
//! A process needs some privileges to give up others, so isolation has stages. Each stage is a function that
//! consumes the proof of the stage before it; only [`exec::execute`] takes the last proof. `set_up` in
//! [`child`] has the whole sequence, one line a stage.
//!
//! | stage | proof | removes | keeps, because |
//! |---|---|---|---|
//! | begin | `Begun` | inherited descriptors at exec, life beyond the supervisor | all privilege: mounts come next |
//! | rootfs | `Rooted` | the host's file systems | CAP_SETPCAP: the bounding set and securebits need it |
//! | bound | `Bounded` | capabilities by exec, uid 0's special treatment | CAP_SETUID, CAP_SETGID: the ids need them |
//! | identity | `Unprivileged` | root, groups, all capabilities | descriptors: rules are added through them |
//! | restrict | `Restricted` | W+X memory, paths without a rule, privilege by exec | system calls: the filters are one |
//! | filter | `Filtered` | system calls | one execveat of one descriptor |
//!
//! Everything that allocates, formats, locks or can wait is done before the clone ([`Plan`], once a service,
//! and [`launch`], once a sandbox). The child only makes system calls. It reports a failure as three numbers
//! (step, operand, errno) and exits.

#![forbid(unsafe_code)]

pub mod child;
pub mod launch;
pub mod plan;

pub use child::{operand, step, wire};
pub use launch::{Sandbox, Workshop, launch};
pub use plan::{IdSource, Plan};
