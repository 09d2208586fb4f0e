//! A service, resolved: everything looked at, checked and turned into the plan that sandboxes are made by.

use super::options::{CgroupMode, CpuShare, Layer, Net, Options, SnapshotKind};
use super::program::{self, Program};
use super::trust::{self, TrustError, Trusted, TrustedFile};
use super::values::{RlimitSpec, Size, Span, TmpfsSpec, UserRange};
use super::{ConfigError, ErrorKind, Settings};
use crate::kernel::{self, Kernel};
use crate::privilege::Privilege;
use crate::sandbox::identity::{self, Identity};
use crate::sandbox::landlock::{self, Right, Rule};
use crate::sandbox::limits::{self, Limit};
use crate::sandbox::rootfs::{self, Bind, Bounds, Snapshot, Source, Tmpfs};
use crate::sandbox::seccomp::{self, profile};
use crate::sandbox::{IdSource, Plan, exec, namespaces};
use crate::sys::{self, CStrings};
use std::ffi::{CString, OsString};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a service is, ready to serve.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) name: String,
    pub(crate) plan: Plan,
    pub(crate) hostname: String,
    pub(crate) net: Net,
    /// The handler's environment without the peer.
    pub(crate) environment: Vec<CString>,
    pub(crate) wall_time: Option<Duration>,
    pub(crate) idle_time: Option<Duration>,
    pub(crate) send_buffer: Option<u64>,
    pub(crate) on_refusal: Vec<u8>,
    pub(crate) max_connections: u32,
    pub(crate) over_limit: Vec<u8>,
    pub(crate) drain_time: Option<Duration>,
    /// Things to say once at start: walls that are missing, layers given up, what is not limited.
    pub(crate) remarks: Vec<String>,
    pub(crate) profile: &'static profile::Profile,
    /// For `check`.
    pub(crate) has_os_release: bool,
    pub(crate) handler_is_readable: bool,
}

/// Which command a service is for: where its sandboxes' ids come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Run,
    Serve,
}

/// PATH of a CMD without `/`, and of the handler.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

const HOSTNAME: &str = "dayfly";
const MEMORY: u64 = 64 << 20;
const WALL_TIME: Duration = Duration::from_secs(60);
const IDLE_TIME: Duration = Duration::from_secs(15);
const DRAIN_TIME: Duration = Duration::from_secs(10);
const SEND_BUFFER: u64 = 256 << 10;
const MAX_CONNECTIONS: u32 = 256;

impl Service {
    /// Checks everything and makes the plan. Opens files, changes nothing.
    pub(crate) fn resolve(
        settings: Settings,
        purpose: Purpose,
        kernel: &Kernel,
    ) -> Result<Service, ConfigError> {
        let Settings { name, options } = settings;
        let profile = profile(options.profile.as_deref())?;
        let degraded = Degraded::new(&options);
        let range = options.user_range.unwrap_or(UserRange::DEFAULT);
        check_range(range, kernel)?;
        let limits = limits(&options, profile)?;
        check_hostname(options.hostname.as_deref())?;
        let privilege = require_kernel_and_privilege(&options, kernel, &degraded)?;
        check_cgroup(&options, purpose)?;
        let mut remarks = remarks(&options, kernel, &degraded);
        let trusted = Trusted::for_caller();
        let template = open_template(&options, trusted)?;
        let command = options.handler.as_deref().unwrap_or_default();
        let handler = find_handler(&template, command, trusted, privilege)?;
        let handler_mode = handler.file.stat.st_mode;
        let rootfs = rootfs_plan(&options, &template, &handler, privilege)?;
        let init = options.init.map_or(profile.may_fork, |switch| switch.0);
        if privilege == Privilege::Rootless {
            remarks.push("rootless: no uid of its own for each sandbox, the caller's groups stay".to_owned());
        }
        let plan = Plan {
            namespaces: namespaces::Plan {
                own_network: options.net == Some(Net::Private),
                own_ipc: profile.meets_in_ipc(),
            },
            identity: identity::Plan {
                drop_groups: privilege == Privilege::Root,
                last_capability: kernel.last_capability.unwrap_or(0),
            },
            ids: id_source(range, purpose, privilege),
            limits: with_init(limits, init),
            landlock: landlock_plan(&options, &rootfs, kernel, &degraded)?,
            rootfs,
            seccomp: seccomp::Plan::new(profile, privilege == Privilege::Rootless)
                .map_err(|error| ConfigError::usage(error.to_string()))?,
            init,
            keyring: kernel.keyring && !degraded.has(Layer::Keyring),
            mdwe: kernel.mdwe && !degraded.has(Layer::Mdwe),
            dumpable_off_early: privilege == Privilege::Root,
            argv: CStrings::new(handler.argv),
        };
        Ok(Service {
            name,
            plan,
            hostname: options.hostname.unwrap_or_else(|| HOSTNAME.to_owned()),
            net: options.net.unwrap_or(Net::Shared),
            environment: environment(options.setenv.unwrap_or_default())?,
            wall_time: options.wall_time.unwrap_or(Span(Some(WALL_TIME))).0,
            idle_time: options.idle_time.unwrap_or(Span(Some(IDLE_TIME))).0,
            send_buffer: finite(options.send_buffer.unwrap_or(Size(SEND_BUFFER))),
            on_refusal: options.on_refusal.unwrap_or_default().0,
            max_connections: options.max_connections.unwrap_or(MAX_CONNECTIONS),
            over_limit: options.over_limit.unwrap_or_default().0,
            drain_time: options.drain_time.unwrap_or(Span(Some(DRAIN_TIME))).0,
            remarks,
            profile,
            has_os_release: sys::mount::identify(template.fd.as_fd(), c"etc/os-release").is_ok(),
            handler_is_readable: handler_mode & libc::S_IROTH != 0,
        })
    }
}

