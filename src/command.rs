//! `run` and `serve`, from the options to the exit status.

use crate::activation::{self, Inherited};
use crate::config::options::{LogFormat, Net, Options};
use crate::config::service::{Purpose, Service};
use crate::config::{self, ConfigError, ErrorKind, Settings};
use crate::connection::Connection;
use crate::kernel::Kernel;
use crate::listener::{Address, Listener};
use crate::log::{self, Verbosity};
use crate::notify::Notifier;
use crate::outcome::{Outcome, Refusal};
use crate::privilege;
use crate::sandbox::base::{Base, Clones};
use crate::sandbox::step::Failure;
use crate::sandbox::{self, IdSource, Workshop, namespaces};
use crate::supervisor::{self, Supervisor};
use crate::sys::{self, Ignoring};
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Instant;

const USAGE: u8 = 2;
const SANDBOX: u8 = 125;
const SERVE_FAILED: u8 = 1;

/// What clap has to say: help goes to stdout and is a success, an error goes to stderr, unless that is the connection.
pub(crate) fn usage(message: &clap::Error) -> ExitCode {
    if message.use_stderr() {
        log::init(None, Verbosity::Normal, activation::stderr_is_connection());
        // One line: the first; the rest is clap's advice, which --help has.
        let text = message.render().to_string();
        let first = text.lines().next().unwrap_or_default();
        let first = first.strip_prefix("error: ").unwrap_or(first);
        let rest = text
            .lines()
            .skip(1)
            .map(str::trim)
            .find(|line| line.starts_with("tip:") || line.starts_with('-'));
        let rest = rest.map(|rest| format!(" {rest}")).unwrap_or_default();
        log::fatal(&format!("{first}{rest}; see dayfly --help"));
    } else if message.print().is_err() {
        return ExitCode::FAILURE;
    }
    ExitCode::from(u8::try_from(message.exit_code()).unwrap_or(USAGE))
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

/// Options with their service file, and whether descriptor 2 is the connection. Where they are wrong, the log is open to
/// say so; where not, it is opened once the inherited descriptors are taken: what is opened before would be closed with
/// what the caller leaked.
fn load(options: Options) -> Result<(Settings, bool), ConfigError> {
    let stderr_is_connection = activation::stderr_is_connection();
    match config::load(options) {
        Ok(settings) => Ok((settings, stderr_is_connection)),
        Err(error) => {
            log::init(None::<LogFormat>, Verbosity::Normal, stderr_is_connection);
            Err(error)
        }
    }
}

/// `dayfly run`: one connection.
pub(crate) fn run(options: Options) -> u8 {
    let began = Instant::now();
    let (settings, stderr_is_connection) = match load(options) {
        Ok(loaded) => loaded,
        Err(error) => return fail(&error.message, error.kind.status()),
    };
    let inherited = activation::take(settings.options.status_fd);
    init_log(&settings.options, stderr_is_connection);
    if let Some(option) = settings.options.only_for_serve().filter(|_| settings.name == "-") {
        return fail(&format!("{option} is an option of serve"), USAGE);
    }
    let (connection, status) = match inherited.and_then(Inherited::into_connection) {
        Ok(taken) => taken,
        Err(message) => return fail(&message, USAGE),
    };
    let on_refusal = settings.options.on_refusal.clone().unwrap_or_default().0;
    let outcome = match prepare(settings, Purpose::Run) {
        Ok(prepared) => match prepared.run(connection, began) {
            Ok(outcome) => outcome,
            Err(message) => return fail(&message, SANDBOX),
        },
        Err(error) => {
            log::fatal(&error.message);
            refuse(error, connection, &on_refusal)
        }
    };
    if let Some(status) = status {
        report(status, &outcome);
    }
    outcome.status()
}

/// The peer gets the service's bytes, never a diagnostic; for a wrong option or file it gets nothing.
fn refuse(error: ConfigError, connection: Connection, bytes: &[u8]) -> Outcome {
    if error.kind != ErrorKind::Usage {
        supervisor::refuse_and_wait(connection, bytes);
    }
    Outcome::Refused(Refusal { failure: None, status: error.kind.status(), message: error.message })
}

fn report(status: OwnedFd, outcome: &Outcome) {
    let line = outcome.status_line();
    File::from(status).write_all(line.as_bytes()).ignoring("the connection has ended as it has, read or not");
}

/// A service, and the supervisor's own state: out of the host's namespaces, with its workshop open.
struct Prepared {
    service: Rc<Service>,
    workshop: Workshop,
    /// `serve` has one; `run` builds its only sandbox from the host's mounts.
    base: Option<Base>,
}

/// Checks everything, then leaves the host's namespaces. Listeners must be bound before.
fn prepare(settings: Settings, purpose: Purpose) -> Result<Prepared, ConfigError> {
    if !privilege::is_single_threaded() {
        // A clone copies the memory of all threads and runs one: a lock held by another would be held for ever.
        return Err(ConfigError::sandbox("the launcher must have one thread; something has started another"));
    }
    let kernel = Kernel::probe();
    let mut service = Service::resolve(settings, purpose, &kernel)?;
    for remark in &service.remarks {
        match purpose {
            Purpose::Run => log::detail(remark),
            Purpose::Serve => log::remark(remark),
        }
    }
    let workshop = seal(&service, purpose)?;
    let base = match purpose {
        Purpose::Run => None,
        Purpose::Serve => Some(
            settle(&mut service.plan).map_err(|failure| ConfigError::sandbox(in_words(&service, failure)))?,
        ),
    };
    Ok(Prepared { service: Rc::new(service), workshop, base })
}

/// Leaves the host's mounts; the service's trees stand ready in the new ones.
fn settle(plan: &mut sandbox::Plan) -> Result<Base, Failure> {
    let clones = Clones::take(&plan.rootfs)?;
    let base = Base::enter()?;
    plan.rootfs.prebuilt = Some(base.attach(clones, &plan.rootfs)?);
    Ok(base)
}

fn seal(service: &Service, purpose: Purpose) -> Result<Workshop, ConfigError> {
    if service.plan.rootfs.in_user_namespace {
        let IdSource::Fixed(identity) = service.plan.ids else {
            return Err(ConfigError::sandbox("rootless ids are not fixed"));
        };
        privilege::enter_user_namespace(identity.uid).map_err(|(what, error)| {
            ConfigError::sandbox(format!("cannot run rootless: cannot write or do '{what}': {error}"))
        })?;
    }
    let private = service.net == Net::Private;
    let keep_network = private || (purpose == Purpose::Run && namespaces::network_is_empty());
    namespaces::seal(&service.hostname, keep_network).map_err(|error| {
        ConfigError::sandbox(format!("cannot {}: {:?} ({})", error.what, error.errno, error.errno.desc()))
    })?;
    Workshop::open().map_err(|failure| ConfigError::sandbox(log::refusal_message(&failure, None)))
}

impl Prepared {
    fn run(self, connection: Connection, began: Instant) -> Result<Outcome, String> {
        let signals = supervisor::signal_descriptor().map_err(loop_failed)?;
        let supervisor =
            Supervisor::new(self.service, &self.workshop, signals, Vec::new()).map_err(loop_failed)?;
        supervisor.run(connection, began).map_err(loop_failed)
    }

    fn serve(self, listeners: Vec<Listener>, options: &Options, notifier: Notifier) -> Result<(), String> {
        let signals = supervisor::signal_descriptor().map_err(loop_failed)?;
        for listener in &listeners {
            log::listening(&listener.address);
        }
        let base = self.base.as_ref();
        // Not kept here: a replaced service goes with the last of its sandboxes.
        let supervisor =
            Supervisor::new(self.service, &self.workshop, signals, listeners).map_err(loop_failed)?;
        supervisor.serve(Box::new(|| reload(options.clone(), base)), notifier).map_err(loop_failed)
    }
}

fn loop_failed(errno: sys::Errno) -> String {
    format!("the event loop failed: {errno}")
}

/// `dayfly serve`: resident.
pub(crate) fn serve(options: Options) -> u8 {
    let again = options.clone();
    privilege::raise_descriptor_limit();
    let (settings, stderr_is_connection) = match load(options) {
        Ok(loaded) => loaded,
        Err(error) => return fail(&error.message, USAGE),
    };
    let inherited = activation::take(None);
    init_log(&settings.options, stderr_is_connection);
    if settings.options.status_fd.is_some() {
        return fail("--status-fd is an option of run", USAGE);
    }
    let listeners = match listeners(&settings.options, inherited) {
        Ok(listeners) => listeners,
        Err((message, status)) => return fail(&message, status),
    };
    let notifier = Notifier::connect();
    let prepared = match prepare(settings, Purpose::Serve) {
        Ok(prepared) => prepared,
        Err(error) => {
            let status = if error.kind == ErrorKind::Usage { USAGE } else { SERVE_FAILED };
            return fail(&error.message, status);
        }
    };
    match prepared.serve(listeners, &again, notifier) {
        Ok(()) => 0,
        Err(message) => fail(&message, SERVE_FAILED),
    }
}

/// The service anew, from the same command line and its file as it is now.
fn reload(options: Options, base: Option<&Base>) -> Result<Service, String> {
    let Some(base) = base else { return Err("there is nothing to reload".to_owned()) };
    let found = base.in_host(|| {
        let settings = config::load(options).map_err(|error| error.message)?;
        let service =
            Service::resolve(settings, Purpose::Serve, &Kernel::probe()).map_err(|error| error.message)?;
        let clones = Clones::take(&service.plan.rootfs).map_err(|failure| in_words(&service, failure))?;
        Ok::<_, String>((service, clones))
    });
    let (mut service, clones) = found.map_err(|errno| {
        format!("cannot look at the host's files: {errno}; a reload needs CAP_SYS_CHROOT (CapabilityBoundingSet= of the unit)")
    })??;
    let prebuilt =
        base.attach(clones, &service.plan.rootfs).map_err(|failure| in_words(&service, failure))?;
    service.plan.rootfs.prebuilt = Some(prebuilt);
    Ok(service)
}

fn in_words(service: &Service, failure: Failure) -> String {
    log::refusal_message(&failure, service.plan.operand(&failure).as_deref())
}

const BACKLOG: u32 = 4096;

/// What systemd has passed and what --listen says, both.
fn listeners(options: &Options, inherited: Result<Inherited, String>) -> Result<Vec<Listener>, (String, u8)> {
    let addresses: Vec<Address> = options
        .listen
        .iter()
        .flatten()
        .map(|text| text.parse().map_err(|why| (format!("--listen: {why}"), USAGE)))
        .collect::<Result<_, _>>()?;
    let inherited = inherited.map_err(|message| (message, SERVE_FAILED))?;
    let backlog = options.backlog.unwrap_or(BACKLOG);
    let passed =
        inherited.passed.into_iter().map(|(fd, name)| Listener::adopt(fd, &name).map_err(|m| (m, USAGE)));
    let bound = addresses.iter().map(|a| Listener::bind(a, backlog).map_err(|m| (m, SERVE_FAILED)));
    let listeners: Vec<Listener> = passed.chain(bound).collect::<Result<_, _>>()?;
    if listeners.is_empty() {
        return Err((
            "nothing to listen on: give --listen ADDR:PORT, or start it by a socket unit".to_owned(),
            USAGE,
        ));
    }
    Ok(listeners)
}

/// For the commands that print.
pub(crate) fn stdout_line(line: &str) {
    writeln!(std::io::stdout(), "{line}").ignoring("a reader that has closed wants no more");
}
