//! Requests to valgrind, as `valgrind.h` and `memcheck.h` make them: a sequence of instructions that
//! does nothing on a processor and is a call under valgrind.

use std::arch::asm;

const RUNNING_ON_VALGRIND: u64 = 0x1001;
const COUNT_ERRORS: u64 = 0x1201;
const MAKE_MEM_UNDEFINED: u64 = 0x4d43_0001;
const MAKE_MEM_DEFINED: u64 = 0x4d43_0002;

fn request(code: u64, first: u64, second: u64) -> u64 {
    let arguments = [code, first, second, 0, 0, 0];
    let mut answer = 0;
    // SAFETY: four rotations by 128 bits in all and an exchange with itself change nothing. Valgrind
    // reads the arguments and writes the answer to rdx.
    unsafe {
        asm!(
            "rol rdi, 3",
            "rol rdi, 13",
            "rol rdi, 61",
            "rol rdi, 51",
            "xchg rbx, rbx",
            in("rax") arguments.as_ptr(),
            inout("rdx") answer,
            options(nostack),
        );
    }
    answer
}

pub fn is_running() -> bool {
    request(RUNNING_ON_VALGRIND, 0, 0) > 0
}

/// How many reports there were so far, repeated ones counted each time.
pub fn reports() -> u64 {
    request(COUNT_ERRORS, 0, 0)
}

/// From here on, a branch or an index that depends on these bytes is reported.
pub fn make_secret(address: u64, length: usize) {
    request(MAKE_MEM_UNDEFINED, address, length as u64);
}

/// The same bit, on which anything may depend.
pub fn make_public(bit: bool) -> bool {
    let mut bit = bit;
    let address = &raw mut bit;
    request(MAKE_MEM_DEFINED, address as u64, 1);
    // Read from where valgrind was told about it, and not from a register.
    std::hint::black_box(bit)
}
