//! Requirements that are checked before anything starts: kernel, privileges, `--allow-degraded`.

use super::ConfigError;
use super::limits::MEMORY;
use super::options::{CgroupMode, CpuShare, Layer, Options, SnapshotKind};
use super::service::{Purpose, finite};
use super::values::UserRange;
use crate::cgroup::leaves::Bounds;
use crate::kernel::{self, Kernel, MissingWall};
use crate::privilege::{IdMap, Privilege, Wants};
use sandbox::plan::profile::Loaded;
use seccomp::profile::model::Traits;

/// Layers given up by name.
#[derive(Debug)]
pub(super) struct Degraded(Vec<Layer>);

impl Degraded {
    pub(super) fn new(options: &Options) -> Degraded {
        Degraded(
            options.allow_degraded.iter().flatten().flat_map(|layers| layers.0.iter().copied()).collect(),
        )
    }

    /// The names of what was given up.
    pub(super) fn names(&self) -> Vec<&'static str> {
        Layer::ALL.iter().filter(|(_, layer)| self.has(*layer)).map(|(name, _)| *name).collect()
    }

    pub(super) fn has(&self, layer: Layer) -> bool {
        self.0.contains(&layer)
    }
}

/// Each property must keep a wall, and under `--strict` all of them.
fn require_walls(
    options: &Options,
    kernel: &Kernel,
    degraded: &Degraded,
    profile: &Loaded,
) -> Result<(), ConfigError> {
    if options.strict.is_some_and(|strict| strict.0) {
        let given_up = |layer: &str| match layer {
            "mdwe" => degraded.has(Layer::Mdwe),
            "landlock-net" => degraded.has(Layer::LandlockNet),
            _ => degraded.has(Layer::LandlockScope),
        };
        if let Some(missing) = kernel.missing_walls().into_iter().find(|wall| !given_up(wall.layer)) {
            return Err(ConfigError::sandbox(format!(
                "--strict: this kernel ({}) lacks {}; give it up with --allow-degraded {}",
                kernel.release, missing.wall, missing.layer
            )));
        }
    }
    // A profile that executes the tree promises no W^X.
    let code = !profile.executes_tree() && !profile.refuses_code();
    if code && !kernel.mdwe && !degraded.has(Layer::Mdwe) {
        return Err(ConfigError::sandbox(format!(
            "this kernel ({}) lacks memory-deny-write-execute, and profile {} lets memory be made executable: W^X has \
             no layer left; give it up with --allow-degraded mdwe",
            kernel.release,
            profile.name()
        )));
    }
    Ok(())
}

/// The highest `kernel.pid_max` of a 64-bit kernel (`PID_MAX_LIMIT`, include/linux/threads.h).
const PID_MAX_LIMIT: u32 = 4 * 1024 * 1024;

/// Refuses a range with fewer ids than the host can have pids, and one that overlaps the default. If the bound of pids cannot be read, it is taken for the highest.
pub(super) fn check_range(range: UserRange, kernel: &Kernel) -> Result<(), ConfigError> {
    let pid_max = kernel.pid_max.unwrap_or(PID_MAX_LIMIT);
    if range.size < pid_max {
        return Err(ConfigError::usage(format!(
            "--user-range: a size of {} is below kernel.pid_max, {pid_max}: two sandboxes could get one uid",
            range.size
        )));
    }
    let default = UserRange::DEFAULT;
    let overlaps = range.base < default.base + default.size && default.base < range.base + range.size;
    if overlaps && range != default {
        return Err(ConfigError::usage(format!(
            "--user-range: {}+{} overlaps {}+{}, the default that other launchers use: two sandboxes could get one uid; choose one that does not overlap",
            range.base, range.size, default.base, default.size
        )));
    }
    Ok(())
}

pub(super) fn check_hostname(name: Option<&str>) -> Result<(), ConfigError> {
    match name {
        Some(name) if name.is_empty() || name.len() > 64 => {
            Err(ConfigError::usage("--hostname must have 1 to 64 bytes"))
        }
        _ => Ok(()),
    }
}

/// Advice for the runtime of a container that has too few ids.
pub(crate) const MAP_MORE_IDS: &str = "let the container's runtime map the ids of --user-range too (uidmap and gidmap of podman, \
     lxc.idmap of LXC, security.idmap.size of Incus, /etc/subuid and /etc/subgid)";

/// Root of a user namespace has only the ids that are mapped there.
fn check_mapped(range: UserRange) -> Result<(), ConfigError> {
    let map = IdMap::of_this_process();
    if map.has(range.base, range.size) {
        return Ok(());
    }
    Err(ConfigError::sandbox(format!(
        "--user-range {}+{}: this process is in a user namespace, as in an unprivileged container, that maps the ids {map}; give \
         a range among them, or {MAP_MORE_IDS}",
        range.base, range.size
    )))
}

