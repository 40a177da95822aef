//! The layers as a user meets them: precedence, sources, and every mistake at once.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use super::*;

static PROGRAM: Program = Program {
    name: "example",
    about: "An example",
    settings: &[
        Setting {
            name: "host",
            env: Some("NODE_HOST"),
            default: Some("127.0.0.1"),
            kind: Kind::Host,
            help: "Where to listen",
        },
        Setting {
            name: "port",
            env: Some("NODE_PORT"),
            default: Some("7001"),
            kind: Kind::Port,
            help: "Which port",
        },
        Setting { name: "node-id", env: Some("NODE_ID"), default: None, kind: Kind::Text, help: "Its id" },
        Setting {
            name: "timeout",
            env: None,
            default: Some("5s"),
            kind: Kind::Duration,
            help: "How long to wait",
        },
        Setting {
            name: "maxmemory",
            env: None,
            default: Some("256mb"),
            kind: Kind::Size,
            help: "How much to hold",
        },
        Setting {
            name: "workers",
            env: None,
            default: Some("1"),
            kind: Kind::Count { min: 1, max: 64 },
            help: "Threads",
        },
        Setting { name: "eager", env: Some("EAGER"), default: None, kind: Kind::Switch, help: "Start early" },
        Setting {
            name: "nodes",
            env: Some("CLUSTER_NODES"),
            default: None,
            kind: Kind::Text,
            help: "The nodes",
        },
        Setting {
            name: "requirepass",
            env: Some("PASSWORD"),
            default: None,
            kind: Kind::Secret,
            help: "The password",
        },
    ],
};

/// A directory with one configuration file, and an environment.
struct Given {
    directory: tempfile::TempDir,
    env: Vec<(&'static str, String)>,
}

impl Given {
    fn nothing() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), env: Vec::new() }
    }

    fn file(text: &str) -> Self {
        let given = Self::nothing();
        fs::write(given.path("settings.toml"), text).unwrap();
        let path = given.path("settings.toml").to_str().unwrap().to_owned();
        given.env("EXAMPLE_CONFIG", &path)
    }

    fn env(mut self, name: &'static str, value: &str) -> Self {
        self.env.push((name, value.to_owned()));
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn read(&self, args: &[&str]) -> Result<Invocation, SettingsError> {
        let lookup = |name: &str| {
            self.env.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
        };
        PROGRAM.read(args.iter().copied(), lookup)
    }

    fn settings(&self, args: &[&str]) -> Settings {
        match self.read(args) {
            Ok(Invocation::Run(settings)) => settings,
            other => panic!("expected settings, got {other:?}"),
        }
    }

    fn printed(&self, args: &[&str]) -> String {
        match self.read(args) {
            Ok(Invocation::Print(text)) => text,
            other => panic!("expected something to print, got {other:?}"),
        }
    }

    /// The mistakes, with the directory's name removed.
    fn mistakes(&self, args: &[&str]) -> Vec<String> {
        let error = self.read(args).unwrap_err().to_string();
        let directory = format!("{}/", self.directory.path().to_str().unwrap());
        error.lines().map(|line| line.replace(&directory, "")).collect()
    }
}

#[test]
fn defaults_are_typed() {
    let settings = Given::nothing().settings(&[]);
    assert_eq!(settings.text("host"), "127.0.0.1");
    assert_eq!(settings.port("port"), 7001);
    assert_eq!(settings.optional_text("node-id"), None);
    assert_eq!(settings.duration("timeout"), Duration::from_secs(5));
    assert_eq!(settings.size("maxmemory"), 268_435_456);
    assert_eq!(settings.count("workers"), 1);
    assert!(!settings.switch("eager"));
    assert!(!settings.is_given("port"));
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let file = "port = 1\nhost = \"file\"\nnode_id = \"file\"\nmaxmemory = 1000";
    let given = Given::file(file).env("NODE_PORT", "2").env("NODE_HOST", "environment");
    let settings = given.settings(&["--port", "3"]);
    assert_eq!(settings.port("port"), 3);
    assert_eq!(settings.text("host"), "environment");
    assert_eq!(settings.text("node-id"), "file");
    assert_eq!(settings.size("maxmemory"), 1000);
    assert!(settings.is_given("port") && settings.is_given_by_flag("port"));
    assert!(settings.is_given("host") && !settings.is_given_by_flag("host"));
}

