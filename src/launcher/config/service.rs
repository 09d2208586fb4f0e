//! A service, resolved: everything looked at, checked and turned into the plan that sandboxes are made by.

use super::admission;
use super::credentials;
use super::handler::{Template, handler_in, open_for_snapshots};
use super::host;
use super::limits::{self, limits, with_init};
use super::options::{Layer, Net, Options};
use super::own_files;
use super::passed_fds::PassedFds;
use super::profiles;
use super::proxies::Proxies;
use super::requirements::{self, Degraded};
use super::rootfs_plan::{landlock_plan, rootfs_plan};
use super::sources::Sources;
use super::tls::{Role, Tls};
use super::trust::Trusted;
use super::values::{Size, Span, UserRange, Variable, Warm};
use super::writable_binds;
use super::{ConfigError, Settings};
use crate::cgroup::leaves;
use crate::kernel::Kernel;
use crate::privilege::Privilege;
use sandbox::IdSource;
use sandbox::Plan;
use sandbox::plan::Start;
use sandbox::plan::filters;
use sandbox::plan::identity::{self, Identity};
use sandbox::plan::ids::UserIds;
use sandbox::plan::namespaces::{self, Network};
use sandbox::plan::park::Park;
use sandbox::plan::zygote;
use sandbox::plan::{profile, rootfs};
use seccomp::abi::{Files, Variant};
use seccomp::profile::model::{Exec, Profile};
use std::ffi::CString;
use std::os::fd::AsFd;
use std::time::Duration;
use sys::{self, CStrings};

/// A service, ready to serve.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) name: String,
    pub(crate) plan: Plan,
    /// The files of the host that it is made of.
    pub(crate) sources: Sources,
    pub(crate) hostname: String,
    pub(crate) net: Net,
    /// The handler's environment without the peer.
    pub(crate) environment: Vec<CString>,
    /// Descriptors that each sandbox gets beside its connection.
    pub(crate) passed_fds: PassedFds,
    pub(crate) wall_time: Option<Duration>,
    pub(crate) idle_time: Option<Duration>,
    /// CPU time at full weight.
    pub(crate) cpu_burst: Option<Duration>,
    /// `run`: what its handler gets when it is told to end; None: it ends at once.
    pub(crate) kill_signal: Option<i32>,
    /// TLS in front of the handler.
    pub(crate) tls: Option<Tls>,
    pub(crate) role: Role,
    /// Proxies whose header names the peer.
    pub(crate) proxies: Proxies,
    /// A connection gets no sandbox before its first byte, for which it has so long.
    pub(crate) wait_for_data: Option<Span>,
    /// Bytes a second that a peer must take at the least while something waits for it.
    pub(crate) min_rate: Option<u64>,
    pub(crate) send_buffer: Option<u64>,
    pub(crate) on_refusal: Vec<u8>,
    pub(crate) admission: admission::Limits,
    pub(crate) park: Park,
    pub(crate) warm: Warm,
    pub(crate) over_limit: Vec<u8>,
    pub(crate) drain_time: Option<Duration>,
    /// Remarks at start: layers that are missing or given up, and resources without a limit.
    pub(crate) remarks: Vec<String>,
    /// Warnings at start, about settings that are most likely mistakes.
    pub(crate) warnings: Vec<String>,
    /// Layers given up by name.
    pub(crate) given_up: Vec<&'static str>,
    /// Bounds of the cgroup that each sandbox gets; None: rlimits bound it.
    pub(crate) cgroup: Option<leaves::Bounds>,
    pub(crate) profile: profile::Loaded,
    /// `dayfly learn`: the profile whose default verdict is not applied.
    pub(crate) learning: Option<Profile>,
    /// The template is an image of which only the superblock was looked at.
    pub(crate) is_unseen: bool,
    /// For `check`.
    pub(crate) has_os_release: bool,
    pub(crate) handler_is_readable: bool,
}

/// The place of a service among those of its supervisor, as they stand on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ServiceId(usize);

impl ServiceId {
    pub(crate) const FIRST: ServiceId = ServiceId(0);

    /// The items of a list that has one for each service, with their ids.
    pub(crate) fn all<T>(items: &[T]) -> impl Iterator<Item = (ServiceId, &T)> {
        items.iter().enumerate().map(|(index, item)| (ServiceId(index), item))
    }

    pub(crate) fn index(self) -> usize {
        self.0
    }

    /// The service at this place.
    pub(crate) fn at(index: usize) -> ServiceId {
        ServiceId(index)
    }
}

/// The command that a service is for. It decides where the sandboxes' ids come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Run,
    Serve,
}

