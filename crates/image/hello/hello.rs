//! The program in the image `lichen/hello`: prints a greeting and ends.
//!
//! It has no libraries at all, so that the image needs no registry, no distribution, and only a few kilobytes of the
//! engine. `build.rs` compiles it; it is no part of any crate, which is why it has system calls of its own.
#![no_std]
#![no_main]

const GREETING: &[u8] = b"\
Hello from Lichen!

This text was printed by a program in a container, so these parts work:
 1. The client reached the engine over its socket.
 2. The engine, an unprivileged process in a user namespace, made the image
    \"lichen/hello\" from an archive inside itself; no registry was asked.
 3. It gave a container namespaces, a root file system, capabilities and system
    call rules of its own, and ran this program in it.
 4. The program's output came back to your terminal.

Next, try an image with a shell in it:
 $ docker run -it --rm busybox
";

/// Where the kernel enters a static program. Nothing is on the stack that is needed here.
#[unsafe(no_mangle)]
pub extern "C" fn _start() -> ! {
    let mut rest = GREETING;
    while !rest.is_empty() {
        match write(1, rest) {
            // A closed pipe or a full disk: nobody reads on, and there is nobody else to tell.
            written if written <= 0 => exit(1),
            written => rest = rest.get(written as usize..).unwrap_or(&[]),
        }
    }
    exit(0)
}

#[cfg(target_arch = "x86_64")]
fn write(fd: usize, bytes: &[u8]) -> isize {
    let result;
    // SAFETY: write(2) only reads the given bytes; syscall(2) says which registers the kernel changes.
    unsafe {
        core::arch::asm!("syscall", inlateout("rax") 1isize => result, in("rdi") fd, in("rsi") bytes.as_ptr(),
            in("rdx") bytes.len(), lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    result
}

#[cfg(target_arch = "x86_64")]
fn exit(status: usize) -> ! {
    // SAFETY: exit_group(2) takes a number and does not return.
    unsafe { core::arch::asm!("syscall", in("rax") 231usize, in("rdi") status, options(noreturn, nostack)) }
}

#[cfg(target_arch = "aarch64")]
fn write(fd: usize, bytes: &[u8]) -> isize {
    let result;
    // SAFETY: write(2) only reads the given bytes; syscall(2) says which registers the kernel changes.
    unsafe {
        core::arch::asm!("svc 0", in("x8") 64usize, inlateout("x0") fd => result, in("x1") bytes.as_ptr(),
            in("x2") bytes.len(), options(nostack));
    }
    result
}

#[cfg(target_arch = "aarch64")]
fn exit(status: usize) -> ! {
    // SAFETY: exit_group(2) takes a number and does not return.
    unsafe { core::arch::asm!("svc 0", in("x8") 94usize, in("x0") status, options(noreturn, nostack)) }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    exit(1)
}
