//! A child's log file, bounded: when it is full it becomes `NAME.log.1` and a new one begins.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Two files of this size per child: at 56 children at most about a gigabyte, and days of normal logs.
const MAX_BYTES: u64 = 8 * 1024 * 1024;

/// An open log file.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    file: File,
    size: u64,
}

impl LogFile {
    /// Opens the log of a new run; that of the run before stays as `.1`.
    pub(super) fn create(path: PathBuf) -> io::Result<Self> {
        if fs::metadata(&path).is_ok_and(|metadata| metadata.len() > 0) {
            fs::rename(&path, previous(&path))?;
        }
        let file = open(&path)?;
        Ok(Self { path, file, size: 0 })
    }

    /// Adds a line.
    pub(super) fn line(&mut self, text: &str) -> io::Result<()> {
        if self.size >= MAX_BYTES {
            fs::rename(&self.path, previous(&self.path))?;
            self.file = open(&self.path)?;
            self.size = 0;
        }
        self.file.write_all(format!("{text}\n").as_bytes())?;
        self.size += text.len() as u64 + 1;
        Ok(())
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).write(true).truncate(true).open(path)
}

fn previous(path: &Path) -> PathBuf {
    path.with_extension("log.1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_holds_more_than_two_files_of_its_bound() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("node1.log");
        let mut log = LogFile::create(path.clone()).unwrap();
        let line = "x".repeat(1024 * 1024 - 1);
        for _ in 0..20 {
            log.line(&line).unwrap();
        }
        assert_eq!(fs::metadata(previous(&path)).unwrap().len(), MAX_BYTES);
        assert_eq!(fs::metadata(&path).unwrap().len(), 4 * 1024 * 1024);
    }

    #[test]
    fn the_run_before_stays_readable() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("node1.log");
        for run in ["first", "second"] {
            LogFile::create(path.clone()).unwrap().line(run).unwrap();
        }
        assert_eq!(fs::read_to_string(previous(&path)).unwrap(), "first\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "second\n");
    }
}
