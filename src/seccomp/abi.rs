//! Numbers that the launcher and its filters agree upon. build.rs compiles this file too.

/// A call that no kernel has and that one of the filters answers with an errno of its own: what no error
/// table holds.
#[derive(Debug, Clone, Copy)]
pub struct Canary {
    pub number: u32,
    pub errno: u16,
}

pub const GUARD_CANARY: Canary = Canary { number: 0x0ffd_f001, errno: 4001 };
pub const PROFILE_CANARY: Canary = Canary { number: 0x0ffd_f002, errno: 4002 };

/// Where the handler's file waits for exec: above every RLIMIT_NOFILE (63 at most), so that the number can
/// never be made again once exec has closed it; below 64, so that the kernel's embedded descriptor table is
/// enough.
pub const EXEC_FD: i32 = 63;

/// The parameters of a filter beside its profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variant {
    /// Allows the one prctl(2) that rootless set-up makes after the filters.
    pub dumpable_off_late: bool,
    /// The call that a handler waits in that was executed ahead of its connection; it is notified.
    pub parked: Option<Parked>,
    /// All files that can be opened are the sandbox's own: a profile with `locks own` allows locks on them.
    pub locks: bool,
}

/// Where a handler waits for its connection, once executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parked {
    Entry,
    Ready,
    Read,
}

impl Variant {
    /// All there are, in the order of [`Variant::index`].
    pub const ALL: [Variant; 16] = {
        let parked = [None, Some(Parked::Entry), Some(Parked::Ready), Some(Parked::Read)];
        let mut all = [Variant::PLAIN; 16];
        let mut index = 0;
        while index < all.len() {
            all[index] = Variant {
                parked: parked[index % parked.len()],
                dumpable_off_late: index / parked.len() % 2 == 1,
                locks: index / parked.len() / 2 == 1,
            };
            index += 1;
        }
        all
    };

    pub const PLAIN: Variant = Variant { dumpable_off_late: false, parked: None, locks: false };

    pub fn index(self) -> usize {
        let parked = match self.parked {
            None => 0,
            Some(Parked::Entry) => 1,
            Some(Parked::Ready) => 2,
            Some(Parked::Read) => 3,
        };
        parked + 4 * usize::from(self.dumpable_off_late) + 8 * usize::from(self.locks)
    }
}

/// The fate of files that a sandbox makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Files {
    /// All of them go with it.
    Temporary,
    /// Files stay on the host, because the sandbox has a writable bind.
    Kept,
}

impl Files {
    pub const fn of(has_writable_bind: bool) -> Files {
        if has_writable_bind { Files::Kept } else { Files::Temporary }
    }
}