fn finite(size: Size) -> Option<u64> {
    (size != Size::INFINITE).then_some(size.0)
}

fn c_string(bytes: impl Into<Vec<u8>>, what: &str) -> Result<CString, ConfigError> {
    CString::new(bytes).map_err(|_nul| ConfigError::usage(format!("{what} contains a NUL byte")))
}

fn profile(name: Option<&str>) -> Result<&'static profile::Profile, ConfigError> {
    let name = name.unwrap_or(profile::STATIC.name);
    profile::built_in(name).ok_or_else(|| {
        ConfigError::usage(format!("there is no profile '{name}'; built in: {}", profile::STATIC.name))
    })
}

/// Layers given up by name.
#[derive(Debug)]
struct Degraded(Vec<Layer>);

impl Degraded {
    fn new(options: &Options) -> Degraded {
        Degraded(
            options.allow_degraded.iter().flatten().flat_map(|layers| layers.0.iter().copied()).collect(),
        )
    }

    fn has(&self, layer: Layer) -> bool {
        self.0.contains(&layer)
    }
}

fn check_range(range: UserRange, kernel: &Kernel) -> Result<(), ConfigError> {
    match kernel.pid_max {
        Some(pid_max) if range.size < pid_max => Err(ConfigError::usage(format!(
            "--user-range: a size of {} is below kernel.pid_max, {pid_max}: two sandboxes could get one uid",
            range.size
        ))),
        _ => Ok(()),
    }
}

fn check_hostname(name: Option<&str>) -> Result<(), ConfigError> {
    match name {
        Some(name) if name.is_empty() || name.len() > 64 => {
            Err(ConfigError::usage("--hostname must have 1 to 64 bytes"))
        }
        _ => Ok(()),
    }
}

/// The floor of kernel and privilege, and `--strict`.
fn require_kernel_and_privilege(
    options: &Options,
    kernel: &Kernel,
    degraded: &Degraded,
) -> Result<Privilege, ConfigError> {
    if let Some(lack) = kernel.lacks().into_iter().next() {
        return Err(ConfigError::sandbox(format!("this kernel ({}) lacks {lack}", kernel.release)));
    }
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
    let privilege = Privilege::of_this_process();
    let overlay = options.snapshot.unwrap_or(SnapshotKind::Overlay) == SnapshotKind::Overlay;
    match privilege {
        Privilege::Root => {
            let missing = crate::privilege::missing_capabilities(overlay);
            if !missing.is_empty() {
                return Err(ConfigError::sandbox(format!(
                    "the launcher lacks {}; see CapabilityBoundingSet= of the unit",
                    missing.join(", ")
                )));
            }
        }
        Privilege::Rootless if !(degraded.has(Layer::Uid) && degraded.has(Layer::Groups)) => {
            return Err(ConfigError::sandbox(
                "an ordinary user cannot have these layers: uid (an id of its own for each sandbox), groups (none); \
                 run as root, or give them up with --allow-degraded uid,groups",
            ));
        }
        Privilege::Rootless => {
            if let Some(why) = kernel::why_no_user_namespace() {
                return Err(ConfigError::sandbox(format!("cannot run rootless: {why}")));
            }
        }
    }
    Ok(privilege)
}

