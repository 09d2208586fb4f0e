//! Whether all files that a sandbox can open are its own, so that a lock on one means nothing to
//! anybody else.
//!
//! A lock belongs to the inode. Under a writable snapshot each sandbox has inodes of its own, also of files
//! that it only reads: those of its overlay, or of its subvolume. Under `readonly` all sandboxes have those
//! of the template, and a read-only bind, a stack of them, or an opened file has those of the host: there one
//! sandbox could hold up others, or a program of the host. A writable bind is shared as well, on purpose: who
//! keeps files there wants the locks.

use super::options::{Options, SnapshotKind};
use super::passed_fds::How;

pub(super) fn are_all(options: &Options) -> bool {
    let snapshot = match options.snapshot.unwrap_or(SnapshotKind::Overlay) {
        SnapshotKind::Overlay | SnapshotKind::Btrfs => true,
        SnapshotKind::Readonly => false,
    };
    let binds = options.bind_ro.iter().flatten().filter(|bind| !bind.is_ours).count();
    let stacks = options.overlay_ro.iter().flatten().count();
    let opened = options.open.iter().flatten().filter(|open| open.how != How::Connect).count();
    snapshot && binds + stacks + opened == 0
}

#[cfg(test)]
mod tests {
    use super::super::parse_service_file;
    use super::*;

    #[test]
    fn files_are_the_sandboxs_own_unless_something_is_shown_read_only() {
        for (text, own) in [
            ("", true),
            ("snapshot = 'btrfs'", true),
            ("bind = ['/srv/data:/data']", true),
            ("open = ['/run/x:x:connect']", true),
            ("snapshot = 'readonly'", false),
            ("bind_ro = ['/srv:/srv']", false),
            ("overlay_ro = ['/a:/b:/c']", false),
            ("open = ['/var/log/x:x:append']", false),
            ("open = ['/etc/x:x:ro']", false),
        ] {
            assert_eq!(are_all(&parse_service_file(text).unwrap()), own, "{text}");
        }
        let mut options = parse_service_file("bind_ro = ['/run/dayfly/x:/run/dayfly']").unwrap();
        options.bind_ro.iter_mut().flatten().for_each(|bind| bind.is_ours = true);
        assert!(are_all(&options));
    }
}
