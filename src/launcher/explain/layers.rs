//! The layers of a sandbox, each from its plan.

use super::filters;
use super::tree::Node;
use crate::config::ConfigError;
use crate::config::passed_fds::PassedFds;
use crate::config::service::{Purpose, Service};
use crate::kernel::Kernel;
use crate::output::size;
use sandbox::IdSource;
use sandbox::Plan;
use sandbox::child;
use sandbox::child::capabilities;
use sandbox::child::devices;
use sandbox::launch::snapshots;
use sandbox::plan::credentials;
use sandbox::plan::credentials::Credentials;
use sandbox::plan::identity;
use sandbox::plan::identity::Identity;
use sandbox::plan::landlock::{self, Right};
use sandbox::plan::limits::Limit;
use sandbox::plan::park::Park;
use sandbox::plan::rootfs::{self, Snapshot, Source};
use sandbox::plan::zygote::Kind;
use sandbox::plan::{self, namespaces};
use sandbox::step::Step;
use seccomp::abi::Files;
use std::ffi::CString;
use sys::process::CpuSet;

/// Every layer, in the order in which a sandbox gets them.
pub(super) fn layers(service: &Service, purpose: Purpose, kernel: &Kernel) -> Result<Vec<Node>, ConfigError> {
    let Plan {
        namespaces,
        rootfs,
        identity,
        ids,
        limits,
        landlock,
        seccomp,
        init,
        keyring,
        mdwe,
        dumpable_off_early,
        passed_fds: _,
        start,
        argv,
    } = &service.plan;
    let plan::Start { oom_score, cpus, directory } = start;
    let process = [
        switch("session keyring", *keyring, "an empty one", "the caller's keys are out of reach"),
        switch(
            "memory-deny-write-execute",
            *mdwe,
            "yes",
            "W^X by the kernel; the profile's rule on PROT_EXEC is the other layer",
        ),
        Node::new("dumpable", "off").why(if *dumpable_off_early {
            "nobody may trace or dump it"
        } else {
            "rootless: last of all, after the filters"
        }),
        init_stub(*init),
        Node::new("working directory", directory.as_ref().map_or_else(|| "/".to_owned(), text)),
        Node::new("oom_score_adj", text(oom_score)).why("the kernel kills a sandbox before the supervisor"),
        Node::new("processors", cpus.as_ref().map_or_else(|| "the launcher's".to_owned(), processors)),
    ];
    Ok(vec![
        handler(rootfs, argv.strings(), &service.environment),
        self::kernel(kernel),
        given_up(&service.given_up),
        self::namespaces(*namespaces, rootfs, &service.hostname, shares_mounts(service, purpose)),
        self::rootfs(rootfs, covers_root(service, purpose)),
        self::identity(*identity, *ids),
        capability_sets(*identity),
        self::process(process, &service.passed_fds),
        self::limits(limits, service.memory()),
        self::landlock(landlock),
        filters::filters(&service.profile, Files::of(!rootfs.writable.is_empty()), Some(seccomp.locks))?
            .with([programs(seccomp)]),
        steps(service, purpose),
    ])
}

fn switch(name: &str, on: bool, value: &str, why: &str) -> Node {
    if on {
        Node::new(name, value).why(why)
    } else {
        Node::new(name, "no").why("disabled, or unavailable on this kernel or with this profile")
    }
}

fn text(string: &CString) -> String {
    string.to_string_lossy().into_owned()
}

fn handler(rootfs: &rootfs::Plan, argv: &[CString], environment: &[CString]) -> Node {
    let arguments =
        argv.iter().enumerate().map(|(index, argument)| Node::new(index.to_string(), text(argument)));
    let variables = environment.iter().map(|variable| {
        let variable = text(variable);
        let (name, value) = variable.split_once('=').unwrap_or((&variable, ""));
        Node::new(name, value)
    });
    Node::new("handler", text(&rootfs.handler)).with([
        Node::group("arguments").with(arguments),
        Node::group("environment").why("nothing from the launcher's environment").with(variables),
    ])
}

