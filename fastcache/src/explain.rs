//! `fastcache explain KEY …`: which node serves a key and why, as a proxy sees it.
//!
//! It asks the proxy's admin port, so it tells what that proxy does with the very next request for the key.

use std::ffi::OsString;
use std::fmt::Write;
use std::process::ExitCode;

use daemon::{Kind, Program, Setting, Settings};
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use serde::Deserialize;
use serde_json::Value;

use crate::wire::http_get;

static PROGRAM: Program = Program {
    name: "fastcache explain",
    about: "Show which node serves a key, and why: fastcache explain KEY [KEY ...]",
    settings: &[
        Setting {
            name: "proxy",
            env: None,
            default: Some("http://127.0.0.1:9382"),
            kind: Kind::Url,
            help: "The admin port of the proxy to ask; all proxies of one epoch say the same",
        },
        Setting {
            name: "json",
            env: None,
            default: None,
            kind: Kind::Switch,
            help: "The proxy's own JSON instead of sentences",
        },
        Setting {
            name: "timeout",
            env: None,
            default: Some("5s"),
            kind: Kind::Duration,
            help: "How long to wait for the answer",
        },
    ],
};

/// What a proxy tells, as far as it is shown.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    proxy: String,
    epoch: u64,
    same_node: bool,
    keys: Vec<Key>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Key {
    key: String,
    hashed: String,
    slot: u32,
    serving: Option<String>,
    address: Option<String>,
    connections: Option<u64>,
    next_in_line: Option<String>,
    why: String,
}

/// Runs the command.
pub(crate) fn main(args: &[OsString]) -> ExitCode {
    let (keys, options) = keys_and_options(args);
    daemon::run_main(&PROGRAM, options, async move |settings| run(&settings, &keys))
}

/// Options may stand anywhere; what is neither an option nor its value is a key, and so is all that follows a `--`.
fn keys_and_options(args: &[OsString]) -> (Vec<OsString>, Vec<OsString>) {
    let (mut keys, mut options) = (Vec::new(), Vec::new());
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_encoded_bytes() {
            b"--" => keys.extend(args.by_ref().cloned()),
            option if option.starts_with(b"-") => {
                options.push(arg.clone());
                if takes_a_value(option) {
                    options.extend(args.next().cloned());
                }
            }
            _ => keys.push(arg.clone()),
        }
    }
    (keys, options)
}

/// Whether the next argument belongs to this option.
fn takes_a_value(option: &[u8]) -> bool {
    /// What every FastCache command knows and takes no value.
    const LONELY: [&[u8]; 5] = [b"-h", b"--help", b"-V", b"--version", b"--print-config"];
    let is_switch = |setting: &Setting| {
        matches!(setting.kind, Kind::Switch) && option.strip_prefix(b"--") == Some(setting.name.as_bytes())
    };
    !option.contains(&b'=') && !LONELY.contains(&option) && !PROGRAM.settings.iter().any(is_switch)
}

fn run(settings: &Settings, keys: &[OsString]) -> anyhow::Result<()> {
    anyhow::ensure!(!keys.is_empty(), "which key? fastcache explain KEY [KEY ...]");
    let keys = keys.iter().map(|key| percent_encode(key.as_encoded_bytes(), NON_ALPHANUMERIC));
    let query: Vec<String> = keys.map(|key| format!("key={key}")).collect();
    let url = format!("{}/explain?{}", settings.text("proxy").trim_end_matches('/'), query.join("&"));
    let answer = http_get(&url, settings.duration("timeout")).map_err(|error| {
        anyhow::anyhow!(
            "{error}; --proxy says which proxy's admin port to ask, such as http://127.0.0.1:9382"
        )
    })?;
    let parsed = serde_json::from_str(&answer.body);
    // Before it is read: HTTP's own refusals (a URL that is too long) are not in JSON.
    anyhow::ensure!(
        answer.status == 200 || parsed.is_ok(),
        "{} answered status {}",
        asked(&url),
        answer.status
    );
    let json: Value =
        parsed.map_err(|error| anyhow::anyhow!("{} did not answer JSON: {error}", asked(&url)))?;
    if let Some(problem) = json.get("error").and_then(Value::as_str) {
        anyhow::bail!("{problem} (asked at {}; it must be a proxy's admin port)", settings.text("proxy"));
    }
    anyhow::ensure!(answer.status == 200, "{} answered status {}", asked(&url), answer.status);
    let text = if settings.switch("json") {
        serde_json::to_string_pretty(&json)?
    } else {
        sentences(&serde_json::from_value(json)?)
    };
    daemon::print(&text);
    Ok(())
}

