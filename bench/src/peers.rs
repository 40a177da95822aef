//! The configuration files in `bench/peers`, and how what is known only at run time gets into them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// Writes a configuration into `directory` with every `@NAME@` replaced; gives the file's path.
///
/// # Errors
/// When a name in the text is not given, a given one is not in it, or the file cannot be written.
pub fn write(directory: &Path, name: &str, text: &str, values: &[(&str, &str)]) -> anyhow::Result<PathBuf> {
    let filled = filled(text, values).with_context(|| name.to_owned())?;
    let file = directory.join(name);
    fs::write(&file, filled).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(file)
}

fn filled(text: &str, values: &[(&str, &str)]) -> anyhow::Result<String> {
    let mut filled = text.to_owned();
    for (name, value) in values {
        let place = format!("@{name}@");
        if !filled.contains(&place) {
            bail!("there is no {place}");
        }
        filled = filled.replace(&place, value);
    }
    match left_over(&filled) {
        Some(place) => bail!("nothing is given for {place}"),
        None => Ok(filled),
    }
}

/// Capitals between two `@` signs.
fn left_over(text: &str) -> Option<String> {
    let mut parts = text.split('@').skip(1).peekable();
    while let Some(part) = parts.next() {
        let is_name = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
        if is_name && parts.peek().is_some() {
            return Some(format!("@{part}@"));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_filled_and_every_value_used() {
        assert_eq!(filled("port @PORT@\n", &[("PORT", "7")]).unwrap(), "port 7\n");
        assert!(filled("port @PORT@\n", &[]).is_err());
        assert!(filled("port 7\n", &[("PORT", "7")]).is_err());
        assert_eq!(filled("a \"@type\" and @ signs", &[]).unwrap(), "a \"@type\" and @ signs");
    }
}
