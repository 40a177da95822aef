//! `fastcache status`: the cluster as the health service sees it, as a table or as JSON.

use std::cmp::Ordering;
use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use comfy_table::{ContentArrangement, Table, presets};
use daemon::{Kind, Program, Setting, Settings};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::wire::http_get;

static PROGRAM: Program = Program {
    name: "fastcache status",
    about: "Show a running cluster as the health service sees it",
    settings: &[
        Setting {
            name: "health",
            env: Some("HEALTH_SERVICE_URL"),
            default: Some("http://127.0.0.1:8080"),
            kind: Kind::Url,
            help: "The health service",
        },
        Setting {
            name: "json",
            env: None,
            default: None,
            kind: Kind::Switch,
            help: "JSON instead of a table",
        },
        Setting {
            name: "timeout",
            env: None,
            default: Some("5s"),
            kind: Kind::Duration,
            help: "How long to wait for each answer",
        },
    ],
};

/// A node or proxy, as far as the table shows it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Member {
    node_id: String,
    host: String,
    port: u16,
    status: String,
    #[serde(default)]
    routable: Option<bool>,
    #[serde(default)]
    maintenance: bool,
    #[serde(default)]
    response_time_ms: Option<f64>,
    #[serde(default)]
    since: Option<String>,
    #[serde(default)]
    error_message: Option<String>,
}

/// Runs the command.
pub(crate) fn main(args: &[OsString]) -> ExitCode {
    daemon::run_main(&PROGRAM, args, async |settings| run(&settings))
}

fn run(settings: &Settings) -> anyhow::Result<()> {
    let ask = |path: &str| get(settings.text("health"), path, settings.duration("timeout"));
    let (summary, nodes, proxies) = (ask("/health/summary")?, ask("/health/nodes")?, ask("/health/proxies")?);
    let text = if settings.switch("json") {
        serde_json::to_string_pretty(&json!({"summary": summary, "nodes": nodes, "proxies": proxies}))?
    } else {
        format!("{}\n{}", table(members(nodes)?, members(proxies)?).trim_fmt(), totals(&summary))
    };
    daemon::print(&text);
    Ok(())
}

fn get(base: &str, path: &str, patience: Duration) -> anyhow::Result<Value> {
    let url = format!("{}{path}", base.trim_end_matches('/'));
    let answer = http_get(&url, patience).map_err(|error| {
        anyhow::anyhow!("{error}; `fastcache up` starts a cluster, --health says where one runs")
    })?;
    anyhow::ensure!(
        answer.status == 200,
        "{url} answered status {}; --health must name a health service",
        answer.status
    );
    serde_json::from_str(&answer.body).map_err(|error| anyhow::anyhow!("{url} did not answer JSON: {error}"))
}

/// The members in a list, or in the field of an object that holds it.
fn members(value: Value) -> anyhow::Result<Vec<Member>> {
    let list = match value {
        Value::Object(fields) => fields.into_iter().map(|(_, value)| value).find(Value::is_array),
        list => Some(list),
    };
    Ok(serde_json::from_value(list.unwrap_or_default())?)
}

fn table(mut nodes: Vec<Member>, mut proxies: Vec<Member>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["ID", "ADDRESS", "STATUS", "ROUTABLE", "PING", "SINCE", "ERROR"]);
    for members in [&mut nodes, &mut proxies] {
        members.sort_by(|a, b| by_number(&a.node_id, &b.node_id));
    }
    table.add_rows(nodes.into_iter().map(row));
    // Routable says whether the ring's keys may go there: no word about proxies.
    table.add_rows(proxies.into_iter().map(|proxy| row(Member { routable: None, ..proxy })));
    table
}

fn row(member: Member) -> [String; 7] {
    let unknown = || "-".to_owned();
    [
        member.node_id,
        format!("{}:{}", member.host, member.port),
        member.status,
        member
            .routable
            .map_or_else(unknown, |routable| routable_word(routable, member.maintenance).to_owned()),
        member.response_time_ms.map_or_else(unknown, |millis| format!("{millis} ms")),
        member.since.unwrap_or_else(unknown),
        printable(&member.error_message.unwrap_or_default()),
    ]
}

/// A drained node is well and gets no keys: without the word, that looks like a fault.
fn routable_word(routable: bool, maintenance: bool) -> &'static str {
    match (routable, maintenance) {
        (_, true) => "drained",
        (true, false) => "yes",
        (false, false) => "no",
    }
}

