//! The size of memory pages: small ones while nobody is here, so that an idle server takes little,
//! and large ones from the first participant on, so that many are served quickly.
//!
//! The allocator asks for large ones always. Where the kernel gives none, or is not Linux, nothing
//! changes.

use std::sync::Once;

/// From now on memory comes in small pages.
pub(crate) fn small_pages() {
    set_large_pages(false);
}

/// From now on memory comes in large pages; what is there already is converted bit by bit.
pub(crate) fn large_pages() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| set_large_pages(true));
}

fn set_large_pages(wanted: bool) {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(!wanted) {
        tracing::debug!(%error, "the size of pages stays as it is");
    }
    #[cfg(not(target_os = "linux"))]
    let _ = wanted;
}
