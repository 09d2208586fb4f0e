//! Messages of the supervisor to the other program of `dayfly learn`, which writes the profile: lines of
//! text.

use super::learning::Lesson;
use std::fmt;
use std::str::FromStr;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// The first: the profile that the service began with.
    Began { profile: String },
    /// A call of a sandbox that has ended.
    Call(Learned),
    /// A path that a sandbox opened, escaped.
    Path { access: Access, path: String },
    /// A connection has ended so.
    Ended { outcome: String },
}

/// Calls of one kind that one sandbox made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Learned {
    pub number: u32,
    pub lesson: Lesson,
    /// The arguments that say what it does ([`super::learning::kind`]); None: there were too many kinds to
    /// keep apart.
    pub kind: Option<[u64; 6]>,
    pub count: u64,
}

/// The access to a path that a call asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Access {
    Read,
    Write,
    /// It was to be read and is not there.
    Missing,
}

impl Access {
    const ALL: [(&str, Access); 3] =
        [("read", Access::Read), ("write", Access::Write), ("missing", Access::Missing)];

    fn word(self) -> &'static str {
        Access::ALL.iter().find(|(_, access)| *access == self).map_or("", |(word, _)| word)
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Told::Began { profile } => write!(f, "began {profile}"),
            Told::Path { access, path } => write!(f, "path {} {path}", access.word()),
            Told::Ended { outcome } => write!(f, "ended {outcome}"),
            Told::Call(Learned { number, lesson, kind, count }) => {
                let (word, errno) = match lesson {
                    Lesson::Allowed => ("allowed", 0),
                    Lesson::Answered(errno) => ("answered", *errno),
                    Lesson::Ended => ("ended", 0),
                    Lesson::Guarded => ("guarded", 0),
                    Lesson::Impossible(errno) => ("impossible", *errno),
                    Lesson::Learned => ("learned", 0),
                };
                write!(f, "call {number} {word} {errno} {count}")?;
                kind.iter().flatten().try_for_each(|argument| write!(f, " {argument}"))
            }
        }
    }
}

impl FromStr for Told {
    type Err = ();

    fn from_str(line: &str) -> Result<Told, ()> {
        let (word, rest) = line.split_once(' ').ok_or(())?;
        match word {
            "began" => Ok(Told::Began { profile: rest.to_owned() }),
            "ended" => Ok(Told::Ended { outcome: rest.to_owned() }),
            "path" => {
                let (word, path) = rest.split_once(' ').ok_or(())?;
                let known = Access::ALL.iter().find(|(known, _)| *known == word).ok_or(())?;
                Ok(Told::Path { access: known.1, path: path.to_owned() })
            }
            "call" => call(rest).map(Told::Call).ok_or(()),
            _ => Err(()),
        }
    }
}

fn call(text: &str) -> Option<Learned> {
    let mut words = text.split(' ');
    let number = words.next()?.parse().ok()?;
    let (word, errno) = (words.next()?, words.next()?.parse().ok()?);
    let count = words.next()?.parse().ok()?;
    let lesson = match word {
        "allowed" => Lesson::Allowed,
        "answered" => Lesson::Answered(errno),
        "ended" => Lesson::Ended,
        "guarded" => Lesson::Guarded,
        "impossible" => Lesson::Impossible(errno),
        "learned" => Lesson::Learned,
        _ => return None,
    };
    let arguments: Vec<u64> = words.map(str::parse).collect::<Result<_, _>>().ok()?;
    let kind = if arguments.is_empty() { None } else { Some(arguments.try_into().ok()?) };
    Some(Learned { number, lesson, kind, count })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_heard() {
        let lessons =
            [Lesson::Allowed, Lesson::Answered(38), Lesson::Ended, Lesson::Guarded, Lesson::Impossible(13)];
        let calls = lessons.into_iter().chain([Lesson::Learned]).flat_map(|lesson| {
            [None, Some([u64::MAX, 0, 1, 2, 3, 4])].map(|kind| Learned { number: 72, lesson, kind, count: 9 })
        });
        let began = Told::Began { profile: "/etc/a profile".to_owned() };
        let ended = Told::Ended { outcome: "exited".to_owned() };
        let paths = Access::ALL.map(|(_, access)| Told::Path { access, path: "/a path".to_owned() });
        for told in calls.map(Told::Call).chain([began, ended]).chain(paths) {
            assert_eq!(told.to_string().parse(), Ok(told));
        }
        for line in [
            "",
            "call",
            "call 1 learned 0",
            "call 1 learned 0 1 2",
            "call 1 maybe 0 1",
            "path x /y",
            "other x",
        ] {
            assert_eq!(line.parse::<Told>(), Err(()), "{line}");
        }
    }
}