impl Purpose {
    /// Whether there will be many sandboxes, made ahead and of one plan.
    pub(crate) fn is_serve(self) -> bool {
        match self {
            Purpose::Run => false,
            Purpose::Serve => true,
        }
    }
}

/// PATH of a CMD without `/`, and of the handler.
pub(super) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

const HOSTNAME: &str = "dayfly";
const WALL_TIME: Duration = Duration::from_secs(60);
const CPU_BURST: Duration = Duration::from_millis(250);
const IDLE_TIME: Duration = Duration::from_secs(15);
const DRAIN_TIME: Duration = Duration::from_secs(10);
const SEND_BUFFER: u64 = 256 << 10;
const MAX_CONNECTIONS: u32 = 256;
const MAX_PER_SOURCE: u32 = 16;
/// The kernel takes a sandbox before the supervisor.
const OOM_SCORE: u16 = 500;

/// `run` has ended before its files could change.
fn sources(options: &Options, purpose: Purpose) -> Result<Sources, ConfigError> {
    match purpose {
        Purpose::Serve => Sources::new(options),
        Purpose::Run => Ok(Sources::default()),
    }
}

impl Service {
    /// Memory that a sandbox may use, by its cgroup or by the limit on data; None: any amount.
    pub(crate) fn memory(&self) -> Option<u64> {
        let data = || self.plan.limits.iter().find(|limit| limit.name == "data").map(|limit| limit.soft);
        self.cgroup.map_or_else(data, |bounds| bounds.memory).filter(|bytes| *bytes != libc::RLIM_INFINITY)
    }

    /// The stages that sandboxes that are parked so inherit from the service's zygote, or why each is set up from the
    /// beginning.
    pub(crate) fn zygote(&self, park: Park) -> Result<zygote::Kind, &'static str> {
        match &self.learning {
            Some(_) => Err("dayfly learn lets calls go on that the profile denies"),
            None => self.plan.zygote(park),
        }
    }

    /// Checks everything and makes the plan. Opens files, changes nothing.
    pub(crate) fn resolve(
        settings: Settings,
        purpose: Purpose,
        kernel: &Kernel,
    ) -> Result<Service, ConfigError> {
        let Settings { name, options } = settings;
        let profile = profiles::load_for(&options)?;
        let traits = profile.traits();
        let (learning, own_files) = (learning(&options, &profile)?, own_files::are_all(&options));
        let degraded = Degraded::new(&options);
        requirements::check_hostname(options.hostname.as_deref())?;
        let privilege = requirements::require_kernel_and_privilege(&options, kernel, &degraded, &profile)?;
        let cgroup = requirements::cgroup(&options, purpose, traits, &degraded)?;
        let mut remarks =
            requirements::remarks(&options, kernel, &degraded, &profile, purpose, cgroup.is_some());
        let sources = sources(&options, purpose)?;
        let template = open_for_snapshots(&options, Trusted::for_caller(), privilege)?;
        let handler = handler_in(&template, &options, privilege, traits.exec)?;
        let Template { root: template, image, is_unseen } = template;
        let passed_fds = PassedFds::new(&options)?;
        let rootfs = rootfs_plan(&options, (&template, image), &handler, privilege, purpose, traits.exec)?;
        let init = options.init.map_or(traits.init, |switch| switch.0);
        let park = park(&options, purpose, init);
        let plan = Plan {
            namespaces: own_namespaces(&options, &profile),
            identity: identity_plan(privilege, kernel),
            ids: id_source(user_range(&options, kernel)?, kernel, purpose, privilege),
            limits: with_init(limits(&options, traits, cgroup.is_some())?, init),
            landlock: landlock_plan(&options, &rootfs, kernel, &degraded)?,
            seccomp: filters_plan(learning.as_ref(), &profile, &rootfs, (privilege, own_files), park)?,
            rootfs,
            passed_fds: passed_fds.paths()?,
            init,
            keyring: kernel.keyring && !degraded.has(Layer::Keyring),
            mdwe: kernel.mdwe && !degraded.has(Layer::Mdwe) && traits.exec == Exec::Once,
            dumpable_off_early: privilege == Privilege::Root,
            start: start(&options)?,
            argv: CStrings::new(handler.argv),
        };
        remarks.extend(remarks_on(&plan, &passed_fds, &options, privilege));
        Ok(Service {
            name,
            tls: Tls::of(&options)?,
            role: Role::default(),
            admission: admission_limits(&options)?,
            hostname: options.hostname.unwrap_or_else(|| HOSTNAME.to_owned()),
            net: options.net.unwrap_or(Net::Shared),
            environment: environment(options.setenv.unwrap_or_default(), &passed_fds, &plan, &profile)?,
            sources: sources.with_handler(handler.looked_at, plan.rootfs.image.is_some()),
            plan,
            passed_fds,
            wall_time: options.wall_time.unwrap_or(Span(Some(WALL_TIME))).0,
            cpu_burst: options.cpu_burst.unwrap_or(Span(Some(CPU_BURST))).0,
            idle_time: options.idle_time.unwrap_or(Span(Some(IDLE_TIME))).0,
            kill_signal: options.kill_signal.map(|signal| signal.0).filter(|signal| *signal != libc::SIGKILL),
            proxies: Proxies::join(options.proxy_protocol.unwrap_or_default()),
            wait_for_data: options.wait_for_data,
            min_rate: options.min_rate.and_then(finite),
            send_buffer: finite(options.send_buffer.unwrap_or(Size(SEND_BUFFER))),
            on_refusal: options.on_refusal.unwrap_or_default().0,
            park,
            warm: options.warm.unwrap_or(Warm::DEFAULT),
            over_limit: options.over_limit.unwrap_or_default().0,
            drain_time: options.drain_time.unwrap_or(Span(Some(DRAIN_TIME))).0,
            remarks,
            warnings: profiles::warnings(&profile),
            given_up: degraded.names(),
            cgroup: cgroup.map(|bounds| bounds.with_init(init)),
            profile,
            learning,
            is_unseen,
            has_os_release: is_unseen || sys::mount::identify(template.fd.as_fd(), c"etc/os-release").is_ok(),
            handler_is_readable: !is_unseen && handler.file.stat.st_mode & libc::S_IROTH != 0,
        })
    }
}

