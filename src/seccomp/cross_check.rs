//! The compiled programs of both machines against the tables they come from, by an interpreter of BPF:
//! every number, with arguments on both sides of every condition.

#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "words are cut out of arguments")]

use super::abi::{EXEC_FD, GUARD_CANARY, PROFILE_CANARY, Variant};
use super::bpf;
use super::compile::{compile, waits_in};
use super::guard;
use super::interpret::{Call, interpret};
use super::profile::model::{Action, Condition, Entry, Profile};
use super::profile::{parse, texts};
use std::collections::HashMap;
use sys::names::{self, Machine};

fn holds(condition: Condition, args: &[u64; 6]) -> bool {
    match condition {
        Condition::Word(index, value) => args[usize::from(index)] as u32 == value,
        Condition::WordAtMost(index, value) => args[usize::from(index)] as u32 <= value,
        Condition::WordAtLeast(index, value) => args[usize::from(index)] as u32 >= value,
        Condition::Masked { index, mask, value } => args[usize::from(index)] & mask == value,
    }
}

/// The table's answer, by the simplest reading.
fn expected(
    (entries, profile_locks): (&[&Entry], bool),
    machine: Machine,
    variant: Variant,
    call: &Call,
) -> u32 {
    let name = call.name;
    if variant.parked.is_some_and(|parked| waits_in(parked, machine) == name) {
        return if name == "read" && call.args[0] as u32 != 0 { bpf::ALLOW } else { bpf::NOTIFY };
    }
    let one_exec =
        name == "execveat" && (call.args[0] as u32, call.args[4] as u32) == (EXEC_FD as u32, 0x1000);
    let dumpable =
        variant.dumpable_off_late && name == "prctl" && call.args[0] as u32 == 4 && call.args[1] == 0;
    let command = call.args[1] as u32;
    let lock =
        name == "fcntl" && matches!(command, 5..=7 | 36..=38) || name == "flock" && call.args[1] & !15 == 0;
    let own_locks =
        variant.locks && profile_locks && lock && !entries.iter().any(|entry| entry.name == "flock");
    if one_exec || dumpable || own_locks {
        return bpf::ALLOW;
    }
    let matches = |entry: &&&Entry| {
        entry.when.iter().any(|all| all.iter().all(|condition| holds(*condition, &call.args)))
    };
    let by_condition = entries.iter().filter(matches).min_by_key(|entry| entry.action);
    let found = by_condition.or_else(|| entries.iter().find(|entry| entry.when.is_empty()));
    match found.map(|entry| entry.action) {
        Some(Action::Allow) => bpf::ALLOW,
        Some(Action::Errno(number)) => bpf::errno(number),
        Some(Action::Kill) => libc::SECCOMP_RET_KILL_PROCESS,
        Some(Action::Notify) | None => bpf::NOTIFY,
    }
}

/// Arguments that meet an alternative, and arguments that miss it by one condition each.
fn around(conditions: &[Condition]) -> Vec<[u64; 6]> {
    let mut args = [0; 6];
    for condition in conditions {
        match *condition {
            Condition::Word(index, value) | Condition::WordAtMost(index, value) => {
                args[usize::from(index)] = value.into();
            }
            Condition::WordAtLeast(index, value) => args[usize::from(index)] = value.into(),
            Condition::Masked { index, value, .. } => args[usize::from(index)] = value,
        }
    }
    let mut all = vec![args];
    for index in 0..6 {
        for bit in 0..64 {
            let mut other = args;
            other[index] ^= 1 << bit;
            all.push(other);
        }
    }
    all
}

