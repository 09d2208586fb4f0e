//! Reloads of `serve`: all services at SIGHUP, and a single one when its files were replaced.

use super::serve::{Wanted, bind_new, stats_socket, wanted};
use super::successor;
use super::tls::places;
use super::{attach, claim_place, in_words, resolve};
use crate::config::options::{Net, Options};
use crate::config::service::{Purpose, Service, ServiceId};
use crate::config::tls::{Companions, Role};
use crate::config::{self, ConfigError, Settings};
use crate::listener::Listener;
use crate::stats::public;
use crate::stats::socket::StatsSocket;
use crate::supervisor::renewal::{Reload, Reloaded};
use crate::supervisor::succession::{PassedOn, Successor};
use sandbox::IdSource;
use sandbox::launch::base::{Base, Clones};
use sandbox::launch::namespaces;
use sandbox::plan::ids::UserIds;
use std::cell::RefCell;
use std::path::PathBuf;

/// Where services come from.
pub(super) struct Origin<'a> {
    /// The command line.
    pub(super) options: Options,
    /// The settings in force.
    pub(super) settings: RefCell<Vec<Settings>>,
    pub(super) base: &'a Base,
    pub(super) has_groups: bool,
    /// Its own file, where a successor's will be.
    pub(super) program: PathBuf,
    /// Every range of ids that was in force. Sandboxes of an earlier one may still be live.
    pub(super) ids: RefCell<Vec<UserIds>>,
}

/// Refuses a range of ids that could give a sandbox the uid of an older one, and adds the others to those known.
pub(super) fn keep_uids_apart(known: &mut Vec<UserIds>, services: &[Service]) -> Result<(), String> {
    for ids in ids_of(services) {
        if let Some(old) = known.iter().find(|old| old.may_collide(ids)) {
            return Err(format!(
                "user_range: {}+{} overlaps {}+{}, which was in force before: choose one that does not overlap, or restart",
                ids.base(),
                ids.size(),
                old.base(),
                old.size()
            ));
        }
        if !known.contains(&ids) {
            known.push(ids);
        }
    }
    Ok(())
}

/// The ranges from which sandboxes get their ids by their pids.
pub(super) fn ids_of(services: &[Service]) -> Vec<UserIds> {
    let by_pid = |service: &Service| match service.plan.ids {
        IdSource::ByPid(ids) => Some(ids),
        IdSource::Fixed(_) => None,
    };
    services.iter().filter_map(by_pid).collect()
}