/// What a node answered may be part of the message, and must not command the operator's terminal.
fn printable(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

/// The line below the table.
fn totals(summary: &Value) -> String {
    let number = |field: &str| summary.get(field).map_or_else(|| "?".to_owned(), Value::to_string);
    let mut line = format!(
        "{} nodes: {} healthy, {} unhealthy, {} unknown; {} routable; {} of {} proxies healthy; epoch {}",
        number("totalNodes"),
        number("healthyNodes"),
        number("unhealthyNodes"),
        number("unknownNodes"),
        number("routableNodes"),
        number("healthyProxies"),
        number("totalProxies"),
        number("epoch"),
    );
    if let Some(drained @ 1..) = summary.get("maintenanceNodes").and_then(Value::as_u64) {
        line += &format!("; {drained} drained");
    }
    // Anything but `ok` decides what the cluster does, so it must not be overlooked.
    match summary.get("checker").and_then(Value::as_str) {
        None | Some("ok") => {}
        Some(state) => line += &format!("; routing {}", state.to_uppercase()),
    }
    line
}

/// `node2` before `node10`.
fn by_number(a: &str, b: &str) -> Ordering {
    let key = |id: &str| {
        let digits = id.len() - id.chars().rev().take_while(char::is_ascii_digit).count();
        (id[..digits].to_owned(), id[digits..].parse::<u64>().unwrap_or(0))
    };
    key(a).cmp(&key(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(id: &str, status: &str) -> Value {
        json!({"nodeId": id, "host": "127.0.0.1", "port": 7001, "status": status, "responseTimeMs": 1,
               "errorMessage": null, "somethingNew": []})
    }

    #[test]
    fn the_table_is_sorted_by_number_and_holds_every_member() {
        let nodes = members(json!([member("node10", "HEALTHY"), member("node2", "UNHEALTHY")])).unwrap();
        let proxies = members(json!({"epoch": 1, "proxies": [member("proxy1", "UNKNOWN")]})).unwrap();
        let text = table(nodes, proxies).to_string();
        let ids: Vec<&str> = text.lines().filter_map(|line| line.split_whitespace().next()).collect();
        assert_eq!(ids, ["ID", "node2", "node10", "proxy1"]);
        assert!(
            text.lines().nth(1).is_some_and(|line| line.contains("UNHEALTHY") && line.contains("1 ms")),
            "{text}"
        );
    }

    #[test]
    fn a_drained_node_is_told_from_one_that_is_merely_not_routable() {
        let node = |id: &str, maintenance: bool| {
            let mut node = member(id, "HEALTHY");
            (node["routable"], node["maintenance"]) = (false.into(), maintenance.into());
            node
        };
        let nodes = members(json!([node("node1", true), node("node2", false)])).unwrap();
        let text = table(nodes, Vec::new()).to_string();
        let column: Vec<&str> = text.lines().filter_map(|line| line.split_whitespace().nth(3)).collect();
        assert_eq!(column, ["ROUTABLE", "drained", "no"], "{text}");
    }

    #[test]
    fn messages_cannot_command_the_terminal() {
        let mut node = member("node1", "UNHEALTHY");
        node["errorMessage"] = "answered \u{1b}[2J\nnode2 HEALTHY".into();
        let text = table(members(json!([node])).unwrap(), Vec::new()).to_string();
        assert!(text.lines().count() == 2 && !text.contains('\u{1b}'), "{text:?}");
    }

    #[test]
    fn totals_tell_what_is_missing() {
        let mut summary = json!({
            "totalNodes": 50, "healthyNodes": 49, "unhealthyNodes": 1, "routableNodes": 48,
            "totalProxies": 5, "healthyProxies": 4, "epoch": 7, "checker": "ok",
        });
        let line =
            "50 nodes: 49 healthy, 1 unhealthy, ? unknown; 48 routable; 4 of 5 proxies healthy; epoch 7";
        assert_eq!(totals(&summary), line);
        summary["maintenanceNodes"] = 0.into();
        assert_eq!(totals(&summary), line);
        summary["maintenanceNodes"] = 2.into();
        assert_eq!(totals(&summary), format!("{line}; 2 drained"));
        summary["maintenanceNodes"] = 0.into();
        summary["checker"] = "frozen".into();
        assert_eq!(totals(&summary), format!("{line}; routing FROZEN"));
    }
}
