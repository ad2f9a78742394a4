//! Instructions in front of libseccomp's, for system calls younger than the library.
//!
//! A call that the rules' author could not know must look as if the kernel did not have it (ENOSYS): C libraries try
//! new calls first and fall back on ENOSYS, but take the EPERM of a deny-by-default filter for the answer (moby issue
//! 41030; runc, `libcontainer/seccomp/patchbpf`). And calls that the rules do name, but the installed libseccomp does
//! not know, are decided here.
//!
//! ```text
//!     load architecture
//!     one of the filter's? else → main program (which kills)
//!     load number
//!     x32 bit set, or below the first newer number? → main program
//!     for each newer call named by the rules: equal? → its action
//!     above everything the rules name? → ENOSYS
//!     main program …
//! ```

use super::compile::{Newer, action};
use libseccomp::{ScmpAction, ScmpArch, ScmpSyscall};
use oci_spec::runtime::{LinuxSeccomp, LinuxSeccompAction};

/// Calls since Linux 5.15, whose numbers are the same on all architectures (`include/uapi/asm-generic/unistd.h`).
const NEWER: &[(&str, u32)] = &[
    ("futex_waitv", 449),
    ("set_mempolicy_home_node", 450),
    ("cachestat", 451),
    ("fchmodat2", 452),
    ("map_shadow_stack", 453),
    ("futex_wake", 454),
    ("futex_wait", 455),
    ("futex_requeue", 456),
    ("statmount", 457),
    ("listmount", 458),
    ("lsm_get_self_attr", 459),
    ("lsm_set_self_attr", 460),
    ("lsm_list_modules", 461),
    ("mseal", 462),
    ("setxattrat", 463),
    ("getxattrat", 464),
    ("listxattrat", 465),
    ("removexattrat", 466),
    ("open_tree_attr", 467),
    ("file_getattr", 468),
    ("file_setattr", 469),
    ("listns", 470),
];

/// `__X32_SYSCALL_BIT`: x32 shares the architecture of x86-64 and marks its numbers.
const X32_BIT: u32 = 0x4000_0000;
const ENOSYS: u32 = 38;

/// `<linux/bpf_common.h>`
const LD_W_ABS: u16 = 0x20;
const JMP_JA: u16 = 0x05;
const JMP_JEQ_K: u16 = 0x15;
const JMP_JGE_K: u16 = 0x35;
const RET_K: u16 = 0x06;
/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;

/// The number of a call that is in the table.
pub(super) fn number_of_newer(name: &str) -> Option<u32> {
    NEWER.iter().find(|(n, _)| *n == name).map(|(_, number)| *number)
}

/// `main` with the prologue in front.
pub(super) fn prepend(
    main: Vec<u8>,
    architectures: &[ScmpArch],
    rules: &LinuxSeccomp,
    newer: &[Newer],
) -> Vec<u8> {
    let first =
        NEWER.iter().find(|(name, _)| ScmpSyscall::from_name(name).is_err()).map_or(u32::MAX, |(_, n)| *n);
    let unknown = if is_denial(rules.default_action()) { Some(last_named(rules) + 1) } else { None };
    if newer.is_empty() && unknown.is_none() {
        return main;
    }
    let mut code: Vec<Instruction> = Vec::new();
    let tokens: Vec<u32> = architectures.iter().map(|a| token(*a)).collect();
    code.push(Instruction::new(LD_W_ABS, 0, 0, ARCHITECTURE));
    for (i, token) in tokens.iter().enumerate() {
        // To the load of the number, past the other comparisons and the jump that ends them.
        code.push(Instruction::new(JMP_JEQ_K, (tokens.len() - i) as u8, 0, *token));
    }
    let to_main = code.len();
    code.push(Instruction::new(JMP_JA, 0, 0, 0));
    code.push(Instruction::new(LD_W_ABS, 0, 0, NUMBER));
    let from = first.min(unknown.unwrap_or(u32::MAX));
    let below = code.len();
    code.push(Instruction::new(JMP_JGE_K, 0, 0, from));
    let x32 = code.len();
    code.push(Instruction::new(JMP_JGE_K, 0, 0, X32_BIT));
    for call in newer {
        code.push(Instruction::new(JMP_JEQ_K, 0, 1, call.number));
        code.push(Instruction::new(RET_K, 0, 0, raw(call.action)));
    }
    if let Some(unknown) = unknown {
        code.push(Instruction::new(JMP_JGE_K, 0, 1, unknown));
        code.push(Instruction::new(RET_K, 0, 0, raw(ScmpAction::Errno(ENOSYS as i32))));
    }
    let end = code.len();
    code[to_main].k = (end - to_main - 1) as u32;
    code[below].jf = (end - below - 1) as u8;
    code[x32].jt = (end - x32 - 1) as u8;
    code.iter().flat_map(|i| i.bytes()).chain(main).collect()
}

