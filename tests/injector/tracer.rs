//! Follows the launcher and all that it clones, and applies the rules.

use crate::names;
use crate::process::{Call, Process, arguments, is_entry};
use crate::rule::Rule;
use nix::errno::Errno;
use nix::sys::ptrace::{self, Event, Options};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;

#[derive(Debug)]
pub struct Orders {
    pub report: File,
    pub trace: bool,
    pub valid_while: Option<String>,
    pub rules: Vec<Rule>,
}

#[derive(Debug)]
pub struct Tracer {
    orders: Orders,
    launcher: Pid,
    processes: HashMap<Pid, Process>,
    /// New processes that have stopped before the call that made them was seen to return.
    unknown: Vec<Pid>,
    /// The launcher ends: everything is let go as it is.
    over: bool,
}

/// The file name of the launcher, and the role of what runs before it.
const LAUNCHER: &str = "dayfly";
const STARTER: &str = "starter";

const OPTIONS: [Options; 7] = [
    Options::PTRACE_O_TRACESYSGOOD,
    Options::PTRACE_O_TRACECLONE,
    Options::PTRACE_O_TRACEFORK,
    Options::PTRACE_O_TRACEVFORK,
    Options::PTRACE_O_TRACEEXEC,
    Options::PTRACE_O_TRACEEXIT,
    Options::PTRACE_O_EXITKILL,
];

impl Tracer {
    /// Takes hold of the process that will execute the launcher.
    pub fn begin(orders: Orders, launcher: Pid) -> Option<Tracer> {
        ptrace::seize(launcher, OPTIONS.into_iter().collect()).ok()?;
        ptrace::interrupt(launcher).ok()?;
        waitpid(launcher, Some(WaitPidFlag::__WALL)).ok()?;
        ptrace::syscall(launcher, None).ok()?;
        let processes = HashMap::from([(launcher, Process::new(launcher, STARTER.to_owned()))]);
        Some(Tracer { orders, launcher, processes, unknown: Vec::new(), over: false })
    }

    /// Traces until nothing is left. A launcher that ends is held until all others are released, and
    /// continues when the tracer ends. So a process that sees the launcher gone cannot see the tracer.
    pub fn follow(&mut self) {
        while !self.is_done() {
            match waitpid(None, Some(WaitPidFlag::__WALL)) {
                Ok(status) => self.on_stop(status),
                Err(Errno::EINTR) => {}
                Err(_) => return,
            }
        }
    }

    fn is_done(&self) -> bool {
        self.over && self.unknown.is_empty() && self.processes.keys().all(|pid| *pid == self.launcher)
    }

    /// A process that is gone meanwhile (ESRCH) needs no answer: its end is a status of its own.
    fn on_stop(&mut self, status: WaitStatus) {
        let Some(pid) = status.pid() else { return };
        if self.over && !matches!(status, WaitStatus::Exited(..) | WaitStatus::Signaled(..)) {
            self.processes.remove(&pid);
            let _gone = ptrace::detach(pid, None);
            return;
        }
        match status {
            WaitStatus::PtraceSyscall(_) => self.on_call(pid),
            WaitStatus::PtraceEvent(_, _, event) => self.on_event(pid, event),
            WaitStatus::Stopped(_, signal) => self.resume(pid, Some(signal)),
            WaitStatus::Exited(..) | WaitStatus::Signaled(..) => {
                self.processes.remove(&pid);
                if pid == self.launcher {
                    self.let_all_go();
                }
            }
            _ => {}
        }
    }

    fn on_event(&mut self, pid: Pid, event: i32) {
        let is = |wanted: Event| event == wanted as i32;
        if is(Event::PTRACE_EVENT_EXEC) {
            self.on_exec(pid);
        } else if is(Event::PTRACE_EVENT_EXIT) {
            if pid == self.launcher {
                // The tracer's end must not kill it.
                let _gone = ptrace::setoptions(pid, Options::empty());
                return self.let_all_go();
            }
            // Released here, it ends for its own parent as if untraced.
            self.processes.remove(&pid);
            let _gone = ptrace::detach(pid, None);
        } else if is(Event::PTRACE_EVENT_CLONE)
            || is(Event::PTRACE_EVENT_FORK)
            || is(Event::PTRACE_EVENT_VFORK)
        {
            self.on_clone(pid);
            self.resume(pid, None);
        } else if self.processes.contains_key(&pid) {
            self.resume(pid, None);
        } else {
            self.unknown.push(pid);
        }
    }

    fn on_clone(&mut self, parent: Pid) {
        let Ok(child) = ptrace::getevent(parent) else { return };
        let child = Pid::from_raw(i32::try_from(child).unwrap_or(-1));
        let Some(process) = self.processes.get_mut(&parent) else { return };
        process.is_parent = process.role != "launcher";
        let role = format!("{}/{}", process.role, process.clone_kind());
        self.processes.insert(child, Process::new(child, role));
        if let Some(index) = self.unknown.iter().position(|unknown| *unknown == child) {
            self.unknown.swap_remove(index);
            self.resume(child, None);
        }
    }

