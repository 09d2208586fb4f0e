//! Every privileged step between accept and exec, about in the order taken: the source of the error texts.
//!
//! A message reads `cannot <phrase> <operand>: ERRNO (text); hint: …`. The child sends only the step, the
//! index of the operand in the plan, and the errno. The supervisor adds the words.

use super::operand::Operand;
use sys::Errno;

macro_rules! steps {
    ($($(#[$doc:meta])* $variant:ident, $name:literal, $phrase:literal;)*) => {
        /// One step of setting up a sandbox.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u16)]
        pub enum Step { $($(#[$doc])* $variant,)* }

        impl Step {
            const ALL: &[Step] = &[$(Step::$variant,)*];

            /// All steps, about in the order in which they are taken.
            pub fn all() -> impl Iterator<Item = Step> {
                Step::ALL.iter().copied()
            }

            /// Its name in records and in `--status-fd`.
            pub fn name(self) -> &'static str {
                match self { $(Step::$variant => $name,)* }
            }

            /// The action, as it reads after "cannot".
            pub fn phrase(self) -> &'static str {
                match self { $(Step::$variant => $phrase,)* }
            }
        }
    };
}

steps! {
    // In the supervisor, before the clone.
    Base, "base", "make the supervisor's own mount namespace";
    Channel, "channel", "make the channel to the sandbox";
    StderrPipe, "stderr-pipe", "make the pipe for the handler's stderr";
    BoundConnection, "bound-connection", "limit the connection's buffers";
    Snapshots, "snapshots", "claim a directory for snapshots beside";
    Open, "open", "open for the handler";
    Ruleset, "landlock-ruleset", "make the Landlock ruleset";
    Canary, "canary-file", "make the canary file";
    Group, "cgroup", "make a cgroup for the sandbox";
    Clone, "clone", "clone the sandbox's first process";
    IdMap, "id-map", "make the id map of the snapshot";
    Release, "release", "release the sandbox's first process";
    Watch, "watch", "watch the sandbox";
    Report, "report", "read the sandbox's report";
    // In the child.
    CloseInherited, "close-inherited", "mark inherited descriptors close-on-exec";
    ParentDeathSignal, "parent-death-signal", "set the parent-death signal";
    SupervisorAlive, "supervisor-alive", "go on without the supervisor";
    ReceiveIdentity, "receive-identity", "receive the sandbox's identity";
    Session, "session", "start a new session";
    Personality, "personality", "reset the personality";
    Scheduling, "scheduling", "reset the scheduling policy";
    OomScore, "oom-score", "set the OOM score";
    Affinity, "cpu-affinity", "set the processors of the sandbox";
    MountNamespace, "mount-namespace", "make the namespaces";
    Network, "network-namespace", "make and join the network namespace";
    Private, "private", "make all mounts private";
    Template, "template", "clone the template";
    TemplateChanged, "template-changed", "use the template: it was replaced after the start";
    Stage, "stage", "mount a tmpfs for the overlay's layers";
    Layers, "layers", "make the overlay's layers";
    Overlay, "overlay", "mount the overlay root";
    Snapshot, "snapshot", "snapshot";
    AttachRoot, "attach-root", "attach the new root";
    HandlerFile, "handler-file", "open the handler";
    HandlerChanged, "handler-changed", "use the handler: it was replaced after the start";
    MountPoint, "mount-point", "open the mount point";
    BindSource, "bind-source", "clone the source of the bind";
    BindChanged, "bind-changed", "use the source of the bind: it was replaced after the start";
    BindMap, "bind-map", "map the owner of the bind";
    Bind, "bind", "bind at";
    Tmpfs, "tmpfs", "mount a tmpfs at";
    Credentials, "credentials", "make the credentials";
    Proc, "proc", "mount proc at /proc";
    Dev, "dev", "mount the devices at /dev";
    Pivot, "pivot-root", "pivot to the new root";
    DetachOldRoot, "detach-old-root", "detach the old root";
    CoverRoot, "cover-root", "cover the zygote's root with the new one";
    VerifyRoot, "verify-root", "verify that the new root is the root";
    Bounding, "bounding-set", "drop from the bounding set capability";
    Ambient, "ambient-set", "clear the ambient set";
    Securebits, "securebits", "lock the securebits";
    Groups, "groups", "drop the groups";
    Gid, "gid", "change the group id";
    Uid, "uid", "change the user id";
    Capabilities, "capabilities", "drop the capability sets";
    VerifyIdentity, "verify-identity", "verify the ids and groups";
    VerifyCapabilities, "verify-capabilities", "verify that no capability is left";
    Dumpable, "dumpable", "switch dumpable off";
    Keyring, "keyring", "join an empty session keyring";
    Stdio, "stdio", "put the connection at descriptors 0 and 1";
    ExecDescriptor, "exec-descriptor", "put the handler's descriptor at its number";
    Limit, "rlimit", "set the limit";
    Directory, "directory", "change to the directory";
    Signals, "signals", "unblock the signals";
    NoNewPrivs, "no-new-privs", "set no_new_privs";
    Mdwe, "mdwe", "forbid memory that is writable and executable";
    LandlockRule, "landlock-rule", "add the Landlock rule for";
    LandlockRestrict, "landlock-restrict", "enter the Landlock domain";
    VerifyLandlock, "verify-landlock", "verify that Landlock is in force";
    Init, "init", "clone the handler's process";
    InitFilter, "init-filter", "install the init stub's filter";
    PassedFds, "handed", "hand over";
    CloseAll, "close-all", "close all descriptors but the handler's";
    VerifyDescriptors, "verify-descriptors", "verify the open descriptors";
    GuardFilter, "guard-filter", "install the guard filter";
    ProfileFilter, "profile-filter", "install the profile's filter";
    Listener, "listener", "pass the seccomp listener to the supervisor";
    VerifyFilters, "verify-filters", "verify that the filters are in force";
    Inherit, "inherit", "verify what the sandbox has inherited";
    Parked, "parked", "wait for the connection";
    Exec, "exec", "execute the handler";
    // Found by the supervisor.
    Died, "died", "finish the set-up: the sandbox's first process died";
}

impl Step {
    pub fn from_number(number: u16) -> Option<Step> {
        Step::ALL.get(usize::from(number)).copied()
    }
}

/// A failure as the child reports it, without allocating.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    pub step: Step,
    pub operand: Operand,
    pub errno: Errno,
}

/// Names the step of a failed call: `sys::x().step(Step::X)?`.
pub trait AtStep<T> {
    fn step(self, step: Step) -> Result<T, Failure>;
    /// Names the step and the object of a failed call.
    fn step_on(self, step: Step, operand: Operand) -> Result<T, Failure>;
}

impl<T> AtStep<T> for Result<T, Errno> {
    fn step(self, step: Step) -> Result<T, Failure> {
        self.step_on(step, Operand::None)
    }

    fn step_on(self, step: Step, operand: Operand) -> Result<T, Failure> {
        self.map_err(|errno| Failure { step, operand, errno })
    }
}

/// A check that reads something back: false is a failure of `step`, with an errno that says "the
/// kernel disagrees".
pub fn verify(step: Step, holds: bool) -> Result<(), Failure> {
    verify_on(step, Operand::None, holds)
}

/// A check of an operand: false is a failure of `step` on it.
pub fn verify_on(step: Step, operand: Operand, holds: bool) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(Failure { step, operand, errno: Errno::EBADE }) }
}

