//! One live sandbox as the supervisor sees it: its descriptors, how far it has come, why it will end.

use super::admission::Source;
use super::ageing::CpuLook;
use super::answers::Answers;
use super::learning::Lessons;
use super::minimum_rate::MinimumRate;
use super::stderr::Lines;
use super::zygotes::ZygoteId;
use crate::cgroup::leaves::Leaf;
use crate::config::service::{Service, ServiceId};
use crate::connection::{Connection, Kind};
use crate::diag::Question;
use crate::log;
use crate::outcome::{Outcome, Refusal, Traffic};
use nix::sys::socket::{Shutdown, shutdown};
use sandbox::Plan;
use sandbox::Sandbox;
use sandbox::child::reset;
use sandbox::launch::denied::Denied;
use sandbox::launch::zygote::SetUp;
use sandbox::operand::Operand;
use sandbox::plan::park::Park;
use sandbox::step::{Failure, Step};
use sandbox::wire::{GO_ON, REPORT_LEN, Report};
use seccomp::learning::Lesson;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::Instant;
use sys::process::{Child, Ending};
use sys::{self, Errno, Ignoring};
use tls_wire::{CONTROL_FD, Facts, Reason};

/// Why the supervisor has killed it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Verdict {
    WallTime,
    IdleTime,
    TooSlow,
    /// Its place is needed.
    Evicted,
    /// There was no handshake in time.
    Handshake,
    Stopped(i32),
}

#[derive(Debug)]
pub(super) struct Live {
    /// None while it is parked, or on its way there.
    pub(super) served: Option<Served>,
    pub(super) park: Park,
    /// The call it is parked in.
    pub(super) parked: Option<u64>,
    /// Parked and no longer needed: its end is not reported.
    pub(super) retired: bool,
    /// The service it was built from; a reload replaces the service only for later ones.
    pub(super) service: Rc<Service>,
    pub(super) service_id: ServiceId,
    pub(super) sandbox: Sandbox,
    /// The sandbox's own cgroup, if it has one.
    pub(super) leaf: Option<Leaf>,
    /// The process that execs, if it is not the first one (with an init stub).
    handler: Option<OwnedFd>,
    pub(super) listener: Option<Rc<OwnedFd>>,
    /// The zygote that has cloned it, if one has: the listener is that one's.
    pub(super) zygote: Option<ZygoteId>,
    /// A zygote's sandbox that has no descriptors yet.
    pub(super) set_up: Option<SetUp>,
    pub(super) lines: Lines,
    /// The request, as the handler's log line names it.
    pub(super) selector: Option<String>,
    pub(super) ready: bool,
    pub(super) failure: Option<Failure>,
    pub(super) denied: Option<Denied>,
    /// Calls that the profile's default verdict answers.
    pub(super) answers: Answers,
    /// Calls that `dayfly learn` records.
    pub(super) lessons: Lessons,
    pub(super) verdict: Option<Verdict>,
    pub(super) executed: bool,
    /// When its launch began.
    pub(super) begun: Instant,
    pub(super) cpu_look: CpuLook,
    /// When SIGKILL was sent.
    pub(super) killed: Option<Instant>,
    /// SIGKILL has not ended it in time: its place is somebody else's.
    pub(super) unkillable: bool,
}

/// A connection that was admitted and has no sandbox yet.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) service: ServiceId,
    pub(super) connection: Connection,
    pub(super) source: Source,
    pub(super) began: Instant,
    /// Its number, once it has one: it keeps that however many sandboxes are tried for it.
    pub(super) conn: Option<u64>,
}

/// The one connection of a sandbox.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) conn: u64,
    pub(super) source: Source,
    pub(super) peer: String,
    pub(super) kind: Kind,
    /// Held until exec has succeeded, for the refusal; after it a copy would keep the client waiting for the
    /// end. Rootless until the end: it cannot be borrowed from a handler of mode 0711.
    pub(super) connection: Option<Connection>,
    pub(super) began: Instant,
    /// Time at which a sandbox was begun for it, or a parked one was given to it.
    pub(super) sandbox_at: Instant,
    /// Time at which the handler had the connection and ran.
    pub(super) running: Option<Instant>,
    /// How the kernel is asked about the connection once the handler alone has it.
    pub(super) question: Option<Question>,
    pub(super) traffic: Option<Traffic>,
    pub(super) traffic_seen: Instant,
    pub(super) pace: MinimumRate,
    /// The relay's report of the handshake.
    pub(super) tls: Option<Box<Facts>>,
    /// How that relay has ended, where it has ended first.
    pub(super) relay_end: Option<RelayEnd>,
}