/// `dayfly learn`: the profile as its lines say.
fn learning(options: &Options, profile: &profile::Loaded) -> Result<Option<Profile>, ConfigError> {
    let learning = options.learning == Some(true);
    let read = learning.then(|| profile.profile()).transpose();
    read.map_err(|error| ConfigError::usage(error.to_string()))
}

fn filters_plan(
    learning: Option<&Profile>,
    profile: &profile::Loaded,
    rootfs: &rootfs::Plan,
    (privilege, locks): (Privilege, bool),
    park: Park,
) -> Result<filters::Plan, ConfigError> {
    let files = Files::of(!rootfs.writable.is_empty());
    let notifying = learning.map(|learning| profile::Loaded::File {
        name: profile.name().to_owned(),
        profile: seccomp::learning::notifying(learning),
        mistaken: Vec::new(),
    });
    let dumpable_off_late = privilege == Privilege::Rootless;
    let variant = Variant { dumpable_off_late, locks, ..Variant::PLAIN };
    filters::Plan::new(notifying.as_ref().unwrap_or(profile), files, variant, park)
        .map_err(|error| ConfigError::usage(error.to_string()))
}

fn remarks_on(plan: &Plan, passed_fds: &PassedFds, options: &Options, privilege: Privilege) -> Vec<String> {
    let mut remarks = writable_binds::remarks(&plan.rootfs, passed_fds);
    remarks.extend(host::remarks(options));
    remarks.extend(of_rootless(privilege).into_iter().chain(limits::remarks(&plan.limits)));
    remarks
}

fn of_rootless(privilege: Privilege) -> Option<String> {
    let remark = "without root: sandboxes have no separate uids, and they keep your groups";
    (privilege == Privilege::Rootless).then(|| remark.to_owned())
}

fn start(options: &Options) -> Result<Start, ConfigError> {
    let score = options.oom_score_adjust.unwrap_or(OOM_SCORE);
    if score > 1000 {
        return Err(ConfigError::usage(format!("--oom-score-adjust {score}: use 0 to 1000")));
    }
    let directory = match &options.chdir {
        Some(path) if !path.starts_with('/') => {
            return Err(ConfigError::usage(format!("--chdir: invalid path '{path}': it must begin with /")));
        }
        given => given.as_ref().map(|path| c_string(path.as_str(), "--chdir")).transpose()?,
    };
    Ok(Start {
        oom_score: c_string(score.to_string(), "--oom-score-adjust")?,
        cpus: options.cpu_affinity.as_ref().map(|cpus| cpus.0.clone()),
        directory,
    })
}

fn own_namespaces(options: &Options, profile: &profile::Loaded) -> namespaces::Plan {
    let network = if options.net == Some(Net::Private) { Network::Own } else { Network::Inherited };
    namespaces::Plan { network, own_ipc: profile.meets_in_ipc() }
}

