//! Every option of systemd-nspawn(1), up to version 262, and its effect here.
//!
//! docs/from-systemd-nspawn.md has a row for each; a test compares them.

use super::draft::Draft;

/// One option of systemd-nspawn.
#[derive(Debug)]
pub(crate) struct Known {
    /// Empty if the option has only a short form.
    pub(crate) long: &'static str,
    pub(crate) short: Option<char>,
    /// Its argument as the manual writes it: `=NAME`, `[=NAME]`, or nothing.
    pub(crate) argument: &'static str,
    pub(crate) does: Does,
    /// Its effect, or why it is refused and what to use instead.
    pub(crate) says: &'static str,
}

/// How an option is handled.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Does {
    /// Its meaning becomes options of `run`, or is looked at before.
    Honour(fn(&mut Draft, &str) -> Result<(), String>),
    /// Every sandbox has it already, for these values; an empty list means any value. Other values are
    /// refused.
    Already(&'static [&'static str]),
    Refuse,
}

/// Whether an option takes an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takes {
    Nothing,
    Argument,
    /// Only behind `=`.
    Optional,
}

pub(super) fn takes(argument: &str) -> Takes {
    match argument.as_bytes().first() {
        None => Takes::Nothing,
        Some(b'[') => Takes::Optional,
        Some(_) => Takes::Argument,
    }
}

impl Known {
    pub(crate) fn takes(&self) -> Takes {
        takes(self.argument)
    }

    /// The option as the manual writes it: `-D`, `--directory=PATH`.
    pub(crate) fn shown(&self) -> String {
        match (self.short, self.long) {
            (None, long) => format!("--{long}{}", self.argument),
            (Some(short), "") => format!("-{short}"),
            (Some(short), long) => format!("-{short}, --{long}{}", self.argument),
        }
    }

    /// The usual name of the option: the long one.
    pub(crate) fn name(&self) -> String {
        match (self.short, self.long) {
            (Some(short), "") => format!("-{short}"),
            (_, long) => format!("--{long}"),
        }
    }
}

macro_rules! does {
    (honour $function:ident) => {
        Does::Honour(Draft::$function)
    };
    (already) => {
        Does::Already(&[])
    };
    (already $($value:literal)+) => {
        Does::Already(&[$($value),+])
    };
    (refuse) => {
        Does::Refuse
    };
}

macro_rules! short {
    () => {
        None
    };
    ($letter:literal) => {
        Some($letter)
    };
}

macro_rules! options {
    ($($long:literal $($short:literal)?, $argument:literal, [$($does:tt)+], $says:literal;)*) => {
        pub(crate) const OPTIONS: &[Known] = &[$(Known {
            long: $long,
            short: short!($($short)?),
            argument: $argument,
            does: does!($($does)+),
            says: $says,
        },)*];
    };
}

