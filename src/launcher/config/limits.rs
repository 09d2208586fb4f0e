//! Resource limits: the defaults, changed by options.

use super::ConfigError;
use super::options::Options;
use super::service::finite;
use super::values::{RlimitSpec, Size};
use sandbox::child::exec;
use sandbox::plan::limits::{self, Limit};
use seccomp::profile::model::{Exec, Traits};
use sys::privilege;

pub(super) const MEMORY: u64 = 64 << 20;
const ADDRESS_SPACE_PER_MEMORY: u64 = 16;
const STACK: u64 = 8 << 20;
/// CPU time of a process. `--rlimit cpu=infinity` takes it away.
const CPU_SECONDS: u64 = 30;
/// Descriptors 0, 1 and 2, and the seccomp listener until the supervisor has it.
const NOFILE_MIN: u64 = 4;

/// The defaults, then what --memory and --tasks say, then --rlimit, by name.
///
/// In a cgroup, memory and tasks are its business: the kernel counts there what no rlimit does.
pub(super) fn limits(options: &Options, profile: Traits, in_cgroup: bool) -> Result<Vec<Limit>, ConfigError> {
    let infinity = libc::RLIM_INFINITY;
    if profile.exec == Exec::Tree && options.memory == Some(Size::INFINITE) {
        return Err(ConfigError::usage("--memory infinity: a profile with 'exec tree' needs a limit"));
    }
    let memory = options.memory.map_or(MEMORY, |size| finite(size).unwrap_or(infinity));
    let tasks = options.tasks.unwrap_or(profile.tasks);
    if tasks == 0 {
        return Err(ConfigError::usage("--tasks: use at least 1"));
    }
    let given = |name: &str, value: u64| RlimitSpec { name: name.to_owned(), soft: value, hard: value };
    let mut specs = vec![
        given("nofile", 32),
        given("fsize", 16 << 20),
        // The limit is not 0: a core_pattern that is a pipe ignores 0 and runs a helper as root for each
        // crash (core(5)).
        given("core", 1),
        // A handler that spins ends before its connection does.
        given("cpu", CPU_SECONDS),
        // DATA, not AS: runtimes reserve address space they never touch.
        given("data", memory),
        given("nproc", tasks),
        // Page tables are not data: address space bounds them. Ample, for what is reserved and never touched.
        given("as", memory.saturating_mul(ADDRESS_SPACE_PER_MEMORY)),
        given("stack", STACK),
    ];
    if in_cgroup {
        specs.retain(|spec| !["data", "nproc", "as"].contains(&spec.name.as_str()));
    }
    // A default must not exceed the launcher's own limit, except core, see above.
    for spec in specs.iter_mut().filter(|spec| spec.name != "core") {
        let own = limits::NAMES.iter().find(|(name, _)| *name == spec.name);
        let hard =
            own.and_then(|(_, resource)| privilege::limit(*resource).ok()).map_or(infinity, |(_, hard)| hard);
        spec.hard = spec.hard.min(hard);
        spec.soft = spec.soft.min(hard);
    }
    for spec in options.rlimit.iter().flatten() {
        specs.retain(|known| known.name != spec.name);
        let mut spec = spec.clone();
        if spec.name == "cpu" {
            // At the soft limit PID 1 gets a SIGXCPU that it may ignore.
            spec.soft = spec.hard;
        }
        specs.push(spec);
    }
    specs.into_iter().map(|spec| limit(spec, profile.exec)).collect()
}

fn limit(spec: RlimitSpec, exec: Exec) -> Result<Limit, ConfigError> {
    let Some(&(name, resource)) = limits::NAMES.iter().find(|(name, _)| *name == spec.name) else {
        let known: Vec<_> = limits::NAMES.iter().map(|(name, _)| *name).collect();
        return Err(ConfigError::usage(format!(
            "--rlimit: unknown limit '{}'; known are {}",
            spec.name,
            known.join(" ")
        )));
    };
    // Where exec is single-shot, it is by that number alone.
    if name == "nofile" && exec == Exec::Once && spec.hard > exec::EXEC_FD.unsigned_abs().into() {
        return Err(ConfigError::usage(format!(
            "--rlimit nofile={}: at most {}; the handler's file has the next descriptor until its exec",
            spec.hard,
            exec::EXEC_FD
        )));
    }
    if name == "nofile" && spec.soft < NOFILE_MIN {
        return Err(ConfigError::usage(format!(
            "--rlimit nofile={}: at least {NOFILE_MIN}: three for the handler and one for its set-up",
            spec.soft
        )));
    }
    if name == "core" && spec.soft == 0 {
        return Err(ConfigError::usage(
            "--rlimit core=0: use core=1, because a core_pattern that is a pipe ignores 0",
        ));
    }
    Ok(Limit { resource, name, soft: spec.soft, hard: spec.hard })
}

/// A remark for the start if crashes can reach a helper on the host.
pub(super) fn remarks(limits: &[Limit]) -> Option<String> {
    let dumped = limits.iter().any(|limit| limit.name == "core" && (limit.soft, limit.hard) != (1, 1));
    let remark = "--rlimit core: crashes are dumped; if core_pattern is a pipe, a root helper of the host's gets the sandbox's memory";
    dumped.then(|| remark.to_owned())
}

/// The stub is a process of the same uid.
pub(super) fn with_init(mut limits: Vec<Limit>, init: bool) -> Vec<Limit> {
    for limit in limits.iter_mut().filter(|limit| init && limit.name == "nproc") {
        limit.soft = limit.soft.saturating_add(1);
        limit.hard = limit.hard.saturating_add(1);
    }
    limits
}