pub(super) fn finite(size: Size) -> Option<u64> {
    (size != Size::INFINITE).then_some(size.0)
}

pub(super) fn c_string(bytes: impl Into<Vec<u8>>, what: &str) -> Result<CString, ConfigError> {
    CString::new(bytes).map_err(|_nul| ConfigError::usage(format!("{what} contains a NUL byte")))
}

fn admission_limits(options: &Options) -> Result<admission::Limits, ConfigError> {
    let (prefix4, prefix6) = (options.source_prefix4.unwrap_or(32), options.source_prefix6.unwrap_or(64));
    if prefix4 > 32 || prefix6 > 128 {
        return Err(ConfigError::usage("source_prefix4 is at most 32, source_prefix6 at most 128"));
    }
    let (total, per_source) = (options.max_connections, options.max_per_source);
    if total == Some(0) || per_source == Some(0) {
        return Err(ConfigError::usage("--max-connections and --max-per-source: use at least 1"));
    }
    Ok(admission::Limits {
        total: total.unwrap_or(MAX_CONNECTIONS) as usize,
        per_source: per_source.unwrap_or(MAX_PER_SOURCE) as usize,
        prefix4,
        prefix6,
        rate: options.rate,
    })
}

fn identity_plan(privilege: Privilege, kernel: &Kernel) -> identity::Plan {
    identity::Plan {
        drop_groups: privilege == Privilege::Root,
        last_capability: kernel.last_capability.unwrap_or(0),
    }
}

/// `run` has its connection already. A handler that may exec again would be parked again. Behind a proxy
/// getpeername(2) answers the proxy's address, behind TLS nothing: only the environment, which is made at
/// exec, can name the peer. A service that needs no peer says so by asking for another place.
fn park(options: &Options, purpose: Purpose, init: bool) -> Park {
    match (purpose, options.park) {
        (Purpose::Run, _) => Park::None,
        (Purpose::Serve, Some(at)) => at.into(),
        (Purpose::Serve, None) if init || names_peer(options) => Park::BeforeExec,
        (Purpose::Serve, None) => Park::Entry,
    }
}

fn names_peer(options: &Options) -> bool {
    options.proxy_protocol.is_some() || options.tls_certificate.is_some()
}

fn user_range(options: &Options, kernel: &Kernel) -> Result<UserRange, ConfigError> {
    let range = options.user_range.unwrap_or(UserRange::DEFAULT);
    requirements::check_range(range, kernel).map(|()| range)
}

/// Start-up has made sure of the number of this boot.
fn id_source(range: UserRange, kernel: &Kernel, purpose: Purpose, privilege: Privilege) -> IdSource {
    let ids = UserIds::new(range.base, range.size, kernel.boot.unwrap_or(0));
    let own = ids.of(std::process::id());
    match (privilege, purpose) {
        (Privilege::Rootless, _) | (_, Purpose::Run) => IdSource::Fixed(Identity { uid: own, gid: own }),
        (Privilege::Root, Purpose::Serve) => IdSource::ByPid(ids),
    }
}

/// Variables that shells and their commands look for. The uid has no name: each connection has another one,
/// so no passwd file of a template can hold it.
fn of_tree(plan: &Plan) -> [(&'static str, &'static str); 3] {
    let has_tmp = plan.rootfs.tmpfs.iter().any(|tmpfs| tmpfs.target.as_c_str() == c"/tmp");
    [("HOME", if has_tmp { "/tmp" } else { "/" }), ("USER", "handler"), ("LOGNAME", "handler")]
}

/// PATH, the service's variables, and those that describe passed descriptors and credentials; the last of a
/// name wins.
fn environment(
    set: Vec<Variable>,
    passed_fds: &PassedFds,
    plan: &Plan,
    profile: &profile::Loaded,
) -> Result<Vec<CString>, ConfigError> {
    let variable = |(name, value): (&str, String)| Variable { name: name.to_owned(), value };
    let directory =
        plan.rootfs.credentials.as_ref().map(|_| ("CREDENTIALS_DIRECTORY", credentials::directory()));
    let ours = directory.into_iter().chain(passed_fds.variables(if plan.init { 2 } else { 1 }));
    let mut pairs = vec![("PATH".to_owned(), PATH.to_owned())];
    if profile.executes_tree() {
        pairs.extend(of_tree(plan).map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
    for variable in set.into_iter().chain(ours.map(variable)) {
        pairs.retain(|(name, _)| *name != variable.name);
        pairs.push((variable.name, variable.value));
    }
    pairs.into_iter().map(|(name, value)| c_string(format!("{name}={value}"), "--setenv")).collect()
}