/// Advice for common failures.
pub fn hint(failure: &Failure) -> Option<&'static str> {
    match (failure.step, failure.errno) {
        (Step::Clone, Errno::ENOSPC) => {
            Some("the limit of nested pid namespaces is 32; see /proc/sys/user/max_pid_namespaces")
        }
        (Step::Clone, Errno::EAGAIN) => {
            Some("a process limit is reached: check TasksMax= in the unit, RLIMIT_NPROC and kernel.pid_max")
        }
        (Step::Clone, Errno::ENOSYS) => {
            Some("a seccomp filter refuses clone3; RestrictNamespaces= in the unit makes one")
        }
        (Step::Clone | Step::MountNamespace | Step::Network, Errno::EPERM) => {
            Some("new namespaces need CAP_SYS_ADMIN; see RestrictNamespaces= in the unit")
        }
        (Step::MountNamespace | Step::Stage | Step::Tmpfs | Step::Bind | Step::Overlay, Errno::ENOSPC) => {
            Some("a limit is reached: see /proc/sys/fs/mount-max and /proc/sys/user/max_mnt_namespaces")
        }
        (Step::Network, Errno::ENOSPC) => {
            Some("the limit of network namespaces is reached: see /proc/sys/user/max_net_namespaces")
        }
        (Step::Overlay, Errno::EACCES | Errno::EPERM) => Some(
            "an overlay needs CAP_DAC_OVERRIDE, CAP_CHOWN and CAP_FOWNER in the launcher; --snapshot readonly needs none of them",
        ),
        (Step::Overlay, Errno::ENODEV) => {
            Some("this kernel has no overlayfs; load the module or use --snapshot readonly")
        }
        (Step::IdMap | Step::Layers, Errno::EINVAL) => Some(
            "the template's file system cannot be idmapped; put the template on ext4, xfs, btrfs or tmpfs, or use --snapshot readonly",
        ),
        (Step::Snapshots | Step::Snapshot, errno) if errno != Errno::EBADE => hint_of_snapshot(errno),
        (Step::Directory | Step::Affinity, errno) => hint_of_start(failure.step, errno),
        (Step::Pivot, Errno::EINVAL) => {
            Some("the launcher's own root must be a mount point; it is not in a chroot or an initramfs")
        }
        (Step::TemplateChanged | Step::HandlerChanged | Step::BindChanged, _) => {
            Some("it was replaced at this moment: run it again; serve reloads by itself")
        }
        (Step::Dev, Errno::EPERM) => {
            Some("devices need CAP_MKNOD in the launcher, and DevicePolicy= in the unit must allow them")
        }
        (Step::Exec, Errno::EACCES) => {
            Some("the handler needs mode 0711 or 0755, on a file system that is not mounted noexec")
        }
        (Step::Exec, Errno::ENOENT) => Some("its interpreter or loader is missing in the template"),
        (Step::Exec, Errno::ENOEXEC) => Some("it is not a program for this machine"),
        (Step::Exec, Errno::ENOMEM) => Some("raise --memory"),
        (Step::Exec, Errno::EAGAIN) => Some("raise --tasks"),
        (Step::Limit, Errno::EPERM) => {
            Some("the launcher's own hard limit is lower; see LimitNOFILE= and similar lines in the unit")
        }
        (Step::ProfileFilter, Errno::EBUSY) => {
            Some("another supervisor already listens to this process's seccomp notifications")
        }
        (Step::Groups | Step::Uid | Step::Gid | Step::Private | Step::Canary, _)
            if hint_of_user_namespace(failure).is_some() =>
        {
            hint_of_user_namespace(failure)
        }
        (Step::Template | Step::Layers | Step::AttachRoot | Step::Pivot, Errno::ENOENT) => {
            Some("the template was removed; serve reloads by itself when it is there again")
        }
        (step, errno) if is_of_the_tree(step) && !matches!(errno, Errno::EBADE | Errno::ENOSYS) => {
            hint_on_what_is_given(failure)
        }
        (_, Errno::EBADE) => Some("the call succeeded without effect; something intercepts system calls"),
        (_, Errno::ENOSYS) => Some("this kernel is older than Linux 6.1, or a seccomp filter hides the call"),
        _ => None,
    }
}

