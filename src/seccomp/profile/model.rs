//! A parsed profile: calls, each with an action, conditions and a reason.
//!
//! build.rs uses this file too, to compile the built-in profiles.

/// A profile for one machine: an allow-list, with exceptions that get an errno or die at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    pub traits: Traits,
    pub entries: Vec<Entry>,
}

/// Settings of a profile beside its calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traits {
    /// The verdict for a call that no entry decides: [`Action::Notify`] or [`Action::Errno`].
    pub default: Action,
    pub exec: Exec,
    /// A stub is PID 1 unless `--init` says otherwise: for handlers that fork.
    pub init: bool,
    /// Tasks that a sandbox may have unless `--tasks` says otherwise.
    pub tasks: u64,
    /// Locks are allowed on files that are the sandbox's own.
    pub locks: bool,
}

/// The programs that the handler's process may execute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exec {
    /// The handler's own file, once.
    Once,
    /// All programs in the template, loaders and libraries too. The tree is executable and W^X is not
    /// enforced.
    Tree,
}

/// One call with one action. A call may have one entry with conditions and one without; the latter applies if
/// no condition holds. The profile's default verdict decides a call without an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub name: &'static str,
    pub number: u32,
    pub action: Action,
    /// One of these must hold, all conditions in it; empty: always.
    pub when: Vec<Vec<Condition>>,
    pub reason: String,
    /// The conditions as they were written.
    pub condition: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    Allow,
    /// The call is not made and fails with this errno.
    Errno(u16),
    /// The supervisor is told of the call, which is never made, and kills the sandbox; the default verdict
    /// unless a profile names another.
    Notify,
    /// The kernel kills the process; the record cannot name the call.
    Kill,
}

/// A condition on one argument (0 to 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// The low word equals: for arguments that the kernel takes as int.
    Word(u8, u32),
    /// The low word is at most this.
    WordAtMost(u8, u32),
    /// The low word is at least this.
    WordAtLeast(u8, u32),
    /// All 64 bits equal, of those in the mask.
    Masked { index: u8, mask: u64, value: u64 },
}

impl Condition {
    /// Whether it holds for these arguments.
    #[allow(clippy::cast_possible_truncation, reason = "the low word is what the kernel looks at")]
    #[must_use]
    pub fn holds(self, args: &[u64; 6]) -> bool {
        let argument = |index: u8| args.get(usize::from(index)).copied().unwrap_or(0);
        match self {
            Condition::Word(index, value) => argument(index) as u32 == value,
            Condition::WordAtMost(index, most) => argument(index) as u32 <= most,
            Condition::WordAtLeast(index, least) => argument(index) as u32 >= least,
            Condition::Masked { index, mask, value } => argument(index) & mask == value,
        }
    }
}

impl Entry {
    fn decides(&self, args: &[u64; 6]) -> bool {
        self.when.iter().any(|all| all.iter().all(|condition| condition.holds(args)))
    }
}

impl Profile {
    /// The verdict of the profile's own lines for a call; None where no line decides, and the default
    /// verdict holds.
    #[must_use]
    pub fn verdict(&self, number: u32, args: &[u64; 6]) -> Option<Action> {
        let of_call = || self.entries.iter().filter(|entry| entry.number == number);
        // Allowing comes first, as in the compiled program.
        let conditional = of_call().filter(|entry| entry.decides(args)).min_by_key(|entry| entry.action);
        conditional.or_else(|| of_call().find(|entry| entry.when.is_empty())).map(|entry| entry.action)
    }

    /// The numbers of the calls for which the sandbox is killed whatever the default verdict.
    pub fn killing(&self) -> impl Iterator<Item = u32> {
        self.entries.iter().filter(|entry| entry.action == Action::Notify).map(|entry| entry.number)
    }

    /// The names of the calls that may be made at all, in the profile's order.
    pub fn allowed(&self) -> Vec<&'static str> {
        let mut names = Vec::new();
        for entry in self.entries.iter().filter(|entry| entry.action == Action::Allow) {
            if !names.contains(&entry.name) {
                names.push(entry.name);
            }
        }
        names
    }

    /// Whether it never lets memory be made executable: the wall of W^X that every kernel has.
    pub fn refuses_code(&self) -> bool {
        const PROT_EXEC: u64 = 4;
        let making = |entry: &&Entry| matches!(entry.name, "mmap" | "mprotect" | "pkey_mprotect");
        let refuses = |condition: &Condition| match *condition {
            Condition::Masked { index: 2, mask, value } => mask & PROT_EXEC != 0 && value & PROT_EXEC == 0,
            _ => false,
        };
        let allowed = self.entries.iter().filter(|entry| entry.action == Action::Allow);
        allowed
            .filter(making)
            .all(|entry| !entry.when.is_empty() && entry.when.iter().all(|all| all.iter().any(refuses)))
    }

    /// Whether the supervisor is told of each attempt to make a process, and never answers one and lets the
    /// sandbox live on.
    pub fn notifies_of_processes(&self) -> bool {
        const MAKING: [&str; 4] = ["clone", "clone3", "fork", "vfork"];
        let decided = self.entries.iter().any(|e| MAKING.contains(&e.name) && e.action != Action::Notify);
        self.traits.default == Action::Notify && !decided
    }

    /// Whether two sandboxes could meet in an ipc namespace: System V IPC or POSIX message queues.
    pub fn meets_in_ipc(&self) -> bool {
        const MEETING: [&str; 5] = ["shmget", "shmat", "semget", "msgget", "mq_open"];
        self.allowed().iter().any(|name| MEETING.contains(name))
    }
}
