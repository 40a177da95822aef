//! Memory of a process, from `/proc/PID/status`, in bytes.

use std::fs;
use std::io;

/// What is resident now.
///
/// # Errors
/// When the process is gone.
pub fn resident(pid: u32) -> io::Result<u64> {
    field(pid, "VmRSS:")
}

/// The most that was resident since the start, or since [`reset_peak`].
///
/// # Errors
/// When the process is gone.
pub fn peak(pid: u32) -> io::Result<u64> {
    field(pid, "VmHWM:")
}

/// Lets [`peak`] start again from what is resident now.
///
/// # Errors
/// When the process is gone, or is not ours.
pub fn reset_peak(pid: u32) -> io::Result<()> {
    // 5 resets the peak and nothing else; see proc(5).
    fs::write(format!("/proc/{pid}/clear_refs"), "5")
}

fn field(pid: u32, name: &str) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    parse(&status, name).ok_or_else(|| {
        io::Error::new(io::ErrorKind::NotFound, format!("process {pid} has no {name} (it has ended)"))
    })
}

fn parse(status: &str, name: &str) -> Option<u64> {
    let kilobytes = status.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?;
    Some(kilobytes.parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_kilobytes_and_a_zombie_has_none() {
        let status = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        assert_eq!(parse(status, "VmRSS:"), Some(1 << 20));
        assert_eq!(parse(status, "VmHWM:"), Some(2 << 20));
        assert_eq!(parse("Name:\tx\nState:\tZ (zombie)\n", "VmRSS:"), None);
    }

    #[test]
    fn this_process_has_a_peak_at_or_above_what_it_occupies() {
        let pid = std::process::id();
        reset_peak(pid).unwrap();
        assert!(resident(pid).unwrap() > 0);
        assert!(peak(pid).unwrap() > 0);
        assert!(resident(u32::MAX).is_err());
    }
}