/// Steps on paths in the template and on things given to it.
fn is_of_the_tree(step: Step) -> bool {
    use Step::{Bind, BindMap, BindSource, Credentials, Dev, LandlockRule, MountPoint, Open, Proc, Tmpfs};
    matches!(
        step,
        BindMap | BindSource | Bind | MountPoint | Tmpfs | Proc | Dev | Open | Credentials | LandlockRule
    )
}

/// A hint for what a user namespace lacks, such as that of an unprivileged container.
fn hint_of_user_namespace(failure: &Failure) -> Option<&'static str> {
    match (failure.step, failure.errno) {
        (Step::Groups, Errno::EPERM) => {
            Some("this user namespace denies setgroups; PrivateUsers= in the unit does that")
        }
        (Step::Uid | Step::Gid, Errno::EINVAL) => Some(
            "this user namespace does not map the id: the container's runtime must map those of --user-range",
        ),
        (Step::Private, Errno::EBADE) => Some(
            "this user namespace inherited its mounts, so they are locked: the container's runtime must give it its own",
        ),
        (Step::Canary, Errno::EPERM) => Some(
            "mounting is forbidden here: the launcher's user namespace must own its mount namespace (unshare --mount)",
        ),
        _ => None,
    }
}

fn hint_of_snapshot(errno: Errno) -> Option<&'static str> {
    match errno {
        Errno::EROFS => {
            Some("snapshots go beside the template; ReadWritePaths= in the unit must name that directory")
        }
        Errno::EPERM => Some("the directory .dayfly-snapshots there must belong to root with mode 0700"),
        Errno::ENOSPC | Errno::EDQUOT => {
            Some("the file system or a quota is full; sandboxes use disk space until they end")
        }
        Errno::ENOENT | Errno::ESTALE => {
            Some("the template or its .dayfly-snapshots was replaced or removed; serve reloads by itself")
        }
        _ => None,
    }
}