/// The address without the keys, of which there may be thousands.
fn asked(url: &str) -> &str {
    url.split('?').next().unwrap_or(url)
}

fn sentences(told: &Told) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    for key in &told.keys {
        let _ = writeln!(text, "{}", key.key);
        let tag = if key.hashed == key.key { String::new() } else { format!(" ({} is hashed)", key.hashed) };
        let _ = writeln!(text, "  slot      {}{tag}", key.slot);
        match (&key.serving, &key.address) {
            (Some(node), Some(address)) => {
                let _ = writeln!(text, "  served by {node} at {address}{}", connected(key.connections));
            }
            _ => text += "  served by nobody\n",
        }
        let _ = writeln!(text, "  because   {}", key.why);
        let next = key.next_in_line.as_deref().unwrap_or("nobody");
        let _ = writeln!(text, "  next      {next}, if that node went out of service too");
    }
    let _ = write!(text, "as {} routes, by the view of epoch {}", told.proxy, told.epoch);
    if told.keys.len() > 1 {
        let together = if told.same_node { "one node serves them all" } else { "several nodes serve them" };
        let _ = write!(text, "; {together}");
    }
    text
}

/// What a person should know of the way to the node.
fn connected(connections: Option<u64>) -> &'static str {
    match connections {
        Some(0) => ", to which the proxy has no connection now",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn split(args: &[&str]) -> (Vec<String>, Vec<String>) {
        let args: Vec<OsString> = args.iter().map(OsString::from).collect();
        let text = |args: Vec<OsString>| args.into_iter().map(|arg| arg.into_string().unwrap()).collect();
        let (keys, options) = keys_and_options(&args);
        (text(keys), text(options))
    }

    #[test]
    fn keys_are_what_is_neither_an_option_nor_its_value() {
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        for (args, keys, options) in [
            (&["a", "b", "--json"][..], &["a", "b"][..], &["--json"][..]),
            (&["--proxy", "x", "--", "-a"], &["-a"], &["--proxy", "x"]),
            (&["a", "--", "-b"], &["a", "-b"], &[]),
            (
                &["--json", "a", "--proxy", "x", "b", "--timeout=1s", "c"],
                &["a", "b", "c"],
                &["--json", "--proxy", "x", "--timeout=1s"],
            ),
            (&["--help", "a"], &["a"], &["--help"]),
            (&["--proxy"], &[], &["--proxy"]),
            (&[], &[], &[]),
        ] {
            assert_eq!(split(args), (owned(keys), owned(options)), "{args:?}");
        }
    }

    #[test]
    fn it_is_told_in_sentences() {
        let key = json!({
            "key": "{u1}.name", "hashed": "u1", "slot": 7, "owner": "node1", "serving": "node2",
            "address": "h:1", "connections": 0, "nextInLine": null, "why": "node1 is out",
        });
        let told = json!({"proxy": "proxy1", "epoch": 3, "sameNode": true, "keys": [key, key]});
        let text = sentences(&serde_json::from_value(told).unwrap());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "{u1}.name");
        assert_eq!(lines[1], "  slot      7 (u1 is hashed)");
        assert_eq!(lines[2], "  served by node2 at h:1, to which the proxy has no connection now");
        assert_eq!(lines[3], "  because   node1 is out");
        assert_eq!(lines[4], "  next      nobody, if that node went out of service too");
        let end = "as proxy1 routes, by the view of epoch 3; one node serves them all";
        assert_eq!((lines.len(), lines[10]), (11, end));
    }
}
