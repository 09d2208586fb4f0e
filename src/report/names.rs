//! Counts names in bounded memory: the space-saving algorithm (Metwally, Agrawal, El Abbadi, 2005). When the
//! table is full, a new name replaces the rarest one and inherits its count, so frequent names stay and are
//! overestimated by at most that count. A flood of unique names does not displace frequent ones.

use serde::{Deserialize, Serialize};

const NAMES_MAX: usize = 64;
/// A longer name is cut.
const NAME_MAX: usize = 128;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    pub name: String,
    pub count: u64,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Top(Vec<Named>);

impl Top {
    pub fn count(&mut self, name: &str) {
        let name = &name[..name.floor_char_boundary(NAME_MAX)];
        if let Some(known) = self.0.iter_mut().find(|known| known.name == name) {
            known.count = known.count.saturating_add(1);
        } else if self.0.len() < NAMES_MAX {
            self.0.push(Named { name: name.to_owned(), count: 1 });
        } else if let Some(rarest) = self.0.iter_mut().min_by_key(|known| known.count) {
            *rarest = Named { name: name.to_owned(), count: rarest.count.saturating_add(1) };
        }
    }

    /// The most frequent first; those that are as frequent, by name.
    pub fn sorted(&self) -> Vec<&Named> {
        let mut sorted: Vec<_> = self.0.iter().collect();
        sorted.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.name.cmp(&b.name)));
        sorted
    }
}

impl FromIterator<Named> for Top {
    fn from_iter<I: IntoIterator<Item = Named>>(names: I) -> Top {
        Top(names.into_iter().take(NAMES_MAX).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_frequent_survives_a_flood_of_names() {
        let mut top = Top::default();
        for n in 0..100_000 {
            top.count(&format!("/{n}"));
            if n % 10 == 0 {
                top.count("/menu");
            }
        }
        assert_eq!(top.0.len(), NAMES_MAX);
        assert_eq!(top.sorted().first().map(|named| named.name.as_str()), Some("/menu"));
    }

    #[test]
    fn a_long_name_is_cut_between_characters() {
        let mut top = Top::default();
        top.count(&"ü".repeat(1000));
        assert_eq!(top.0[0].name.len(), NAME_MAX);
    }
}
