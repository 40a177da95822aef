//! The settings: defaults, sources of the topology, and mistakes.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::ffi::OsString;
use std::time::Duration;

use daemon::Invocation;
use health_service::{Config, PROGRAM};

fn config(args: &[&str], env: &[(&str, &str)]) -> Result<Config, String> {
    let lookup =
        |name: &str| env.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value));
    let Invocation::Run(settings) = PROGRAM.read(args, lookup).map_err(|e| e.to_string())? else {
        panic!("something to print");
    };
    Config::from_settings(&settings).map_err(|e| e.to_string())
}

#[test]
fn defaults_are_those_of_the_standard_cluster() {
    let config = config(&[], &[]).unwrap();
    assert_eq!((config.host.as_str(), config.port), ("127.0.0.1", 8080));
    assert_eq!(config.topology.nodes.len(), 50);
    assert_eq!(config.topology.nodes[49].address.to_string(), "127.0.0.1:7050");
    assert_eq!(
        (config.policy.interval, config.policy.timeout),
        (Duration::from_secs(30), Duration::from_secs(5))
    );
    assert_eq!((config.policy.failures, config.policy.successes), (3, 2));
    assert_eq!(config.state_dir, None);
    assert!(config.node_login.is_none());
}

#[test]
fn the_environment_of_the_compose_file_works() {
    let env = [
        ("HEALTH_CHECK_INTERVAL", "10s"),
        ("HEALTH_CHECK_TIMEOUT", "2s"),
        ("NODE_COUNT", "2"),
        ("CLUSTER_NODES", "node1=fastcache-node1:6379,node2=fastcache-node2:6379"),
        ("CLUSTER_PROXIES", "proxy1=fastcache-proxy1:6379"),
    ];
    let config = config(&["--port", "0", "--failures", "1"], &env).unwrap();
    assert_eq!(config.policy.interval, Duration::from_secs(10));
    assert_eq!(config.policy.failures, 1);
    assert_eq!(config.topology.nodes[1].address.to_string(), "fastcache-node2:6379");
    assert_eq!(config.topology.proxies[0].id.as_str(), "proxy1");
}

#[test]
fn a_cluster_file_wins_and_its_mistakes_are_all_told() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("cluster.toml");
    std::fs::write(&path, "[[node]]\nid = \"a\"\naddress = \"h:1\"\n").unwrap();
    let path = path.to_str().unwrap();
    let args = ["--cluster", path];
    assert_eq!(config(&args, &[("CLUSTER_NODES", "x=h:1,y=h:2")]).unwrap().topology.nodes.len(), 1);
    std::fs::write(path, "[[node]]\nid = \"a\"\naddress = \"h\"\nweight = 0\n").unwrap();
    let error = config(&args, &[]).unwrap_err();
    assert!(
        error.contains(path) && error.contains("weight = 0") && error.contains("not HOST:PORT"),
        "{error}"
    );
    let error = config(&["--cluster", "/nowhere/cluster.toml"], &[]).unwrap_err();
    assert!(error.contains("/nowhere/cluster.toml"), "{error}");
}

#[test]
fn contradictions_are_refused() {
    let error = config(&["--interval", "10ms", "--timeout", "1m", "--node-count", "3"], &[]).unwrap_err();
    assert!(error.contains("interval must be") && error.contains("timeout must be"), "{error}");
    let error = config(&["--interval", "25h"], &[]).unwrap_err();
    assert!(error.contains("at most 1 day"), "{error}");
    let error = config(&[], &[("NODE_COUNT", "3"), ("CLUSTER_NODES", "a=h:1")]).unwrap_err();
    assert!(error.contains("node-count is 3, but 1 nodes"), "{error}");
    assert!(config(&[], &[("CLUSTER_PROXIES", "p")]).unwrap_err().contains("\"p\" is not ID=HOST:PORT"));
    assert!(config(&["--node-count", "0"], &[]).is_err());
}

#[test]
fn the_token_is_optional_checked_and_never_shown() {
    let token = |env: &[(&str, &str)]| config(&[], env).map(|config| config.api_token.is_some());
    assert_eq!(token(&[]), Ok(false));
    assert_eq!(token(&[("HEALTH_API_TOKEN", ""), ("HEALTH_API_TOKEN_FILE", "")]), Ok(false));
    assert_eq!(token(&[("HEALTH_API_TOKEN", "s3cret")]), Ok(true));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    std::fs::write(&path, "s3cret\n").unwrap();
    let path = path.to_str().unwrap();
    assert_eq!(token(&[("HEALTH_API_TOKEN_FILE", path)]), Ok(true));
    let config_of = |args: &[&str]| config(args, &[]).unwrap();
    assert!(config_of(&["--api-token-file", path]).api_token.unwrap().is_carried_by(b"Bearer s3cret"));
    assert!(!format!("{:?}", config_of(&["--api-token", "s3cret"])).contains("s3cret"));
    let error = config(&["--api-token", "two words"], &[]).unwrap_err();
    assert!(error.contains("api-token: ") && !error.contains("two words"), "{error}");
    let args = ["--api-token-file", path, "--print-config"];
    let Ok(Invocation::Print(shown)) = PROGRAM.read(args, |_| None) else { panic!("nothing to print") };
    assert!(shown.contains("# api-token = \"***\"") && !shown.contains("s3cret"), "{shown}");
}

#[test]
fn empty_variables_are_no_settings() {
    let empty: Vec<(&str, &str)> = PROGRAM.all_settings().filter_map(|s| Some((s.env?, ""))).collect();
    let config = config(&[], &empty).unwrap();
    assert_eq!((config.topology.nodes.len(), config.port, config.state_dir), (50, 8080, None));
}

#[test]
fn a_password_for_the_nodes_is_taken_and_a_user_alone_is_a_mistake() {
    let login = |env: &[(&str, &str)]| config(&[], env).map(|config| config.node_login);
    assert!(login(&[("NODE_PASSWORD", "")]).unwrap().is_none());
    let given = login(&[("NODE_PASSWORD", "s3cret"), ("NODE_USERNAME", "probe")]).unwrap().unwrap();
    assert_eq!(given.request(), b"*3\r\n$4\r\nAUTH\r\n$5\r\nprobe\r\n$6\r\ns3cret\r\n");
    let mistake = login(&[("NODE_USERNAME", "probe")]).unwrap_err();
    assert_eq!(mistake, "--node-username: a user name for the nodes needs their password as well");
}
