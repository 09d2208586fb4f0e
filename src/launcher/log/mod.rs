//! Records: one function an event, fixed field names. Nothing here runs between clone and exec.
//!
//! tracing carries the events; the subscriber is ours because journald's socket must be connected before the
//! supervisor leaves the host's file system, and because every byte that came from a handler or a peer must
//! be escaped.

mod sentence;
mod sink;
mod subscriber;
mod time;

pub(crate) use sink::Destination;
pub(crate) use subscriber::escape;
pub(crate) use time::begin as begin_dating;

use crate::config::options::LogFormat;
use crate::connection::NoConnection;
use crate::outcome::{Outcome, Record};
use sandbox::launch::denied::Denied;
use sandbox::launch::snapshots::Swept;
use sandbox::step::{self, Failure};
use seccomp::profile::constants;
use sys::Ignoring;
use tls_wire::Client;
use tracing::{Level, debug, error, info, warn};

/// How much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verbosity {
    Quiet,
    Normal,
    Verbose,
}

/// Opens the destination and makes it the program's. Called once, before the first record and before any
/// namespace is entered. `stderr_is_connection`: inetd gives the connection as 0, 1 and 2; then nothing is
/// ever written to 2.
pub(crate) fn init(format: Option<LogFormat>, verbosity: Verbosity, stderr_is_connection: bool) {
    let level = match verbosity {
        Verbosity::Quiet => Level::WARN,
        Verbosity::Normal => Level::INFO,
        Verbosity::Verbose => Level::DEBUG,
    };
    let destination = Destination::choose(format, stderr_is_connection);
    let records = subscriber::Records::new(level, destination);
    tracing::subscriber::set_global_default(records)
        .ignoring("set already: only a second call could cause it");
}

/// A message of the program itself that ends it.
pub(crate) fn fatal(message: &str) {
    error!("{message}");
}

/// A setting that is most likely a mistake of the operator's; it is done as asked.
pub(crate) fn warning(message: &str) {
    warn!("{message}");
}

/// Something that stays as it is but should be known.
pub(crate) fn remark(message: &str) {
    info!("{message}");
}

/// A remark that occurs once per connection.
pub(crate) fn detail(message: &str) {
    debug!("{message}");
}

pub(crate) fn listening(address: &str) {
    info!(address, "listening");
}

pub(crate) fn reloaded() {
    info!("reloaded");
}

/// The old configuration goes on.
pub(crate) fn not_reloaded(message: &str) {
    error!("not reloaded, the old configuration stays: {message}");
}

/// A service was made anew by itself, since its files are others.
pub(crate) fn renewed(service: &str, why: &str) {
    info!(service, why, "reloaded the service");
}

/// A service could not be made anew: its old files stay in force.
pub(crate) fn not_renewed(service: &str, why: &str, error: &str) {
    error!(service, why, "cannot reload the service, its old files stay in force: {error}");
}

/// Missing files are there again.
pub(crate) fn files_are_back(service: &str) {
    info!(service, "the service's files are there again");
}

pub(crate) fn successor_started(pid: u32) {
    info!(pid, "started a new process, which takes over when it is ready");
}

/// The new process accepts; this one ends with its last connection.
pub(crate) fn succeeded(pid: u32, live: usize) {
    info!(pid, live, "a new process has taken over; live connections continue here");
}

pub(crate) fn took_over() {
    info!("took over from the process before");
}

pub(crate) fn not_succeeded(why: &str) {
    error!("not replaced by a new process, this one continues: {why}");
}

/// `dayfly learn` has seen as many connections as it was to.
pub(crate) fn learned() {
    info!("learned from all connections that were asked for");
}

pub(crate) fn stopping(signal: i32, live: usize) {
    info!(signal, live, "stopping");
}

pub(crate) fn accepted(conn: u64, peer: &str, pid: u32, uid: u32) {
    debug!(conn, peer, pid, uid, "launched");
}

fn refusal_of(outcome: &Outcome) -> Option<&str> {
    match outcome {
        Outcome::Refused(refusal) => Some(refusal.message.as_str()),
        _ => None,
    }
}

/// A sandbox built ahead ended without a connection.
pub(crate) fn parked_ended(outcome: &Outcome) {
    let (status, denied) = (outcome.status(), outcome.denied().map(ToString::to_string));
    let (why, advice) = (refusal_of(outcome), outcome.denied().map(Denied::advice));
    warn!(
        outcome = outcome.name(),
        status, denied, advice, why, "a sandbox ended before it had a connection"
    );
}

/// A zygote ended that was needed still; the next sandbox is made by a new one.
pub(crate) fn zygote_ended(service: &str, outcome: &Outcome) {
    let (status, why) = (outcome.status(), refusal_of(outcome));
    warn!(
        service,
        outcome = outcome.name(),
        status,
        why,
        "the service's zygote ended; its sandboxes live on"
    );
}

/// A signer ended that was needed still; a new one gets the key.
pub(crate) fn signer_ended(service: &str, outcome: &Outcome) {
    let (status, denied) = (outcome.status(), outcome.denied().map(ToString::to_string));
    let why = refusal_of(outcome);
    warn!(
        service,
        outcome = outcome.name(),
        status,
        denied,
        why,
        "the signer of the TLS key ended; starting a new one"
    );
}

/// A relay ended by itself, otherwise than with the connection.
pub(crate) fn relay_ended(service: &str, conn: u64, peer: &str, outcome: &Outcome) {
    let (status, denied) = (outcome.status(), outcome.denied().map(ToString::to_string));
    warn!(
        service,
        conn,
        peer,
        outcome = outcome.name(),
        status,
        denied,
        "the TLS relay of a connection ended early"
    );
}

