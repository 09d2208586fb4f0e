//! Options of the command line and keys of the service file: the same names and types, nothing resolved.

use super::cpus::Cpus;
use super::credentials::CredentialSpec;
use super::owner::Owner;
use super::passed_fds::OpenSpec;
use super::profiles::CallChanges;
use super::proxies::Proxies;
use super::signals::SignalName;
use super::values::{
    BindSpec, Bytes, Rate, RlimitSpec, Size, Span, StackSpec, Switch, TmpfsSpec, UserRange, ValueError,
    Variable, Warm,
};
use super::writable_binds::WritableBindSpec;
use clap::ValueEnum;
use sandbox::plan::park::Park;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::str::FromStr;

// Options of run, serve and check; each field is a key of the service file too. None: not given. (No doc
// comment: clap would take it for what the commands do.)
#[derive(Debug, Default, Clone, clap::Args, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Options {
    /// Service: NAME for /etc/dayfly/NAME.toml, or a FILE with a slash [serve: repeatable; other options
    /// apply to all]
    #[arg(long, value_name = "NAME or FILE")]
    #[serde(skip)]
    pub(crate) service: Option<Vec<String>>,
    /// Directory or image (erofs, squashfs) that the sandbox sees as /
    #[arg(long, value_name = "DIR or IMAGE")]
    pub(crate) template: Option<PathBuf>,
    /// How the sandbox sees the template: overlay (writable, in memory), readonly, or btrfs (writable, on
    /// disk; the template is a subvolume) [default: overlay]
    #[arg(long, value_name = "KIND")]
    pub(crate) snapshot: Option<SnapshotKind>,
    /// Owner of those template files that appear as the handler's own (writable snapshots only) [default:
    /// root]
    #[arg(long, value_name = "UID[:GID]")]
    pub(crate) owner: Option<Owner>,
    /// Seccomp profile: static, interpreter, tree, a NAME (/etc/dayfly/profiles/NAME.profile) or a FILE
    /// [default: static]
    #[arg(long, value_name = "NAME or FILE")]
    pub(crate) profile: Option<String>,
    /// Path that the handler may read; giving one replaces the default, / [repeatable]
    #[arg(long, value_name = "PATH")]
    pub(crate) landlock_ro: Option<Vec<String>>,
    /// Path that the handler may read and write [repeatable; default: / if the snapshot is writable, else
    /// each tmpfs]
    #[arg(long, value_name = "PATH")]
    pub(crate) landlock_rw: Option<Vec<String>>,
    /// Host path to show read-only in the sandbox [repeatable]
    #[arg(long, value_name = "SRC[:DST]")]
    pub(crate) bind_ro: Option<Vec<BindSpec>>,
    /// Host directories to show read-only as one at DST; the first is the lowest layer [repeatable]
    #[arg(long, value_name = "PATH:PATH[:PATH...]:DST")]
    pub(crate) overlay_ro: Option<Vec<StackSpec>>,
    /// Host path that the handler may write, as OWNER (a user, not root) [repeatable; default: the owner of
    /// SRC]
    #[arg(long, value_name = "SRC[:DST][:OWNER[:GROUP]]")]
    pub(crate) bind: Option<Vec<WritableBindSpec>>,
    /// File to open, or unix socket to connect, for the handler: descriptor 3 and up, with its NAME in
    /// LISTEN_FDNAMES [repeatable]
    #[arg(long, value_name = "PATH:NAME:ro|append|connect")]
    pub(crate) open: Option<Vec<OpenSpec>>,
    /// File to copy to /run/credentials/NAME, readable by the handler only [repeatable]
    #[arg(long, value_name = "NAME:PATH")]
    pub(crate) credential: Option<Vec<CredentialSpec>>,
    /// Private tmpfs; / sets the size of the overlay's writable layer [repeatable; default: /tmp:16M,1024]
    #[arg(long, value_name = "PATH[:SIZE[,INODES]]")]
    pub(crate) tmpfs: Option<Vec<TmpfsSpec>>,
    /// Environment variable for the handler [repeatable]
    #[arg(long, value_name = "K=V")]
    pub(crate) setenv: Option<Vec<Variable>>,
    /// Host name in the sandbox [default: dayfly]
    #[arg(long, value_name = "NAME")]
    pub(crate) hostname: Option<String>,
    /// Handler's working directory in the template [default: /]
    #[arg(long, value_name = "PATH")]
    pub(crate) chdir: Option<String>,
    /// Mount /proc with the sandbox's own processes [default: no]
    #[arg(long, value_name = "yes|no", num_args = 0..=1, require_equals = true, default_missing_value = "yes")]
    pub(crate) proc: Option<Switch>,
    /// Network namespace: shared (one for all sandboxes, empty and sealed) or private (one each) [default:
    /// shared]
    #[arg(long, value_name = "KIND")]
    pub(crate) net: Option<Net>,
    /// Run a stub as PID 1 and the handler as PID 2 [default: as the profile says]
    #[arg(long, value_name = "yes|no", num_args = 0..=1, require_equals = true, default_missing_value = "yes")]
    pub(crate) init: Option<Switch>,
    /// Memory limit of a sandbox [default: 64M]
    #[arg(long, value_name = "SIZE")]
    pub(crate) memory: Option<Size>,
    /// Limit on processes and threads of a sandbox [default: as the profile says: 1, tree 32]
    #[arg(long, value_name = "N")]
    pub(crate) tasks: Option<u64>,
    /// CPU share of a sandbox, if a cgroup is available [default: 100%]
    #[arg(long, value_name = "PERCENT")]
    pub(crate) cpu: Option<CpuShare>,
    /// Processors that a sandbox may use, for example 0-3,5 [default: the launcher's]
    #[arg(long, value_name = "LIST")]
    pub(crate) cpu_affinity: Option<Cpus>,
    /// How early the kernel kills a sandbox if memory runs out: 0 to 1000, the latter first [default: 500]
    #[arg(long, value_name = "N")]
    pub(crate) oom_score_adjust: Option<u16>,
    /// Cgroup for each sandbox: auto (if delegated), required or none [default: auto]
    #[arg(long, value_name = "MODE")]
    pub(crate) cgroup: Option<CgroupMode>,
    /// Resource limit of the handler, by its name in setrlimit(2) [repeatable; default: nofile=32 fsize=16M
    /// core=1]
    #[arg(long, value_name = "NAME=V")]
    pub(crate) rlimit: Option<Vec<RlimitSpec>>,
    /// Time limit from the connection to its end [default: 60s]
    #[arg(long, value_name = "TIME")]
    pub(crate) wall_time: Option<Span>,
    /// Time limit without a byte in either direction; sockets only [default: 15s]
    #[arg(long, value_name = "TIME")]
    pub(crate) idle_time: Option<Span>,
    /// Bytes a second that a client must accept while an answer waits; TCP only [default: off]
    #[arg(long, value_name = "BYTES")]
    pub(crate) min_rate: Option<Size>,
    /// CPU time at full weight; a sandbox that has used more yields to the others [default: 250ms]
    #[arg(long, value_name = "TIME")]
    pub(crate) cpu_burst: Option<Span>,
    /// Signal for the handler if run itself gets SIGTERM [default: SIGKILL]
    #[arg(long, value_name = "SIGNAL")]
    pub(crate) kill_signal: Option<SignalName>,
    /// Size of the send buffer of the connection [default: 256K]
    #[arg(long, value_name = "SIZE")]
    pub(crate) send_buffer: Option<Size>,
    /// Range of uids and gids for sandboxes; launchers of one host need the same range, or ranges that do not
    /// overlap [default: 1879048192+4194304]
    #[arg(long, value_name = "BASE+SIZE")]
    pub(crate) user_range: Option<UserRange>,
    /// Text for the client if its sandbox cannot be set up; escapes: \r \n \t \\ \xHH [default: nothing]
    #[arg(long, value_name = "BYTES")]
    pub(crate) on_refusal: Option<Bytes>,
    /// Descriptor to write the outcome to, as one line of JSON
    #[arg(long, value_name = "N")]
    pub(crate) status_fd: Option<i32>,
    /// Refuse to start if this kernel lacks a layer, even if another layer gives the same property [default:
    /// no]
    #[arg(long, value_name = "yes|no", num_args = 0..=1, require_equals = true, default_missing_value = "yes")]
    pub(crate) strict: Option<Switch>,
    /// Layer to go without: uid groups cgroup landlock-net landlock-scope mdwe keyring [repeatable]
    #[arg(long, value_name = "LAYER")]
    pub(crate) allow_degraded: Option<Vec<Layers>>,
    /// Log warnings and errors only
    #[arg(short, long, num_args = 0, default_missing_value = "yes")]
    pub(crate) quiet: Option<Switch>,
    /// Log more
    #[arg(short, long, num_args = 0, default_missing_value = "yes", conflicts_with = "quiet")]
    pub(crate) verbose: Option<Switch>,
    /// Format of the log: text, json or journal [default: journal under systemd, else text]
    #[arg(long, value_name = "FORM")]
    pub(crate) log_format: Option<LogFormat>,

    /// Address to listen on: ADDR:PORT or unix:PATH[?mode=0660]; :PORT and [::]:PORT accept IPv4 too
    /// [repeatable]
    #[arg(long, value_name = "ADDRESS", help_heading = "Options of serve")]
    pub(crate) listen: Option<Vec<String>>,
    /// Number of sandboxes kept ready [default: 4..64]
    #[arg(long, value_name = "N or MIN..MAX", help_heading = "Options of serve")]
    pub(crate) warm: Option<Warm>,
    /// How far a sandbox is built ahead: entry (executed), ready, read, before-exec or none [default: entry;
    /// before-exec if the handler runs under a stub (--init, or a profile with `init yes`), with
    /// --proxy-protocol or with --tls-certificate]
    #[arg(long, value_name = "WHERE", help_heading = "Options of serve")]
    pub(crate) park: Option<ParkAt>,
    /// Limit on simultaneous connections [default: 256]
    #[arg(long, value_name = "N", help_heading = "Options of serve")]
    pub(crate) max_connections: Option<u32>,
    /// Limit on simultaneous connections of one source [default: 16]
    #[arg(long, value_name = "N", help_heading = "Options of serve")]
    pub(crate) max_per_source: Option<u32>,
    /// Prefix length of a source, IPv4 [default: 32]
    #[arg(long, value_name = "BITS", value_parser = clap::value_parser!(u8).range(0..=32), help_heading = "Options of serve")]
    pub(crate) source_prefix4: Option<u8>,
    /// Prefix length of a source, IPv6 [default: 64]
    #[arg(long, value_name = "BITS", value_parser = clap::value_parser!(u8).range(0..=128), help_heading = "Options of serve")]
    pub(crate) source_prefix6: Option<u8>,
    /// Limit on new connections of one source: N at once, then one per TIME/N [default: off]
    #[arg(long, value_name = "N/TIME", help_heading = "Options of serve")]
    pub(crate) rate: Option<Rate>,
    /// Start no sandbox before the first byte; close the connection after TIME without one [default: off]
    #[arg(long, value_name = "TIME", help_heading = "Options of serve")]
    pub(crate) wait_for_data: Option<Span>,
    /// Proxy that starts each connection with a PROXY protocol header: ADDRESS, ADDRESS/BITS or unix
    /// [repeatable]
    #[arg(long, value_name = "FROM", help_heading = "Options of serve")]
    pub(crate) proxy_protocol: Option<Vec<Proxies>>,
    /// Certificate chain in PEM, the own one first: connections speak TLS 1.3, which ends in a sandbox of its
    /// own
    #[arg(long, value_name = "FILE", help_heading = "Options of serve")]
    pub(crate) tls_certificate: Option<PathBuf>,
    /// Key of the certificate in PEM, readable by its owner and group only; no process but the signer has it
    #[arg(long, value_name = "FILE", help_heading = "Options of serve")]
    pub(crate) tls_key: Option<PathBuf>,
    /// CAs in PEM, of which every client must have a certificate [default: clients need none]
    #[arg(long, value_name = "FILE", help_heading = "Options of serve")]
    pub(crate) tls_client_ca: Option<PathBuf>,
    /// Revoked certificates of clients, as CRLs in PEM [default: none]
    #[arg(long, value_name = "FILE", help_heading = "Options of serve")]
    pub(crate) tls_crl: Option<PathBuf>,
    /// Time limit for a TLS handshake [default: 10s]
    #[arg(long, value_name = "TIME", help_heading = "Options of serve")]
    pub(crate) tls_handshake_time: Option<Span>,
    /// Text for a client that is over a limit [default: nothing]
    #[arg(long, value_name = "BYTES", help_heading = "Options of serve")]
    pub(crate) over_limit: Option<Bytes>,
    /// Number of connections that the kernel may queue [default: 4096]
    #[arg(long, value_name = "N", help_heading = "Options of serve")]
    pub(crate) backlog: Option<u32>,
    /// Time for live connections to end after SIGTERM [default: 10s]
    #[arg(long, value_name = "TIME", help_heading = "Options of serve")]
    pub(crate) drain_time: Option<Span>,

    /// The handler and its arguments
    #[arg(last = true, value_name = "CMD")]
    pub(crate) handler: Option<Vec<String>>,

    /// Calls that `dayfly nspawn` was told to permit and to prohibit.
    #[arg(skip)]
    #[serde(skip)]
    pub(crate) calls: Option<CallChanges>,
    /// Set by commands that only describe: they attach no image to a loop device.
    #[arg(skip)]
    #[serde(skip)]
    pub(crate) only_tells: Option<bool>,
    /// `dayfly learn`: the profile's default verdict is not applied.
    #[arg(skip)]
    #[serde(skip)]
    pub(crate) learning: Option<bool>,
    /// Notes of `dayfly nspawn` on its command line.
    #[arg(skip)]
    #[serde(skip)]
    pub(crate) notes: Option<Vec<String>>,
}