/// `required` means that a cgroup must limit the sandbox. `run` makes none: its own group, the unit's, must have limits.
fn check_cgroup(options: &Options, purpose: Purpose) -> Result<(), ConfigError> {
    if options.cgroup != Some(CgroupMode::Required) {
        return Ok(());
    }
    match purpose {
        Purpose::Run => crate::cgroup::own_limits().map_err(|missing| {
            ConfigError::sandbox(format!(
                "--cgroup required: {missing}; set MemoryMax= and TasksMax= in the unit"
            ))
        }),
        Purpose::Serve => Err(ConfigError::sandbox(
            "--cgroup required: serve makes no cgroups yet; rlimits bound its sandboxes",
        )),
    }
}

fn remarks(options: &Options, kernel: &Kernel, degraded: &Degraded) -> Vec<String> {
    let missing = kernel.missing_walls().into_iter();
    let mut remarks: Vec<String> =
        missing.map(|wall| format!("this kernel lacks {}: {}", wall.wall, wall.instead)).collect();
    if !degraded.0.is_empty() {
        remarks.push(format!("given up by --allow-degraded: {:?}", degraded.0));
    }
    if options.cpu.is_some_and(|CpuShare(percent)| percent > 0) {
        remarks.push(
            "the CPU share is not limited without a cgroup; --rlimit cpu=N bounds CPU seconds".to_owned(),
        );
    }
    remarks
}

/// The template and its path, checked component by component.
fn open_template(options: &Options, trusted: Trusted) -> Result<TrustedFile, ConfigError> {
    let Some(path) = &options.template else {
        return Err(ConfigError::usage("no template: give --template DIR or --service NAME"));
    };
    let template = trust::host_root().and_then(|root| trust::walk(root, path, trusted)).map_err(|error| {
        ConfigError::sandbox(format!("cannot use the template {}: {error}", path.display()))
    })?;
    if template.stat.st_mode & libc::S_IFMT != libc::S_IFDIR {
        return Err(ConfigError::sandbox(format!("the template {} is no directory", path.display())));
    }
    Ok(template)
}

/// The file to execute, and the argument vector it gets.
#[derive(Debug)]
struct Handler {
    file: TrustedFile,
    argv: Vec<CString>,
}

fn find_handler(
    template: &TrustedFile,
    command: &[String],
    trusted: Trusted,
    privilege: Privilege,
) -> Result<Handler, ConfigError> {
    let Some((name, arguments)) = command.split_first() else {
        return Err(ConfigError::usage("no handler: give -- CMD, or handler in the service file"));
    };
    let file = lookup(template, name, trusted)?;
    let mut argv = vec![OsString::from(name)];
    let mut handler = file;
    if let Program::Script(interpreter, argument) = inspect(template, &handler, name, privilege)? {
        // One level, as for the kernel; the script's own path becomes an argument.
        argv = vec![interpreter.clone()];
        argv.extend(argument);
        argv.push(handler.path.clone().into_os_string());
        let shown = format!("{} (interpreter of {name})", interpreter.to_string_lossy());
        handler = resolve(template, Path::new(&interpreter), &shown, trusted)?;
        if let Program::Script(..) = inspect(template, &handler, &shown, privilege)? {
            return Err(not_executable(&shown, "a script itself: only one level of #! is followed"));
        }
    }
    argv.extend(arguments.iter().map(OsString::from));
    let argv = argv
        .into_iter()
        .map(|a| c_string(a.into_vec(), "the handler's arguments"))
        .collect::<Result<_, _>>()?;
    Ok(Handler { file: handler, argv })
}