/// The handler does not make the call it was to be parked in, or dies of it.
pub(crate) fn park_before_exec() {
    warn!("this handler cannot be parked after exec; until a reload its sandboxes are parked before exec");
}

/// Snapshots that dead launchers had left, if any.
pub(crate) fn swept(swept: &Swept) {
    let Swept { snapshots, failed, shelf } = swept;
    let shelf = shelf.display();
    if *snapshots > 0 {
        info!(snapshots, %shelf, "swept snapshots of launchers that are gone");
    }
    if let Some(errno) = failed {
        warn!(%errno, %shelf, "cannot sweep snapshots of launchers that are gone");
    }
}

/// The snapshot of a sandbox that has ended could not be destroyed.
pub(crate) fn snapshot_stays(path: &str, errno: nix::Error) {
    warn!(path, %errno, "cannot destroy a snapshot: the next start sweeps it");
}

/// Over a limit: the connection was not served.
pub(crate) fn rejected(service: &str, peer: &str, limit: &str, unlogged: u64) {
    warn!(service, peer, limit, unlogged, "rejected");
}

/// A proxy's connection did not begin as it should: it was closed.
pub(crate) fn no_header(service: &str, proxy: &str, why: &str, unlogged: u64) {
    warn!(service, proxy, why, unlogged, "no PROXY protocol header");
}

/// The machine is short of something; accepting goes on after a pause.
pub(crate) fn backing_off(errno: nix::Error, unlogged: u64) {
    warn!(%errno, unlogged, "cannot accept, pausing");
}

/// A connection whose ends could not be asked for was closed.
pub(crate) fn unknown(why: &NoConnection, unlogged: u64) {
    warn!(%why, unlogged, "cannot identify an accepted connection, closed it");
}

/// One line of the handler's stderr, escaped already.
pub(crate) fn handler_line(conn: u64, line: &str) {
    info!(conn, line, "handler");
}

/// A call that the profile's default verdict has answered: the first of its kind in this sandbox.
pub(crate) fn answered(conn: u64, service: &str, call: &Denied, errno: u16) {
    let errno = constants::errno_name(errno).unwrap_or("an errno");
    info!(conn, service, call = %call, errno, advice = call.advice(), "call answered");
}

/// A call that the profile does not allow, recorded by `dayfly learn`: the first of its kind in this sandbox.
pub(crate) fn recorded(conn: u64, service: &str, call: &Denied, outcome: &str) {
    info!(conn, service, call = %call, outcome, learning = NO_PROTECTION, "call recorded");
}

/// The warning that a service which learns repeats everywhere.
pub(crate) const NO_PROTECTION: &str = "no protection";

/// SIGKILL has not ended a sandbox.
pub(crate) fn unkillable(conn: u64, pid: u32, service: &str) {
    warn!(conn, pid, service, "a sandbox cannot be killed: it waits in the kernel; its place is given back");
}

/// Lines of handlers' stderr that were too many, since this was said last; the connection is that of the
/// first.
pub(crate) fn handler_lines_dropped(service: &str, conn: u64, lines: u64) {
    warn!(service, conn, lines, "handlers wrote too much on stderr, lines dropped");
}

/// A refused set-up, in words: `cannot <step> <operand>: ERRNO (text); hint: …`.
pub(crate) fn refusal_message(failure: &Failure, operand: Option<&str>) -> String {
    let operand = operand.map(|operand| format!(" {operand}")).unwrap_or_default();
    let hint = step::hint(failure).map(|hint| format!("; hint: {hint}")).unwrap_or_default();
    let errno = failure.errno;
    format!("cannot {}{operand}: {errno:?} ({}){hint}", failure.step.phrase(), errno.desc())
}

/// The end of a connection: one event, always the same fields; docs/records.md says what they mean. A refusal
/// is an error, with its cause for a message.
pub(crate) fn ended(record: &Record<'_>) {
    let denied = record.outcome.denied().map(ToString::to_string);
    let advice = record.outcome.denied().map(Denied::advice);
    let client_hash = record.tls.and_then(|facts| facts.client.as_ref()).map(Client::fingerprint);
    let tls_failure = match &record.outcome {
        Outcome::NoHandshake(reason) => Some(reason.words()),
        _ => None,
    };
    macro_rules! say {
        ($level:ident, $($message:tt)+) => {
            $level!(
                conn = record.conn,
                peer = record.peer,
                service = record.service,
                pid = record.pid,
                uid = record.uid,
                outcome = record.outcome.name(),
                status = record.outcome.status(),
                signal = record.outcome.signal(),
                limit = record.outcome.limit(),
                denied,
                advice,
                answered = record.answered.as_ref().map(|(count, _)| *count),
                learning = record.learning.then_some(NO_PROTECTION),
                answered_calls = record.answered.as_ref().map(|(_, calls)| calls.as_str()),
                wait_us = record.wait_us,
                setup_us = record.setup_us,
                run_us = record.run_us,
                cpu_us = record.usage.cpu_us,
                max_rss_kib = record.usage.max_rss_kib,
                bytes_in = record.bytes.map(|bytes| bytes.received),
                bytes_out = record.bytes.map(|bytes| bytes.sent),
                tls_version = record.tls.map(|_| tls_wire::VERSION),
                tls_cipher = record.tls.map(|facts| facts.cipher.name()),
                tls_server_name = record.tls.and_then(|facts| facts.server_name.as_deref()),
                tls_client_hash = client_hash,
                tls_cut = record.tls_cut.then_some("yes"),
                tls_failure,
                $($message)+
            )
        };
    }
    match &record.outcome {
        Outcome::Refused(refusal) => say!(error, "{}", refusal.message),
        outcome if outcome.is_suspicious() => say!(warn, "ended"),
        _ => say!(info, "ended"),
    }
}
