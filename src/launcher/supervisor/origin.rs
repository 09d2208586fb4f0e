//! The meaning of epoll's 64 bits of data.

/// Where an event comes from; with the number of its connection or listener it makes epoll's 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    Signal,
    Listener,
    Channel,
    Call,
    Stderr,
    Exit,
    Drain,
    Awaited,
    /// A child that resets a connection.
    Reset,
    /// Somebody asks for the statistics.
    Stats,
    /// Somebody who has asked for them reads.
    StatsClient,
    /// A zygote that is set up reports.
    ZygoteChannel,
    /// The listener of a zygote and of all its sandboxes.
    ZygoteCall,
    ZygoteExit,
    /// A message from the process before this one, or after it.
    Succession,
    /// A relay reports.
    Relay,
    /// A signer answers.
    Signer,
}

const ORIGINS: [Origin; 17] = [
    Origin::Signal,
    Origin::Listener,
    Origin::Channel,
    Origin::Call,
    Origin::Stderr,
    Origin::Exit,
    Origin::Drain,
    Origin::Awaited,
    Origin::Reset,
    Origin::Stats,
    Origin::StatsClient,
    Origin::ZygoteChannel,
    Origin::ZygoteCall,
    Origin::ZygoteExit,
    Origin::Succession,
    Origin::Relay,
    Origin::Signer,
];

pub(super) fn token(origin: Origin, number: u64) -> u64 {
    number << 5 | origin as u64
}

pub(super) fn from_token(token: u64) -> Option<(Origin, u64)> {
    let index = usize::try_from(token & 31).ok()?;
    Some((*ORIGINS.get(index)?, token >> 5))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_its_source_and_number() {
        for origin in ORIGINS {
            assert_eq!(from_token(token(origin, 123_456)), Some((origin, 123_456)));
        }
    }
}