/// The key of a service file for an option.
pub(crate) fn key_of(option: &str) -> String {
    option.trim_start_matches('-').replace('-', "_")
}

impl Options {
    /// The options that mean nothing to one connection, by the names they were given with.
    pub(crate) fn only_for_serve(&self) -> Vec<&'static str> {
        [
            ("--listen", self.listen.is_some()),
            ("--warm", self.warm.is_some()),
            ("--park", self.park.is_some()),
            ("--max-connections", self.max_connections.is_some()),
            ("--max-per-source", self.max_per_source.is_some()),
            ("--source-prefix4", self.source_prefix4.is_some()),
            ("--source-prefix6", self.source_prefix6.is_some()),
            ("--rate", self.rate.is_some()),
            ("--wait-for-data", self.wait_for_data.is_some()),
            ("--proxy-protocol", self.proxy_protocol.is_some()),
            ("--tls-certificate", self.tls_certificate.is_some()),
            ("--tls-key", self.tls_key.is_some()),
            ("--tls-client-ca", self.tls_client_ca.is_some()),
            ("--tls-crl", self.tls_crl.is_some()),
            ("--tls-handshake-time", self.tls_handshake_time.is_some()),
            ("--over-limit", self.over_limit.is_some()),
            ("--backlog", self.backlog.is_some()),
            ("--drain-time", self.drain_time.is_some()),
        ]
        .into_iter()
        .filter_map(|(name, given)| given.then_some(name))
        .collect()
    }

    /// Relative paths of a service file start at its directory.
    pub(crate) fn make_absolute(&mut self, base: &Path) {
        let files = [
            &mut self.template,
            &mut self.tls_certificate,
            &mut self.tls_key,
            &mut self.tls_client_ca,
            &mut self.tls_crl,
        ];
        for path in files.into_iter().flatten() {
            *path = base.join(&*path);
        }
        if let Some(profile) = self.profile.as_mut().filter(|profile| profile.contains('/')) {
            *profile = base.join(&*profile).to_string_lossy().into_owned();
        }
        for address in self.listen.iter_mut().flatten() {
            if let Some(path) =
                address.strip_prefix("unix:").filter(|path| !path.is_empty() && !path.starts_with('@'))
            {
                *address = format!("unix:{}", base.join(path).display());
            }
        }
        let binds = self.bind_ro.iter_mut().flatten().map(|bind| &mut bind.source);
        let opened = self.open.iter_mut().flatten().map(|open| &mut open.path);
        let layers = self.overlay_ro.iter_mut().flatten().flat_map(|stack| &mut stack.layers);
        let credentials = self.credential.iter_mut().flatten().map(|credential| &mut credential.path);
        for source in credentials
            .chain(opened)
            .chain(binds)
            .chain(layers)
            .chain(self.bind.iter_mut().flatten().map(|bind| &mut bind.source))
        {
            *source = base.join(&*source).to_string_lossy().into_owned();
        }
    }

    /// The command line over the service file: an option wins, some lists add up.
    pub(crate) fn over(self, mut file: Options) -> Options {
        // One is the other's opposite.
        if self.quiet.is_some() || self.verbose.is_some() {
            (file.quiet, file.verbose) = (None, None);
        }
        macro_rules! merge {
            (wins: $($one:ident)*; adds: $($list:ident)*) => {
                Options {
                    $($one: self.$one.or(file.$one),)*
                    $($list: add(file.$list, self.$list),)*
                }
            };
        }
        merge! {
            wins: service template snapshot owner profile landlock_ro landlock_rw hostname chdir proc net init memory tasks cpu
                cpu_affinity oom_score_adjust
                cgroup wall_time idle_time cpu_burst kill_signal send_buffer user_range on_refusal status_fd strict allow_degraded quiet
                verbose log_format listen warm park max_connections max_per_source
                source_prefix4 source_prefix6 rate wait_for_data min_rate proxy_protocol tls_certificate tls_key tls_client_ca tls_crl
                tls_handshake_time over_limit backlog drain_time handler calls only_tells
                learning notes;
            adds: bind_ro overlay_ro bind open credential tmpfs setenv rlimit
        }
    }
}