options! {
    "help" 'h', "", [honour help], "print this list";
    "version", "", [honour version], "print dayfly's version";
    "quiet" 'q', "", [honour quiet], "do not log the chosen settings; the record and the program's stderr are logged anyway";
    "no-pager", "", [already], "there is no pager";
    "settings", "=MODE", [honour settings],
        "no .nspawn file is ever read; if nspawn would find one, only `no` is accepted: move its settings to the command line";
    "cleanup", "", [refuse], "a sandbox leaves nothing to clean up";
    "no-ask-password", "", [already], "nothing asks for a password";

    "directory" 'D', "=PATH", [honour directory], "the template, --template of run";
    "template", "=PATH", [refuse], "it would make a tree that stays: use -D with the template itself, and -x";
    "ephemeral" 'x', "", [honour ephemeral], "a copy-on-write snapshot in memory, --snapshot overlay of run; of a btrfs subvolume as well, unless --snapshot=btrfs is given";
    "image" 'i', "=PATH", [honour directory], "the template, --template of run: one file system, erofs or squashfs";
    "image-policy", "=POLICY", [refuse], "an image is one file system, without partitions";
    "mstack", "=PATH", [refuse], "build the layers into one directory and use -D";
    "oci-bundle", "=PATH", [refuse], "unpack it, use -D with its root file system, and give its command";
    "read-only", "", [honour read_only], "the template itself, --snapshot readonly of run";
    "volatile", "[=MODE]", [honour volatile],
        "`overlay` as -x; `state` read-only with an empty /var; `yes` read-only with every directory but /usr empty; `no` as not given";
    "root-hash", "=HASH", [refuse], "dayfly does not set up verity: mount the image with it on the host, and use -D with the mount";
    "root-hash-sig", "=SIG", [refuse], "dayfly does not set up verity: mount the image with it on the host, and use -D with the mount";
    "verity-data", "=PATH", [refuse], "dayfly does not set up verity: mount the image with it on the host, and use -D with the mount";
    "pivot-root", "=PATH[:PATH]", [refuse], "use -D with the directory itself";

    "as-pid2" 'a', "", [already], "a stub is PID 1 and the program PID 2, unless --init=no is given";
    "boot" 'b', "", [refuse], "a sandbox runs one command for one connection; systemd-nspawn boots systems";
    "chdir", "=PATH", [honour chdir], "--chdir of run";
    "setenv" 'E', "=NAME[=VALUE]", [honour setenv], "--setenv of run; NAME alone takes the launcher's own value";
    "uid" 'u', "=USER", [honour uid],
        "under -x files of USER in the tree appear as the program's own, --owner of run; its uid is unique, and never root";
    "user", "[=USER]", [honour user], "--user=USER as --uid=USER; alone, for the user's service manager, it is refused";
    "kill-signal", "=SIGNAL", [honour kill_signal], "--kill-signal of run: the program gets it at SIGTERM; a second SIGTERM ends it";
    "notify-ready", "=BOOL", [already "no"], "the program has no notification socket";
    "suppress-sync", "=BOOL", [already], "nothing outlives the sandbox: sync(2) and similar calls fail or do nothing";

    "machine" 'M', "=NAME", [honour machine],
        "the host name; without -D the tree NAME of /var/lib/machines, /usr/local/lib/machines or /usr/lib/machines";
    "hostname", "=NAME", [honour hostname], "--hostname of run";
    "uuid", "=UUID", [honour uuid], "the variable container_uuid; /etc/machine-id stays the template's";

    "slice" 'S', "=SLICE", [refuse], "dayfly makes no scope: set Slice= in the unit";
    "property", "=NAME=VALUE", [refuse], "dayfly makes no scope: set it in the unit, or use --memory, --tasks and --cpu";
    "register", "=BOOL", [already "no" "auto"], "dayfly does not register sandboxes with machined";
    "keep-unit", "", [already], "a sandbox stays in the launcher's unit";

    "private-users", "[=MODE]", [already "" "yes" "no" "pick" "managed"],
        "the program has a unique uid and no capability; --user-range BASE+SIZE of run sets the range";
    "private-users-ownership", "=MODE", [already "auto" "map"],
        "under -x root's files in the template appear as the program's own, by an idmapped mount; no file is changed";
    "private-users-chown", "[=MODE]", [refuse], "the template is never changed: an idmapped mount does it";
    "private-users-delegate", "=N", [refuse], "a sandbox makes no other containers";
    "" 'U', "", [already], "the program has a unique uid and no capability";

    "private-network", "", [already], "always so: a network namespace whose only interface, lo, is down";
    "network-interface", "=HOSTIF[:NAME]", [refuse], "a sandbox has its connection and no other network";
    "network-macvlan", "=HOSTIF[:NAME]", [refuse], "a sandbox has its connection and no other network";
    "network-ipvlan", "=HOSTIF[:NAME]", [refuse], "a sandbox has its connection and no other network";
    "network-veth" 'n', "", [refuse], "a sandbox has its connection and no other network";
    "network-veth-extra", "=HOSTIF[:NAME]", [refuse], "a sandbox has its connection and no other network";
    "network-bridge", "=INTERFACE", [refuse], "a sandbox has its connection and no other network";
    "network-zone", "=NAME", [refuse], "a sandbox has its connection and no other network";
    "network-namespace-path", "=PATH", [refuse], "a sandbox has its connection and no other network";
    "port" 'p', "=[PROTOCOL:]PORT[:PORT]", [refuse],
        "the connection comes to the program: ListenStream= of the socket unit, or --listen of dayfly serve";

    "capability", "=CAP", [refuse], "all capability sets of a sandbox are empty";
    "drop-capability", "=CAP", [already], "all capability sets of a sandbox are empty";
    "ambient-capability", "=CAP", [refuse], "all capability sets of a sandbox are empty";
    "no-new-privileges", "=BOOL", [already "yes"], "always so; it cannot be switched off";
    "system-call-filter", "=LIST|~LIST", [honour system_call_filter],
        "calls and systemd's groups: LIST is allowed in addition to the profile, except what the guard denies; ~LIST fails with EPERM";
    "restrict-address-families", "=LIST", [already "none"], "no others: a sandbox makes no socket of any family";
    "selinux-context" 'Z', "=LABEL", [refuse], "set SELinuxContext= in the unit";
    "selinux-apifs-context" 'L', "=LABEL", [refuse], "a sandbox has no API file systems to label";

    "rlimit", "=NAME=LIMIT", [honour rlimit], "--rlimit of run";
    "oom-score-adjust", "=VALUE", [honour oom_score_adjust],
        "--oom-score-adjust of run, default 500; not below 0: the kernel kills a sandbox before the host's processes";
    "cpu-affinity", "=CPUS", [honour cpu_affinity], "--cpu-affinity of run";
    "personality", "=ARCH", [already "x86-64"], "always the machine's own";

    "resolv-conf", "=MODE", [already "off" "auto"], "/etc/resolv.conf is the template's: there is no network";
    "timezone", "=MODE", [honour timezone], "`off` and `auto` leave the template's /etc/localtime, `bind` shows the host's over it; a link there is followed inside the tree";
    "link-journal", "=MODE", [already "no" "auto" "try-guest" "try-host"],
        "a sandbox has no journal; the launcher logs its stderr";
    "" 'j', "", [already], "as --link-journal=try-guest: there is no journal to link";
    "forward-journal", "=PATH", [refuse], "a sandbox has no journal; the launcher logs its stderr";
    "forward-journal-max-use", "=BYTES", [refuse], "a sandbox has no journal";
    "forward-journal-keep-free", "=BYTES", [refuse], "a sandbox has no journal";
    "forward-journal-max-file-size", "=BYTES", [refuse], "a sandbox has no journal";
    "forward-journal-max-files", "=N", [refuse], "a sandbox has no journal";

    "bind", "=PATH[:PATH[:OPTIONS]]", [honour bind],
        "--bind of run: the program writes as the owner of the source, not as root; options: `norbind`, `rootidmap`, `owneridmap`";
    "bind-ro", "=PATH[:PATH[:OPTIONS]]", [honour bind_ro],
        "--bind-ro of run: recursive, noexec, on a path in the template; options: `rbind`, `noidmap`";
    "inaccessible", "=PATH", [honour inaccessible],
        "--bind-ro of run with systemd's inaccessible file or directory in /run";
    "tmpfs", "=PATH[:OPTIONS]", [honour tmpfs],
        "--tmpfs of run, default 16M; options: size=, nr_inodes=, mode=1777, nosuid, nodev, noexec";
    "overlay", "=PATH[:PATH...]:PATH", [refuse], "under -x the whole tree is writable: build the layers into it";
    "overlay-ro", "=PATH[:PATH...]:PATH", [honour overlay_ro], "--overlay-ro of run; not with directories in the tree (`+`)";
    "bind-user", "=NAME", [refuse], "a sandbox has no users: show a home with --bind-ro";
    "bind-user-shell", "=BOOL|PATH", [refuse], "a sandbox has no users";
    "bind-user-group", "=GROUP", [refuse], "a sandbox has no users";

    "console", "=MODE", [already "pipe" "autopipe"],
        "always so: descriptors 0 and 1 are the connection itself, there is no terminal";
    "pipe" 'P', "", [already], "always so: descriptors 0 and 1 are the connection itself";
    "background", "=COLOR", [refuse], "there is no terminal to colour";

    "set-credential", "=ID:VALUE", [refuse], "a command line is not secret: put it into a file and use --load-credential";
    "load-credential", "=ID:PATH", [honour load_credential],
        "--credential of run: a file in $CREDENTIALS_DIRECTORY of the program; a relative PATH is one of the launcher's own";

    "share-system", "", [refuse], "every namespace is the sandbox's own or sealed";
    "system", "", [already], "always so";
}

/// dayfly's own options that may stand among nspawn's, with their arguments. Those that nspawn has too are
/// nspawn's.
pub(crate) const OWN: &[(&str, &str)] = &[
    ("explain", ""),
    ("json", ""),
    ("snapshot", "=KIND"),
    ("profile", "=NAME"),
    ("init", "[=BOOL]"),
    ("landlock-ro", "=PATH"),
    ("landlock-rw", "=PATH"),
    ("open", "=PATH:NAME:HOW"),
    ("credential", "=NAME:PATH"),
    ("proc", "[=BOOL]"),
    ("net", "=KIND"),
    ("memory", "=SIZE"),
    ("tasks", "=N"),
    ("cpu", "=PERCENT"),
    ("cgroup", "=MODE"),
    ("wall-time", "=TIME"),
    ("idle-time", "=TIME"),
    ("send-buffer", "=SIZE"),
    ("user-range", "=BASE+SIZE"),
    ("on-refusal", "=BYTES"),
    ("status-fd", "=N"),
    ("strict", "[=BOOL]"),
    ("allow-degraded", "=LAYER"),
    ("verbose", ""),
    ("log-format", "=FORM"),
];
