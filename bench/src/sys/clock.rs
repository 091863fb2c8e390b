//! CPU clocks, and where a thread runs.

use std::io;
use std::time::Duration;

/// CPU time of the calling thread.
#[must_use]
pub(crate) fn thread_cpu() -> Duration {
    read(libc::CLOCK_THREAD_CPUTIME_ID).expect("every thread has this clock")
}

/// CPU time of all threads of a process, the ended ones included, to the nanosecond.
pub(crate) fn process_cpu(pid: u32) -> io::Result<Duration> {
    let mut clock = 0;
    let pid = libc::pid_t::try_from(pid).map_err(io::Error::other)?;
    // SAFETY: the call writes the one integer it is given.
    match unsafe { libc::clock_getcpuclockid(pid, &raw mut clock) } {
        0 => read(clock),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// The wall clock that the kernel stamps datagrams with, in nanoseconds since 1970.
#[must_use]
pub(crate) fn realtime_ns() -> u64 {
    let now = read(libc::CLOCK_REALTIME).expect("every system has this clock");
    u64::try_from(now.as_nanos()).expect("until the year 2554")
}

/// Processors of this machine.
#[must_use]
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Keeps the calling thread, and what it starts, on one processor.
pub(crate) fn pin_to(core: usize) -> io::Result<()> {
    // SAFETY: a set of no processors is all zeroes; the macros write within it, since they check
    // the index, and the call reads it.
    let result = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(core, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn read(clock: libc::clockid_t) -> io::Result<Duration> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes the one structure it is given.
    if unsafe { libc::clock_gettime(clock, &raw mut time) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let seconds = u64::try_from(time.tv_sec).map_err(io::Error::other)?;
    let nanos = u32::try_from(time.tv_nsec).map_err(io::Error::other)?;
    Ok(Duration::new(seconds, nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_count_work_and_not_sleep() {
        let (thread, process) = (thread_cpu(), process_cpu(std::process::id()).unwrap());
        std::thread::sleep(Duration::from_millis(30));
        assert!(thread_cpu() - thread < Duration::from_millis(20), "sleeping costs nothing");
        let mut sum = 0_u64;
        while thread_cpu() - thread < Duration::from_millis(30) {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        let of_process = process_cpu(std::process::id()).unwrap() - process;
        assert!(of_process >= Duration::from_millis(29), "{of_process:?}");
        assert!(process_cpu(u32::MAX).is_err());
    }
}