/// The floor of kernel and privilege, and `--strict`.
pub(super) fn require_kernel_and_privilege(
    options: &Options,
    kernel: &Kernel,
    degraded: &Degraded,
    profile: &Loaded,
) -> Result<Privilege, ConfigError> {
    if let Some(lack) = kernel.lacks().into_iter().next() {
        return Err(ConfigError::sandbox(format!("this kernel ({}) lacks {lack}", kernel.release)));
    }
    require_walls(options, kernel, degraded, profile)?;
    let privilege = Privilege::of_this_process();
    // Files and devices are tried where they are opened and made: a message there names the path.
    let wants = Wants {
        overlay: options.snapshot.unwrap_or(SnapshotKind::Overlay) == SnapshotKind::Overlay,
        owner: options.owner.is_some_and(|owner| owner.0.uid != 0),
        credentials: options.credential.as_ref().is_some_and(|list| !list.is_empty()),
        ..Wants::default()
    };
    match privilege {
        Privilege::Root => {
            check_mapped(options.user_range.unwrap_or(UserRange::DEFAULT))?;
            let missing = wants.missing();
            if !missing.is_empty() {
                return Err(ConfigError::sandbox(format!(
                    "the launcher lacks {}; see CapabilityBoundingSet= in the unit",
                    missing.join(", ")
                )));
            }
        }
        Privilege::Rootless if !(degraded.has(Layer::Uid) && degraded.has(Layer::Groups)) => {
            if let Some(why) = IdMap::of_this_process().why_no_ids() {
                return Err(ConfigError::sandbox(format!(
                    "{why}; {MAP_MORE_IDS}, or give up the layers uid (an id of its own for each sandbox) and groups (none) \
                     with --allow-degraded uid,groups"
                )));
            }
            return Err(ConfigError::sandbox(
                "an ordinary user cannot have these layers: uid (an id of its own for each sandbox), groups (none); \
                 run as root, or give them up with --allow-degraded uid,groups",
            ));
        }
        Privilege::Rootless => {
            if let Some(why) = kernel::why_no_user_namespace() {
                return Err(ConfigError::sandbox(format!("cannot run without root: {why}")));
            }
        }
    }
    Ok(privilege)
}

/// Limits of the cgroup for each sandbox of `serve`, if one is delegated. `required` refuses to run without.
/// `run` makes no group; with `required` its own group, the unit's, must have limits.
pub(super) fn cgroup(
    options: &Options,
    purpose: Purpose,
    profile: Traits,
    degraded: &Degraded,
) -> Result<Option<Bounds>, ConfigError> {
    let mode = options.cgroup.unwrap_or(CgroupMode::Auto);
    if mode == CgroupMode::None || degraded.has(Layer::Cgroup) {
        return Ok(None);
    }
    let required = mode == CgroupMode::Required;
    match purpose {
        Purpose::Run if required => crate::cgroup::own_limits().map(|()| None).map_err(|missing| {
            ConfigError::sandbox(format!(
                "--cgroup required: {missing}; set MemoryMax= and TasksMax= in the unit"
            ))
        }),
        Purpose::Run => Ok(None),
        Purpose::Serve if crate::cgroup::delegated().is_some() => Ok(Some(Bounds {
            memory: options.memory.map_or(Some(MEMORY), finite),
            tasks: options.tasks.unwrap_or(profile.tasks),
            cpu_percent: options.cpu.map_or(Some(100), |CpuShare(percent)| Some(percent.into())),
        })),
        Purpose::Serve if required => Err(ConfigError::sandbox(
            "--cgroup required: no cgroup was delegated with memory and pids; set Delegate=yes in the unit",
        )),
        Purpose::Serve => Ok(None),
    }
}

