//! The directory of one `fastcache up`: configuration, state and logs, locked while it runs.
//!
//! One that is refused before anything is written there leaves nothing behind that was not there before.

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
    /// Before the lock: what is removed must not be somebody else's already.
    made: Made,
    _lock: File,
}

/// Files and directories that were not there, each before the directory that it is in. Dropped, it removes them.
#[derive(Debug, Default)]
struct Made(Vec<PathBuf>);

impl BaseDir {
    /// Creates the directory (a default one when none is given) and locks it. What is in it stays.
    ///
    /// # Errors
    /// When it cannot be written, holds something else, or another `fastcache up` runs in it.
    pub(super) fn lock(given: Option<&Path>) -> anyhow::Result<Self> {
        let path = given.map_or_else(default_path, |path| Ok(path.to_owned()))?;
        let mut made = Made::default();
        let missing = |path: &&Path| !path.as_os_str().is_empty() && !path.exists();
        made.0.extend(path.ancestors().take_while(missing).map(Path::to_owned));
        fs::create_dir_all(&path).with_context(|| trouble("create", &path))?;
        let path = path.canonicalize().with_context(|| trouble("use", &path))?;
        let file = path.join(LOCK);
        let is_new = !file.exists();
        let is_empty =
            || fs::read_dir(&path).with_context(|| trouble("use", &path)).map(|mut all| all.next().is_none());
        let is_ours = !is_new || is_empty()?;
        anyhow::ensure!(
            is_ours,
            "{} is neither empty nor a directory of `fastcache up`; give it a --base-dir of its own",
            path.display()
        );
        let lock = File::create(&file).with_context(|| trouble("write", &file))?;
        match lock.try_lock() {
            // Else another one has removed it, and is on its way out.
            Ok(()) if file.exists() => {
                if is_new {
                    made.0.insert(0, file);
                }
                Ok(Self { path, made, _lock: lock })
            }
            Ok(()) | Err(TryLockError::WouldBlock) => {
                anyhow::bail!(
                    "another `fastcache up` uses {}; give this one a --base-dir of its own",
                    path.display()
                )
            }
            Err(TryLockError::Error(error)) => Err(error).with_context(|| trouble("lock", &file)),
        }
    }

    /// Clears the state of the cluster before: the nodes of the new one are empty, and nothing known of
    /// the old ones holds. Its logs stay; and from now on so does the directory.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn clear(&mut self) -> anyhow::Result<()> {
        self.made.0.clear();
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

impl Drop for Made {
    fn drop(&mut self) {
        for path in &self.0 {
            // What is not empty, or cannot be removed, stays: it does no harm.
            let _ = if path.is_dir() { fs::remove_dir(path) } else { fs::remove_file(path) };
        }
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
        let mut base_dir = BaseDir::lock(Some(directory.path())).unwrap();
        base_dir.clear().unwrap();
        let (state, log) = (directory.path().join("state/view.json"), directory.path().join("logs/a.log"));
        for old in [&state, &log] {
            fs::write(old, "{}").unwrap();
        }
        base_dir.clear().unwrap();
        assert!(!state.exists() && log.exists());
    }

    #[test]
    fn what_was_made_for_one_that_does_not_start_is_removed_again() {
        let directory = tempfile::tempdir().unwrap();
        let (outer, inner) = (directory.path().join("a"), directory.path().join("a/b"));
        drop(BaseDir::lock(Some(&inner)).unwrap());
        assert!(!outer.exists());
        fs::create_dir(&outer).unwrap();
        drop(BaseDir::lock(Some(&inner)).unwrap());
        drop(BaseDir::lock(Some(&outer)).unwrap());
        assert!(outer.exists() && !inner.exists() && !outer.join(LOCK).exists());
        let mut started = BaseDir::lock(Some(&inner)).unwrap();
        started.clear().unwrap();
        drop(started);
        drop(BaseDir::lock(Some(&inner)).unwrap());
        assert!(inner.join(LOCK).exists() && inner.join("logs").exists());
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
