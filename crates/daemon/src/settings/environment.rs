//! The layer of environment variables, and of the secret files they name.

use std::ffi::OsString;

use super::mistake::Mistake;
use super::{Kind, Setting, Source, secret_file};

/// The value that the environment gives to this setting.
pub(super) fn value_of(
    setting: &Setting,
    env: &impl Fn(&str) -> Option<OsString>,
    mistakes: &mut Vec<Mistake>,
) -> Option<(String, Source)> {
    let name = setting.env?;
    let direct = variable(name, env, mistakes);
    if setting.kind != Kind::Secret {
        return direct.map(|raw| (raw, Source::Environment(name.to_owned())));
    }
    let file_name = format!("{name}_FILE");
    match (direct, variable(&file_name, env, mistakes)) {
        (Some(_), Some(_)) => {
            mistakes.push(Mistake::new(
                variable_place(&file_name),
                format!("{name} is set as well; set only one"),
            ));
            None
        }
        (Some(raw), None) => Some((raw, Source::Environment(name.to_owned()))),
        (None, Some(path)) => match secret_file::read(&path) {
            Ok(raw) => Some((raw, Source::SecretFile(file_name))),
            Err(problem) => {
                mistakes.push(Mistake::new(variable_place(&file_name), problem));
                None
            }
        },
        (None, None) => None,
    }
}

/// A variable as text; empty counts as unset.
pub(super) fn variable(
    name: &str,
    env: &impl Fn(&str) -> Option<OsString>,
    mistakes: &mut Vec<Mistake>,
) -> Option<String> {
    match env(name)?.into_string() {
        Ok(text) => Some(text).filter(|text| !text.is_empty()),
        Err(_) => {
            mistakes.push(Mistake::new(variable_place(name), "expected UTF-8 text"));
            None
        }
    }
}

pub(super) fn variable_place(name: &str) -> String {
    format!("environment variable {name}")
}