#[test]
fn the_flag_that_names_the_file_wins_over_the_variable() {
    let given = Given::file("port = 1");
    fs::write(given.path("other.toml"), "port = 2").unwrap();
    let other = given.path("other.toml");
    assert_eq!(given.settings(&["--config", other.to_str().unwrap()]).port("port"), 2);
}

#[test]
fn an_empty_variable_counts_as_unset() {
    assert_eq!(Given::nothing().env("NODE_PORT", "").settings(&[]).port("port"), 7001);
    // As a compose file passes them all: `NAME: ${NAME:-}`.
    let names = ["NODE_HOST", "NODE_PORT", "NODE_ID", "EAGER", "CLUSTER_NODES", "PASSWORD", "PASSWORD_FILE"];
    let names = names.into_iter().chain(["EXAMPLE_CONFIG", "LOG_LEVEL", "LOG_FORMAT"]);
    let given = names.fold(Given::nothing(), |given, name| given.env(name, ""));
    let settings = given.settings(&[]);
    assert_eq!((settings.text("host"), settings.text("log-level")), ("127.0.0.1", "info"));
    for optional in ["node-id", "nodes", "requirepass"] {
        assert_eq!(settings.optional_text(optional), None, "{optional}");
    }
    assert!(!settings.switch("eager"));
    let one = Given::nothing().env("PASSWORD", "hunter2").env("PASSWORD_FILE", "");
    assert_eq!(one.settings(&[]).text("requirepass"), "hunter2", "an empty variable is no second one");
}

#[test]
fn the_last_of_two_equal_flags_wins() {
    assert_eq!(Given::nothing().settings(&["--port", "1", "--port=2"]).port("port"), 2);
}

#[test]
fn a_switch_needs_no_value_and_takes_one() {
    assert!(Given::nothing().settings(&["--eager"]).switch("eager"));
    assert!(Given::nothing().env("EAGER", "yes").settings(&[]).switch("eager"));
    assert!(!Given::nothing().env("EAGER", "yes").settings(&["--eager=no"]).switch("eager"));
}

#[test]
fn a_list_in_the_file_is_its_elements_with_commas() {
    let settings = Given::file("nodes = [\"node1=a:1\", \"node2=b:2\"]").settings(&[]);
    assert_eq!(settings.text("nodes"), "node1=a:1,node2=b:2");
}

#[test]
fn every_mistake_is_reported_at_once() {
    let file = "timeout = \"soon\"\nprot = 7\nworkers = 65\n[table]\na = 1\n";
    let given = Given::file(file).env("NODE_PORT", "http").env("EAGER", "maybe");
    let args = ["--hots", "x", "--port", "70000", "stray", "--maxmemory", "much"];
    let mut mistakes = given.mistakes(&args);
    mistakes.sort();
    let mut expected = [
        "example: command line: unknown flag `--hots`; did you mean `--host`?",
        "example: command line: unexpected argument `stray`; settings are given as --flags",
        "example: settings.toml:2: unknown key `prot`; did you mean `port`?",
        "example: settings.toml:4: unknown key `table`",
        "example: environment variable NODE_PORT: expected a port from 1 to 65535, or 0 for any free one, found \"http\"",
        "example: --port: expected a port from 1 to 65535, or 0 for any free one, found \"70000\"",
        "example: settings.toml:1: `timeout`: expected a duration with its unit, such as 30s, 500ms or 1m30s, found \"soon\"",
        "example: --maxmemory: expected a size in bytes or with a unit, such as 1000000, 512kb, 256mb or 1gb, found \"much\"",
        "example: settings.toml:3: `workers`: expected a whole number from 1 to 64, found \"65\"",
        "example: environment variable EAGER: expected true or false (also yes/no, on/off, 1/0), found \"maybe\"",
    ];
    expected.sort_unstable();
    assert_eq!(mistakes, expected);
}

