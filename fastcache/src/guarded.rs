//! `fastcache guarded PARENT PROGRAM ARGS…`: runs a program that ends when its parent does. Internal.
//!
//! `fastcache up` must leave no orphans, not even when it is killed with SIGKILL and can do nothing any
//! more. So each child asks the kernel, before anything else, to be killed together with its parent
//! (`PR_SET_PDEATHSIG`). The wish survives `exec`, hence HAProxy needs no guardian process of its own:
//! this process becomes HAProxy. The signal is SIGKILL: a child that hangs or is stopped ends too, and
//! none of them has anything to lose (the health service syncs what it keeps at each change).

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use rustix::process::{Pid, Signal, getpid, getppid, set_parent_process_death_signal};

/// The name of this subcommand.
pub(crate) const VERB: &str = "guarded";

/// The programs that are part of this binary.
pub(crate) const OWN_PROGRAMS: [&str; 3] = ["cache-node", "cache-proxy", "health-service"];

/// Whether this binary contains the program.
pub(crate) fn is_own_program(program: &str) -> bool {
    OWN_PROGRAMS.contains(&program)
}

/// The arguments to this binary that run the program guarded by the calling process.
pub(crate) fn arguments(program: &str, args: &[String]) -> Vec<String> {
    let own_id = getpid().as_raw_nonzero().to_string();
    [VERB.to_owned(), own_id, program.to_owned()].into_iter().chain(args.iter().cloned()).collect()
}

/// Runs the program, `run_own` being how those of this binary are run.
pub(crate) fn main(args: &[OsString], run_own: impl FnOnce(&str, &[OsString]) -> ExitCode) -> ExitCode {
    let [parent, program, args @ ..] = args else {
        eprintln!("fastcache {VERB}: for internal use only");
        return ExitCode::from(2);
    };
    if let Err(problem) = end_with(parent.to_str()) {
        eprintln!("fastcache {VERB}: {problem}");
        return ExitCode::FAILURE;
    }
    match program.to_str() {
        Some(name) if is_own_program(name) => run_own(name, args),
        _ => {
            // Only returns when it fails.
            let error = Command::new(program).args(args).exec();
            eprintln!("fastcache {VERB}: cannot run {}: {error}", program.display());
            ExitCode::FAILURE
        }
    }
}

fn end_with(parent: Option<&str>) -> Result<(), String> {
    let parent = parent.and_then(|id| id.parse().ok()).and_then(Pid::from_raw).ok_or("no parent given")?;
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|error| error.to_string())?;
    // The parent may have ended just before: then nobody would send the signal.
    if getppid() == Some(parent) { Ok(()) } else { Err("the parent has ended".into()) }
}
