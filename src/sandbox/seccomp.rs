//! The system call filter of a step, as a BPF program. Pure.
//!
//! The semantics are Docker's default profile's: refused calls get EPERM, calls this table has never heard of get ENOSYS, so that
//! programs fall back to older ones, and so does `clone3`, whose flags a filter cannot see. A program of an architecture
//! that the filter does not know gets ENOSYS as well; nothing is killed.

use super::syscalls::{AARCH64, ARM, Abi, LAST_KNOWN, SHARED, X86, X86_64};

/// One BPF instruction, laid out as the kernel's `struct sock_filter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(super) struct Instruction {
    code: u16,
    jump_true: u8,
    jump_false: u8,
    operand: u32,
}

/// Kinds of machine that can run a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Machine {
    /// Runs x86-64, x32 and 32-bit x86 programs.
    X86_64,
    /// Runs 64-bit and perhaps 32-bit ARM programs.
    Aarch64,
}

impl Machine {
    /// The machine this program was built for; none if there is no table for it.
    pub(super) fn native() -> Option<Self> {
        if cfg!(target_arch = "x86_64") {
            Some(Self::X86_64)
        } else if cfg!(target_arch = "aarch64") {
            Some(Self::Aarch64)
        } else {
            None
        }
    }
}

// linux/bpf_common.h: class, size or operation, and mode in one number.
const LOAD_WORD: u16 = 0x20;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_GREATER: u16 = 0x25;
const JUMP_AT_LEAST: u16 = 0x35;
const JUMP_ANY_BIT: u16 = 0x45;
const AND: u16 = 0x54;
const RETURN: u16 = 0x06;

// struct seccomp_data: nr, arch, instruction pointer (8 bytes), six arguments of 8 bytes. Both machines are little endian.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const FIRST_ARGUMENT: u32 = 16;

const ALLOW: u32 = 0x7fff_0000;
const ERRNO: u32 = 0x0005_0000;
const EPERM: u32 = ERRNO | 1;
const ENOSYS: u32 = ERRNO | 38;

const CLONE3: u32 = 435;
/// Every flag of `clone` that makes a namespace; the time namespace cannot be made by `clone`.
const NEW_NAMESPACES: u32 = 0x7e02_0000;
/// Set in the number of an x32 call.
const X32_BIT: u32 = 0x4000_0000;
/// The personalities Docker allows: Linux, its two variants of address space, both, and asking.
const PERSONALITIES: [u32; 5] = [0, 8, 0x0002_0000, 0x0002_0008, 0xffff_ffff];
/// `AF_ALG` and `AF_VSOCK`.
const REFUSED_FAMILIES: [u32; 2] = [38, 40];
/// x32 has calls of its own from 512 to 547; these two, `kexec_load` and `move_pages`, are refused.
const X32_LAST: u32 = 547;
const X32_REFUSED: [u32; 2] = [528, 533];
/// The private calls of 32-bit ARM: breakpoint, cacheflush, usr26, usr32, set_tls, get_tls.
const ARM_PRIVATE: (u32, u32) = (0x000f_0001, 0x000f_0006);

/// The filter for the programs a machine can run.
pub(super) fn filter(machine: Machine) -> Vec<Instruction> {
    let mut program = Program::default();
    program.load(ARCH);
    match machine {
        Machine::X86_64 => {
            program.when_equal(X86_64.audit_arch, &x86_64());
            program.when_equal(X86.audit_arch, &section(&X86));
        }
        Machine::Aarch64 => {
            program.when_equal(AARCH64.audit_arch, &section(&AARCH64));
            program.when_equal(ARM.audit_arch, &arm());
        }
    }
    program.answer(ENOSYS);
    program.0
}

fn x86_64() -> Program {
    let mut program = Program::default();
    program.load(NUMBER);
    let mut x32 = Program::default();
    x32.push(AND, 0, 0, !X32_BIT);
    let mut own = Program::default();
    for number in X32_REFUSED {
        own.answer_if_equal(number, EPERM);
    }
    own.push(JUMP_GREATER, 0, 1, X32_LAST);
    own.answer(ENOSYS);
    own.answer(ALLOW);
    x32.when_at_least(512, &own);
    x32.append(&decide(&X86_64));
    program.when_at_least(X32_BIT, &x32);
    program.append(&decide(&X86_64));
    program
}

fn arm() -> Program {
    let mut program = Program::default();
    program.load(NUMBER);
    let (first, last) = ARM_PRIVATE;
    program.push(JUMP_AT_LEAST, 0, 2, first);
    program.push(JUMP_GREATER, 1, 0, last);
    program.answer(ALLOW);
    program.append(&decide(&ARM));
    program
}

fn section(abi: &Abi) -> Program {
    let mut program = Program::default();
    program.load(NUMBER);
    program.append(&decide(abi));
    program
}

