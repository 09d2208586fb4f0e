//! Links that name a host, where the author did not say which one is this site.

use std::collections::BTreeMap;

use super::Lint;
use crate::path::TreePath;

/// A link to a host that may be this one, to be judged when all maps have been read.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) map: TreePath,
    pub(super) line: usize,
    pub(super) host: Vec<u8>,
    pub(super) item_type: u8,
    pub(super) selector: Vec<u8>,
}

/// A host with fewer links that lead to files of this tree is not taken for this site: `/` and `/about`
/// are everywhere.
const LINKS_MIN: usize = 2;

impl Lint<'_> {
    /// Takes the host for ours to which the most links lead to files that are here, if that is at least half
    /// of its links. Then its other links should lead somewhere too.
    pub(super) fn named_hosts(&mut self) {
        let named = std::mem::take(&mut self.named);
        let mut hosts: BTreeMap<Vec<u8>, (usize, usize)> = BTreeMap::new();
        for link in named.iter().filter(|link| link.selector.iter().any(|&byte| byte != b'/')) {
            let (leading, all) = hosts.entry(link.host.to_ascii_lowercase()).or_default();
            *leading += usize::from(self.leads_to(&link.selector).is_some_and(|target| target.is_ok()));
            *all += 1;
        }
        let likely = hosts.iter().filter(|(_, (leading, all))| *leading >= LINKS_MIN && leading * 2 >= *all);
        let Some((host, _)) = likely.max_by_key(|(_, (leading, _))| *leading) else { return };
        for link in named.iter().filter(|link| link.host.eq_ignore_ascii_case(host)) {
            if let Some(what) = self.target(link.item_type, &link.selector) {
                let host = String::from_utf8_lossy(host).into_owned();
                self.find(
                    &link.map,
                    Some(link.line),
                    &format!("{what}, if {host} is this site (--host {host})"),
                );
            }
        }
    }
}
