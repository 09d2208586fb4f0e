//! System calls by name and number: the tables of Linux as text, one `name number` a line, newest at the end.

#[cfg(target_arch = "x86_64")]
static TABLE: &str = include_str!("syscalls-x86_64.txt");
#[cfg(target_arch = "aarch64")]
static TABLE: &str = include_str!("syscalls-aarch64.txt");

fn entries() -> impl Iterator<Item = (&'static str, u32)> {
    TABLE.lines().filter_map(|line| {
        let (name, number) = line.split_once(' ')?;
        Some((name, number.parse().ok()?))
    })
}

/// The name of a system call of this architecture. A scan: for messages, not for the way to exec.
pub(crate) fn name(number: i32) -> Option<&'static str> {
    entries().find(|(_, n)| i64::from(*n) == i64::from(number)).map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_agrees_with_libc() {
        assert_eq!(name(i32::try_from(libc::SYS_execveat).unwrap()), Some("execveat"));
        assert_eq!(name(i32::try_from(libc::SYS_mount_setattr).unwrap()), Some("mount_setattr"));
        assert_eq!(name(9999), None);
    }

    #[test]
    fn every_number_and_every_name_stands_once() {
        let mut numbers: Vec<_> = entries().map(|(_, number)| number).collect();
        let mut names: Vec<_> = entries().map(|(name, _)| name).collect();
        assert_eq!(TABLE.lines().count(), numbers.len(), "a line that does not parse");
        numbers.dedup();
        names.sort_unstable();
        names.dedup();
        assert_eq!((numbers.len(), names.len()), (TABLE.lines().count(), TABLE.lines().count()));
    }
}
