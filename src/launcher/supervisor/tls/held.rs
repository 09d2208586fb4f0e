//! The record of a handler whose relay still passes on what it has written.

use crate::outcome::Record;
use tls_wire::Facts;

/// A record with the texts that it refers to.
#[derive(Debug)]
pub(super) struct Held {
    record: Record<'static>,
    peer: String,
    service: String,
    facts: Option<Facts>,
    selector: Option<String>,
}

impl Held {
    pub(super) fn new(record: &Record<'_>, selector: Option<&str>) -> Held {
        Held {
            record: Record {
                conn: record.conn,
                peer: "",
                service: "",
                pid: record.pid,
                uid: record.uid,
                outcome: record.outcome.clone(),
                wait_us: record.wait_us,
                setup_us: record.setup_us,
                run_us: record.run_us,
                usage: record.usage,
                bytes: record.bytes,
                answered: record.answered.clone(),
                learning: record.learning,
                tls: None,
                tls_cut: record.tls_cut,
            },
            peer: record.peer.to_owned(),
            service: record.service.to_owned(),
            facts: record.tls.cloned(),
            selector: selector.map(str::to_owned),
        }
    }

    /// Gives the record to `say`.
    pub(super) fn with(self, say: impl FnOnce(Record<'_>, Option<&str>)) {
        let Held { record, peer, service, facts, selector } = self;
        let record = Record { peer: &peer, service: &service, tls: facts.as_ref(), ..record };
        say(record, selector.as_deref());
    }
}
