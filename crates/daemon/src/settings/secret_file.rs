//! Secrets that stand in a file of their own, as Docker and Kubernetes hand them over.
//!
//! This module names the settings that tell where such a file is and reads it. Which layer names it is not its
//! affair.

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
    let size = std::fs::metadata(path).map_err(problem)?.len();
    if size > MAX_BYTES {
        return Err(format!(
            "cannot read {path}: it has {size} bytes, more than a secret may have ({MAX_BYTES})"
        ));
    }
    let text = std::fs::read_to_string(path).map_err(problem)?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