fn hint_of_start(step: Step, errno: Errno) -> Option<&'static str> {
    match (step, errno) {
        (Step::Directory, Errno::ENOENT | Errno::ENOTDIR) => Some("create it in the template"),
        (Step::Affinity, Errno::EINVAL) => Some("the launcher itself may not use these processors"),
        (Step::Affinity, Errno::EPERM) => {
            Some("SystemCallFilter= in the unit refuses it; use CPUAffinity= there instead")
        }
        _ => None,
    }
}

fn hint_on_what_is_given(failure: &Failure) -> Option<&'static str> {
    match (failure.step, failure.errno) {
        (Step::Credentials, Errno::EPERM) => Some("credentials need CAP_CHOWN in the launcher"),
        (Step::Open, Errno::EPERM) => {
            Some("other users can change its path: every component must belong to root")
        }
        (Step::Open, Errno::EBUSY) => {
            Some("the socket's queue is full, or the file's owner holds a lease on it")
        }
        (Step::BindMap, Errno::EINVAL) => Some(
            "the file system of a writable bind must support idmapped mounts: ext4, xfs, btrfs, or tmpfs from Linux 6.3",
        ),
        (Step::BindSource, Errno::ENOENT) => {
            Some("it was removed; serve reloads by itself when it is there again")
        }
        (Step::BindSource, Errno::EROFS) => {
            Some("its mount is read-only for the launcher; see ReadWritePaths= in the unit")
        }
        (Step::MountPoint, Errno::ENOENT) => {
            Some("create it in the template: an empty directory, or an empty file for a file")
        }
        (Step::MountPoint, Errno::ELOOP) => Some("a mount point must not be a symlink"),
        (Step::Bind, Errno::EINVAL) => {
            Some("source and mount point must both be directories or both be files")
        }
        (Step::LandlockRule, Errno::ENOENT) => Some("create it in the template, or drop the option"),
        (Step::Tmpfs | Step::Proc | Step::Dev, Errno::EINVAL) => Some("the mount point must be a directory"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_survives_the_wire() {
        for (number, step) in Step::ALL.iter().enumerate() {
            let number = u16::try_from(number).unwrap();
            assert_eq!(*step as u16, number);
            assert_eq!(Step::from_number(number), Some(*step));
        }
        assert_eq!(Step::from_number(u16::try_from(Step::ALL.len()).unwrap()), None);
    }

    #[test]
    fn no_two_steps_share_a_name() {
        let mut names: Vec<_> = Step::ALL.iter().map(|step| step.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Step::ALL.len());
    }
}
