//! The groups of system calls that systemd names, `@mount` and the like.

use std::collections::BTreeSet;

/// A group a paragraph: its name with a colon, then names of calls and of other groups.
const GROUPS: &str = include_str!("groups.txt");

/// The calls of a group and its subgroups; None for an unknown group.
pub(super) fn calls(group: &str) -> Option<BTreeSet<&'static str>> {
    let mut calls = BTreeSet::new();
    for word in words(group)? {
        match word.starts_with('@') {
            true => calls.extend(self::calls(word)?),
            false => {
                calls.insert(word);
            }
        }
    }
    Some(calls)
}

fn words(group: &str) -> Option<impl Iterator<Item = &'static str> + use<'_>> {
    let heads = move |word: &str| word.strip_suffix(':').is_some_and(|name| name == group);
    let text = GROUPS.lines().filter(|line| !line.starts_with('#')).flat_map(str::split_whitespace);
    let mut behind = text.skip_while(move |word| !heads(word));
    behind.next()?;
    Some(behind.take_while(|word| !word.ends_with(':')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_has_the_calls_of_the_groups_in_it() {
        assert_eq!(calls("@swap").unwrap(), BTreeSet::from(["swapoff", "swapon"]));
        let service = calls("@system-service").unwrap();
        assert!(service.contains("tee") && service.contains("seccomp") && !service.contains("mount"));
        assert_eq!(calls("@swapp"), None);
        assert_eq!(calls("@"), None);
    }

    #[test]
    fn every_group_that_is_named_is_there() {
        let heads = GROUPS.split_whitespace().filter_map(|word| word.strip_suffix(':'));
        let heads: Vec<_> = heads.filter(|head| head.starts_with('@')).collect();
        assert_eq!(heads.len(), 28);
        for group in heads {
            assert!(!calls(group).unwrap().is_empty(), "{group}");
        }
    }
}