/// How the connection of a relay has ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct RelayEnd {
    /// The peer's stream ended without its close_notify.
    pub(super) cut: bool,
    pub(super) bytes: Option<Traffic>,
}

impl Served {
    pub(super) fn new(conn: u64, arrival: Arrival, sandbox_at: Instant) -> Served {
        let Arrival { mut connection, source, began, .. } = arrival;
        // The environment is made before this.
        let tls = connection.tls.take();
        Served {
            conn,
            source,
            peer: connection.peer(),
            kind: connection.kind,
            question: Question::about(&connection),
            connection: Some(connection),
            began,
            sandbox_at,
            running: None,
            traffic: None,
            traffic_seen: Instant::now(),
            pace: MinimumRate::default(),
            tls,
            relay_end: None,
        }
    }
}

impl Served {
    /// Bytes each way, as of the last look; of a unix socket the kernel counts none.
    pub(super) fn bytes(&self) -> Option<Traffic> {
        let own = self.traffic.filter(|_| matches!(self.kind, Kind::Tcp(_)));
        own.or(self.relay_end.and_then(|end| end.bytes))
    }
}

/// Result of reading the handler's stderr.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum StderrRead {
    Something,
    /// Lines that the log does not take were among it.
    TooMuch,
    Nothing,
    End,
}

/// Meaning of a notified call.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// Denied and its maker killed, or let go on.
    Settled,
    /// Answered by the profile's default verdict: the first of its kind, with the errno, or one more.
    Answered(Option<(Denied, u16)>),
    /// Recorded by `dayfly learn`: the first of its kind, or one more.
    Recorded(Option<(Denied, Lesson)>),
    /// The sandbox is parked in it.
    Parked,
}

/// Meaning of a message on the channel.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// The set-up continues: there is nothing to do.
    Going,
    /// The seccomp listener is there: watch it, and say so.
    Listening,
    /// The channel has ended: exec has succeeded, or the child is dead.
    Ended,
}

impl Live {
    pub(super) fn new(
        (service_id, service): (ServiceId, Rc<Service>),
        sandbox: Sandbox,
        park: Park,
        served: Option<Served>,
        now: Instant,
    ) -> Live {
        Live {
            served,
            park,
            parked: None,
            retired: false,
            service,
            service_id,
            sandbox,
            leaf: None,
            handler: None,
            listener: None,
            zygote: None,
            set_up: None,
            lines: Lines::new(now),
            selector: None,
            ready: false,
            failure: None,
            denied: None,
            answers: Answers::new(now),
            lessons: Lessons::default(),
            verdict: None,
            executed: false,
            begun: now,
            cpu_look: CpuLook::default(),
            killed: None,
            unkillable: false,
        }
    }

    /// The connection's number, 0 while there is none.
    pub(super) fn conn(&self) -> u64 {
        self.served.as_ref().map_or(0, |served| served.conn)
    }