/// The answer for the call whose number is loaded.
fn decide(abi: &Abi) -> Program {
    let mut program = Program::default();
    program.push(JUMP_GREATER, 0, 1, LAST_KNOWN);
    program.answer(ENOSYS);
    program.answer_if_equal(CLONE3, ENOSYS);
    for (first, last) in ranges(abi.unassigned) {
        program.push(JUMP_AT_LEAST, 0, 2, first);
        program.push(JUMP_GREATER, 1, 0, last);
        program.answer(ENOSYS);
    }
    for number in numbers(abi.refused).chain(numbers(SHARED)) {
        program.answer_if_equal(number, EPERM);
    }
    program.when_equal(abi.socket, &arguments(&REFUSED_FAMILIES, EPERM, ALLOW));
    program.when_equal(abi.personality, &arguments(&PERSONALITIES, ALLOW, EPERM));
    let mut clone = Program::default();
    clone.load(FIRST_ARGUMENT);
    clone.push(JUMP_ANY_BIT, 0, 1, NEW_NAMESPACES);
    clone.answer(EPERM);
    clone.answer(ALLOW);
    program.when_equal(abi.clone, &clone);
    program.answer(ALLOW);
    program
}

/// Looks at the low half of the first argument, which is all the kernel takes of an `int`.
fn arguments(values: &[u32], listed: u32, otherwise: u32) -> Program {
    let mut program = Program::default();
    program.load(FIRST_ARGUMENT);
    for value in values {
        program.answer_if_equal(*value, listed);
    }
    program.answer(otherwise);
    program
}

fn numbers(table: &str) -> impl Iterator<Item = u32> {
    table.split_whitespace().map(|row| {
        let (_name, number) = row.split_once('=').expect("every row of the table has a number");
        number.parse().expect("every number of the table is one")
    })
}

fn ranges(table: &str) -> impl Iterator<Item = (u32, u32)> {
    table.split_whitespace().map(|row| {
        let (first, last) = row.split_once('-').expect("every range of the table has two ends");
        let end = |text: &str| text.parse().expect("every end of a range is a number");
        (end(first), end(last))
    })
}

/// Instructions; every jump stays inside the piece it was made for.
#[derive(Debug, Default)]
struct Program(Vec<Instruction>);

impl Program {
    fn push(&mut self, code: u16, jump_true: u8, jump_false: u8, operand: u32) {
        self.0.push(Instruction { code, jump_true, jump_false, operand });
    }

    fn load(&mut self, offset: u32) {
        self.push(LOAD_WORD, 0, 0, offset);
    }

    fn answer(&mut self, action: u32) {
        self.push(RETURN, 0, 0, action);
    }

    fn answer_if_equal(&mut self, value: u32, action: u32) {
        self.push(JUMP_EQUAL, 0, 1, value);
        self.answer(action);
    }

    /// Enters `body`, which always answers, if the loaded value is `value`.
    fn when_equal(&mut self, value: u32, body: &Self) {
        self.enter(JUMP_EQUAL, value, body);
    }

    /// Enters `body`, which always answers, if the loaded value is `value` or more.
    fn when_at_least(&mut self, value: u32, body: &Self) {
        self.enter(JUMP_AT_LEAST, value, body);
    }

    fn enter(&mut self, code: u16, value: u32, body: &Self) {
        // Conditional jumps reach 255 instructions, unconditional ones (code 0x05) as far as they like.
        self.push(code, 1, 0, value);
        self.push(0x05, 0, 0, u32::try_from(body.0.len()).expect("a filter has at most 4096 instructions"));
        self.append(body);
    }

    fn append(&mut self, other: &Self) {
        self.0.extend_from_slice(&other.0);
    }
}

/// What the kernel would answer: an interpreter for the few instructions used here.
#[cfg(test)]
pub(super) fn evaluate(program: &[Instruction], arch: u32, number: u32, argument: u32) -> u32 {
    let (mut at, mut loaded) = (0, 0);
    loop {
        let Instruction { code, jump_true, jump_false, operand } = program[at];
        at += 1;
        let jump = |holds: bool| usize::from(if holds { jump_true } else { jump_false });
        match code {
            LOAD_WORD => {
                loaded = match operand {
                    NUMBER => number,
                    ARCH => arch,
                    _ => argument,
                }
            }
            AND => loaded &= operand,
            RETURN => return operand,
            JUMP_EQUAL => at += jump(loaded == operand),
            JUMP_GREATER => at += jump(loaded > operand),
            JUMP_AT_LEAST => at += jump(loaded >= operand),
            JUMP_ANY_BIT => at += jump(loaded & operand != 0),
            0x05 => at += operand as usize,
            _ => panic!("instruction {code:#x} is not one of ours"),
        }
    }
}
