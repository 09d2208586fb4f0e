//! Proposals that the opened paths lead to.

use seccomp::lessons::Access;
use std::collections::{BTreeMap, BTreeSet};

/// Directories of a proposal.
const DIRECTORIES_MAX: usize = 8;
/// Missing paths that are listed.
const MISSING_MAX: usize = 20;

/// Lines about the paths.
pub(crate) fn proposals(paths: &BTreeMap<Access, BTreeSet<String>>) -> Vec<String> {
    let of = |access| paths.get(&access).into_iter().flatten().map(String::as_str).collect::<Vec<_>>();
    let (read, written, missing) = (of(Access::Read), of(Access::Write), of(Access::Missing));
    let mut lines = Vec::new();
    if !read.is_empty() {
        lines.push(format!("read: landlock_ro = {}", list(&directories(&read))));
    }
    if !written.is_empty() {
        let kept = "what is to stay needs a writable bind (--bind), the rest a tmpfs";
        lines.push(format!("written: landlock_rw = {}; {kept}", list(&directories(&written))));
    }
    if !missing.is_empty() {
        let shown: Vec<_> = missing.iter().take(MISSING_MAX).copied().collect();
        let more = missing.len().saturating_sub(MISSING_MAX);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        lines.push(format!("not there, for the template if the handler needs it: {}{more}", shown.join(" ")));
    }
    lines
}

/// The directories of paths, cut until they are few.
fn directories(paths: &[&str]) -> BTreeSet<String> {
    let deepest = paths.iter().map(|path| path.matches('/').count()).max().unwrap_or(1);
    let at = |depth: usize| -> BTreeSet<String> { paths.iter().map(|path| directory(path, depth)).collect() };
    (1..deepest).rev().map(at).find(|found| found.len() <= DIRECTORIES_MAX).unwrap_or_else(|| at(1))
}

/// The directory of a path, of at most so many components.
fn directory(path: &str, depth: usize) -> String {
    let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
    let components: Vec<_> =
        parent.split('/').filter(|component| !component.is_empty()).take(depth).collect();
    format!("/{}", components.join("/"))
}

fn list(directories: &BTreeSet<String>) -> String {
    let quoted: Vec<_> = directories.iter().map(|directory| format!("\"{directory}\"")).collect();
    format!("[{}]", quoted.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lists: &[(Access, &[&str])]) -> Vec<String> {
        let set = |paths: &&[&str]| paths.iter().map(ToString::to_string).collect();
        proposals(&lists.iter().map(|(access, paths)| (*access, set(paths))).collect())
    }

    #[test]
    fn directories_are_proposed_and_what_is_missing_is_listed() {
        let lines = of(&[
            (Access::Read, &["/etc/x", "/srv/a/b", "/srv/a/c", "/hello"]),
            (Access::Write, &["/tmp/x"]),
            (Access::Missing, &["/etc/passwd"]),
        ]);
        assert_eq!(lines[0], r#"read: landlock_ro = ["/", "/etc", "/srv/a"]"#);
        assert!(lines[1].starts_with(r#"written: landlock_rw = ["/tmp"]; "#), "{}", lines[1]);
        assert!(lines[2].ends_with("needs it: /etc/passwd"), "{}", lines[2]);
        assert_eq!(of(&[]), Vec::<String>::new());
    }

    #[test]
    fn many_directories_are_cut_to_fewer() {
        let paths: Vec<String> = (0..30).map(|number| format!("/usr/lib/python/{number}/x")).collect();
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        assert_eq!(of(&[(Access::Read, &paths)]), [r#"read: landlock_ro = ["/usr/lib/python"]"#]);
    }
}