#[test]
fn a_missing_value_is_a_mistake_among_others() {
    let mistakes = Given::nothing().mistakes(&["--workers", "0", "--port"]);
    assert_eq!(
        mistakes,
        [
            "example: --port: a value is missing",
            "example: --workers: expected a whole number from 1 to 64, found \"0\"",
        ]
    );
}

#[test]
fn a_key_given_twice_is_a_mistake() {
    let mistakes = Given::file("node-id = \"a\"\nnode_id = \"b\"").mistakes(&[]);
    assert_eq!(mistakes.len(), 1, "{mistakes:?}");
    assert!(mistakes[0].contains("is already set in line 1"), "{mistakes:?}");
}

#[test]
fn a_broken_or_missing_file_is_one_clear_line() {
    assert_eq!(Given::file("port = = 1").mistakes(&[]).len(), 1);
    assert!(Given::file("port = = 1").mistakes(&[])[0].starts_with("example: settings.toml:1: "));
    let missing = Given::nothing().mistakes(&["--config", "/nonexistent/settings.toml"]);
    assert_eq!(
        missing,
        ["example: --config: cannot read /nonexistent/settings.toml: No such file or directory (os error 2)"]
    );
}

#[test]
fn an_unreadable_file_is_told_with_the_variable_that_names_it() {
    let mistakes = Given::nothing().env("EXAMPLE_CONFIG", "/nonexistent/settings.toml").mistakes(&[]);
    let place = "example: environment variable EXAMPLE_CONFIG: cannot read /nonexistent/settings.toml: ";
    assert!(mistakes.len() == 1 && mistakes[0].starts_with(place), "{mistakes:?}");
}

#[test]
fn mistakes_in_the_file_are_in_its_order() {
    let file = "workers = 65\nzzz = 1\nport = \"http\"\naaa = 1\n";
    let mistakes = Given::file(file).mistakes(&["--timeout", "soon"]);
    let places: Vec<&str> = mistakes.iter().filter_map(|mistake| mistake.split(": ").nth(1)).collect();
    let lines = ["settings.toml:1", "settings.toml:2", "settings.toml:3", "settings.toml:4"];
    assert_eq!((places[0], &places[1..]), ("--timeout", &lines[..]), "{mistakes:?}");
}

#[test]
fn the_printed_configuration_tells_every_source_and_gives_the_same_again() {
    let given = Given::file("timeout = \"1m\"").env("NODE_HOST", "example.org");
    let shown = given.printed(&["--port", "5", "--print-config", "--eager"]);
    for (name, value, source) in [
        ("host", "\"example.org\"", "environment NODE_HOST"),
        ("port", "5", "flag"),
        ("# node-id", "", "not set"),
        ("timeout", "\"1m\"", "settings.toml:1"),
        ("maxmemory", "\"256mb\"", "default"),
        ("eager", "true", "flag"),
    ] {
        let start = format!("{name} = {value}");
        let line = shown
            .lines()
            .find(|line| line.starts_with(start.trim_end()))
            .unwrap_or_else(|| panic!("{name}: {shown}"));
        assert!(line.ends_with(source), "{line}");
    }
    let again = Given::file(&shown).settings(&[]);
    assert_eq!((again.port("port"), again.text("host")), (5, "example.org"));
    assert_eq!((again.duration("timeout"), again.switch("eager")), (Duration::from_secs(60), true));
}

#[test]
fn a_secret_is_read_from_a_file_and_never_shown() {
    let given = Given::nothing();
    fs::write(given.path("password"), "hunter2\n").unwrap();
    let path = given.path("password").to_str().unwrap().to_owned();
    let given = given.env("PASSWORD_FILE", &path);
    assert_eq!(given.settings(&[]).text("requirepass"), "hunter2");
    let debugged = format!("{:?}", given.settings(&[]));
    assert!(!debugged.contains("hunter2"), "{debugged}");
    let shown = given.printed(&["--print-config"]);
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(shown.contains("# requirepass = \"***\""), "{shown}");
    assert!(shown.contains("file named by environment PASSWORD_FILE"), "{shown}");
}

