//! An allocator that counts what the proxy's workers ask of it.
#![expect(unsafe_code, reason = "the language has no other way to watch an allocator")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

static COUNT: AtomicU64 = AtomicU64::new(0);

thread_local! {
    // Without a destructor and with a constant start, so that its use allocates nothing.
    static IS_WATCHED: Cell<bool> = const { Cell::new(true) };
}

/// The calling thread is not the proxy: what it allocates does not count.
pub(crate) fn look_away() {
    IS_WATCHED.set(false);
}

/// Allocations and reallocations of all watched threads so far.
pub(crate) fn allocations() -> u64 {
    COUNT.load(Ordering::Relaxed)
}

/// The system's allocator, watched.
pub(crate) struct Counting;

fn count() {
    if IS_WATCHED.get() {
        COUNT.fetch_add(1, Ordering::Relaxed);
    }
}

// SAFETY: every call goes to `System` with the arguments as they came, and its result is returned as it is, so
// whatever holds for `System` holds here. Counting touches neither the block nor the allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(block, layout) }
    }
}
