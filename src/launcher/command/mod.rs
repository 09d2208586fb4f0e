//! `run`, from the options to the exit status, and the parts that it shares with `serve`.

mod learn;
mod reload;
mod serve;
mod successor;
mod tls;
mod trial;

pub(crate) use learn::learn;
pub(crate) use serve::serve;
pub(crate) use tls::look as look_at_certificate;
pub(crate) use trial::try_out;

use crate::activation::{self, Inherited};
use crate::cgroup;
use crate::cgroup::leaves::{Delegated, GroupError};
use crate::cli::Cli;
use crate::config::mount_points;
use crate::config::options::key_of;
use crate::config::options::{LogFormat, Net, Options};
use crate::config::service::{Purpose, Service};
use crate::config::{self, ConfigError, ErrorKind, Settings};
use crate::connection::{Connection, Kind};
use crate::diag::Diag;
use crate::kernel::Kernel;
use crate::log::{self, Verbosity};
use crate::outcome::{Outcome, Record, Refusal};
use crate::privilege;
use crate::supervisor::learning::Learner;
use crate::supervisor::{self, Supervisor};
use clap::CommandFactory;
use clap::error::{ContextKind, ErrorKind as ErrorKindOfClap};
use learn::Lesson;
use sandbox::IdSource;
use sandbox::Workshop;
use sandbox::launch::base::{Base, Clones, HostNamespaces};
use sandbox::launch::namespaces;
use sandbox::launch::snapshots::Snapshots;
use sandbox::plan::namespaces::Network;
use sandbox::step::{AtStep, Failure, Step};
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Instant;
use sys::{Errno, Ignoring};

/// Remark at the start of a launcher that cannot ask for the bytes of connections.
const NOT_COUNTED: &str = "the kernel does not tell what connections move (sock_diag(7)): --idle-time and --min-rate \
    are not in force; hint: AF_NETLINK in RestrictAddressFamilies= of the unit";

const USAGE: u8 = 2;
const SERVE_FAILED: u8 = 1;

/// Prints clap's message. Help goes to stdout and is a success; an error goes to the log.
pub(crate) fn usage(message: &clap::Error) -> ExitCode {
    if message.use_stderr() {
        // Names the command's own help, if a command was given.
        let word = std::env::args_os().nth(1).and_then(|word| word.into_string().ok());
        let command = word.filter(|word| Cli::command().find_subcommand(word).is_some());
        let command = command.map(|name| format!("{name} ")).unwrap_or_default();
        let dashes = wants_dashes(message, &command);
        misuse(&format!("{}{dashes}; see dayfly {command}--help", in_one_line(message)));
    } else if message.print().is_err() {
        return ExitCode::FAILURE;
    }
    ExitCode::from(u8::try_from(message.exit_code()).unwrap_or(USAGE))
}

/// A word too many is most often the handler's.
fn wants_dashes(message: &clap::Error, command: &str) -> &'static str {
    let argument = message.get(ContextKind::InvalidArg).map(ToString::to_string).unwrap_or_default();
    let launches = matches!(command.trim_end(), "run" | "serve" | "learn" | "check" | "explain");
    let is_word = message.kind() == ErrorKindOfClap::UnknownArgument && !argument.starts_with('-');
    if launches && is_word { ": write -- before the handler's command" } else { "" }
}

/// The first line of an error of clap's, and of the rest what it is about or could be; the other advice is in
/// --help.
pub(crate) fn in_one_line(message: &clap::Error) -> String {
    if message.kind() == ErrorKindOfClap::DisplayHelpOnMissingArgumentOrSubcommand {
        return "no command: use run, serve, learn, check, explain, init, stats, unit, template or nspawn"
            .to_owned();
    }
    let text = message.render().to_string();
    let first = text.lines().next().unwrap_or_default();
    let first = first.strip_prefix("error: ").unwrap_or(first);
    let about =
        |line: &&str| ["tip:", "-", "<", "[possible values:"].iter().any(|sign| line.starts_with(sign));
    let rest = text.lines().skip(1).map(str::trim).find(about);
    let rest = rest.map(|rest| format!(" {rest}")).unwrap_or_default();
    format!("{first}{rest}")
}

/// A wrong command line, before anything else is done.
pub(crate) fn misuse(message: &str) -> u8 {
    log::init(None, Verbosity::Normal, activation::stderr_is_connection());
    fail(message, USAGE)
}

/// Says what is wrong and answers the exit status for it.
fn fail(message: &str, status: u8) -> u8 {
    log::fatal(message);
    status
}

