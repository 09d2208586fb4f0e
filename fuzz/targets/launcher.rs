// The launcher's own modules, as each target's: there is no library of them. Included by each target.
#[path = "../../src"]
mod src {
    pub(crate) mod activation;
    pub(crate) mod cgroup;
    pub(crate) mod check;
    pub(crate) mod cli;
    pub(crate) mod command;
    pub(crate) mod config;
    pub(crate) mod connection;
    pub(crate) mod explain;
    pub(crate) mod kernel;
    pub(crate) mod listener;
    pub(crate) mod log;
    pub(crate) mod notify;
    pub(crate) mod outcome;
    pub(crate) mod privilege;
    pub(crate) mod proxy_header;
    pub(crate) mod stats;
    pub(crate) mod supervisor;
    pub(crate) mod unit;
}

// Among themselves they are at the root.
use src::{
    activation, cgroup, check, cli, command, config, connection, explain, kernel, listener, log, notify,
    outcome, privilege, proxy_header, stats, supervisor, unit,
};
