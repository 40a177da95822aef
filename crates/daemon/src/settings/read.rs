//! Puts the layers together: for each setting the highest layer that has it wins, and every value is
//! checked, those of lower layers too, so that a mistake does not hide until the flag above it is removed.

use std::ffi::OsString;

use super::environment;
use super::file;
use super::flags::{self, Flags, Given};
use super::mistake::{Mistake, SettingsError};
use super::show::MASK;
use super::{Entry, Invocation, Kind, Program, Setting, Settings, Source};

impl Program {
    /// Reads the settings. `args` are the arguments after the program's name, `env` looks up a variable.
    ///
    /// # Errors
    /// Every mistake in the arguments, the file and the environment.
    pub fn read(
        &self,
        args: impl IntoIterator<Item = impl Into<OsString>>,
        env: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Invocation, SettingsError> {
        let mut mistakes = Vec::new();
        let given = match flags::read(self, args, &mut mistakes) {
            Flags::Print(text) => return Ok(Invocation::Print(text)),
            Flags::Given(given) => given,
        };
        let settings = self.layered(&given, &env, &mut mistakes);
        if !mistakes.is_empty() {
            return Err(SettingsError::new(self.name, mistakes));
        }
        Ok(if given.print_config { Invocation::Print(settings.show()) } else { Invocation::Run(settings) })
    }

    /// The settings that these flags give, without environment: for tests and for running in-process.
    ///
    /// # Errors
    /// Every mistake in the flags; a flag that asks to print something is one.
    pub fn from_flags(&self, flags: &[&str]) -> Result<Settings, SettingsError> {
        match self.read(flags.iter().copied(), |_| None)? {
            Invocation::Run(settings) => Ok(settings),
            Invocation::Print(_) => {
                let mistake = Mistake::new("command line", "this flag only prints something");
                Err(SettingsError::new(self.name, vec![mistake]))
            }
        }
    }

    fn layered(
        &self,
        given: &Given,
        env: &impl Fn(&str) -> Option<OsString>,
        mistakes: &mut Vec<Mistake>,
    ) -> Settings {
        let variable = self.config_variable();
        let (config, named_by) = match &given.config {
            Some(path) => (Some(path.clone()), "--config".to_owned()),
            None => (environment::variable(&variable, env, mistakes), environment::variable_place(&variable)),
        };
        let in_file = config.as_ref().map(|path| file::read(self, path, &named_by, mistakes));
        let in_file = in_file.unwrap_or_default();
        let mut entries = Vec::new();
        for setting in self.all_settings() {
            let mut entry = Entry::default_of(setting, mistakes);
            let from_file = in_file.iter().find(|value| std::ptr::eq(value.setting, setting));
            if let (Some(value), Some(path)) = (from_file, &config) {
                entry.layer(&value.raw, Source::File { path: path.clone(), line: value.line }, mistakes);
            }
            if let Some((raw, source)) = environment::value_of(setting, env, mistakes) {
                entry.layer(&raw, source, mistakes);
            }
            if let Some((raw, source)) = given.value_of(setting, mistakes) {
                entry.layer(&raw, source, mistakes);
            }
            entries.push(entry);
        }
        Settings { entries }
    }
}

impl Entry {
    fn default_of(setting: &'static Setting, mistakes: &mut Vec<Mistake>) -> Self {
        let mut entry = Self { setting, raw: String::new(), value: None, source: Source::Default };
        if let Some(raw) = setting.default {
            entry.layer(raw, Source::Default, mistakes);
        }
        entry
    }

    /// Lays a value over those of the lower layers.
    fn layer(&mut self, raw: &str, source: Source, mistakes: &mut Vec<Mistake>) {
        match self.setting.kind.parse(raw) {
            Ok(value) => (self.raw, self.value, self.source) = (raw.to_owned(), Some(value), source),
            Err(expected) => {
                let found = if self.setting.kind == Kind::Secret { MASK } else { raw };
                let problem = format!("expected {expected}, found \"{}\"", found.escape_debug());
                let mistake = Mistake::new(source.place(self.setting), problem);
                mistakes.push(if let Source::File { line, .. } = source {
                    mistake.at_line(line)
                } else {
                    mistake
                });
            }
        }
    }
}

impl Source {
    /// How a mistake names it: by what the user has to change.
    pub(super) fn place(&self, setting: &Setting) -> String {
        match self {
            Self::Default => format!("the default of `{}`", setting.name),
            Self::File { path, line } => format!("{path}:{line}: `{}`", setting.name),
            Self::Environment(name) | Self::SecretFile(name) => environment::variable_place(name),
            Self::Flag => format!("--{}", setting.name),
            Self::SecretFileFlag => format!("--{}-file", setting.name),
        }
    }
}