fn init_log(options: &Options, stderr_is_connection: bool) {
    let on = |switch: Option<config::values::Switch>| switch.is_some_and(|switch| switch.0);
    let verbosity = match (on(options.quiet), on(options.verbose)) {
        (true, _) => Verbosity::Quiet,
        (_, true) => Verbosity::Verbose,
        (false, false) => Verbosity::Normal,
    };
    log::init(options.log_format, verbosity, stderr_is_connection);
}

/// Passes on the settings, and whether descriptor 2 is the connection. On an error it opens the log, for the
/// message. Otherwise the log must wait until the inherited descriptors are taken, because descriptors opened
/// earlier would be closed with those that the caller leaked.
fn open_log_on_error<T>(loaded: Result<T, ConfigError>) -> Result<(T, bool), ConfigError> {
    let stderr_is_connection = activation::stderr_is_connection();
    match loaded {
        Ok(settings) => Ok((settings, stderr_is_connection)),
        Err(error) => {
            log::init(None::<LogFormat>, Verbosity::Normal, stderr_is_connection);
            Err(error)
        }
    }
}

/// `dayfly run`: one connection.
pub(crate) fn run(options: Options) -> u8 {
    run_and_learn(options, None)
}

/// `run`, also for `dayfly learn`.
fn run_and_learn(options: Options, lesson: Option<&mut Lesson>) -> u8 {
    let began = Instant::now();
    privilege::raise_descriptor_limit();
    if let Some(option) = options.only_for_serve().first() {
        return misuse(&format!("{option} is for serve only"));
    }
    let (settings, stderr_is_connection) = match open_log_on_error(config::load(options)) {
        Ok(loaded) => loaded,
        Err(error) => return fail(&error.message, error.kind.status()),
    };
    let inherited = activation::take(settings.options.status_fd);
    init_log(&settings.options, stderr_is_connection);
    settings.options.notes.iter().flatten().for_each(|note| log::remark(note));
    if settings.options.proxy_protocol.is_some() {
        // `run` would take the proxy's header for the peer's first bytes, and the proxy for the peer.
        return fail("proxy_protocol is for serve: run does not read the header", USAGE);
    }
    if settings.options.tls_certificate.is_some() || settings.options.tls_key.is_some() {
        // `run` would answer a client that expects TLS in the clear.
        return fail("tls_certificate is for serve: run does not speak TLS", USAGE);
    }
    warn_of_ignored(&settings);
    let (connection, status) = match inherited.and_then(Inherited::into_connection) {
        Ok(taken) => taken,
        Err(message) => return fail(&message, USAGE),
    };
    let learner = match lesson.map(|lesson| lesson.begin_run(stderr_is_connection)).transpose() {
        Ok(learner) => learner,
        Err(message) => return fail(&message, SERVE_FAILED),
    };
    let (name, on_refusal) =
        (settings.name.clone(), settings.options.on_refusal.clone().unwrap_or_default().0);
    // It belongs to the connection's network, which is left next.
    let diag = Diag::open(connection.ends().0);
    if diag.is_none() && connection.kind != Kind::ByHand {
        log::remark(NOT_COUNTED);
    }
    let outcome = match prepare(vec![settings], Purpose::Run) {
        Ok(prepared) => match prepared.run(connection, diag, began, learner) {
            Ok(outcome) => outcome,
            Err((errno, connection)) => give_up(errno, connection, &on_refusal),
        },
        Err(error) if error.kind == ErrorKind::Usage => {
            log::fatal(&error.message);
            refused(error)
        }
        Err(error) => {
            let (peer, outcome) = (connection.peer(), refused(error));
            log::ended(&Record::unserved(1, &peer, &name, outcome.clone(), began.elapsed()));
            supervisor::refuse_and_wait(connection, &on_refusal);
            outcome
        }
    };
    if let Some(status) = status {
        report(status, &outcome);
    }
    outcome.status()
}

/// A service file may be for `serve` as well. A unit has been told when it was printed, and `check` tells it
/// too: there the warning would come with each connection.
fn warn_of_ignored(settings: &Settings) {
    let ignored: Vec<_> = settings.options.only_for_serve().into_iter().map(key_of).collect();
    if ignored.is_empty() {
        return;
    }
    let message =
        format!("run serves one connection: it does not apply {} of {}", ignored.join(" "), settings.name);
    match std::env::var_os("INVOCATION_ID") {
        Some(_) => log::detail(&message),
        None => log::warning(&message),
    }
}

/// The event loop cannot go on.
fn give_up(errno: Errno, connection: Option<Box<Connection>>, on_refusal: &[u8]) -> Outcome {
    let error = ConfigError::sandbox(loop_failed(errno));
    log::fatal(&error.message);
    if let Some(connection) = connection {
        supervisor::refuse_and_wait(*connection, on_refusal);
    }
    refused(error)
}

