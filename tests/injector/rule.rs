//! Which calls a rule means, and what becomes of them.
//!
//! `[role=R] [call=NAME] [nth=N] [argI=V]… [path=S] : ACTION…`
//!
//! A role is `launcher`, or that of the process that cloned it with `/pid`, `/user` or `/fork` added, by the
//! namespace it was cloned with. `nth` counts, from 1, the calls of one process that the rest of the rule
//! means. A path that begins with `*` means all that end with the rest. Numbers are compared by their low 32
//! bits, as the kernel takes most. Actions:
//!
//! - `return=V`: the call is not made and answers V;
//! - `answer=V`: the call is made and answers V;
//! - `argI=V`: it is made with another argument;
//! - `poke=PLACE,CLEAR,SET`: the 64 bits at PLACE, `argI+OFFSET` or `argI+OFFSET>OFFSET` (by one pointer),
//!   lose and get bits before the call;
//! - `mend=PLACE,CLEAR,SET`: the same after it.

#[derive(Debug, Default)]
pub struct Rule {
    role: Option<String>,
    call: Option<String>,
    nth: Option<u64>,
    arguments: Vec<(usize, u64)>,
    path: Option<String>,
    pub actions: Vec<Action>,
}

#[derive(Debug, Clone, Copy)]
pub enum Action {
    Return(i64),
    Answer(i64),
    Argument(usize, u64),
    Poke(Change),
    Mend(Change),
}

/// Bits of one word of memory.
#[derive(Debug, Clone, Copy)]
pub struct Change {
    pub place: Place,
    pub clear: u64,
    pub set: u64,
}

/// `argument + offset`, and then what that points to, plus `then`.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    pub argument: usize,
    pub offset: u64,
    pub then: Option<u64>,
}

impl Rule {
    pub fn parse(text: &str) -> Option<Rule> {
        let (conditions, actions) = text.split_once(':')?;
        let mut rule = Rule::default();
        for word in conditions.split_whitespace() {
            let (key, value) = word.split_once('=')?;
            match key {
                "role" => rule.role = Some(value.to_owned()),
                "call" => rule.call = Some(value.to_owned()),
                "nth" => rule.nth = Some(value.parse().ok()?),
                "path" => rule.path = Some(value.to_owned()),
                _ => rule.arguments.push((argument(key)?, number(value)? as u64)),
            }
        }
        for word in actions.split_whitespace() {
            let (key, value) = word.split_once('=')?;
            rule.actions.push(match key {
                "return" => Action::Return(number(value)?),
                "answer" => Action::Answer(number(value)?),
                "poke" => Action::Poke(Change::parse(value)?),
                "mend" => Action::Mend(Change::parse(value)?),
                _ => Action::Argument(argument(key)?, number(value)? as u64),
            });
        }
        (!rule.actions.is_empty()).then_some(rule)
    }

    /// Whether it means this call, but for its place in the count.
    pub fn means(&self, role: &str, call: &str, arguments: &[u64; 6], path: impl FnOnce() -> String) -> bool {
        self.role.as_deref().is_none_or(|wanted| wanted == role)
            && self.call.as_deref().is_none_or(|wanted| wanted == call)
            && self.arguments.iter().all(|(index, value)| arguments[*index] as u32 == *value as u32)
            && self.path.as_deref().is_none_or(|wanted| match wanted.strip_prefix('*') {
                Some(end) => path().ends_with(end),
                None => wanted == path(),
            })
    }

    /// Whether it may still mean a call of a process with this role, of whose calls it has meant so many.
    pub fn may_concern(&self, role: &str, count: u64) -> bool {
        self.role.as_deref().is_none_or(|wanted| wanted == role) && self.nth.is_none_or(|nth| nth > count)
    }

    pub fn is_turn(&self, count: u64) -> bool {
        self.nth.is_none_or(|nth| nth == count)
    }
}

impl Change {
    fn parse(text: &str) -> Option<Change> {
        let mut parts = text.split(',');
        let (place, clear, set) = (parts.next()?, parts.next()?, parts.next()?);
        let (index, offset) = place.split_once('+')?;
        let (offset, then) = match offset.split_once('>') {
            Some((offset, then)) => (offset, Some(number(then)? as u64)),
            None => (offset, None),
        };
        let place = Place { argument: argument(index)?, offset: number(offset)? as u64, then };
        Some(Change { place, clear: number(clear)? as u64, set: number(set)? as u64 })
    }
}

fn argument(word: &str) -> Option<usize> {
    word.strip_prefix("arg")?.parse().ok().filter(|index| *index < 6)
}

/// Decimal, negative, or hexadecimal up to 64 bits.
fn number(text: &str) -> Option<i64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok().map(u64::cast_signed),
        None => text.parse().ok(),
    }
}