pub(super) fn kernel(kernel: &Kernel) -> Node {
    let lacks =
        kernel.lacks().into_iter().map(|lack| Node::new("lacks", lack).why("nothing runs without it"));
    let missing = kernel.missing_walls().into_iter();
    let missing = missing
        .map(|wall| Node::new(wall.layer, format!("this kernel lacks {}", wall.wall)).why(wall.instead));
    let abi = kernel.landlock.map_or_else(|errno| errno.to_string(), |abi| abi.to_string());
    Node::new("kernel", format!("Linux {}", kernel.release))
        .with([Node::new("Landlock ABI", abi)])
        .with(lacks)
        .with([Node::list("missing walls", missing).why("refused under --strict")])
}

fn given_up(layers: &[&'static str]) -> Node {
    let value = if layers.is_empty() { "none".to_owned() } else { layers.join(" ") };
    Node::new("layers given up", value).why("those that --allow-degraded names")
}

/// Whether its sandboxes are cloned by a zygote, in its mount namespace.
fn shares_mounts(service: &Service, purpose: Purpose) -> bool {
    purpose.is_serve() && service.zygote(service.park) == Ok(Kind::Sealed)
}

/// Whether they are cloned by one whose root their own covers.
fn covers_root(service: &Service, purpose: Purpose) -> bool {
    purpose.is_serve() && service.zygote(service.park) == Ok(Kind::Mounting)
}

fn namespaces(plan: namespaces::Plan, rootfs: &rootfs::Plan, hostname: &str, shares_mounts: bool) -> Node {
    let namespaces::Plan { network, own_ipc } = plan;
    let own = |own: bool| if own { "its own" } else { "shared with other sandboxes, sealed" };
    let user = if rootfs.in_user_namespace { "its launcher's own" } else { "the host's" };
    let user_why = if rootfs.in_user_namespace { "an ordinary user" } else { "its ids are unused there" };
    Node::group("namespaces").why("none is the host's, except user as root").with([
        match shares_mounts {
            true => Node::new("mount", "shared with the service's other sandboxes")
                .why("everything in it is read-only, and mount calls are denied"),
            false => Node::new("mount", "its own"),
        },
        Node::new("pid", "its own").why("all processes end with the first one"),
        Node::new("net", own(network == namespaces::Network::Own))
            .why("empty, and lo is down; without socket(2) sandboxes cannot meet there"),
        Node::new("ipc", own(own_ipc)).why("separate if the profile allows IPC calls"),
        Node::new("uts", own(false)).with([Node::new("hostname", hostname)]),
        Node::new("cgroup", own(false)).why("only a view"),
        Node::new("user", user).why(user_why),
    ])
}

fn rootfs(plan: &rootfs::Plan, covers: bool) -> Node {
    // How it stands ready in the base of serve changes nothing of it.
    let rootfs::Plan {
        template,
        image,
        snapshot,
        owner,
        upper,
        in_user_namespace: _,
        binds,
        writable,
        credentials,
        tmpfs,
        proc,
        executable,
        dev,
        cover_canary: _,
        handler: _,
        handler_identity: _,
        prebuilt: _,
        snapshots: _,
    } = plan;
    let root = root(template, *snapshot, *owner, upper, *executable);
    let kind = image.as_ref().map(|image| format!(", an image of {}", image.kind.name().to_string_lossy()));
    let template = format!("{}{}", text(&template.path), kind.unwrap_or_default());
    let template = Node::new("template", template).why("each component of its path is trusted");
    let mounted = binds.iter().map(|bind| {
        Node::new(text(&bind.target), format!("{}, ro nosuid nodev noexec noatime", text(&bind.source.path)))
            .why(bind.option())
    });
    let written = writable.iter().map(|bind| {
        let (source, owner) = (text(&bind.source.path), bind.owner);
        let whose = format!("written as {}:{}", owner.uid, owner.gid);
        Node::new(text(&bind.target), format!("{source}, rw nosuid nodev noexec noatime, {whose}"))
            .why("--bind: writes stay, and their size is not limited")
    });
    let proc = proc.then(|| {
        Node::new("/proc", "own processes only, ro nosuid nodev noexec")
            .why("--proc: subset=pid, hidepid=invisible")
    });
    let dev = dev.then(|| {
        let names = devices::NODES.iter().map(|(name, ..)| Node::new(name.to_string_lossy(), ""));
        let links = devices::LINKS.iter().map(|(name, target)| {
            Node::new(name.to_string_lossy(), format!("link to {}", target.to_string_lossy()))
                .why("needs --proc")
        });
        let shm = Node::new("shm", "mount point").why("for --tmpfs /dev/shm:SIZE");
        Node::new("/dev", "five devices, ro nosuid noexec")
            .why("ordinary programs expect them; it covers the template's /dev")
            .with(names)
            .with(links)
            .with([shm])
    });
    let tmpfs = tmpfs.iter().map(|tmpfs| {
        let shown = bounds(&text(&tmpfs.target), &tmpfs.bounds);
        shown.why("private, rw nosuid nodev noexec noatime, discarded with the sandbox")
    });
    Node::group("root file system")
        .why(if covers {
            "the zygote's root is covered; it has the service's trees alone"
        } else {
            "the old root is detached"
        })
        .with([template, root])
        .with(mounted)
        .with(written)
        .with(credentials.as_ref().map(secrets))
        .with(dev)
        .with(proc)
        .with(tmpfs)
}

fn root(
    template: &Source,
    snapshot: Snapshot,
    owner: Identity,
    upper: &rootfs::Bounds,
    executable: bool,
) -> Node {
    let exec = if executable { "" } else { " noexec" };
    let root = match snapshot {
        Snapshot::Readonly => Node::new("/", format!("the template, ro nosuid nodev{exec} noatime")),
        Snapshot::Overlay => {
            let layer = bounds("writable layer", upper).why("in memory, discarded with the sandbox");
            Node::new("/", format!("overlay on the template, rw nosuid nodev{exec} noatime"))
                .with([layer, handlers_own(owner)])
        }
        Snapshot::Btrfs => {
            let shelf = snapshots::shelf_path(&template.path).display().to_string();
            let place = Node::new("snapshots", format!("below {shelf}, which only root can enter"))
                .why("on the disk, destroyed after the sandbox; their size is not limited");
            Node::new("/", format!("a btrfs snapshot of the template, rw nosuid nodev{exec} noatime"))
                .with([place, handlers_own(owner)])
        }
    };
    if executable { root.why("the profile allows programs in the template") } else { root }
}

fn handlers_own(owner: Identity) -> Node {
    let whose = format!("template files of uid {} and gid {}", owner.uid, owner.gid);
    Node::new("the handler's", whose).why("by an idmapped mount; without root, the caller's files")
}

/// Credentials, by name and size.
fn secrets(credentials: &Credentials) -> Node {
    let names = credentials.list.iter();
    let names = names.map(|one| Node::new(text(&one.name), format!("{} bytes", one.content.0.len())));
    Node::new(
        credentials::DIRECTORY.to_string_lossy(),
        "tmpfs, ro nosuid nodev noexec, readable by its uid only",
    )
    .why("--credential: read by the launcher")
    .with(names)
}

fn bounds(name: &str, bounds: &rootfs::Bounds) -> Node {
    let (bytes, inodes) = (text(&bounds.bytes), text(&bounds.inodes));
    let people = bytes.parse().map_or_else(|_error| bytes.clone(), size);
    Node::new(name, format!("tmpfs of {bytes} bytes, {inodes} inodes"))
        .shown(format!("tmpfs of {people}, {inodes} inodes"))
}

fn identity(plan: identity::Plan, ids: IdSource) -> Node {
    let identity::Plan { drop_groups, last_capability: _ } = plan;
    let (value, why) = match ids {
        IdSource::Fixed(_) if !drop_groups => {
            ("one, the caller's outside".to_owned(), "rootless: no other is available")
        }
        IdSource::Fixed(_) => (
            "of --user-range, by a permutation of the launcher's pid".to_owned(),
            "no other live process has it, and it does not tell the pid",
        ),
        IdSource::ByPid(ids) => (
            format!("of {}+{}, by a permutation of the pid of its first process", ids.base(), ids.size()),
            "no other live process has it, and it does not tell the pid",
        ),
    };
    let groups = if drop_groups {
        Node::new("groups", "none")
    } else {
        Node::new("groups", "the caller's").why("setgroups(2) is denied in a user namespace")
    };
    Node::group("identity").with([Node::new("uid and gid", value).why(why), groups])
}

fn capability_sets(plan: identity::Plan) -> Node {
    let sets = ["permitted", "effective", "inheritable", "ambient"].map(|set| Node::new(set, "empty"));
    let bounding = Node::new("bounding", "empty")
        .why(format!("capabilities 0 to {}, all that this kernel has, are dropped", plan.last_capability));
    let securebits: Vec<_> = capabilities::SECUREBIT_NAMES.iter().map(|(name, _)| *name).collect();
    Node::group("capabilities").with(sets).with([
        bounding,
        Node::new("securebits", securebits.join(" ")).why("locked: uid 0 has no special meaning"),
        Node::new("no_new_privs", "yes").why("no exec can add privileges"),
    ])
}

fn process(parts: [Node; 7], passed_fds: &PassedFds) -> Node {
    let last = 2 + passed_fds.items().count();
    let passed_fds = passed_fds.items().map(|(number, item)| {
        let (path, how) = (item.path().display(), item.how.word());
        Node::new(number.to_string(), format!("{}, {path}, {how}", item.name()))
            .why("--open: opened again for each sandbox")
    });
    Node::group("process").with(parts).with([
        Node::new("session", "its own, no controlling terminal"),
        Node::new("descriptors", if last == 2 { "0, 1, 2".to_owned() } else { format!("0 to {last}") })
            .why("0 and 1 are the connection, 2 is a pipe to the supervisor; others are closed")
            .with(passed_fds),
        Node::new("umask", format!("{:03o}", child::UMASK)),
        Node::new("signals", "default dispositions, none blocked"),
        Node::new("parent-death signal", "SIGKILL").why("it ends with the supervisor"),
    ])
}

fn processors(cpus: &CpuSet) -> String {
    cpus.numbers().map(|cpu| cpu.to_string()).collect::<Vec<_>>().join(" ")
}

fn init_stub(init: bool) -> Node {
    if init {
        Node::new("PID 1", "a stub; the handler is PID 2")
            .why("it reaps processes, and can make four system calls")
    } else {
        Node::new("PID 1", "the handler")
            .why("signals with default disposition do nothing to it (pid_namespaces(7))")
    }
}

fn limits(limits: &[Limit], memory: Option<u64>) -> Node {
    let memory = memory.map_or_else(|| Node::new("memory", "infinity"), |bytes| Node::bytes("memory", bytes));
    let memory = memory.why("--memory: by a limit on data, or by the sandbox's cgroup");
    Node::group("limits").why("setrlimit(2), soft and hard").with([memory]).with(limits.iter().map(limit))
}

fn limit(limit: &Limit) -> Node {
    let Limit { resource: _, name, soft, hard } = limit;
    let counts_bytes = OF_BYTES.contains(name);
    let one = |value: u64| match value {
        libc::RLIM_INFINITY => "infinity".to_owned(),
        bytes if counts_bytes => size(bytes),
        number => number.to_string(),
    };
    let plain = |value: u64| if value == libc::RLIM_INFINITY { one(value) } else { value.to_string() };
    let node = match (soft == hard, *soft) {
        (true, libc::RLIM_INFINITY) => Node::new(*name, "infinity"),
        (true, bytes) if counts_bytes => Node::bytes(*name, bytes),
        (true, number) => Node::number(*name, number),
        (false, _) => Node::new(*name, format!("{}, {}", plain(*soft), plain(*hard))).shown(format!(
            "{}, {}",
            one(*soft),
            one(*hard)
        )),
    };
    node.why(why_limit(name))
}

/// Limits that count bytes.
const OF_BYTES: [&str; 7] = ["as", "data", "fsize", "memlock", "msgqueue", "rss", "stack"];

fn why_limit(name: &str) -> &'static str {
    match name {
        "nofile" => "descriptors",
        "fsize" => "bytes of a file it writes",
        "core" => "1, not 0: a core_pattern that is a pipe ignores 0 and runs a helper as root (core(5))",
        "data" => "memory; runtimes reserve address space they never touch",
        "nproc" => "processes and threads, the stub included",
        "as" => "address space, which bounds page tables",
        "stack" => "bytes of a stack",
        "cpu" => "seconds of CPU; soft as hard, since PID 1 may ignore SIGXCPU",
        _ => "--rlimit",
    }
}

