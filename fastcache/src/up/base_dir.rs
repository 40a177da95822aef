//! The directory of one `fastcache up`: configuration, state and logs, locked while it runs.
//!
//! One that is refused before anything is written there leaves nothing behind that was not there before.

use std::env;
use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
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

/// What was not there. Dropped, it removes that.
#[derive(Debug, Default)]
struct Made {
    lock: Option<PathBuf>,
    /// Each before the one that it is in.
    directories: Vec<PathBuf>,
}

impl BaseDir {
    /// Creates the directory (a default one when none is given) and locks it. What is in it stays.
    ///
    /// # Errors
    /// When it cannot be written, holds something else, or another `fastcache up` runs in it.
    pub(super) fn lock(given: Option<&Path>) -> anyhow::Result<Self> {
        let path = given.map_or_else(default_path, |path| Ok(path.to_owned()))?;
        let mut made = Made::default();
        let missing = |path: &&Path| !path.as_os_str().is_empty() && is_missing(path);
        made.directories.extend(path.ancestors().take_while(missing).map(Path::to_owned));
        fs::create_dir_all(&path).with_context(|| trouble("create", &path))?;
        let path = path.canonicalize().with_context(|| trouble("use", &path))?;
        let file = path.join(LOCK);
        let is_new = is_missing(&file);
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
            // Else another one has removed it, and is on its way out; a third may have made a new one.
            Ok(()) if is_at(&lock, &file) => {
                made.lock = is_new.then_some(file);
                Ok(Self { path, made, _lock: lock })
            }
            Ok(()) | Err(TryLockError::WouldBlock) => {
                anyhow::bail!(
                    "another `fastcache up` uses {}; give this one a --base-dir of its own",
                    path.display()
                )
            }
            Err(TryLockError::Error(error)) => {
                let refused = Err(error).with_context(|| trouble("lock", &file));
                made.lock = is_new.then_some(file);
                refused
            }
        }
    }

    /// Clears the state of the cluster before: the nodes of the new one are empty, and nothing known of
    /// the old ones holds. Its logs stay; and from now on so does the directory.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn clear(&mut self) -> anyhow::Result<()> {
        self.made.keep();
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

impl Made {
    /// Leaves all of it where it is.
    fn keep(&mut self) {
        self.lock = None;
        self.directories.clear();
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        // What is not empty, or cannot be removed, stays: it does no harm.
        if let Some(lock) = &self.lock {
            let _ = fs::remove_file(lock);
        }
        for directory in &self.directories {
            let _ = fs::remove_dir(directory);
        }
    }
}

/// Whether nothing has this name. A link that leads nowhere has it, and is somebody's.
fn is_missing(path: &Path) -> bool {
    fs::symlink_metadata(path).is_err_and(|error| error.kind() == ErrorKind::NotFound)
}

/// Whether this is the file that has this name now.
fn is_at(file: &File, path: &Path) -> bool {
    let names = |known: io::Result<fs::Metadata>| known.map(|known| (known.dev(), known.ino())).ok();
    let open = names(file.metadata());
    open.is_some() && open == names(fs::metadata(path))
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

    #[test]
    fn a_link_that_leads_nowhere_stays() {
        let directory = tempfile::tempdir().unwrap();
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(directory.path().join("unmounted/fc"), &link).unwrap();
        for path in [link.clone(), link.join("a/b")] {
            let refused = BaseDir::lock(Some(&path)).unwrap_err().to_string();
            assert!(refused.starts_with("cannot create "), "{refused}");
            assert!(!is_missing(&link), "{}", path.display());
        }
    }

    #[test]
    fn a_link_to_what_is_there_stays_and_what_is_made_behind_it_does_not() {
        let directory = tempfile::tempdir().unwrap();
        let (link, mounted) = (directory.path().join("link"), directory.path().join("mounted"));
        std::os::unix::fs::symlink(&mounted, &link).unwrap();
        fs::create_dir(&mounted).unwrap();
        drop(BaseDir::lock(Some(&link)).unwrap());
        drop(BaseDir::lock(Some(&link.join("a/b"))).unwrap());
        assert!(!is_missing(&link) && fs::read_dir(&mounted).unwrap().next().is_none());
    }

    #[test]
    fn a_name_that_another_file_has_taken_is_no_lock() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(LOCK);
        let old = File::create(&path).unwrap();
        assert!(is_at(&old, &path));
        fs::remove_file(&path).unwrap();
        assert!(!is_at(&old, &path));
        // While the old one is open its number is not given to another.
        let new = File::create(&path).unwrap();
        assert!(is_at(&new, &path) && !is_at(&old, &path));
    }
}
