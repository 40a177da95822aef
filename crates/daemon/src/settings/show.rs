//! `--print-config`: the settings in force as a TOML file that gives them again, each with its source.

use std::fmt::{self, Debug, Formatter, Write};

use super::kind::Value;
use super::{Entry, Kind, Settings, Source};

/// What stands in for a secret. Its length says nothing about the secret's.
pub(super) const MASK: &str = "***";

impl Settings {
    /// One line per setting, `name = value  # source`; what is unset or secret is commented out.
    pub(super) fn show(&self) -> String {
        let lines: Vec<(String, &Entry)> =
            self.entries.iter().map(|entry| (entry.assignment(), entry)).collect();
        let width = lines.iter().map(|(assignment, _)| assignment.len()).max().unwrap_or(0);
        let mut text = String::new();
        for (assignment, entry) in lines {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{assignment:width$}  # {}", entry.source.describe(entry.value.is_some()));
        }
        text
    }
}

impl Entry {
    fn assignment(&self) -> String {
        let name = self.setting.name;
        match &self.value {
            None => format!("# {name} ="),
            Some(_) if self.setting.kind == Kind::Secret => format!("# {name} = \"{MASK}\""),
            Some(Value::Port(number)) => format!("{name} = {number}"),
            Some(Value::Switch(on)) => format!("{name} = {on}"),
            Some(Value::Number(number)) if self.setting.kind != Kind::Size => format!("{name} = {number}"),
            Some(_) => format!("{name} = {}", toml::Value::String(self.raw.clone())),
        }
    }
}

/// As in `--print-config`, so that no log or panic message tells a secret.
impl Debug for Entry {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}  # {:?}", self.assignment(), self.source)
    }
}

impl Source {
    fn describe(&self, is_set: bool) -> String {
        match self {
            Self::Default if is_set => "default".into(),
            Self::Default => "not set".into(),
            Self::File { path, line } => format!("file {path}:{line}"),
            Self::Environment(name) => format!("environment {name}"),
            Self::SecretFile(name) => format!("file named by environment {name}"),
            Self::Flag => "flag".into(),
            Self::SecretFileFlag => "file named by flag".into(),
        }
    }
}
