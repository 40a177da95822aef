//! The directory of one `fastcache up`: configuration, state and logs, locked while it runs.

use std::env;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::Context;

/// The file that is locked; it also marks a directory as one of these.
const LOCK: &str = "fastcache.lock";

/// The directory; it is unlocked when this is dropped, or when the process ends in whatever way.
#[derive(Debug)]
pub(super) struct BaseDir {
    path: PathBuf,
    _lock: File,
}

impl BaseDir {
    /// Creates the directory (a default one when none is given) and locks it. What is in it stays.
    ///
    /// # Errors
    /// When it cannot be written, holds something else, or another `fastcache up` runs in it.
    pub(super) fn lock(given: Option<&Path>) -> anyhow::Result<Self> {
        let path = given.map_or_else(default_path, |path| Ok(path.to_owned()))?;
        fs::create_dir_all(&path).with_context(|| trouble("create", &path))?;
        let path = path.canonicalize().with_context(|| trouble("use", &path))?;
        let file = path.join(LOCK);
        let is_ours = file.exists() || fs::read_dir(&path)?.next().is_none();
        anyhow::ensure!(
            is_ours,
            "{} is neither empty nor a directory of `fastcache up`; give it a --base-dir of its own",
            path.display()
        );
        let lock = File::create(&file).with_context(|| trouble("write", &file))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, _lock: lock }),
            Err(TryLockError::WouldBlock) => {
                anyhow::bail!(
                    "another `fastcache up` uses {}; give this one a --base-dir of its own",
                    path.display()
                )
            }
            Err(TryLockError::Error(error)) => Err(error).with_context(|| trouble("lock", &file)),
        }
    }

    /// Clears the state of the cluster before: the nodes of the new one are empty, and nothing known of
    /// the old ones holds. Its logs stay.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn clear(&self) -> anyhow::Result<()> {
        let state = self.path.join("state");
        if state.exists() {
            fs::remove_dir_all(&state).with_context(|| trouble("clear", &state))?;
        }
        for directory in [state, self.path.join("logs")] {
            fs::create_dir_all(&directory).with_context(|| trouble("create", &directory))?;
        }
        Ok(())
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

fn trouble(what: &str, path: &Path) -> String {
    format!("cannot {what} {}", path.display())
}

/// Where the XDG specification puts state. A directory that all users share is no substitute: another user
/// could have put something there.
fn default_path() -> anyhow::Result<PathBuf> {
    let directory = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = directory("XDG_STATE_HOME").or_else(|| Some(directory("HOME")?.join(".local/state")));
    let state =
        state.context("neither XDG_STATE_HOME nor HOME names a directory: say where with --base-dir")?;
    Ok(state.join("fastcache"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_cannot_use_the_same_directory() {
        let directory = tempfile::tempdir().unwrap();
        let first = BaseDir::lock(Some(directory.path())).unwrap();
        let refused = BaseDir::lock(Some(directory.path())).unwrap_err().to_string();
        assert!(refused.starts_with("another `fastcache up` uses "), "{refused}");
        drop(first);
        assert!(BaseDir::lock(Some(directory.path())).is_ok());
    }

    #[test]
    fn the_state_of_the_cluster_before_is_cleared() {
        let directory = tempfile::tempdir().unwrap();
        let base_dir = BaseDir::lock(Some(directory.path())).unwrap();
        base_dir.clear().unwrap();
        let (state, log) = (directory.path().join("state/view.json"), directory.path().join("logs/a.log"));
        for old in [&state, &log] {
            fs::write(old, "{}").unwrap();
        }
        base_dir.clear().unwrap();
        assert!(!state.exists() && log.exists());
    }

    #[test]
    fn somebody_elses_directory_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("state")).unwrap();
        let refused = BaseDir::lock(Some(directory.path())).unwrap_err().to_string();
        let told = "is neither empty nor a directory of `fastcache up`; give it a --base-dir of its own";
        assert!(refused.ends_with(told), "{refused}");
        assert!(directory.path().join("state").exists());
    }
}
