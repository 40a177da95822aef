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
    /// Creates the directory (a default one when none is given), locks it, and clears the state of the
    /// cluster before: the nodes of the new one are empty, and nothing known of the old ones holds.
    ///
    /// # Errors
    /// When it cannot be written, holds something else, or another `fastcache up` runs in it.
    pub(super) fn open(given: Option<&Path>) -> anyhow::Result<Self> {
        let path = given.map_or_else(default_path, Path::to_owned);
        let trouble = |what: &str, path: &Path| format!("cannot {what} {}", path.display());
        fs::create_dir_all(&path).with_context(|| trouble("create", &path))?;
        let path = path.canonicalize().with_context(|| trouble("use", &path))?;
        let file = path.join(LOCK);
        let is_ours = file.exists() || fs::read_dir(&path)?.next().is_none();
        anyhow::ensure!(is_ours, "{} is neither empty nor a directory of `fastcache up`", path.display());
        let lock = File::create(&file).with_context(|| trouble("write", &file))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                anyhow::bail!(
                    "another `fastcache up` uses {}; give this one a --base-dir of its own",
                    path.display()
                )
            }
            Err(TryLockError::Error(error)) => return Err(error).with_context(|| trouble("lock", &file)),
        }
        let state = path.join("state");
        if state.exists() {
            fs::remove_dir_all(&state).with_context(|| trouble("clear", &state))?;
        }
        for directory in [state, path.join("logs")] {
            fs::create_dir_all(&directory).with_context(|| trouble("create", &directory))?;
        }
        Ok(Self { path, _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// Where the XDG specification puts state; the directory for temporary files when there is no home.
fn default_path() -> PathBuf {
    let directory = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = directory("XDG_STATE_HOME").or_else(|| Some(directory("HOME")?.join(".local/state")));
    state.unwrap_or_else(env::temp_dir).join("fastcache")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_cannot_use_the_same_directory() {
        let directory = tempfile::tempdir().unwrap();
        let first = BaseDir::open(Some(directory.path())).unwrap();
        let refused = BaseDir::open(Some(directory.path())).unwrap_err().to_string();
        assert!(refused.starts_with("another `fastcache up` uses "), "{refused}");
        drop(first);
        assert!(BaseDir::open(Some(directory.path())).is_ok());
    }

    #[test]
    fn the_state_of_the_cluster_before_is_cleared() {
        let directory = tempfile::tempdir().unwrap();
        drop(BaseDir::open(Some(directory.path())).unwrap());
        let old = directory.path().join("state/view.json");
        fs::write(&old, "{}").unwrap();
        BaseDir::open(Some(directory.path())).unwrap();
        assert!(!old.exists());
    }

    #[test]
    fn somebody_elses_directory_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("state")).unwrap();
        let refused = BaseDir::open(Some(directory.path())).unwrap_err().to_string();
        assert!(refused.ends_with("is neither empty nor a directory of `fastcache up`"), "{refused}");
        assert!(directory.path().join("state").exists());
    }
}