/// Appends the command line's list to the file's. For the same key or path the last entry wins, where the
/// list is used.
fn add<T>(file: Option<Vec<T>>, given: Option<Vec<T>>) -> Option<Vec<T>> {
    match (file, given) {
        (Some(mut all), Some(more)) => {
            all.extend(more);
            Some(all)
        }
        (file, given) => given.or(file),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SnapshotKind {
    Overlay,
    Readonly,
    Btrfs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Net {
    Shared,
    Private,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum CgroupMode {
    Auto,
    Required,
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LogFormat {
    Text,
    Json,
    Journal,
}

/// Names of [`Park`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ParkAt {
    Entry,
    Ready,
    Read,
    BeforeExec,
    None,
}

impl From<ParkAt> for Park {
    fn from(at: ParkAt) -> Park {
        match at {
            ParkAt::Entry => Park::Entry,
            ParkAt::Ready => Park::Ready,
            ParkAt::Read => Park::Read,
            ParkAt::BeforeExec => Park::BeforeExec,
            ParkAt::None => Park::None,
        }
    }
}

/// A share of CPU time as CPUQuota= writes it; 100% is one processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct CpuShare(pub(crate) u32);

impl FromStr for CpuShare {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<CpuShare, ValueError> {
        let percent = text.strip_suffix('%').and_then(|number| number.parse().ok());
        match percent {
            Some(percent) if percent > 0 => Ok(CpuShare(percent)),
            _ => Err(ValueError(format!("invalid CPU share '{text}': use a percentage, for example 100%"))),
        }
    }
}

impl TryFrom<String> for CpuShare {
    type Error = ValueError;

    fn try_from(text: String) -> Result<CpuShare, ValueError> {
        text.parse()
    }
}

/// A layer that can be given up by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layer {
    Uid,
    Groups,
    Cgroup,
    LandlockNet,
    LandlockScope,
    Mdwe,
    Keyring,
}

impl Layer {
    pub(super) const ALL: [(&str, Layer); 7] = [
        ("uid", Layer::Uid),
        ("groups", Layer::Groups),
        ("cgroup", Layer::Cgroup),
        ("landlock-net", Layer::LandlockNet),
        ("landlock-scope", Layer::LandlockScope),
        ("mdwe", Layer::Mdwe),
        ("keyring", Layer::Keyring),
    ];
}

/// One or more layers, separated by commas.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Layers(pub(crate) Vec<Layer>);

impl FromStr for Layers {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Layers, ValueError> {
        let layer = |name: &str| {
            let found = Layer::ALL.iter().find(|(known, _)| *known == name).map(|(_, layer)| *layer);
            found.ok_or_else(|| {
                let known: Vec<_> = Layer::ALL.iter().map(|(name, _)| *name).collect();
                ValueError(format!("unknown layer '{name}': use one of {}", known.join(" ")))
            })
        };
        Ok(Layers(text.split(',').map(layer).collect::<Result<_, _>>()?))
    }
}

impl TryFrom<String> for Layers {
    type Error = ValueError;

    fn try_from(text: String) -> Result<Layers, ValueError> {
        text.parse()
    }
}
