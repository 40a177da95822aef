//! Ctrl-C and SIGTERM: the run's directory is removed, the processes end with this one, and so does the run.

use std::fs;
use std::path::PathBuf;
use std::process;
use std::thread;

use anyhow::Context;

/// 128 + SIGINT (2): what a shell reports for a program ended by Ctrl-C.
const EXIT_INTERRUPTED: i32 = 130;

/// Listens from now on. At the first signal `directory` is removed and the program exits; the kernel then ends
/// everything that was started (see `process`).
///
/// # Errors
/// When the system gives no signals.
pub fn remove_at_signal(directory: PathBuf) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let signal = {
        let _context = runtime.enter();
        daemon::shutdown::listen().context("cannot listen for signals")?
    };
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let name = runtime.block_on(signal);
        eprintln!("\nbench: ended by {name}");
        // What cannot be removed is left in the system's temporary directory, which is emptied anyway.
        let _ = fs::remove_dir_all(directory);
        process::exit(EXIT_INTERRUPTED);
    })?;
    Ok(())
}