impl Reload for Origin<'_> {
    /// Reloads from the same command line and the files as they are now: all services, or none. Sockets that
    /// were passed stay; those of `--listen` become what it says now.
    fn reload(&self, listeners: &[Listener]) -> Result<Reloaded, String> {
        let base = self.base;
        let found = base.in_host(|| {
            let mut settings = config::load_all(self.options.clone())?;
            public::bind_all(&mut settings);
            let wanted = wanted(&settings, listeners).map_err(|(message, _)| ConfigError::usage(message))?;
            let in_force = settings.clone();
            if places(&settings) != places(&self.settings.borrow()) {
                let message = "tls_certificate: beginning or ending TLS of a service takes a restart";
                return Err(ConfigError::usage(message));
            }
            let (services, clones) = made_of(settings)?;
            let bound = bind_new(base, &wanted, listeners).map_err(ConfigError::usage)?;
            Ok::<_, ConfigError>((in_force, services, clones, wanted, bound))
        });
        let (in_force, mut services, clones, wanted, bound) = of_host(found)?;
        if !self.has_groups && services.iter().any(|service| service.cgroup.is_some()) {
            return Err("cgroups were not used until now: restart to use them".to_owned());
        }
        keep_out_of_host_network(&services, base)?;
        keep_uids_apart(&mut self.ids.borrow_mut(), &services)?;
        attach(base, &mut services, clones).map_err(|error| error.message)?;
        if let Some(service) = services.first() {
            namespaces::set_hostname(&service.hostname)
                .map_err(|errno| format!("cannot set the sandboxes' hostname: {errno}"))?;
        }
        self.settings.replace(in_force);
        let address = |(service, address, _): Wanted| (service, address);
        Ok(Reloaded { services, wanted: wanted.into_iter().map(address).collect(), bound })
    }

    fn renew(&self, id: ServiceId) -> Result<Service, String> {
        let places = places(&self.settings.borrow());
        // The service, or the one whose companion it is, with those that it has.
        let owner =
            |place: &Option<Companions>| place.is_some_and(|place| place.relay == id || place.signer == id);
        let owner = places.iter().position(owner).unwrap_or(id.index());
        let settings = self.settings.borrow().get(owner).cloned().into_iter().collect();
        let (mut services, clones) = of_host(self.base.in_host(|| made_of(settings)))?;
        attach(self.base, &mut services, clones).map_err(|error| error.message)?;
        let companions = places.get(owner).copied().flatten();
        let (among, role) = match companions {
            Some(companions) if companions.relay == id => (1, Role::Relay(ServiceId::at(owner))),
            Some(companions) if companions.signer == id => (2, Role::Signer(ServiceId::at(owner))),
            _ => (0, Role::Handler),
        };
        if among >= services.len() {
            return Err("there is no such service".to_owned());
        }
        let mut service = services.swap_remove(among);
        service.role = role;
        if let Some(tls) = &mut service.tls {
            tls.companions = companions;
        }
        Ok(service)
    }

    fn changed(&self, service: &Service) -> Option<String> {
        let whole = service.plan.rootfs.prebuilt.as_ref().is_none_or(|prebuilt| prebuilt.is_whole());
        let changed = service.sources.changed(self.base.host_root()).map(|changed| changed.to_string());
        changed.or_else(|| (!whole).then(|| "a mount point was removed from the template".to_owned()))
    }

    fn program_is_replaced(&self) -> bool {
        self.base.in_host(|| successor::is_replaced(&self.program)).unwrap_or(false)
    }

    fn succeed(&self, passed: &PassedOn<'_>) -> Result<Successor, String> {
        let ranges = self.ids.borrow().iter().map(|ids| (ids.base(), ids.size())).collect();
        successor::start(self.base, &self.program, ranges, passed)
    }

    fn stats_socket(&self) -> Option<StatsSocket> {
        self.base.in_host(stats_socket).ok().flatten()
    }
}

/// A supervisor of private sandboxes alone has stayed in the host's network: a sandbox that shared its
/// network would be there.
fn keep_out_of_host_network(services: &[Service], base: &Base) -> Result<(), String> {
    let left = base
        .has_left_host_network()
        .map_err(|errno| format!("cannot look at the network namespaces: {errno}"))?;
    if left || services.iter().all(|service| service.net == Net::Private) {
        return Ok(());
    }
    Err("net: 'shared' takes a restart, because every sandbox was private at the start".to_owned())
}

/// Resolved, with what they show cloned. In the host's mount namespace.
fn made_of(settings: Vec<Settings>) -> Result<(Vec<Service>, Vec<Clones>), ConfigError> {
    let mut services = resolve(settings, Purpose::Serve)?;
    services.iter_mut().try_for_each(claim_place)?;
    let clones = services
        .iter()
        .map(|service| Clones::take(&service.plan.rootfs).map_err(|failure| in_words(service, failure)))
        .collect::<Result<_, _>>()?;
    Ok((services, clones))
}

fn of_host<T>(found: Result<Result<T, ConfigError>, sys::Errno>) -> Result<T, String> {
    let found = found.map_err(|errno| {
        format!("cannot enter the host's mounts: {errno}; a reload needs CAP_SYS_CHROOT (CapabilityBoundingSet= in the unit)")
    })?;
    found.map_err(|error| error.message)
}