pub(super) fn remarks(
    options: &Options,
    kernel: &Kernel,
    degraded: &Degraded,
    profile: &Loaded,
    purpose: Purpose,
    in_cgroup: bool,
) -> Vec<String> {
    // Where the tree is executed, W^X is not promised.
    let promised = |wall: &MissingWall| wall.layer != "mdwe" || !profile.executes_tree();
    let missing = kernel.missing_walls().into_iter().filter(promised);
    let mut remarks: Vec<String> =
        missing.map(|wall| format!("this kernel lacks {}: {}", wall.wall, wall.instead)).collect();
    if !degraded.0.is_empty() {
        remarks.push(format!("disabled by --allow-degraded: {}", degraded.names().join(" ")));
    }
    let none_wanted = options.cgroup == Some(CgroupMode::None) || degraded.has(Layer::Cgroup);
    if purpose.is_serve() && !in_cgroup && !none_wanted {
        remarks.push(
            "no cgroup was delegated (Delegate=): only rlimits limit memory and tasks of a sandbox"
                .to_owned(),
        );
    }
    let has_share = match purpose {
        Purpose::Serve => in_cgroup && crate::cgroup::delegates_cpu(),
        // CPUQuota= of the unit.
        Purpose::Run => crate::cgroup::own_has_cpu_share(),
    };
    if options.cpu.is_some() && !has_share {
        remarks.push(
            "the CPU share is not limited without a cgroup; --rlimit cpu=N bounds CPU seconds".to_owned(),
        );
    }
    remarks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse_service_file;
    use sandbox::plan::profile;
    use sys::names;

    /// Linux 6.1: no memory-deny-write-execute, Landlock of files alone.
    fn floor() -> Kernel {
        Kernel { landlock: Ok(2), mdwe: false, ..Kernel::probe() }
    }

    fn walls(kernel: &Kernel, options: &str, profile: &Loaded) -> Result<(), String> {
        let options = parse_service_file(options).unwrap();
        require_walls(&options, kernel, &Degraded::new(&options), profile).map_err(|error| error.message)
    }

    fn built_in(name: &str) -> Loaded {
        Loaded::BuiltIn(profile::built_in(name).unwrap())
    }

    /// A profile that lets memory be made executable and executes no tree.
    fn with_code() -> Loaded {
        let text = "arch x86_64 aarch64\nallow mmap mprotect # a compiler";
        let mut include = |name: &str| Err(name.to_owned());
        let profile = seccomp::profile::parse::parse("code", text, names::NATIVE, &mut include).unwrap();
        Loaded::File { name: "code".to_owned(), profile, mistaken: Vec::new() }
    }

    #[test]
    fn an_unreadable_bound_of_pids_is_taken_for_the_highest() {
        let kernel = Kernel { pid_max: None, ..Kernel::probe() };
        assert!(check_range(UserRange::DEFAULT, &kernel).is_ok());
        let small = UserRange { size: PID_MAX_LIMIT - 1, ..UserRange::DEFAULT };
        assert!(check_range(small, &kernel).is_err_and(|error| error.message.contains("pid_max")));
        let overlapping = UserRange { base: UserRange::DEFAULT.base + 1, ..UserRange::DEFAULT };
        assert!(check_range(overlapping, &kernel).is_err_and(|error| error.message.contains("overlaps")));
        let beside =
            UserRange { base: UserRange::DEFAULT.base + UserRange::DEFAULT.size, ..UserRange::DEFAULT };
        assert!(check_range(beside, &kernel).is_ok());
    }

    #[test]
    fn the_floor_is_enough_unless_strict() {
        assert_eq!(walls(&floor(), "", &built_in("static")), Ok(()));
        assert_eq!(walls(&floor(), "", &built_in("tree")), Ok(()));
        let error = walls(&floor(), "strict = true", &built_in("static")).unwrap_err();
        assert!(error.contains("--strict") && error.contains("--allow-degraded mdwe"), "{error}");
    }

    #[test]
    fn what_is_given_up_by_name_is_not_missed_under_strict() {
        let two = "strict = true\nallow_degraded = [\"mdwe\", \"landlock-net\"]";
        let error = walls(&floor(), two, &built_in("static")).unwrap_err();
        assert!(error.contains("--allow-degraded landlock-scope"), "{error}");
        let all = "strict = true\nallow_degraded = [\"mdwe,landlock-net,landlock-scope\"]";
        assert_eq!(walls(&floor(), all, &built_in("static")), Ok(()));
    }

    #[test]
    fn a_property_without_any_wall_is_refused() {
        let error = walls(&floor(), "", &with_code()).unwrap_err();
        assert!(error.contains("no layer left") && error.contains("--allow-degraded mdwe"), "{error}");
        assert_eq!(walls(&floor(), "allow_degraded = [\"mdwe\"]", &with_code()), Ok(()));
        let newer = Kernel { mdwe: true, ..floor() };
        assert_eq!(walls(&newer, "", &with_code()), Ok(()));
    }

    #[test]
    fn the_built_in_profiles_refuse_code_but_tree() {
        assert!(built_in("static").refuses_code() && built_in("interpreter").refuses_code());
        assert!(!built_in("tree").refuses_code() && !with_code().refuses_code());
    }
}