/// A CMD without `/` is looked up in PATH, inside the template.
fn lookup(template: &TrustedFile, name: &str, trusted: Trusted) -> Result<TrustedFile, ConfigError> {
    if name.contains('/') {
        return resolve(template, Path::new(name), name, trusted);
    }
    for directory in PATH.split(':') {
        match resolve(template, &Path::new(directory).join(name), name, trusted) {
            Err(error) if error.kind == ErrorKind::NotFound => {}
            found => return found,
        }
    }
    let message = format!("there is no handler '{name}' in PATH ({PATH}) of the template");
    Err(ConfigError { kind: ErrorKind::NotFound, message })
}

fn resolve(
    template: &TrustedFile,
    path: &Path,
    shown: &str,
    trusted: Trusted,
) -> Result<TrustedFile, ConfigError> {
    let root = template.fd.try_clone().map_err(|error| ConfigError::sandbox(error.to_string()))?;
    trust::walk(root, path, trusted).map_err(|error| match error {
        TrustError::Missing(_) => ConfigError {
            kind: ErrorKind::NotFound,
            message: format!("there is no handler {shown} in the template {}", template.path.display()),
        },
        error => ConfigError::sandbox(format!("cannot use the handler {shown} in the template: {error}")),
    })
}

fn not_executable(name: &str, why: &str) -> ConfigError {
    let message = format!("cannot execute the handler {name}: it is {why}");
    ConfigError { kind: ErrorKind::NotExecutable, message }
}

/// What kind of program a handler is; refuses what cannot run.
fn inspect(
    template: &TrustedFile,
    handler: &TrustedFile,
    name: &str,
    privilege: Privilege,
) -> Result<Program, ConfigError> {
    let mode = handler.stat.st_mode;
    if mode & libc::S_IFMT != libc::S_IFREG {
        return Err(not_executable(name, "no regular file"));
    }
    // As another uid than its owner, which every sandbox is; rootless it may be the owner.
    let needed = if privilege == Privilege::Root { libc::S_IXOTH } else { libc::S_IXOTH | libc::S_IXUSR };
    if mode & needed == 0 {
        return Err(not_executable(name, "not executable for others: chmod 0711 it"));
    }
    // Through /proc, because the descriptor is O_PATH; before any namespace is entered.
    let mut head = Vec::with_capacity(program::HEAD);
    let opened = File::open(format!("/proc/self/fd/{}", handler.fd.as_raw_fd()));
    let read = opened.and_then(|file| file.take(program::HEAD as u64).read_to_end(&mut head));
    match read {
        Ok(_) => {}
        // Rootless, a file of mode 0711 cannot be read; exec will tell.
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => return Ok(Program::Static),
        Err(error) => return Err(ConfigError::sandbox(format!("cannot read the handler {name}: {error}"))),
    }
    match program::classify(&head) {
        Program::Dynamic(loader) => {
            let loader = loader.to_string_lossy();
            let there = template.path.join(loader.trim_start_matches('/')).exists();
            let there = if there { "is in the template, but" } else { "is not in the template, and" };
            let why = format!(
                "dynamically linked: its loader {loader} {there} profile static runs static programs only; \
                 see docs/static-musl.md"
            );
            Err(not_executable(name, &why))
        }
        Program::Foreign(what) => Err(not_executable(name, what)),
        program => Ok(program),
    }
}

fn source(path: &Path, fd: &impl AsFd) -> Result<Source, ConfigError> {
    let identity = sys::mount::identify(fd.as_fd(), c"")
        .map_err(|errno| ConfigError::sandbox(format!("cannot look at {}: {errno}", path.display())))?;
    Ok(Source { path: c_string(path.as_os_str().as_bytes(), "a path")?, identity })
}

fn bounds(size: u64, inodes: u64) -> Result<Bounds, ConfigError> {
    Ok(Bounds {
        bytes: c_string(size.to_string(), "a size")?,
        inodes: c_string(inodes.to_string(), "a number of inodes")?,
    })
}