fn landlock(plan: &landlock::Plan) -> Node {
    let (network, scopes) = plan.governs();
    let rules = plan.rules().iter().map(|rule| {
        let name = match rule.right {
            Right::Read => format!("{} (read)", text(&rule.path)),
            Right::ReadWrite => format!("{} (read and write)", text(&rule.path)),
        };
        Node::new(name, plan.allowed(rule.right).join(" "))
    });
    let governed = |on: bool| if on { "denied" } else { "not governed" };
    Node::new("Landlock", format!("ABI {}", plan.abi())).why("required: dayfly refuses less").with([
        Node::new("files", plan.handled().join(" ")).why("denied unless a rule allows it"),
        Node::group("rules").with(rules).with([Node::new(
            "the handler's file",
            plan.allowed_of_handler().join(" "),
        )
        .why("the only one, except under the profile tree")]),
        Node::new(plan.protocols(), governed(network))
            .why("connect or send with an address, and bind; TCP from ABI 4, UDP from 10"),
        Node::new("signals and abstract sockets", governed(scopes))
            .why("to targets outside the sandbox; from ABI 6"),
    ])
}

fn programs(plan: &plan::filters::Plan) -> Node {
    let sizes = format!("guard {} instructions, profile {}", plan.guard.len(), plan.profile.len());
    Node::new("programs", sizes).why("the kernel asks both at each call")
}

