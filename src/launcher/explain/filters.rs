//! The two filters: every call that the profile decides, and what the guard refuses under every profile.

use super::tree::Node;
use crate::config::ConfigError;
use sandbox::child::exec::EXEC_FD;
use sandbox::plan::profile::Loaded;
use seccomp::abi::Files;
use seccomp::guard;
use seccomp::profile::constants;
use seccomp::profile::model::{Action, Entry, Exec};

pub(super) fn filters(
    profile: &Loaded,
    files: Files,
    has_own_files: Option<bool>,
) -> Result<Node, ConfigError> {
    let read = profile.profile().map_err(|error| ConfigError::usage(error.to_string()))?;
    let allowed = read.allowed().len();
    let of = |wanted: fn(Action) -> bool| read.entries.iter().filter(move |entry| wanted(entry.action));
    let group = |name: &str, count: usize, calls: Vec<Node>| {
        (count > 0).then(|| Node::new(name, format!("{count} calls")).with(calls))
    };
    let errnos: Vec<_> = of(|action| matches!(action, Action::Errno(_))).map(call).collect();
    let killed: Vec<_> = of(|action| action == Action::Kill).map(call).collect();
    let notified: Vec<_> = of(|action| action == Action::Notify).map(call).collect();
    let calls = [
        group("allowed", allowed, of(|action| action == Action::Allow).map(call).collect()),
        group("answered with an errno", errnos.len(), errnos),
        group("killed at once", killed.len(), killed),
        group("denied by name", notified.len(), notified),
    ];
    let rest = default_verdict(read.traits.default);
    let profile = Node::new("profile", profile.name()).why("the system calls that the handler may make");
    let code = match read.refuses_code() {
        true => {
            Node::new("executable memory", "refused").why("no call may use PROT_EXEC: W^X on every kernel")
        }
        false => Node::new("executable memory", "allowed").why("only the kernel enforces W^X, if at all"),
    };
    let profile = profile.with([exec(read.traits.exec), code]).with(calls.into_iter().flatten());
    let locks = read.traits.locks.then(|| locks(has_own_files));
    let profile = profile.with(locks).with([rest]);
    Ok(Node::group("seccomp").why("two filters, built independently").with([profile, guard(files)]))
}

/// The verdict for a call that no line of the profile decides.
fn default_verdict(default: Action) -> Node {
    match default {
        Action::Errno(number) => {
            Node::new("everything else", constants::errno_name(number).unwrap_or("an errno"))
                .why("the profile's default verdict; the supervisor counts and records the call")
        }
        Action::Notify | Action::Kill | Action::Allow => Node::new("everything else", "denied")
            .why("the supervisor records number and arguments, and kills the sandbox"),
    }
}

/// flock, and fcntl's locks, which `locks own` allows.
fn locks(has_own_files: Option<bool>) -> Node {
    match has_own_files {
        Some(true) => Node::new("file locks", "allowed").why("all files that it can open are the sandbox's own"),
        Some(false) => Node::new("file locks", "denied")
            .why("others have some of the same files: of the template under readonly, of a read-only bind, of --open"),
        None => Node::new("file locks", "on its own files")
            .why("a writable snapshot, and nothing by --bind-ro, --overlay-ro or --open PATH…:ro or append"),
    }
}

fn exec(exec: Exec) -> Node {
    match exec {
        Exec::Once => Node::new("exec", format!("once: execveat({EXEC_FD}, …, AT_EMPTY_PATH) only"))
            .why(format!("{EXEC_FD} is closed by the exec and above the hard limit of descriptors")),
        Exec::Tree => Node::new("exec", "any program in the template")
            .why("exception of this profile: exec more than once, an executable template, no W^X"),
    }
}

fn call(entry: &Entry) -> Node {
    let answer = match entry.action {
        Action::Allow => "",
        Action::Errno(number) => constants::errno_name(number).unwrap_or("an errno"),
        Action::Notify => "denied",
        Action::Kill => "killed",
    };
    let condition = if entry.when.is_empty() { String::new() } else { format!("if {}", entry.condition) };
    let space = if answer.is_empty() || condition.is_empty() { "" } else { " " };
    let name = if entry.when.is_empty() { entry.name.to_owned() } else { format!("{} (some)", entry.name) };
    Node::new(name, format!("{answer}{space}{condition}")).why(entry.reason.clone())
}

fn guard(files: Files) -> Node {
    let denied = guard::denied().map(|(name, why)| Node::new(name, "never").why(why));
    let by_argument =
        guard::judged_by_argument(files).map(|(name, allowed, why)| Node::new(name, allowed).why(why));
    Node::new("guard", "fixed, under every profile")
        .why("a mistake in a profile opens nothing; what only the guard denies of a call fails with ENOSYS")
        .with(denied)
        .with(by_argument)
}