    /// The launcher's calls are counted from here; what starts it, a shell perhaps, has another role. In any
    /// other process the handler begins.
    fn on_exec(&mut self, pid: Pid) {
        let Some(process) = self.processes.get_mut(&pid) else { return };
        if pid == self.launcher {
            let program = std::fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
            let role = if program.ends_with(LAUNCHER) { "launcher" } else { STARTER };
            *process = Process::new(pid, role.to_owned());
            return self.resume(pid, None);
        }
        let file = self.orders.valid_while.as_ref();
        let word = if file.is_none_or(|file| Path::new(file).exists()) { "ran" } else { "later" };
        let line = format!("{word} {}", process.role);
        self.processes.remove(&pid);
        self.say(&line);
        let _gone = ptrace::detach(pid, None);
    }

    fn on_call(&mut self, pid: Pid) {
        let Ok(registers) = ptrace::getregs(pid) else { return };
        let Some(process) = self.processes.get_mut(&pid) else { return self.resume(pid, None) };
        match process.current.take() {
            None if is_entry(&registers) => self.enter(pid, registers),
            // The end of the clone that made it, or of the exec.
            None => {}
            Some(call) => self.leave(pid, registers, &call),
        }
        self.resume(pid, None);
    }

    fn enter(&mut self, pid: Pid, mut registers: libc::user_regs_struct) {
        let valid = self.orders.valid_while.as_ref().is_none_or(|file| Path::new(file).exists());
        let Some(process) = self.processes.get_mut(&pid).filter(|process| process.role != STARTER) else {
            return;
        };
        let (name, arguments) = (names::name(registers.orig_rax), arguments(&registers));
        let nth = process.calls.entry(name.clone()).or_default();
        *nth += 1;
        let nth = *nth;
        let text = if self.orders.trace { process.text(&name, &arguments) } else { String::new() };
        let mut call = Call { name, nth, text, answer: None, mends: Vec::new(), arguments };
        let mut fired = Vec::new();
        for (index, rule) in self.orders.rules.iter().enumerate() {
            let path = || process.path(&call.name, &arguments);
            if !valid || !rule.means(&process.role, &call.name, &arguments, path) {
                continue;
            }
            let count = process.meant.entry(index).or_default();
            *count += 1;
            if !rule.is_turn(*count) {
                continue;
            }
            for action in &rule.actions {
                process.apply(*action, &mut registers, &mut call);
            }
            fired.push(format!("fired {index} {} {}", process.role, call.name));
        }
        process.current = Some(call);
        if !fired.is_empty() {
            let _gone = ptrace::setregs(pid, registers);
        }
        for line in fired {
            self.say(&line);
        }
    }

    fn leave(&mut self, pid: Pid, mut registers: libc::user_regs_struct, call: &Call) {
        let Some(process) = self.processes.get(&pid) else { return };
        for change in &call.mends {
            process.change(*change, &call.arguments);
        }
        if let Some(answer) = call.answer {
            registers.rax = answer.cast_unsigned();
            let _gone = ptrace::setregs(pid, registers);
        }
        if self.orders.trace {
            let answer = registers.rax.cast_signed();
            let line = format!("call {} {} {} {} = {answer}", process.role, call.name, call.nth, call.text);
            self.say(&line);
        }
    }

    /// Goes on to its next call, or, where no rule can concern it any more, without stopping at calls.
    fn resume(&self, pid: Pid, signal: Option<Signal>) {
        let concerns = |process: &Process| {
            let may = |(index, rule): (usize, &Rule)| {
                rule.may_concern(&process.role, process.meant.get(&index).copied().unwrap_or(0))
            };
            (self.orders.trace && process.role != STARTER)
                || process.current.is_some()
                || self.orders.rules.iter().enumerate().any(may)
        };
        let _gone = match self.processes.get(&pid).is_some_and(concerns) {
            true => ptrace::syscall(pid, signal),
            false => ptrace::cont(pid, signal),
        };
    }

    /// A test may have closed its end and need no more reports.
    fn say(&mut self, line: &str) {
        let _nobody_listens = writeln!(self.orders.report, "{line}");
    }

    /// The launcher ends: remaining processes continue untraced.
    fn let_all_go(&mut self) {
        self.over = true;
        for pid in self.processes.keys().filter(|pid| **pid != self.launcher) {
            let _gone = ptrace::interrupt(*pid);
        }
        for pid in self.unknown.drain(..) {
            let _gone = ptrace::detach(pid, None);
        }
    }
}
