//! Settings declared as data and read in layers: default < file < environment < flag.
//!
//! A process lists its [`Setting`]s once; from that list come the flags with their `--help`, the
//! environment variables, the keys of the TOML file, the checks, and `--print-config`, which shows each
//! value and where it came from. Reading never stops at the first mistake: an operator who fixes a file
//! wants to see all of them. Nothing is ignored either: an unknown flag or file key is a mistake.
//!
//! This module does not give the settings a meaning. Each process turns [`Settings`] into its own typed
//! `Config`; whatever only makes sense together is checked there.

mod environment;
mod file;
mod flags;
mod kind;
mod mistake;
mod read;
mod secret_file;
mod show;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::time::Duration;

pub use kind::{Kind, parse_size};
pub use mistake::{Mistake, SettingsError};

use kind::Value;

/// One thing that can be set.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Its name: the flag is `--name`, the key in the file is `name` (with `-` or `_`).
    pub name: &'static str,
    /// The environment variable that sets it, if any. An empty variable counts as unset, because
    /// compose files pass `NAME: ${NAME:-}`.
    pub env: Option<&'static str>,
    /// The value when nothing sets it, written as a user would write it. `None`: may stay unset, and is
    /// then read with [`Settings::optional_text`] or another `optional_` accessor.
    pub default: Option<&'static str>,
    /// What kind of value it takes.
    pub kind: Kind,
    /// One line for `--help`: what it does. The default, the variable and the unit are added to it.
    pub help: &'static str,
}

impl Setting {
    /// A setting from its parts, in the order in which they are read best.
    #[must_use]
    pub const fn new(
        name: &'static str,
        env: Option<&'static str>,
        default: Option<&'static str>,
        kind: Kind,
        help: &'static str,
    ) -> Self {
        Self { name, env, default, kind, help }
    }
}

/// A program: its name and everything that can be set about it.
#[derive(Debug, Clone, Copy)]
pub struct Program {
    /// As the user types it: `cache-node`.
    pub name: &'static str,
    /// One line for `--help`.
    pub about: &'static str,
    /// Its own settings; [`COMMON`] are added to them.
    pub settings: &'static [Setting],
}

/// The settings every program has.
pub static COMMON: [Setting; 2] = [
    Setting {
        name: "log-level",
        env: Some("LOG_LEVEL"),
        default: Some("info"),
        kind: Kind::LogFilter,
        help: "What to log: error, warn, info, debug, trace or off, also per module (info,cache_proxy=debug)",
    },
    Setting {
        name: "log-format",
        env: Some("LOG_FORMAT"),
        default: Some("text"),
        kind: Kind::Choice(&["text", "json"]),
        help: "How log lines look; they go to stderr",
    },
];

/// What the command line asked for.
#[derive(Debug)]
pub enum Invocation {
    /// To run with these settings.
    Run(Settings),
    /// To print this to stdout and exit 0: `--help`, `--version` or `--print-config`.
    Print(String),
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    /// Nothing set it.
    Default,
    /// The file given by `--config`, at this line.
    File { path: String, line: usize },
    /// This environment variable.
    Environment(String),
    /// The file that this environment variable (`NAME_FILE`) names.
    SecretFile(String),
    /// The command line.
    Flag,
    /// The file that the flag `--name-file` names.
    SecretFileFlag,
}

/// One setting with its value.
struct Entry {
    setting: &'static Setting,
    /// As written; empty when unset.
    raw: String,
    value: Option<Value>,
    source: Source,
}

/// The values of all settings of one program, each checked against its kind.
///
/// Every accessor panics when asked for a setting that the program does not declare, or declares with
/// another kind: that is a mistake in the program, never in the user's input.
#[derive(Debug)]
pub struct Settings {
    entries: Vec<Entry>,
}

impl Program {
    /// Everything that can be set: the program's own settings, then the common ones.
    pub fn all_settings(&self) -> impl Iterator<Item = &'static Setting> + use<> {
        self.settings.iter().chain(&COMMON)
    }

    /// The variable that names the configuration file: `CACHE_NODE_CONFIG` for `cache-node`.
    #[must_use]
    pub fn config_variable(&self) -> String {
        format!("{}_CONFIG", self.name.to_uppercase().replace(['-', ' '], "_"))
    }
}

