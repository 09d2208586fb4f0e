//! The uids of sandboxes, chosen from their pids by a permutation with a key.
//!
//! pids are unique among live processes, and a permutation gives different numbers different images. So two
//! live sandboxes never have one uid, and that needs no lock and no file, however many launchers there are in
//! a pid namespace: they have the same key, and the same range or ranges that do not overlap. The key keeps a handler, which can read its
//! own uid, from reading the host's pids off it: they count the processes that the host starts.

/// A range of ids and the key of its permutation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct UserIds {
    base: u32,
    size: u32,
    key: [u64; 2],
}

impl std::fmt::Debug for UserIds {
    /// Without the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "UserIds({}+{})", self.base, self.size)
    }
}

/// Luby and Rackoff's proof takes four; more cost nothing here.
const ROUNDS: u64 = 8;

impl UserIds {
    /// The key: 128 bits that every launcher of this boot has and no sandbox knows.
    #[must_use]
    pub fn new(base: u32, size: u32, key: u128) -> UserIds {
        #[allow(clippy::cast_possible_truncation, reason = "the two halves")]
        let key = [key as u64, (key >> 64) as u64];
        UserIds { base, size, key }
    }

    /// Another range with the same key.
    #[must_use]
    pub fn with_range(self, base: u32, size: u32) -> UserIds {
        UserIds { base, size, ..self }
    }

    #[must_use]
    pub fn base(self) -> u32 {
        self.base
    }

    #[must_use]
    pub fn size(self) -> u32 {
        self.size
    }

    /// The uid and gid of the sandbox with this pid. Start-up has made sure that pids are below the size; if
    /// the limit of pids is raised later, those above keep their own numbers, which are no image of another.
    #[must_use]
    pub fn of(self, pid: u32) -> u32 {
        let image = if pid < self.size { self.permute(pid.into()) } else { pid };
        self.base.saturating_add(image)
    }

    /// Whether the two may give one uid to two live sandboxes: their ranges overlap, and the permutations differ.
    #[must_use]
    pub fn may_collide(self, other: UserIds) -> bool {
        let end = |ids: UserIds| ids.base.saturating_add(ids.size);
        self != other && self.base < end(other) && other.base < end(self)
    }

    /// A Feistel network permutes the numbers of an even number of bits. One that it leads out of the range
    /// goes through it again: the cycle that it is on comes back into the range.
    fn permute(self, number: u64) -> u32 {
        let half = (u32::BITS - self.size.saturating_sub(1).leading_zeros()).div_ceil(2).max(1);
        let mask = (1_u64 << half) - 1;
        let mut image = number;
        loop {
            let (mut left, mut right) = (image >> half, image & mask);
            for round in 0..ROUNDS {
                (left, right) = (right, left ^ (sip_hash(self.key, round << 32 | right) & mask));
            }
            image = left << half | right;
            match u32::try_from(image) {
                Ok(image) if image < self.size => return image,
                _ => {}
            }
        }
    }
}

/// SipHash-2-4 (Aumasson, Bernstein 2012) of one word.
fn sip_hash(key: [u64; 2], word: u64) -> u64 {
    let mut v = [
        key[0] ^ 0x736f_6d65_7073_6575,
        key[1] ^ 0x646f_7261_6e64_6f6d,
        key[0] ^ 0x6c79_6765_6e65_7261,
        key[1] ^ 0x7465_6462_7974_6573,
    ];
    // The word, and the length of the message in bytes.
    for block in [word, 8 << 56] {
        v[3] ^= block;
        sip_rounds(&mut v, 2);
        v[0] ^= block;
    }
    v[2] ^= 0xff;
    sip_rounds(&mut v, 4);
    v[0] ^ v[1] ^ v[2] ^ v[3]
}

fn sip_rounds(v: &mut [u64; 4], count: u32) {
    let [mut a, mut b, mut c, mut d] = *v;
    for _ in 0..count {
        a = a.wrapping_add(b);
        b = b.rotate_left(13) ^ a;
        a = a.rotate_left(32);
        c = c.wrapping_add(d);
        d = d.rotate_left(16) ^ c;
        a = a.wrapping_add(d);
        d = d.rotate_left(21) ^ a;
        c = c.wrapping_add(b);
        b = b.rotate_left(17) ^ c;
        c = c.rotate_left(32);
    }
    *v = [a, b, c, d];
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn sip_hash_gives_what_its_authors_give() {
        let key = [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908];
        assert_eq!(sip_hash(key, 0x0706_0504_0302_0100), 0x93f5_f579_9a93_2462);
    }

    #[test]
    fn no_two_pids_have_one_uid_and_all_uids_are_of_the_range() {
        for size in [1, 2, 3, 1000, 32_768, 32_769, 100_000] {
            let ids = UserIds::new(70_000, size, 0x0123_4567_89ab_cdef_0011_2233_4455_6677);
            let uids: HashSet<u32> = (0..size).map(|pid| ids.of(pid)).collect();
            assert_eq!(uids.len(), size as usize, "{size}");
            assert!(uids.iter().all(|uid| (70_000..70_000 + size).contains(uid)), "{size}");
        }
    }

    #[test]
    fn the_default_range_is_permuted_as_a_whole() {
        let ids = UserIds::new(1 << 20, 1 << 22, 99);
        let mut seen = vec![false; 1 << 22];
        for pid in 0..1 << 22 {
            seen[(ids.of(pid) - (1 << 20)) as usize] = true;
        }
        assert!(seen.into_iter().all(|seen| seen));
    }

    #[test]
    fn a_pid_that_came_to_be_possible_later_is_no_others_uid() {
        let ids = UserIds::new(70_000, 1000, 5);
        assert!((1000..1100).all(|pid| ids.of(pid) == 70_000 + pid));
    }

    #[test]
    fn neighbours_are_strangers_and_another_key_gives_other_uids() {
        let (one, other) = (UserIds::new(0, 1 << 22, 1), UserIds::new(0, 1 << 22, 2));
        let same = (0..10_000).filter(|pid| one.of(*pid) == other.of(*pid)).count();
        assert!(same < 10, "{same} of 10000");
        let near = (0..10_000).filter(|pid| one.of(*pid).abs_diff(one.of(pid + 1)) < 100).count();
        assert!(near < 10, "{near} of 10000");
        assert_eq!(format!("{one:?}"), "UserIds(0+4194304)");
    }

    #[test]
    fn ranges_that_overlap_and_differ_may_collide() {
        let ids = |base, size| UserIds::new(base, size, 7);
        assert!(!ids(100, 50).may_collide(ids(100, 50)));
        assert!(!ids(100, 50).may_collide(ids(150, 50)));
        assert!(!ids(150, 50).may_collide(ids(100, 50)));
        assert!(ids(100, 50).may_collide(ids(149, 50)));
        assert!(ids(100, 50).may_collide(ids(100, 60)));
        assert!(ids(100, 50).may_collide(UserIds::new(100, 50, 8)));
    }
}
