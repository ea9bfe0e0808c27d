//! The program of a sandbox: it waits for signals and does nothing else. Pure.
//!
//! Where a pod's containers share their processes, it is the first of them and inherits what others leave
//! behind: it has the kernel forget what ends, so that nothing of it stays.
//!
//! It is written out as an ELF file of some hundred bytes: header, one segment, the code. So its image
//! comes from no registry and needs no second compiler.

use crate::local::ImageSpec;

/// The image of every sandbox. Another program gets another tag.
pub const SANDBOX_IMAGE: &str = "dugout-sandbox:2";

const HEADER: usize = 64;
const SEGMENT: usize = 56;
/// Where the file lies in memory.
const BASE: u64 = 0x40_0000;

#[cfg(target_arch = "x86_64")]
const MACHINE: u16 = 62;
#[cfg(target_arch = "aarch64")]
const MACHINE: u16 = 183;

/// `rt_sigaction(SIGCHLD, ignore, 0, 8)`, then `pause()`, for ever. What follows the code is `ignore`.
#[cfg(target_arch = "x86_64")]
const CODE: &[u8] = &[
    0xb8, 0x0d, 0x00, 0x00, 0x00, // mov eax, 13
    0xbf, 0x11, 0x00, 0x00, 0x00, // mov edi, 17
    0x48, 0x8d, 0x35, 0x13, 0x00, 0x00, 0x00, // lea rsi, [the end]
    0x31, 0xd2, // xor edx, edx
    0x41, 0xba, 0x08, 0x00, 0x00, 0x00, // mov r10d, 8
    0x0f, 0x05, // syscall
    0xb8, 0x22, 0x00, 0x00, 0x00, // mov eax, 34
    0x0f, 0x05, // syscall
    0xeb, 0xf7, // jmp to the mov before
];

/// The same with `ppoll(0, 0, 0, 0, 0)`: this machine has no `pause`.
#[cfg(target_arch = "aarch64")]
const CODE: &[u8] = &[
    0x20, 0x02, 0x80, 0xd2, // mov x0, 17
    0xa1, 0x01, 0x00, 0x10, // adr x1, the end
    0x02, 0x00, 0x80, 0xd2, // mov x2, 0
    0x03, 0x01, 0x80, 0xd2, // mov x3, 8
    0xc8, 0x10, 0x80, 0xd2, // mov x8, 134
    0x01, 0x00, 0x00, 0xd4, // svc 0
    0x00, 0x00, 0x80, 0xd2, // mov x0, 0
    0x01, 0x00, 0x80, 0xd2, // mov x1, 0
    0x02, 0x00, 0x80, 0xd2, // mov x2, 0
    0x03, 0x00, 0x80, 0xd2, // mov x3, 0
    0x04, 0x00, 0x80, 0xd2, // mov x4, 0
    0x28, 0x09, 0x80, 0xd2, // mov x8, 73
    0x01, 0x00, 0x00, 0xd4, // svc 0
    0xf9, 0xff, 0xff, 0x17, // b to the first mov of these six
];

/// What `rt_sigaction` takes to ignore a signal: the handler 1, and no flags, restorer or mask.
const IGNORE: [u64; 4] = [1, 0, 0, 0];

/// The image, as the engine is given it.
pub fn image() -> ImageSpec {
    ImageSpec {
        name: SANDBOX_IMAGE.to_owned(),
        program_path: "/pause".to_owned(),
        program: program(),
        env: Vec::new(),
        exposed_ports: Vec::new(),
        user: "65535:65535".to_owned(),
    }
}

/// The program as a file.
fn program() -> Vec<u8> {
    let start = (HEADER + SEGMENT) as u64;
    let size = start + (CODE.len() + size_of_val(&IGNORE)) as u64;
    let mut file = Vec::with_capacity(HEADER + SEGMENT + CODE.len() + size_of_val(&IGNORE));
    // 64 bits, little end first, version 1, System V.
    file.extend([0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    file.extend(2u16.to_le_bytes()); // an executable
    file.extend(MACHINE.to_le_bytes());
    file.extend(1u32.to_le_bytes());
    file.extend((BASE + start).to_le_bytes()); // the entry
    file.extend((HEADER as u64).to_le_bytes()); // the segments
    file.extend(0u64.to_le_bytes()); // no sections
    file.extend(0u32.to_le_bytes());
    for number in [HEADER as u16, SEGMENT as u16, 1, 0, 0, 0] {
        file.extend(number.to_le_bytes());
    }
    file.extend(1u32.to_le_bytes()); // loaded
    file.extend(5u32.to_le_bytes()); // read and run
    for number in [0, BASE, BASE, size, size, 0x1000] {
        file.extend(number.to_le_bytes());
    }
    file.extend(CODE);
    file.extend(IGNORE.iter().flat_map(|word| word.to_le_bytes()));
    file
}