#[test]
fn a_flag_or_a_key_names_the_file_of_a_secret_too() {
    let given = Given::nothing();
    fs::write(given.path("password"), "hunter2\r\n").unwrap();
    let path = given.path("password").to_str().unwrap().to_owned();
    let settings = given.settings(&["--requirepass-file", &path]);
    assert_eq!(settings.text("requirepass"), "hunter2");
    let shown = given.printed(&["--requirepass-file", &path, "--print-config"]);
    assert!(shown.contains("file named by flag") && !shown.contains("hunter2"), "{shown}");
    let in_file = Given::file(&format!("requirepass_file = \"{path}\""));
    assert_eq!(in_file.settings(&[]).text("requirepass"), "hunter2");
    // A flag wins over a variable, whichever of them names a file.
    let in_both = Given::nothing().env("PASSWORD", "other");
    assert_eq!(in_both.settings(&["--requirepass-file", &path]).text("requirepass"), "hunter2");
}

#[test]
fn a_secret_file_that_is_missing_empty_or_one_too_many_is_a_mistake() {
    let given = Given::nothing();
    fs::write(given.path("empty"), "\n").unwrap();
    let empty = given.path("empty").to_str().unwrap().to_owned();
    let mistakes = given.mistakes(&["--requirepass-file", &empty]);
    assert_eq!(mistakes, ["example: --requirepass-file: expected a text that is not empty, found \"***\""]);
    let mistakes = given.mistakes(&["--requirepass-file", &empty, "--requirepass", "hunter2"]);
    assert_eq!(mistakes, ["example: --requirepass-file: --requirepass is given as well; give only one"]);
    let mistakes = given.mistakes(&["--requirepass-file", "/nonexistent"]);
    assert!(
        mistakes[0].starts_with("example: --requirepass-file: cannot read /nonexistent: "),
        "{mistakes:?}"
    );
    let mistakes = Given::file("requirepass-file = \"/nonexistent\"").mistakes(&[]);
    assert!(mistakes[0].contains("settings.toml:1: `requirepass-file`: cannot read"), "{mistakes:?}");
    let mistakes =
        Given::file("requirepass = \"hunter2\"\nrequirepass-file = \"/nonexistent\"").mistakes(&[]);
    assert!(mistakes.len() == 1 && !mistakes[0].contains("hunter2"), "{mistakes:?}");
    // Only a secret has a file.
    assert!(given.mistakes(&["--host-file", "x"])[0].contains("unknown flag `--host-file`"));
}

#[test]
fn a_secret_given_twice_or_unreadable_is_a_mistake_that_does_not_tell_it() {
    let twice = Given::nothing().env("PASSWORD", "hunter2").env("PASSWORD_FILE", "/x").mistakes(&[]);
    assert_eq!(twice, ["example: environment variable PASSWORD_FILE: PASSWORD is set as well; set only one"]);
    let unreadable = Given::nothing().env("PASSWORD_FILE", "/nonexistent").mistakes(&[]);
    assert!(unreadable[0].contains("cannot read /nonexistent"), "{unreadable:?}");
}

#[test]
fn help_shows_default_variable_and_unit() {
    let help = Given::nothing().printed(&["--help"]);
    for part in [
        "--port <PORT>",
        "[default: 7001]",
        "[env: NODE_PORT]",
        "--timeout <DURATION>",
        "<SIZE>",
        "--print-config",
        "[env: PASSWORD or PASSWORD_FILE]",
        "[env: EXAMPLE_CONFIG]",
    ] {
        assert!(help.contains(part), "{part} is missing in\n{help}");
    }
}

#[test]
fn the_version_tells_the_revision() {
    let version = Given::nothing().printed(&["--version"]);
    assert!(version.starts_with(concat!("example ", env!("CARGO_PKG_VERSION"), " (")), "{version}");
}

#[test]
#[should_panic(expected = "declares no setting `prot`")]
fn asking_for_an_undeclared_setting_is_a_bug() {
    let _ = Given::nothing().settings(&[]).port("prot");
}