fn rootfs_plan(
    options: &Options,
    template: &TrustedFile,
    handler: &Handler,
    privilege: Privilege,
) -> Result<rootfs::Plan, ConfigError> {
    let mut tmpfs = tmpfs_list(options, template);
    let upper = tmpfs.iter().position(|spec| spec.target == "/").map(|index| tmpfs.remove(index));
    let snapshot = match options.snapshot.unwrap_or(SnapshotKind::Overlay) {
        SnapshotKind::Overlay => Snapshot::Overlay,
        SnapshotKind::Readonly => Snapshot::Readonly,
    };
    if upper.is_some() && snapshot == Snapshot::Readonly {
        return Err(ConfigError::usage(
            "--tmpfs /: there is no writable layer to bound under --snapshot readonly",
        ));
    }
    let (size, inodes) = upper.map_or((TmpfsSpec::SIZE, TmpfsSpec::INODES), |spec| (spec.size, spec.inodes));
    // The layer's own directories: the tmpfs' root, lower, upper, work, root, work/work, work/index.
    let upper = bounds(size.0, inodes.saturating_add(8))?;
    Ok(rootfs::Plan {
        template: source(&template.path, &template.fd)?,
        snapshot,
        upper,
        in_user_namespace: privilege == Privilege::Rootless,
        binds: binds(options)?,
        tmpfs: tmpfs
            .into_iter()
            .map(|spec| {
                Ok(Tmpfs {
                    target: c_string(spec.target, "--tmpfs")?,
                    bounds: bounds(spec.size.0, spec.inodes)?,
                })
            })
            .collect::<Result<_, ConfigError>>()?,
        proc: options.proc.is_some_and(|switch| switch.0),
        handler: c_string(handler.file.path.as_os_str().as_bytes(), "the handler's path")?,
        handler_identity: source(&handler.file.path, &handler.file.fd)?.identity,
    })
}

/// The last entry of a path wins. /tmp is there by default where the template has it.
fn tmpfs_list(options: &Options, template: &TrustedFile) -> Vec<TmpfsSpec> {
    let mut list: Vec<TmpfsSpec> = Vec::new();
    if sys::mount::identify(template.fd.as_fd(), c"tmp").is_ok_and(|tmp| tmp.kind() == libc::S_IFDIR) {
        let (size, inodes) = (TmpfsSpec::SIZE, TmpfsSpec::INODES);
        list.push(TmpfsSpec { target: "/tmp".to_owned(), size, inodes });
    }
    for spec in options.tmpfs.iter().flatten() {
        list.retain(|known| known.target != spec.target);
        list.push(spec.clone());
    }
    list
}

/// Sources are content, which may be users': only their existence is checked. The last of a target wins.
fn binds(options: &Options) -> Result<Vec<Bind>, ConfigError> {
    let mut binds: Vec<Bind> = Vec::new();
    for spec in options.bind_ro.iter().flatten() {
        let path = PathBuf::from(&spec.source);
        let fd = open_path(&path)?;
        let target = c_string(spec.target.as_bytes(), "--bind-ro")?;
        binds.retain(|known| known.target != target);
        binds.push(Bind { source: source(&path, &fd)?, target });
    }
    Ok(binds)
}

fn open_path(path: &Path) -> Result<std::os::fd::OwnedFd, ConfigError> {
    use nix::fcntl::{OFlag, open};
    open(path, OFlag::O_PATH | OFlag::O_CLOEXEC, nix::sys::stat::Mode::empty())
        .map_err(|errno| ConfigError::sandbox(format!("cannot bind {}: {errno}", path.display())))
}

/// Defaults: read all; write all of an overlay, else each tmpfs. A list given replaces its default.
fn landlock_plan(
    options: &Options,
    rootfs: &rootfs::Plan,
    kernel: &Kernel,
    degraded: &Degraded,
) -> Result<landlock::Plan, ConfigError> {
    let rule = |path: &[u8], right| Ok(Rule { path: c_string(path, "a Landlock path")?, right });
    let mut rules = Vec::new();
    match &options.landlock_ro {
        Some(paths) => {
            for path in paths {
                rules.push(rule(path.as_bytes(), Right::Read)?);
            }
        }
        None => rules.push(rule(b"/", Right::Read)?),
    }
    match (&options.landlock_rw, rootfs.snapshot) {
        (Some(paths), _) => {
            for path in paths {
                rules.push(rule(path.as_bytes(), Right::ReadWrite)?);
            }
        }
        (None, Snapshot::Overlay) => rules.push(rule(b"/", Right::ReadWrite)?),
        (None, Snapshot::Readonly) => {
            for tmpfs in &rootfs.tmpfs {
                rules.push(Rule { path: tmpfs.target.clone(), right: Right::ReadWrite });
            }
        }
    }
    if let Some(relative) = rules.iter().find(|rule| !rule.path.to_bytes().starts_with(b"/")) {
        let path = relative.path.to_string_lossy();
        return Err(ConfigError::usage(format!("'{path}' is no path in the sandbox: it must begin with /")));
    }
    let abi = kernel.landlock.unwrap_or(0);
    let (network, scopes) = (!degraded.has(Layer::LandlockNet), !degraded.has(Layer::LandlockScope));
    Ok(landlock::Plan::new(abi, network, scopes, rules))
}

