//! Replaces the C library's `getrandom` in a simulation binary, so that std's hash maps iterate in
//! the same order in every run.
//!
//! std draws the keys of its hash maps once for each thread, and every seed runs on a fresh thread;
//! a thread gets the same bytes each time. Nothing in a simulation needs secrets. The file is
//! included by the binary and by the test, not by the library: real processes keep real entropy.

use std::cell::Cell;

thread_local! {
    static STATE: Cell<u64> = const { Cell::new(0x0123_4567_89ab_cdef) };
}

/// Fills the buffer from a counter of the thread.
///
/// # Safety
/// The buffer must be valid for `length` bytes, as for the function it stands in for.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getrandom(buffer: *mut u8, length: usize, _flags: u32) -> isize {
    for at in 0..length {
        let next = STATE
            .get()
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        STATE.set(next);
        // SAFETY: the caller vouches for `length` bytes.
        unsafe { buffer.add(at).write((next >> 56) as u8) };
    }
    isize::try_from(length).unwrap_or(isize::MAX)
}