/// Outcome of an error before a sandbox was begun. The peer gets the service's bytes, never a diagnostic; for
/// a wrong option or file it gets nothing.
fn refused(error: ConfigError) -> Outcome {
    Outcome::Refused(Refusal { failure: None, status: error.kind.status(), message: error.message })
}

fn report(status: OwnedFd, outcome: &Outcome) {
    let line = outcome.status_line();
    File::from(status).write_all(line.as_bytes()).ignoring("the connection has ended as it has, read or not");
}

/// Services, and the supervisor's own state: out of the host's namespaces, with its workshop open.
struct Prepared {
    services: Vec<Service>,
    workshop: Workshop,
    /// `serve` only: the delegated cgroup, if a service uses it.
    groups: Option<Rc<Delegated>>,
    /// `serve` has one; `run` builds its only sandbox from the host's mounts.
    base: Option<Base>,
}

/// Checks everything, then leaves the host's namespaces. Listeners must be bound before.
fn prepare(settings: Vec<Settings>, purpose: Purpose) -> Result<Prepared, ConfigError> {
    let alone = privilege::is_single_threaded().map_err(|error| {
        ConfigError::sandbox(format!("cannot count the launcher's threads in /proc/self/task: {error}"))
    })?;
    if !alone {
        // A clone copies the memory of all threads and runs one: a lock held by another would be held for
        // ever.
        return Err(ConfigError::sandbox("the launcher must have one thread; something has started another"));
    }
    let mut services = resolve(settings, purpose)?;
    for warning in once(services.iter().flat_map(|service| &service.warnings)) {
        log::warning(&warning);
    }
    for remark in once(services.iter().flat_map(|service| &service.remarks)) {
        match purpose {
            Purpose::Run => log::detail(&remark),
            Purpose::Serve => log::remark(&remark),
        }
    }
    let host = purpose.is_serve().then(HostNamespaces::open);
    let (workshop, groups) = seal(&mut services, purpose)?;
    services.iter_mut().try_for_each(claim_place)?;
    let base = host.map(|host| enter_base(&mut services, host)).transpose()?;
    Ok(Prepared { services, workshop, groups, base })
}

/// Where there are several, an error names the service that it is about.
fn resolve(mut settings: Vec<Settings>, purpose: Purpose) -> Result<Vec<Service>, ConfigError> {
    let kernel = Kernel::probe();
    let (mut places, mut roles) = (Vec::new(), Vec::new());
    let several = settings.len() > 1;
    let of = |settings: Settings| {
        let name = if several { format!("service '{}': ", settings.name) } else { String::new() };
        Service::resolve(settings, purpose, &kernel)
            .and_then(|service| if purpose.is_serve() { with_all_places(service) } else { Ok(service) })
            .map_err(|error| ConfigError { message: format!("{name}{}", error.message), ..error })
    };
    if purpose.is_serve() {
        places = tls::places(&settings);
        for companion in tls::companions(&mut settings)? {
            roles.push(companion.role);
            settings.push(companion.settings);
        }
    }
    let mut services = settings.into_iter().map(of).collect::<Result<Vec<_>, _>>()?;
    tls::connect(&mut services, &places, &roles);
    check_shared_settings(&services)?;
    Ok(services)
}

/// Finds mount points that the template lacks. Each sandbox would fail on them, while the server seems to
/// work. (`run` finds them in its one sandbox.)
fn with_all_places(service: Service) -> Result<Service, ConfigError> {
    match mount_points::missing(&service).first() {
        Some((failure, path)) => Err(ConfigError::sandbox(log::refusal_message(failure, Some(path)))),
        None => Ok(service),
    }
}

/// Checks the settings that all services of a supervisor share: one network namespace, one host name, and one
/// range of ids, which are computed from pids.
fn check_shared_settings(services: &[Service]) -> Result<(), ConfigError> {
    let Some((first, others)) = services.split_first() else { return Ok(()) };
    for other in others {
        let differs = if other.hostname != first.hostname {
            "hostname"
        } else if other.plan.ids != first.plan.ids {
            "user-range"
        } else {
            continue;
        };
        let (one, two) = (&first.name, &other.name);
        return Err(ConfigError::usage(format!(
            "the services '{one}' and '{two}' differ in {differs}, but a supervisor has one value: give --{differs}, or start two supervisors"
        )));
    }
    Ok(())
}

/// Each once, whichever services it holds for.
fn once<'a>(all: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut unique: Vec<String> = Vec::new();
    for text in all {
        if !unique.contains(text) {
            unique.push(text.clone());
        }
    }
    unique
}

