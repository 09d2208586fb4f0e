//! One traced process: its registers and memory, and how far it is in its current call.

use crate::names::{Shown, shown};
use crate::rule::{Action, Change, Place};
use nix::sys::ptrace;
use nix::unistd::Pid;
use std::borrow::Cow;
use std::collections::HashMap;

/// The value of rax at the entry of a call, and the maximum length of a string.
const ENTERED: i64 = -(libc::ENOSYS as i64);
const TEXT_MAX: usize = 256;

#[derive(Debug)]
pub struct Process {
    pub pid: Pid,
    pub role: String,
    /// How many calls of each name it has made, and how many each rule has meant.
    pub calls: HashMap<Cow<'static, str>, u64>,
    pub meant: HashMap<usize, u64>,
    /// The call it is in.
    pub current: Option<Call>,
    /// It has cloned a process itself: an init stub, whose filter knows few calls.
    pub is_parent: bool,
}

#[derive(Debug)]
pub struct Call {
    pub name: Cow<'static, str>,
    pub nth: u64,
    pub text: String,
    /// The answer to give instead of the kernel's.
    pub answer: Option<i64>,
    /// Changes to make when it returns, with the arguments as they were.
    pub mends: Vec<Change>,
    pub arguments: [u64; 6],
}

pub fn arguments(registers: &libc::user_regs_struct) -> [u64; 6] {
    let r = registers;
    [r.rdi, r.rsi, r.rdx, r.r10, r.r8, r.r9]
}

/// Whether these are the registers of a call that has been entered, not left.
pub fn is_entry(registers: &libc::user_regs_struct) -> bool {
    registers.rax.cast_signed() == ENTERED
}

impl Process {
    pub fn new(pid: Pid, role: String) -> Process {
        let (calls, meant) = (HashMap::new(), HashMap::new());
        Process { pid, role, calls, meant, current: None, is_parent: false }
    }

    fn word(&self, address: u64) -> Option<u64> {
        ptrace::read(self.pid, address as *mut libc::c_void).ok().map(|word| word.cast_unsigned())
    }

    /// A C string, cut where memory or patience ends.
    pub fn string(&self, address: u64) -> String {
        let mut bytes = Vec::new();
        while bytes.len() < TEXT_MAX {
            let Some(word) = self.word(address + bytes.len() as u64) else { break };
            let word = word.to_ne_bytes();
            let end = word.iter().position(|byte| *byte == 0);
            bytes.extend_from_slice(&word[..end.unwrap_or(word.len())]);
            if end.is_some() {
                break;
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The first string among the arguments that a call is known by.
    pub fn path(&self, call: &str, arguments: &[u64; 6]) -> String {
        let find = |wanted: Shown| {
            shown(call).iter().find(|(_, how)| *how == wanted).map(|(index, _)| arguments[*index])
        };
        match (find(Shown::Text), find(Shown::File)) {
            (Some(text), _) => self.string(text),
            (None, Some(file)) => self.file(file as u32),
            (None, None) => String::new(),
        }
    }

    pub fn text(&self, call: &str, arguments: &[u64; 6]) -> String {
        let show = |(index, how): &(usize, Shown)| match how {
            // More than 32 bits are a pointer, which is another each time.
            Shown::Number if arguments[*index] >> 32 != 0 => "*".to_owned(),
            Shown::Number => format!("{:#x}", arguments[*index]),
            Shown::File => format!("{:?}", self.file(arguments[*index] as u32)),
            Shown::Text => format!("{:?}", self.string(arguments[*index])),
        };
        shown(call).iter().map(show).collect::<Vec<_>>().join(",")
    }

    /// By the namespaces that the call asks for which is just cloning a process.
    pub fn clone_kind(&self) -> &'static str {
        let Ok(registers) = ptrace::getregs(self.pid) else { return "fork" };
        let flags = match registers.orig_rax.cast_signed() {
            libc::SYS_clone3 => self.word(registers.rdi).unwrap_or(0),
            libc::SYS_clone => registers.rdi,
            _ => 0,
        };
        let has = |flag: libc::c_int| flags & u64::from(flag.cast_unsigned()) != 0;
        match (has(libc::CLONE_NEWPID), has(libc::CLONE_NEWUSER)) {
            (true, _) => "pid",
            (false, true) => "user",
            (false, false) => "fork",
        }
    }

    /// The target of a descriptor, without pids and inode numbers.
    fn file(&self, number: u32) -> String {
        let link = std::fs::read_link(format!("/proc/{}/fd/{number}", self.pid)).unwrap_or_default();
        let text = link.to_string_lossy().replace(&format!("/proc/{}/", self.pid), "/proc/self/");
        match text.split_once(":[") {
            Some((kind @ ("socket" | "pipe" | "mnt" | "user"), _)) => kind.to_owned(),
            _ => text,
        }
    }

    fn address(&self, place: Place, arguments: &[u64; 6]) -> Option<u64> {
        let address = arguments[place.argument] + place.offset;
        match place.then {
            None => Some(address),
            Some(then) => Some(self.word(address)? + then),
        }
    }

    pub fn change(&self, change: Change, arguments: &[u64; 6]) {
        let Some(address) = self.address(change.place, arguments) else { return };
        let Some(word) = self.word(address) else { return };
        let word = (word & !change.clear) | change.set;
        // A place that cannot be written leaves the call as it was: the test sees no effect and fails.
        let _written = ptrace::write(self.pid, address as *mut libc::c_void, word.cast_signed());
    }

    /// Applies one action to a call that has been entered. The registers are set by the caller.
    pub fn apply(&self, action: Action, registers: &mut libc::user_regs_struct, call: &mut Call) {
        match action {
            Action::Answer(value) => call.answer = Some(value),
            Action::Return(value) => {
                call.answer = Some(value);
                self.stand_in(registers);
            }
            Action::Argument(index, value) => {
                let r = registers;
                *[&mut r.rdi, &mut r.rsi, &mut r.rdx, &mut r.r10, &mut r.r8, &mut r.r9][index] = value;
            }
            Action::Poke(change) => self.change(change, &call.arguments),
            Action::Mend(change) => call.mends.push(change),
        }
    }

    /// A call without effect that every filter allows, in place of the one that is not made: a number of -1
    /// would be for the filter to judge as well.
    fn stand_in(&self, registers: &mut libc::user_regs_struct) {
        if self.is_parent {
            // To the init stub's filter getpid(2) is death. A range that ends before it begins is EINVAL.
            registers.orig_rax = libc::SYS_close_range.cast_unsigned();
            (registers.rdi, registers.rsi, registers.rdx) = (1, 0, 0);
        } else {
            registers.orig_rax = libc::SYS_getpid.cast_unsigned();
        }
    }
}
