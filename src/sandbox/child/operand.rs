//! The operand of a failed step: an entry of the plan, by its list and its place there. The child can name it
//! without a word; the supervisor looks up the text.

use super::step::Step;

/// A mount below the root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mount {
    /// A read-only bind.
    Bind(u16),
    Dev,
    /// A writable bind.
    Writable(u16),
    Proc,
    Tmpfs(u16),
    Credentials,
}

impl Mount {
    /// The step that makes and attaches it.
    pub fn step(self) -> Step {
        match self {
            Mount::Bind(_) | Mount::Writable(_) => Step::Bind,
            Mount::Dev => Step::Dev,
            Mount::Proc => Step::Proc,
            Mount::Tmpfs(_) => Step::Tmpfs,
            Mount::Credentials => Step::Credentials,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operand {
    /// The step itself says what it is about.
    None,
    Mount(Mount),
    Credential(u16),
    /// A descriptor that is passed to the handler beside the connection.
    Passed(u16),
    Limit(u16),
    /// A Landlock rule; after the last one that of the handler.
    Rule(u16),
    Capability(u16),
    Descriptor(u16),
}

/// An index as a place in a list of a plan. No list is ever too long for it.
pub fn place(index: usize) -> u16 {
    u16::try_from(index).unwrap_or(u16::MAX).min(LAST)
}

/// The largest place that fits beside the kind.
const LAST: u16 = 0x0fff;

impl Operand {
    pub(crate) fn to_number(self) -> u16 {
        let (kind, place) = match self {
            Operand::None => (0, 0),
            Operand::Mount(Mount::Bind(place)) => (1, place),
            Operand::Mount(Mount::Dev) => (2, 0),
            Operand::Mount(Mount::Writable(place)) => (3, place),
            Operand::Mount(Mount::Proc) => (4, 0),
            Operand::Mount(Mount::Tmpfs(place)) => (5, place),
            Operand::Mount(Mount::Credentials) => (6, 0),
            Operand::Credential(place) => (7, place),
            Operand::Passed(place) => (8, place),
            Operand::Limit(place) => (9, place),
            Operand::Rule(place) => (10, place),
            Operand::Capability(place) => (11, place),
            Operand::Descriptor(place) => (12, place),
        };
        kind << 12 | place.min(LAST)
    }

    /// None for what no child of ours sends.
    pub(crate) fn from_number(number: u16) -> Option<Operand> {
        let place = number & LAST;
        Some(match number >> 12 {
            0 => Operand::None,
            1 => Operand::Mount(Mount::Bind(place)),
            2 => Operand::Mount(Mount::Dev),
            3 => Operand::Mount(Mount::Writable(place)),
            4 => Operand::Mount(Mount::Proc),
            5 => Operand::Mount(Mount::Tmpfs(place)),
            6 => Operand::Mount(Mount::Credentials),
            7 => Operand::Credential(place),
            8 => Operand::Passed(place),
            9 => Operand::Limit(place),
            10 => Operand::Rule(place),
            11 => Operand::Capability(place),
            12 => Operand::Descriptor(place),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operand_survives_the_wire() {
        let places = [0, 1, LAST];
        let lists =
            [Operand::Credential, Operand::Passed, Operand::Limit, Operand::Rule, Operand::Capability];
        let mounts = [Mount::Bind, Mount::Writable, Mount::Tmpfs];
        let mut all = vec![Operand::None];
        all.extend([Mount::Dev, Mount::Proc, Mount::Credentials].map(Operand::Mount));
        for place in places {
            all.extend(lists.iter().map(|list| list(place)));
            all.extend(mounts.iter().map(|mount| Operand::Mount(mount(place))));
            all.push(Operand::Descriptor(place));
        }
        for operand in all {
            assert_eq!(Operand::from_number(operand.to_number()), Some(operand));
        }
        assert_eq!(Operand::from_number(13 << 12), None);
    }
}