/// The steps between accept and exec, in order.
fn steps(service: &Service, purpose: Purpose) -> Node {
    let taken = Step::all().filter(|step| is_taken(*step, service, purpose));
    let nodes = taken.map(|step| Node::new(step.name(), step.phrase()));
    Node::group("steps").why("a failed step refuses the connection").with(nodes)
}

fn is_taken(step: Step, service: &Service, purpose: Purpose) -> bool {
    let plan = &service.plan;
    let rootfs = &plan.rootfs;
    match step {
        Step::Stage | Step::Layers | Step::Overlay => rootfs.snapshot.is_overlay(),
        Step::Snapshots | Step::Snapshot => rootfs.snapshot.is_subvolume(),
        Step::IdMap => rootfs.is_idmapped(),
        Step::BindSource | Step::BindChanged | Step::Bind => {
            rootfs.mounts().any(|mount| rootfs.source(mount).is_some())
        }
        Step::Open | Step::PassedFds => !plan.passed_fds.is_empty(),
        Step::Credentials => rootfs.credentials.is_some(),
        Step::BindMap => !rootfs.writable.is_empty() && !rootfs.in_user_namespace,
        Step::Tmpfs => !rootfs.tmpfs.is_empty(),
        Step::Proc => rootfs.proc,
        Step::Dev => rootfs.dev,
        Step::Groups => plan.identity.drop_groups,
        Step::Keyring => plan.keyring,
        Step::Mdwe => plan.mdwe,
        Step::Init | Step::InitFilter => plan.init,
        Step::Base => purpose.is_serve(),
        Step::Parked => service.park != Park::None,
        Step::Inherit => purpose.is_serve() && service.zygote(service.park).is_ok(),
        Step::CoverRoot => covers_root(service, purpose),
        Step::Died => false,
        _ => true,
    }
}