    /// The process that becomes the handler.
    fn handler_pidfd(&self) -> BorrowedFd<'_> {
        self.handler.as_ref().unwrap_or(&self.sandbox.pidfd).as_fd()
    }

    /// The handler's pid here, in the supervisor's pid namespace.
    pub(super) fn handler_number(&self) -> Result<u32, Errno> {
        self.handler
            .as_ref()
            .map_or(Ok(self.sandbox.pid), |pidfd| sys::alloc::files::number_of(pidfd.as_fd()))
    }

    /// Reads one report and answers it.
    pub(super) fn hear(&mut self) -> Progress {
        let mut message = [0; REPORT_LEN];
        let Some(channel) = &self.sandbox.channel else { return Progress::Going };
        let count = sys::read(channel.as_fd(), &mut message);
        let report = match count {
            Ok(REPORT_LEN) => Report::decode(message),
            Ok(0) => return Progress::Ended,
            // The child has died without reading what we sent; what it said before comes next.
            Err(Errno::ECONNRESET) => return Progress::Going,
            Ok(_) => None,
            // Unheard it would wait for an answer for ever.
            Err(errno) => {
                self.fail(Step::Report, errno);
                return Progress::Ended;
            }
        };
        match report {
            Some(Report::Failed(failure)) => {
                self.failure.get_or_insert(failure);
                Progress::Going
            }
            Some(Report::Handler(number)) => {
                let fetched = sys::process::pidfd_getfd(self.sandbox.pidfd.as_fd(), number);
                let kept = fetched.map(|pidfd| self.handler = Some(pidfd));
                self.answer(Step::Init, kept);
                Progress::Going
            }
            Some(Report::Listener(number)) => {
                match sys::process::pidfd_getfd(self.handler_pidfd(), number) {
                    Ok(listener) => {
                        self.listener = Some(Rc::new(listener));
                        return Progress::Listening;
                    }
                    Err(errno) => self.fail(Step::Listener, errno),
                }
                Progress::Going
            }
            Some(Report::Waiting | Report::Cloned(_)) | None => {
                self.fail(Step::Report, Errno::EBADMSG);
                Progress::Ended
            }
        }
    }

    /// Lets the child go on if what it reported was acted upon; if not, it is killed.
    fn answer(&mut self, step: Step, acted: Result<(), Errno>) {
        let answered = acted.and_then(|()| self.tell(&GO_ON));
        if let Err(errno) = answered {
            self.fail(step, errno);
        }
    }

    /// Writes to its channel.
    pub(super) fn tell(&self, message: &[u8]) -> Result<usize, Errno> {
        let channel = self.sandbox.channel.as_ref().ok_or(Errno::EPIPE)?;
        sys::write(channel.as_fd(), message)
    }

    /// The listener is watched, or could not be: nothing of the handler runs before it is.
    pub(super) fn on_listener_watched(&mut self, watched: Result<(), Errno>) {
        self.ready = watched.is_ok();
        self.answer(Step::Listener, watched);
    }

    /// Refuses a sandbox that cannot be set up, or cannot be watched.
    pub(super) fn fail(&mut self, step: Step, errno: Errno) {
        self.failure.get_or_insert(Failure { step, operand: Operand::None, errno });
        self.kill();
    }

    /// Whether the channel's end, which has come, means that the handler runs.
    pub(super) fn has_executed(&self) -> bool {
        self.ready && self.failure.is_none()
    }

    /// Gives the parked sandbox its connection and lets it run. ENOENT, ESRCH, EPIPE: it has died meanwhile.
    /// `control` is what a relay gets beside it.
    pub(super) fn hand_over(
        &mut self,
        connection: &Connection,
        control: Option<BorrowedFd<'_>>,
    ) -> Result<(), Errno> {
        let (Some(listener), Some(call)) = (&self.listener, self.parked.take()) else {
            return Err(Errno::ENOENT);
        };
        let (input, output) = connection.ends();
        sys::seccomp::put_descriptor(listener.as_fd(), call, input, 0)?;
        sys::seccomp::put_descriptor(listener.as_fd(), call, output, 1)?;
        if let Some(control) = control {
            sys::seccomp::put_descriptor(listener.as_fd(), call, control, CONTROL_FD.into())?;
        }
        if self.park.is_after_exec() {
            return sys::seccomp::let_call(listener.as_fd(), call);
        }
        let mut message = GO_ON.to_vec();
        for variable in connection.environment(&self.service.environment) {
            message.extend(variable.into_bytes_with_nul());
        }
        self.tell(&message)?;
        sys::seccomp::end_call(listener.as_fd(), call)
    }

    /// Says why it will be killed, unless it is ending by itself already.
    pub(super) fn judge(&mut self, verdict: Verdict) {
        if self.failure.is_none() && self.denied.is_none() {
            self.verdict.get_or_insert(verdict);
        }
    }

    /// Sees to it that a TCP client whose answer is unfinished is reset when the sandbox is killed. Some: a
    /// child of ours does so, and kills it.
    pub(super) fn begin_reset(&self) -> Option<Child> {
        let served = self.served.as_ref().filter(|served| matches!(served.kind, Kind::Tcp(_)))?;
        match &served.connection {
            Some(connection) => {
                connection.reset_at_close();
                None
            }
            None => reset::begin(self.handler_pidfd(), self.sandbox.pidfd.as_fd()).ok(),
        }
    }

    /// Sends the handler its service's `kill_signal`, unless it has ended already. False if there is no
    /// signal, or no handler yet.
    pub(super) fn ask_to_end(&self) -> bool {
        let Some(signal) = self.service.kill_signal.filter(|_| self.executed) else { return false };
        let sent = sys::process::send_signal(self.handler_pidfd(), signal);
        matches!(sent, Ok(()) | Err(Errno::ESRCH))
    }

    pub(super) fn kill(&mut self) {
        self.killed.get_or_insert_with(Instant::now);
        if let Err(errno) = self.sandbox.kill() {
            // Start-up has made sure of CAP_KILL; the parent-death signal remains.
            log::fatal(&format!("cannot kill the sandbox of pid {}: {errno}", self.sandbox.pid));
        }
    }

    /// Lets a handler that waits for its peer see the end of input. Its descriptors are its own to exchange,
    /// and the close of what it puts there may wait for ever: a process that nobody waits for does this.
    pub(super) fn end_input(&self) {
        if let Some(connection) = self.served.as_ref().and_then(|served| served.connection.as_ref()) {
            shutdown(connection.ends().0.as_raw_fd(), Shutdown::Read).ignoring("the peer has gone already");
            return;
        }
        match sys::process::fork() {
            Ok(None) => {
                for number in [0, 1] {
                    if let Ok(socket) = sys::process::pidfd_getfd(self.handler_pidfd(), number) {
                        shutdown(socket.as_raw_fd(), Shutdown::Read).ignoring("it is no socket, or gone");
                    }
                }
                sys::process::exit_now(0)
            }
            Ok(Some(_)) => {}
            Err(errno) => log::detail(&format!("cannot end the input of a handler: {errno}")),
        }
    }

    /// How it ended, once the kernel has said so.
    pub(super) fn outcome(&self, ending: Ending) -> Outcome {
        let plan = &self.service.plan;
        // First: a set-up that fails because its process was killed has not failed.
        match self.verdict {
            Some(Verdict::WallTime) => return Outcome::WallTime,
            Some(Verdict::TooSlow) => return Outcome::TooSlow,
            Some(Verdict::Evicted) => return Outcome::Evicted,
            Some(Verdict::Handshake) => return Outcome::NoHandshake(Reason::Time),
            Some(Verdict::IdleTime) => return Outcome::IdleTime,
            Some(Verdict::Stopped(signal)) => return Outcome::Stopped(signal),
            None => {}
        }
        if let Some(failure) = self.failure {
            return Outcome::Refused(refusal(plan, failure));
        }
        if let Some(denied) = self.denied {
            return Outcome::Denied(denied);
        }
        if ending == Ending::Signaled(libc::SIGKILL)
            && self.leaf.as_ref().is_some_and(Leaf::ran_out_of_memory)
        {
            return Outcome::OutOfMemory;
        }
        if !self.ready {
            let failure = Failure { step: Step::Died, operand: Operand::None, errno: Errno::EPIPE };
            return Outcome::Refused(refusal(plan, failure));
        }
        self.handler_ending().unwrap_or(ending).into()
    }

    /// The handler's end, as an init stub has written it.
    fn handler_ending(&self) -> Option<Ending> {
        let status = self.sandbox.status.as_ref()?;
        let mut raw = [0; 4];
        // The stub is dead, so the pipe ends: this cannot wait.
        if sys::read(status.as_fd(), &mut raw) != Ok(raw.len()) {
            return None;
        }
        let status = i32::from_ne_bytes(raw);
        Some(if libc::WIFEXITED(status) {
            Ending::Exited(u8::try_from(libc::WEXITSTATUS(status)).unwrap_or(u8::MAX))
        } else {
            Ending::Signaled(libc::WTERMSIG(status))
        })
    }
}

/// A failed step in words, with the status of `run` for it.
pub(super) fn refusal(plan: &Plan, failure: Failure) -> Refusal {
    let status = match (failure.step, failure.errno) {
        (Step::Exec, Errno::ENOEXEC | Errno::EACCES | Errno::ENOENT | Errno::ELIBBAD) => 126,
        _ => 125,
    };
    let message = log::refusal_message(&failure, plan.operand(&failure).as_deref());
    Refusal { failure: Some(failure), message, status }
}
