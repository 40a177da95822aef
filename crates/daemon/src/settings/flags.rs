//! The layer of command line flags, built on clap from the list of settings.
//!
//! clap only splits the command line and renders the help; the values are checked where those of all
//! layers are. It stops at its first mistake, so what it objects to is taken out and it is asked again:
//! that is how all mistakes of a command line are found at once.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::mistake::Mistake;
use super::{Kind, Program, Setting, Source, secret_file};

/// The flags every program has besides its settings.
const CONFIG: &str = "config";
const PRINT_CONFIG: &str = "print-config";

/// What the command line says.
#[derive(Debug)]
pub(super) enum Flags {
    /// `--help` or `--version`: the text to print.
    Print(String),
    /// Anything else.
    Given(Given),
}

/// The flags that were given, as text.
#[derive(Debug, Default)]
pub(super) struct Given {
    values: Vec<(&'static str, String)>,
    /// By the secret's name, the file that holds it.
    secret_files: Vec<(&'static str, String)>,
    pub(super) config: Option<String>,
    pub(super) print_config: bool,
}

impl Given {
    /// The value that the command line gives to this setting.
    pub(super) fn value_of(
        &self,
        setting: &Setting,
        mistakes: &mut Vec<Mistake>,
    ) -> Option<(String, Source)> {
        let of = |given: &[(&'static str, String)]| {
            given.iter().find(|(name, _)| *name == setting.name).map(|(_, raw)| raw.clone())
        };
        let mut refuse = |problem: String| {
            mistakes.push(Mistake::new(Source::SecretFileFlag.place(setting), problem));
            None
        };
        match (of(&self.values), of(&self.secret_files)) {
            (Some(_), Some(_)) => refuse(format!("--{} is given as well; give only one", setting.name)),
            (None, Some(path)) => match secret_file::read(&path) {
                Ok(raw) => Some((raw, Source::SecretFileFlag)),
                Err(problem) => refuse(problem),
            },
            (raw, None) => raw.map(|raw| (raw, Source::Flag)),
        }
    }
}

/// Reads the arguments that follow the program's name.
pub(super) fn read(
    program: &Program,
    args: impl IntoIterator<Item = impl Into<OsString>>,
    mistakes: &mut Vec<Mistake>,
) -> Flags {
    let mut args = utf8(args, mistakes);
    let command = command(program);
    loop {
        match command.clone().try_get_matches_from(&args) {
            Ok(matches) => return Flags::Given(given(program, &matches)),
            Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
                return Flags::Print(error.render().to_string());
            }
            Err(error) => {
                mistakes.push(mistake(program, &error));
                // The list gets shorter each time, so this ends.
                if !take_out(&mut args, &error) {
                    return Flags::Given(Given::default());
                }
            }
        }
    }
}

fn utf8(args: impl IntoIterator<Item = impl Into<OsString>>, mistakes: &mut Vec<Mistake>) -> Vec<String> {
    let mut texts = Vec::new();
    for arg in args {
        match arg.into().into_string() {
            Ok(text) => texts.push(text),
            Err(arg) => mistakes.push(Mistake::new(arg.to_string_lossy(), "expected UTF-8 text")),
        }
    }
    texts
}

/// The clap command: one argument per setting.
fn command(program: &Program) -> Command {
    let config = Arg::new(CONFIG)
        .long(CONFIG)
        .value_name("FILE")
        .help(format!("A TOML file with these settings as keys [env: {}]", program.config_variable()));
    let print_config = Arg::new(PRINT_CONFIG)
        .long(PRINT_CONFIG)
        .action(ArgAction::SetTrue)
        .help("Print every setting and where its value comes from, then exit");
    Command::new(program.name)
        .about(program.about)
        .version(crate::version())
        .no_binary_name(true)
        .args_override_self(true)
        .args(program.all_settings().map(argument))
        .args(program.all_settings().filter_map(secret_file_argument))
        .args([config, print_config])
        .after_help(
            "A flag wins over the environment, the environment over the file, the file over the default.\n\
             DURATION: 30s, 500ms, 1m30s. SIZE: bytes, or Redis' units: 1k = 1000, 1kb = 1024, m, mb, g, gb.",
        )
}

fn argument(setting: &'static Setting) -> Arg {
    let argument = Arg::new(setting.name)
        .long(setting.name)
        .value_name(setting.kind.placeholder())
        // A negative number is then told what is expected, instead of being an unknown flag.
        .allow_negative_numbers(true)
        .help(help(setting));
    match setting.kind {
        Kind::Switch => argument.num_args(0..=1).require_equals(true).default_missing_value("true"),
        _ => argument,
    }
}

/// The flag that names the file of a secret.
fn secret_file_argument(setting: &'static Setting) -> Option<Arg> {
    let name = secret_file::name_of(setting)?;
    let help = format!("A file that holds what --{} would say", setting.name);
    Some(Arg::new(name.clone()).long(name).value_name("FILE").help(help))
}

fn help(setting: &Setting) -> String {
    let mut help = setting.help.to_owned();
    if let Kind::Choice(words) = setting.kind {
        help += &format!(" [one of: {}]", words.join(", "));
    }
    if let Some(default) = setting.default {
        help += &format!(" [default: {default}]");
    }
    if let Some(env) = setting.env {
        let file = if setting.kind == Kind::Secret { format!(" or {env}_FILE") } else { String::new() };
        help += &format!(" [env: {env}{file}]");
    }
    help
}

fn given(program: &Program, matches: &ArgMatches) -> Given {
    let value = |name: &str| matches.get_one::<String>(name).cloned();
    Given {
        values: program
            .all_settings()
            .filter_map(|setting| Some((setting.name, value(setting.name)?)))
            .collect(),
        secret_files: program
            .all_settings()
            .filter_map(|setting| Some((setting.name, value(&secret_file::name_of(setting)?)?)))
            .collect(),
        config: value(CONFIG),
        print_config: matches.get_flag(PRINT_CONFIG),
    }
}

/// What clap objects to, as one line.
fn mistake(program: &Program, error: &clap::Error) -> Mistake {
    let Some(argument) = objected(error) else {
        let text = error.render().to_string();
        let first = text.lines().next().unwrap_or_default();
        return Mistake::new("command line", first.trim_start_matches("error: "));
    };
    match error.kind() {
        ErrorKind::UnknownArgument if argument.starts_with('-') => {
            let known = program.all_settings().map(|setting| setting.name).chain([CONFIG, PRINT_CONFIG]);
            let name = argument.trim_start_matches('-');
            let unknown = Mistake::unknown("command line", "flag", name, known);
            // Flags are written with their dashes.
            unknown.map_problem(|problem| problem.replace(" `", " `--"))
        }
        ErrorKind::UnknownArgument => Mistake::new(
            "command line",
            format!("unexpected argument `{argument}`; settings are given as --flags"),
        ),
        ErrorKind::InvalidValue => Mistake::new(argument, "a value is missing"),
        _ => Mistake::new(argument, error.kind().as_str().unwrap_or("cannot be used here")),
    }
}

/// Removes what clap objects to, together with the value that follows an unknown flag.
fn take_out(args: &mut Vec<String>, error: &clap::Error) -> bool {
    let Some(argument) = objected(error) else { return false };
    let with_value = format!("{argument}=");
    let Some(at) = args.iter().position(|arg| *arg == argument || arg.starts_with(&with_value)) else {
        return false;
    };
    let removed = args.remove(at);
    let value_follows = removed.starts_with('-')
        && !removed.contains('=')
        && args.get(at).is_some_and(|next| !next.starts_with('-'));
    if value_follows {
        args.remove(at);
    }
    true
}

/// The argument an error is about, without the placeholder of its value.
fn objected(error: &clap::Error) -> Option<String> {
    match error.get(ContextKind::InvalidArg)? {
        ContextValue::String(text) if error.kind() == ErrorKind::UnknownArgument => Some(text.clone()),
        ContextValue::String(text) => Some(text.split([' ', '=', '[']).next().unwrap_or(text).to_owned()),
        _ => None,
    }
}
