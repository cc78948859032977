//! All randomness of the process from one seed: hash maps, `rand`, `uuid`, tokio's choices.
//!
//! They all ask the C library's `getrandom`, directly or by looking it up among the symbols of the process. This crate
//! defines a function of that name, which the linker prefers. Nothing that has to stay secret may be made in such a
//! process. One library asks the clock instead ([`seed_thread`]).

use std::sync::atomic::{AtomicU64, Ordering};

/// Where the sequence is.
static STATE: AtomicU64 = AtomicU64::new(0);

/// Starts the sequence that belongs to `seed`. What was hashed before keeps its keys: the simulation runs in a thread that
/// begins afterwards.
pub fn seed(seed: u64) {
    STATE.store(mixed(seed ^ 0x5eed), Ordering::SeqCst);
}

/// Seeds what draws from a sequence of the thread that begins with the machine's clock: the back-offs of watches.
pub fn seed_thread(seed: u64) {
    fastrand::seed(seed);
}

/// The next number: splitmix64.
fn next() -> u64 {
    mixed(STATE.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::SeqCst))
}

const fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Takes the place of the C library's.
///
/// # Safety
/// As for the original: `length` bytes from `buffer` on can be written.
#[expect(
    unsafe_code,
    reason = "a function of the C library can only be replaced by one with the same name and signature"
)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getrandom(buffer: *mut u8, length: usize, _flags: u32) -> isize {
    let mut at = 0;
    while at < length {
        let bytes = next().to_le_bytes();
        let count = bytes.len().min(length - at);
        // SAFETY: `at + count <= length`, and the caller promises that so many bytes can be written.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), buffer.add(at), count) };
        at += count;
    }
    isize::try_from(length).unwrap_or(isize::MAX)
}
