//! Secrets that stand in a file of their own, as Docker and Kubernetes hand them over.
//!
//! This module names the settings that tell where such a file is and reads it. Which layer names it is not its
//! affair.

use std::fs::File;
use std::io::Read;

use super::{Kind, Setting};

/// A secret file larger than this is not a secret but a wrong path.
const MAX_BYTES: u64 = 64 * 1024;

/// What a secret's name ends with when it names a file: the flag `--requirepass-file`.
const SUFFIX: &str = "-file";

/// The flag and key that names the file of this setting; `None` when it is no secret.
pub(super) fn name_of(setting: &Setting) -> Option<String> {
    (setting.kind == Kind::Secret).then(|| format!("{}{SUFFIX}", setting.name))
}

/// Whether `name` is the flag or key that names the file of this setting.
pub(super) fn is_named(setting: &Setting, name: &str) -> bool {
    setting.kind == Kind::Secret && name.strip_suffix(SUFFIX) == Some(setting.name)
}

/// The secret without the line end that editors and `echo` add; else why it cannot be had.
pub(super) fn read(path: &str) -> Result<String, String> {
    let problem = |error: std::io::Error| format!("cannot read {path}: {error}");
    let mut text = String::new();
    // The length that the system tells is 0 for a pipe or a device, and a file may grow.
    let mut bounded = File::open(path).map_err(problem)?.take(MAX_BYTES + 1);
    let len = bounded.read_to_string(&mut text).map_err(problem)?;
    if len as u64 > MAX_BYTES {
        return Err(format!("cannot read {path}: it has more bytes than a secret may have ({MAX_BYTES})"));
    }
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_ends_or_is_too_long_is_no_secret() {
        let too_long = "it has more bytes than a secret may have (65536)";
        assert_eq!(read("/dev/zero"), Err(format!("cannot read /dev/zero: {too_long}")));
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("secret");
        let path = file.to_str().unwrap();
        std::fs::write(&file, "x".repeat(65_536)).unwrap();
        assert_eq!(read(path).unwrap().len(), 65_536);
        std::fs::write(&file, "x".repeat(65_537)).unwrap();
        assert_eq!(read(path), Err(format!("cannot read {path}: {too_long}")));
    }
}