/// With any other default an unknown call is meant to get through, or be seen.
fn is_denial(action: LinuxSeccompAction) -> bool {
    use LinuxSeccompAction::*;
    matches!(action, ScmpActErrno | ScmpActKill | ScmpActKillThread | ScmpActKillProcess | ScmpActTrap)
}

/// The highest native number that the rules mention: their author knew the kernel up to there.
fn last_named(rules: &LinuxSeccomp) -> u32 {
    let number = |name: &String| {
        let known = ScmpSyscall::from_name(name).ok().and_then(|s| u32::try_from(s.as_raw_syscall()).ok());
        number_of_newer(name).or(known)
    };
    let names = rules.syscalls().iter().flatten().flat_map(|s| s.names());
    // 448 (process_mrelease, Linux 5.15) was there before this program was; a short list of rules is a short list, not
    // an old one.
    names.filter_map(number).max().unwrap_or(0).max(448)
}

/// The filter that has connect(2) of the native architecture answered by a supervisor. Calls of other architectures go
/// their way.
pub(super) fn connections() -> Vec<u8> {
    // connect has a number of its own on every native architecture since Linux 4.3 (socketcall is 32-bit x86's past).
    let connect = ScmpSyscall::from_name("connect").map_or(u32::MAX, |s| s.as_raw_syscall().cast_unsigned());
    let code = [
        Instruction::new(LD_W_ABS, 0, 0, ARCHITECTURE),
        Instruction::new(JMP_JEQ_K, 0, 3, token(ScmpArch::native())),
        Instruction::new(LD_W_ABS, 0, 0, NUMBER),
        Instruction::new(JMP_JEQ_K, 0, 1, connect),
        Instruction::new(RET_K, 0, 0, raw(ScmpAction::Notify)),
        Instruction::new(RET_K, 0, 0, raw(ScmpAction::Allow)),
    ];
    code.iter().flat_map(|i| i.bytes()).collect()
}

/// `AUDIT_ARCH_*`, which libseccomp's own tokens are, except x32, which the kernel reports as x86-64.
fn token(architecture: ScmpArch) -> u32 {
    match architecture {
        ScmpArch::X86 => 0x4000_0003,
        ScmpArch::X8664 | ScmpArch::X32 => 0xc000_003e,
        ScmpArch::Arm => 0x4000_0028,
        ScmpArch::Aarch64 => 0xc000_00b7,
        ScmpArch::Mips => 0x0000_0008,
        ScmpArch::Mips64 => 0x8000_0008,
        ScmpArch::Mips64N32 => 0xa000_0008,
        ScmpArch::Mipsel => 0x4000_0008,
        ScmpArch::Mipsel64 => 0xc000_0008,
        ScmpArch::Mipsel64N32 => 0xe000_0008,
        ScmpArch::Ppc => 0x0000_0014,
        ScmpArch::Ppc64 => 0x8000_0015,
        ScmpArch::Ppc64Le => 0xc000_0015,
        ScmpArch::S390 => 0x0000_0016,
        ScmpArch::S390X => 0x8000_0016,
        ScmpArch::Parisc => 0x0000_000f,
        ScmpArch::Parisc64 => 0x8000_000f,
        ScmpArch::Riscv64 => 0xc000_00f3,
        _ => 0,
    }
}

/// `SECCOMP_RET_*`.
fn raw(action: ScmpAction) -> u32 {
    match action {
        ScmpAction::KillProcess => 0x8000_0000,
        ScmpAction::KillThread => 0,
        ScmpAction::Trap => 0x0003_0000,
        ScmpAction::Errno(errno) => 0x0005_0000 | errno as u32 & 0xffff,
        ScmpAction::Notify => 0x7fc0_0000,
        ScmpAction::Trace(data) => 0x7ff0_0000 | u32::from(data),
        ScmpAction::Log => 0x7ffc_0000,
        ScmpAction::Allow => 0x7fff_0000,
        // The enumeration is open; what it may gain one day is denied.
        _ => raw(action_denied()),
    }
}

fn action_denied() -> ScmpAction {
    action(LinuxSeccompAction::ScmpActErrno, None)
}

/// `struct sock_filter`
#[derive(Debug, Clone, Copy)]
struct Instruction {
    code: u16,
    jt: u8,
    jf: u8,
    k: u32,
}

impl Instruction {
    const fn new(code: u16, jt: u8, jf: u8, k: u32) -> Self {
        Self { code, jt, jf, k }
    }

    fn bytes(self) -> [u8; 8] {
        let ([c0, c1], [k0, k1, k2, k3]) = (self.code.to_ne_bytes(), self.k.to_ne_bytes());
        [c0, c1, self.jt, self.jf, k0, k1, k2, k3]
    }
}