fn agrees(profile: &Profile, machine: Machine, variant: Variant, what: &str) {
    let program = compile(profile, machine, variant).unwrap();
    let names: HashMap<u32, &'static str> = machine.calls().map(|(name, number)| (number, name)).collect();
    for number in (0..1024).chain(0x4000_0000..0x4000_0400).chain([u32::MAX]) {
        let name = names.get(&number).copied().unwrap_or("");
        let entries: Vec<&Entry> = profile.entries.iter().filter(|entry| entry.number == number).collect();
        let alternatives = entries.iter().flat_map(|entry| &entry.when);
        let mut arguments: Vec<[u64; 6]> = alternatives.flat_map(|all| around(all)).collect();
        if matches!(name, "fcntl" | "flock") {
            arguments.extend((0..64).map(|command| [3, command, 0, 0, 0, 0]));
        }
        if name == "execveat" {
            arguments.extend(around(&[Condition::Word(0, EXEC_FD as u32), Condition::Word(4, 0x1000)]));
        }
        arguments.extend([[0; 6], [u64::MAX; 6], [4, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0]]);
        for args in arguments {
            let call = Call { number, name, arch: machine.audit_arch(), args };
            let (found, expected) = (
                interpret(&program, &call),
                expected((&entries, profile.traits.locks), machine, variant, &call),
            );
            assert_eq!(found, expected, "{what} {machine:?} {variant:?} {call:x?}");
        }
    }
}

fn read(name: &str, text: &str, machine: Machine) -> Profile {
    let mut include = |name: &str| Ok((name.to_owned(), texts::included(name).unwrap().to_owned()));
    parse::parse(name, text, machine, &mut include).unwrap()
}

#[test]
fn every_program_says_what_its_table_says_of_every_number_on_both_machines() {
    for machine in Machine::ALL {
        for (name, _) in texts::PROFILES {
            let profile = read(name, texts::included(name).unwrap(), machine);
            for variant in Variant::ALL {
                agrees(&profile, machine, variant, name);
            }
        }
    }
}

#[test]
fn all_actions_and_conditions_go_together() {
    let text = "arch x86_64 aarch64\n\
        allow ioctl # r\n\
        errno EPERM ioctl if arg1 == 0x5412 # r\n\
        kill ptrace # r\n\
        notify openat if int2 >= 7 and int2 <= 9 # r\n\
        allow openat # r\n\
        kill read if arg0 & 0xf0 == 0x30 or arg1 has 3 # r\n\
        errno ENOSYS read # r\n\
        allow prctl if int0 == 15 # r\n\
        errno EINVAL prctl # r\n";
    let including = "arch x86_64 aarch64\ninclude static\nallow prctl if int0 == 38 # r\n\
        allow fcntl if int1 == F_SETLK # r\nallow futex # r\n";
    for machine in Machine::ALL {
        for variant in Variant::ALL {
            agrees(&read("all", text, machine), machine, variant, "all");
            agrees(&read("including", including, machine), machine, variant, "including");
        }
    }
}

#[test]
fn a_call_by_another_machine_s_door_is_denied() {
    for machine in Machine::ALL {
        for (name, _) in texts::PROFILES {
            let profile = read(name, texts::included(name).unwrap(), machine);
            let program = compile(&profile, machine, Variant::ALL[0]).unwrap();
            // i386, arm, and our other architecture.
            for arch in
                [0x4000_0003, 0x4000_0028, Machine::X86_64.audit_arch(), Machine::Aarch64.audit_arch()]
            {
                for number in (0..1024).filter(|_| arch != machine.audit_arch()) {
                    let call = Call { number, name: "", arch, args: [0; 6] };
                    assert_eq!(interpret(&program, &call), bpf::NOTIFY, "{name} {call:x?}");
                }
            }
        }
    }
}

#[test]
fn each_canary_is_for_its_own_filter() {
    let profile = read("static", texts::included("static").unwrap(), names::NATIVE);
    let program = compile(&profile, names::NATIVE, Variant::ALL[0]).unwrap();
    let answer = |number| {
        let call = Call { number, name: "", arch: names::NATIVE.audit_arch(), args: [0; 6] };
        (interpret(&program, &call), interpret(guard::native(super::abi::Files::Temporary), &call))
    };
    assert_eq!(answer(PROFILE_CANARY.number), (bpf::errno(PROFILE_CANARY.errno), bpf::ALLOW));
    assert_eq!(answer(GUARD_CANARY.number), (bpf::ALLOW, bpf::errno(GUARD_CANARY.errno)));
}

#[test]
fn variants_have_the_places_that_their_index_says() {
    for (index, variant) in Variant::ALL.into_iter().enumerate() {
        assert_eq!(variant.index(), index);
    }
}