impl Settings {
    /// The value of a [`Kind::Text`], `Host`, `Address`, `Url`, `Choice`, `Secret`, `LogFilter` or `Path`
    /// setting that has a default.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        required(name, self.optional_text(name))
    }

    /// Like [`Settings::text`]; `None` when unset.
    #[must_use]
    pub fn optional_text(&self, name: &str) -> Option<&str> {
        self.entry(name).value.as_ref().map(|value| match value {
            Value::Text(text) => text.as_str(),
            other => wrong_kind(name, "text", other),
        })
    }

    /// The value of a [`Kind::Path`] setting that has a default.
    #[must_use]
    pub fn path(&self, name: &str) -> &Path {
        Path::new(self.text(name))
    }

    /// Like [`Settings::path`]; `None` when unset.
    #[must_use]
    pub fn optional_path(&self, name: &str) -> Option<&Path> {
        self.optional_text(name).map(Path::new)
    }

    /// The value of a [`Kind::Port`] setting that has a default; 0 means any free port.
    #[must_use]
    pub fn port(&self, name: &str) -> u16 {
        required(name, self.optional_port(name))
    }

    /// Like [`Settings::port`]; `None` when unset.
    #[must_use]
    pub fn optional_port(&self, name: &str) -> Option<u16> {
        self.entry(name).value.as_ref().map(|value| match value {
            Value::Port(port) => *port,
            other => wrong_kind(name, "a port", other),
        })
    }

    /// The value of a [`Kind::Duration`] setting that has a default.
    #[must_use]
    pub fn duration(&self, name: &str) -> Duration {
        required(name, self.optional_duration(name))
    }

    /// Like [`Settings::duration`]; `None` when unset.
    #[must_use]
    pub fn optional_duration(&self, name: &str) -> Option<Duration> {
        self.entry(name).value.as_ref().map(|value| match value {
            Value::Duration(duration) => *duration,
            other => wrong_kind(name, "a duration", other),
        })
    }

    /// The value of a [`Kind::Size`] setting that has a default, in bytes.
    #[must_use]
    pub fn size(&self, name: &str) -> u64 {
        self.count(name)
    }

    /// Like [`Settings::size`]; `None` when unset.
    #[must_use]
    pub fn optional_size(&self, name: &str) -> Option<u64> {
        self.optional_count(name)
    }

    /// The value of a [`Kind::Count`] setting that has a default.
    #[must_use]
    pub fn count(&self, name: &str) -> u64 {
        required(name, self.optional_count(name))
    }

    /// Like [`Settings::count`]; `None` when unset.
    #[must_use]
    pub fn optional_count(&self, name: &str) -> Option<u64> {
        self.entry(name).value.as_ref().map(|value| match value {
            Value::Number(number) => *number,
            other => wrong_kind(name, "a number", other),
        })
    }

    /// Whether a [`Kind::Switch`] setting is on; off when nothing sets it.
    #[must_use]
    pub fn switch(&self, name: &str) -> bool {
        self.entry(name).value.as_ref().is_some_and(|value| match value {
            Value::Switch(on) => *on,
            other => wrong_kind(name, "a switch", other),
        })
    }

    /// Whether the user set it (in the file, the environment or a flag) rather than leaving the default.
    #[must_use]
    pub fn is_given(&self, name: &str) -> bool {
        self.entry(name).source != Source::Default
    }

    /// Whether the command line set it: by its flag, or by the file that `--NAME-file` names.
    #[must_use]
    pub fn is_given_by_flag(&self, name: &str) -> bool {
        matches!(self.entry(name).source, Source::Flag | Source::SecretFileFlag)
    }

    fn entry(&self, name: &str) -> &Entry {
        let found = self.entries.iter().find(|entry| entry.setting.name == name);
        found.unwrap_or_else(|| panic!("the program declares no setting `{name}`"))
    }
}

fn required<T>(name: &str, value: Option<T>) -> T {
    value.unwrap_or_else(|| panic!("setting `{name}` has no default: read it with an optional_ accessor"))
}

fn wrong_kind(name: &str, wanted: &str, found: &Value) -> ! {
    panic!("setting `{name}` was read as {wanted} but is declared as {found:?}")
}
