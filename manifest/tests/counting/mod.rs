//! An allocator that counts: allocations, the bytes that are held, and the most that ever were.

#![allow(dead_code, reason = "each test counts what it needs")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);
static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    // SAFETY: the caller's duties are those of the system's allocator.
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        let held = HELD.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(held, Ordering::Relaxed);
        // SAFETY: the caller keeps the rules of `alloc`.
        unsafe { System.alloc(layout) }
    }

    // SAFETY: the caller's duties are those of the system's allocator.
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the rules of `dealloc`, and `alloc` had it from the system.
        unsafe { System.dealloc(pointer, layout) }
    }

    // SAFETY: the caller's duties are those of the system's allocator.
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // What is large is moved by the system without a copy.
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        let held = HELD.fetch_add(size, Ordering::Relaxed) + size;
        PEAK.fetch_max(held, Ordering::Relaxed);
        // SAFETY: the caller keeps the rules of `realloc`, and `alloc` had it from the system.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What something took; of the whole process.
pub struct Taken {
    pub allocations: usize,
    /// The most bytes beyond those that were held before.
    pub peak: usize,
    /// The bytes that are held longer, its result among them.
    pub held: usize,
}

/// Does something and counts.
pub fn count<R>(work: impl FnOnce() -> R) -> (R, Taken) {
    let allocations = ALLOCATIONS.load(Ordering::Relaxed);
    let before = HELD.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let result = work();
    let taken = Taken {
        allocations: ALLOCATIONS.load(Ordering::Relaxed) - allocations,
        peak: PEAK.load(Ordering::Relaxed) - before,
        held: HELD.load(Ordering::Relaxed).saturating_sub(before),
    };
    (result, taken)
}
