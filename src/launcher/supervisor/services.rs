//! The services of a supervisor, each with its own limits, pool and counts: a flood on one takes no slots
//! from the others.

use super::admission::Admission;
use super::budget::LineBudget;
use super::pool::Pool;
use super::renewal::Renewal;
use super::statistics::Statistics;
use crate::cgroup::leaves::{Delegated, GroupError, Leaf, Leaves};
use crate::config::service::{Service, ServiceId};
use crate::config::tls::Role;
use crate::log;
use sandbox::step::Failure;
use std::ops::{Index, IndexMut};
use std::rc::Rc;
use std::time::Instant;

#[derive(Debug)]
pub(super) struct State {
    /// The service for new connections; a reload replaces it.
    pub(super) service: Rc<Service>,
    pub(super) pool: Pool,
    pub(super) admission: Admission,
    /// The cgroups of its sandboxes, if any.
    pub(super) leaves: Option<Leaves>,
    /// Counts of all sandboxes under this name, across reloads.
    pub(super) statistics: Statistics,
    pub(super) renewal: Renewal,
    /// Lines of its handlers that the log still takes.
    pub(super) lines: LineBudget,
    /// Sandboxes that do not die.
    pub(super) unkillable: usize,
}

impl State {
    fn new(service: Rc<Service>, groups: Option<&Rc<Delegated>>) -> State {
        State {
            leaves: leaves(&service, groups),
            pool: Pool::new(service.park, service.warm),
            admission: Admission::new(service.admission),
            service,
            statistics: Statistics::default(),
            renewal: Renewal::default(),
            lines: LineBudget::new(Instant::now()),
            unkillable: 0,
        }
    }

    /// A group for the next sandbox, if they have groups.
    pub(super) fn take_leaf(&mut self) -> Result<Option<Leaf>, Failure> {
        self.leaves.as_mut().map(Leaves::take).transpose().map_err(|error| failure_of(&error))
    }

    /// A group whose sandbox is dead, of a service that may have been replaced since.
    pub(super) fn put_leaf(&mut self, leaf: Option<Leaf>, service: &Service) {
        if let (Some(leaf), Some(leaves), Some(bounds)) = (leaf, &mut self.leaves, service.cgroup) {
            leaves.put(leaf, bounds);
        }
    }

    /// Waiting connections and counts stay.
    pub(super) fn replace(&mut self, service: Service, groups: Option<&Rc<Delegated>>) {
        if service.cgroup != self.service.cgroup {
            self.leaves = leaves(&service, groups);
        }
        let waiting = std::mem::take(&mut self.pool.waiting);
        self.pool = Pool::new(service.park, service.warm);
        self.pool.waiting = waiting;
        self.admission.change(service.admission);
        self.service = Rc::new(service);
    }
}

/// The failure that refuses the connection, once the log has the file.
pub(super) fn failure_of(error: &GroupError) -> Failure {
    log::detail(&error.to_string());
    error.failure()
}

fn leaves(service: &Service, groups: Option<&Rc<Delegated>>) -> Option<Leaves> {
    Some(Leaves::new(Rc::clone(groups?), service.cgroup?))
}

/// One for each service, never more or fewer.
#[derive(Debug)]
pub(super) struct Services(Vec<State>);

impl Services {
    pub(super) fn new(services: Vec<Rc<Service>>, groups: Option<&Rc<Delegated>>) -> Services {
        Services(services.into_iter().map(|service| State::new(service, groups)).collect())
    }

    /// Replaces the services, in the order in which they were made.
    pub(super) fn replace(&mut self, services: Vec<Service>, groups: Option<&Rc<Delegated>>) {
        for (state, service) in self.0.iter_mut().zip(services) {
            state.replace(service, groups);
        }
    }

    pub(super) fn ids(&self) -> Vec<ServiceId> {
        self.all().map(|(id, _)| id).collect()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (ServiceId, &State)> {
        ServiceId::all(&self.0)
    }

    pub(super) fn all_mut(&mut self) -> impl Iterator<Item = &mut State> {
        self.0.iter_mut()
    }

    /// The service that connections of this one are counted for.
    pub(super) fn owner(&self, id: ServiceId) -> ServiceId {
        match self[id].service.role {
            Role::Handler => id,
            Role::Relay(owner) | Role::Signer(owner) => owner,
        }
    }

    /// Connections that are served or wait for it.
    pub(super) fn connections(&self) -> usize {
        self.0.iter().map(|state| state.admission.count()).sum()
    }

    pub(super) fn anybody_waits(&self) -> bool {
        self.0.iter().any(|state| !state.pool.waiting.is_empty())
    }

    /// The service to build the next sandbox for: the one with the longest-waiting connection, else the first
    /// that wants one.
    pub(super) fn wanting(&self, now: Instant) -> Option<ServiceId> {
        let wanting = || self.all().filter(|(_, state)| state.pool.wants_one(now));
        let longest = wanting()
            .filter_map(|(id, state)| Some((state.pool.waiting.front()?.began, id)))
            .min_by_key(|(began, _)| *began);
        longest.map(|(_, id)| id).or_else(|| wanting().map(|(id, _)| id).next())
    }
}

impl Index<ServiceId> for Services {
    type Output = State;

    fn index(&self, id: ServiceId) -> &State {
        &self.0[id.index()]
    }
}

impl IndexMut<ServiceId> for Services {
    fn index_mut(&mut self, id: ServiceId) -> &mut State {
        &mut self.0[id.index()]
    }
}