/// The defaults, then what --memory and --tasks say, then --rlimit, by name.
fn limits(options: &Options, profile: &profile::Profile) -> Result<Vec<Limit>, ConfigError> {
    let infinity = libc::RLIM_INFINITY;
    let memory = options.memory.map_or(MEMORY, |size| finite(size).unwrap_or(infinity));
    let tasks = options.tasks.unwrap_or(profile.tasks);
    if tasks == 0 {
        return Err(ConfigError::usage("--tasks: a sandbox has at least one"));
    }
    let given = |name: &str, value: u64| RlimitSpec { name: name.to_owned(), soft: value, hard: value };
    let mut specs = vec![
        given("nofile", 32),
        given("fsize", 16 << 20),
        // Not 0: a core_pattern that is a pipe ignores 0 and runs a helper as root for each crash (core(5)).
        given("core", 1),
        // DATA, not AS: runtimes reserve address space they never touch.
        given("data", memory),
        given("nproc", tasks),
    ];
    for spec in options.rlimit.iter().flatten() {
        specs.retain(|known| known.name != spec.name);
        let mut spec = spec.clone();
        if spec.name == "cpu" {
            // At the soft limit PID 1 gets a SIGXCPU that it may ignore.
            spec.soft = spec.hard;
        }
        specs.push(spec);
    }
    specs.into_iter().map(limit).collect()
}

fn limit(spec: RlimitSpec) -> Result<Limit, ConfigError> {
    let Some(&(name, resource)) = limits::NAMES.iter().find(|(name, _)| *name == spec.name) else {
        let known: Vec<_> = limits::NAMES.iter().map(|(name, _)| *name).collect();
        return Err(ConfigError::usage(format!(
            "--rlimit: there is no '{}'; there are {}",
            spec.name,
            known.join(" ")
        )));
    };
    if name == "nofile" && spec.hard > exec::EXEC_FD.unsigned_abs().into() {
        return Err(ConfigError::usage(format!(
            "--rlimit nofile={}: at most {}, where the handler's own file waits for its exec",
            spec.hard,
            exec::EXEC_FD
        )));
    }
    if name == "core" && spec.hard == 0 {
        return Err(ConfigError::usage(
            "--rlimit core=0: say core=1; a core_pattern that is a pipe ignores 0",
        ));
    }
    Ok(Limit { resource, name, soft: spec.soft, hard: spec.hard })
}

/// The stub is a process of the same uid.
fn with_init(mut limits: Vec<Limit>, init: bool) -> Vec<Limit> {
    for limit in limits.iter_mut().filter(|limit| init && limit.name == "nproc") {
        limit.soft = limit.soft.saturating_add(1);
        limit.hard = limit.hard.saturating_add(1);
    }
    limits
}

fn id_source(range: UserRange, purpose: Purpose, privilege: Privilege) -> IdSource {
    let own = range.base + std::process::id();
    match (privilege, purpose) {
        (Privilege::Rootless, _) | (_, Purpose::Run) => IdSource::Fixed(Identity { uid: own, gid: own }),
        (Privilege::Root, Purpose::Serve) => IdSource::BasePlusPid(range.base),
    }
}

/// PATH and what the service sets; the last of a name wins.
fn environment(variables: Vec<super::values::Variable>) -> Result<Vec<CString>, ConfigError> {
    let mut pairs = vec![("PATH".to_owned(), PATH.to_owned())];
    for variable in variables {
        pairs.retain(|(name, _)| *name != variable.name);
        pairs.push((variable.name, variable.value));
    }
    pairs.into_iter().map(|(name, value)| c_string(format!("{name}={value}"), "--setenv")).collect()
}