/// A place for the snapshots of its sandboxes, swept of what earlier launchers have left.
fn claim_place(service: &mut Service) -> Result<(), ConfigError> {
    if !service.plan.rootfs.snapshot.is_subvolume() {
        return Ok(());
    }
    let claimed = Snapshots::claim(&service.plan.rootfs, log::snapshot_stays)
        .map_err(|failure| in_words(service, failure));
    let (snapshots, swept) = claimed?;
    log::swept(&swept);
    service.plan.rootfs.snapshots = Some(snapshots);
    Ok(())
}

/// Leaves the host's mounts; the services' trees stand ready in the new ones.
fn enter_base(services: &mut [Service], host: Result<HostNamespaces, Errno>) -> Result<Base, ConfigError> {
    let clones = services
        .iter()
        .map(|service| Clones::take(&service.plan.rootfs).map_err(|failure| in_words(service, failure)))
        .collect::<Result<Vec<_>, _>>()?;
    let in_user_namespace = services.iter().any(|service| service.plan.rootfs.in_user_namespace);
    let base = host
        .step(Step::Base)
        .and_then(|host| Base::enter(host, in_user_namespace))
        .map_err(|failure| ConfigError::sandbox(log::refusal_message(&failure, None)))?;
    attach(&base, services, clones)?;
    Ok(base)
}

fn attach(base: &Base, services: &mut [Service], clones: Vec<Clones>) -> Result<(), ConfigError> {
    for (service, clones) in services.iter_mut().zip(clones) {
        let prebuilt = base.attach(clones, &service.plan.rootfs);
        service.plan.rootfs.prebuilt = Some(prebuilt.map_err(|failure| in_words(service, failure))?);
    }
    Ok(())
}

fn in_words(service: &Service, failure: Failure) -> ConfigError {
    ConfigError::sandbox(log::refusal_message(&failure, service.plan.operand(&failure).as_deref()))
}

/// Whether the supervisor itself stays in its network namespace, at least until its sandbox is on the way.
fn place_network(services: &mut [Service], purpose: Purpose) -> bool {
    if services.iter().all(|service| service.net == Net::Private) {
        return true;
    }
    if purpose.is_serve() {
        return false;
    }
    if namespaces::network_is_empty() {
        return true;
    }
    // Without root the namespaces belong to the launcher's user namespace, made in one call.
    let joined = services.iter().all(|service| !service.plan.rootfs.in_user_namespace);
    for service in services.iter_mut().filter(|_| joined) {
        service.plan.namespaces.network = Network::Joined;
    }
    joined
}

fn seal(
    services: &mut [Service],
    purpose: Purpose,
) -> Result<(Workshop, Option<Rc<Delegated>>), ConfigError> {
    let keep_network = place_network(services, purpose);
    let Some(service) = services.first() else { return Err(ConfigError::usage("no service is given")) };
    if service.plan.rootfs.in_user_namespace {
        let IdSource::Fixed(identity) = service.plan.ids else {
            return Err(ConfigError::sandbox("rootless ids are not fixed"));
        };
        privilege::enter_user_namespace(identity.uid).map_err(|(what, error)| {
            ConfigError::sandbox(format!("cannot run without root: '{what}' failed: {error}"))
        })?;
    }
    let in_groups = services.iter().any(|service| service.cgroup.is_some());
    let no_group = |error: GroupError| ConfigError::sandbox(error.to_string());
    let group = in_groups.then(cgroup::delegated).flatten();
    let group = group.map(Delegated::place).transpose().map_err(no_group)?;
    // A process may be put only into groups below the root of its cgroup namespace, which is the group it is
    // made in.
    group.as_deref().map(Delegated::go_to).transpose().map_err(no_group)?;
    namespaces::seal(&service.hostname, keep_network).map_err(|error| {
        ConfigError::sandbox(format!("cannot {}: {:?} ({})", error.what, error.errno, error.errno.desc()))
    })?;
    let groups = group.as_deref().map(Delegated::enter).transpose().map_err(no_group)?.map(Rc::new);
    let workshop =
        Workshop::open().map_err(|failure| ConfigError::sandbox(log::refusal_message(&failure, None)))?;
    Ok((workshop, groups))
}

impl Prepared {
    /// A failure is of the loop itself; with the connection, if no handler can have it.
    fn run(
        self,
        connection: Connection,
        diag: Option<Diag>,
        began: Instant,
        learner: Option<Learner>,
    ) -> Result<Outcome, (Errno, Option<Box<Connection>>)> {
        log::begin_dating();
        let made = supervisor::signal_descriptor().and_then(|signals| {
            Supervisor::new(self.services, &self.workshop, self.groups, signals, Vec::new(), diag)
        });
        match made {
            Ok(supervisor) => supervisor.with_learner(learner).run(connection, began),
            Err(errno) => Err((errno, Some(Box::new(connection)))),
        }
    }
}

fn loop_failed(errno: Errno) -> String {
    format!("the event loop failed: {errno}")
}
