//! What is refused before anything starts: one clear line per mistake.

use std::fs;
use std::process::Stdio;

use super::command::{Up, fastcache, full_pipe, run, silent_port, stderr_lines, taken_port, up_command};

#[test]
fn every_taken_port_is_named_and_nothing_is_started() {
    let directory = tempfile::tempdir().unwrap();
    let base_dir = directory.path().join("up");
    let (_entry, entry) = taken_port();
    let (_health, health) = taken_port();
    let any = "0";
    let mut args = vec!["up", "--nodes", "2", "--proxies", "1", "--entry", "shared"];
    args.extend(["--base-dir", base_dir.to_str().unwrap(), "--entry-port", &entry, "--health-port", &health]);
    args.extend(["--node-port", any, "--proxy-port", any, "--admin-port", any]);
    let output = run(&args);
    assert_eq!(output.status.code(), Some(1));
    let hint = "is taken: stop what listens there, or choose another port";
    assert_eq!(
        stderr_lines(&output),
        [
            format!("fastcache up: port {entry} for the entry {hint}"),
            format!("fastcache up: port {health} for the health service {hint}"),
        ]
    );
    assert!(output.stdout.is_empty());
    assert!(!base_dir.exists(), "it leaves nothing behind");
}

#[test]
fn a_refusal_does_not_wait_for_a_reader_of_stderr() {
    let (_reader, writer) = full_pipe();
    let mut up = fastcache(&["up", "--entry", "nginx"]);
    let mut up = Up::spawn(up.stdout(Stdio::piped()).stderr(writer));
    assert_eq!(up.wait().code(), Some(2));
}

#[test]
fn a_password_file_that_cannot_be_read_is_told() {
    let output = fastcache(&["up"]).env("REQUIREPASS", "secret").env("NODE_PASSWORD_FILE", "/x").output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(2));
    let lines = stderr_lines(&output);
    assert!(lines.iter().any(|line| line.contains("NODE_PASSWORD_FILE") && line.contains("/x")), "{lines:?}");
    assert!(lines.iter().all(|line| !line.contains("secret")), "{lines:?}");
}

#[test]
fn without_a_home_it_asks_where_to_put_things() {
    let output = run(&["up", "--entry", "shared"]);
    assert_eq!(output.status.code(), Some(1));
    let told = "fastcache up: neither XDG_STATE_HOME nor HOME names a directory: say where with --base-dir";
    assert_eq!(stderr_lines(&output), [told]);
}

#[test]
fn an_address_of_another_host_is_told_once() {
    // For documentation, so nobody's.
    let output = run(&["up", "--host", "203.0.113.7", "--admin-host", "203.0.113.8"]);
    assert_eq!(output.status.code(), Some(1));
    let lines = stderr_lines(&output);
    let told = |line: &str, address: &str| {
        line.starts_with(&format!("fastcache up: --{address}: nothing can listen there: "))
    };
    assert!(
        lines.len() == 2 && told(&lines[0], "host 203.0.113.7") && told(&lines[1], "admin-host 203.0.113.8"),
        "{lines:#?}"
    );
}

#[test]
fn ports_wanted_twice_are_named() {
    let output =
        run(&["up", "--nodes", "3", "--entry", "shared", "--entry-port", "7002", "--health-port", "6382"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        stderr_lines(&output),
        [
            "fastcache up: port 6382 is wanted by both the health service and proxy1",
            "fastcache up: port 7002 is wanted by both the entry and node2",
        ]
    );
}

#[test]
fn every_mistake_in_the_flags_is_told() {
    let output = run(&["up", "--nodes", "0", "--prot", "7", "--entry=nginx"]);
    assert_eq!(output.status.code(), Some(2));
    let lines = stderr_lines(&output);
    assert_eq!(lines.len(), 4, "{lines:#?}");
    assert!(lines[0].contains("unknown flag `--prot`"), "{lines:#?}");
    assert!(lines[1].contains("--nodes: expected a whole number from 1 to 1000, found \"0\""), "{lines:#?}");
    assert!(
        lines[2].contains("--entry: expected one of auto, haproxy, shared, found \"nginx\""),
        "{lines:#?}"
    );
}

#[test]
fn whoever_asks_where_nothing_runs_is_told_how_to_ask_elsewhere() {
    let (_kept, port) = silent_port();
    let address = format!("http://127.0.0.1:{port}");
    for (args, told) in [
        (
            &["status", "--health", &address][..],
            "`fastcache up` starts a cluster, --health says where one runs",
        ),
        (&["explain", "k", "--proxy", &address], "--proxy says which proxy's admin port to ask"),
    ] {
        let output = run(args);
        let lines = stderr_lines(&output);
        let is_told = lines.len() == 1 && lines[0].contains("does not answer: ") && lines[0].contains(told);
        assert!(output.status.code() == Some(1) && is_told, "{lines:?}");
    }
}

#[test]
fn an_unknown_subcommand_gets_the_list_of_them() {
    let output = run(&["upp"]);
    assert_eq!(output.status.code(), Some(2));
    let lines = stderr_lines(&output);
    assert_eq!(lines[0], "fastcache: there is no subcommand `upp`");
    assert!(lines.iter().any(|line| line.trim_start().starts_with("healthcheck ")), "{lines:#?}");
}

#[test]
fn a_directory_in_use_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let base_dir = directory.path().to_str().unwrap();
    let mut first = Up::start(base_dir, "shared");
    first.ready_line();
    // On the same ports, as when the same command is given twice.
    let topology = fs::read_to_string(directory.path().join("cluster.toml")).unwrap();
    let node1 = topology.split('"').find_map(|word| word.strip_prefix("127.0.0.1:")).unwrap();
    let second = up_command(base_dir, "shared").args(["--node-port", node1]).output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    let lines = stderr_lines(&second);
    assert!(
        lines.len() == 1 && lines[0].starts_with("fastcache up: another `fastcache up` uses "),
        "{lines:#?}"
    );
}
