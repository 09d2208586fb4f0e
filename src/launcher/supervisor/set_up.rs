//! A sandbox of a zygote while it sets itself up: its calls, and the look at what it has inherited.

use super::answers::call_of;
use super::live::Live;
use sandbox::launch::zygote::{self, Answer};
use sandbox::step::Step;
use std::os::fd::AsFd;
use sys::seccomp::Notification;
use sys::token::Token;
use sys::{Errno, Ignoring};

impl Live {
    /// Settles one notified call of its set-up.
    pub(super) fn answer_set_up(&mut self, notification: &Notification, token: Token) {
        let (Some(set_up), Some(listener)) = (self.set_up.take(), &self.listener) else { return };
        let (listener, id, call) = (listener.as_fd(), notification.id, call_of(notification));
        let answered = match set_up.judge(&call, token) {
            Answer::Equip => {
                // It reports if it fails from here on, and executes the handler if not.
                self.ready = true;
                set_up.equip(listener, id, self.sandbox.identity)
            }
            Answer::Failed(failure) => {
                self.failure.get_or_insert(failure);
                sys::seccomp::end_call(listener, id)
            }
            Answer::Deny => Err(Errno::EPERM),
        };
        if let Err(errno) = answered {
            self.fail(Step::Release, errno);
        }
    }

    /// At its first call that the profile notifies: it was executed. What it has inherited is looked at
    /// before it has a connection. False: it is killed.
    pub(super) fn look_once(&mut self, filters: u32) -> bool {
        if !std::mem::replace(&mut self.executed, true)
            && let Err(failure) = zygote::verify_inherited(&self.sandbox, filters)
        {
            self.failure.get_or_insert(failure);
            self.kill();
        }
        self.failure.is_none()
    }

    /// Whether the call says that the handler could not be executed.
    pub(super) fn hears_of_failed_exec(&mut self, notification: &Notification, token: Token) -> bool {
        let failure = zygote::failure_of(&call_of(notification), token).filter(|_| !self.executed);
        let (Some(failure), Some(listener)) = (failure, &self.listener) else { return false };
        self.failure.get_or_insert(failure);
        sys::seccomp::end_call(listener.as_fd(), notification.id).ignoring("it has died");
        true
    }
}
