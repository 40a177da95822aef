//! How each single process begins and ends.

use std::net::TcpListener;

use rustix::process::Signal;

use crate::binaries::fastcache;
use crate::cluster::Cluster;
use crate::output::output;
use crate::ports::free_port;
use crate::process::Process;

#[test]
fn a_taken_port_is_one_clear_line_and_a_failure() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("its address").port();
    for program in ["cache-node", "cache-proxy", "health-service"] {
        let mut command = fastcache(&[program, "--port", &port.to_string()]);
        if program == "health-service" {
            command.env("NODE_COUNT", "1");
        }
        let output = output(command, b"");
        let text = String::from_utf8_lossy(&output.stderr);
        let wanted = format!("{program}: cannot listen on 127.0.0.1:{port}: Address already in use");
        assert!(text.lines().count() == 1 && text.starts_with(&wanted), "{program}: {text}");
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{program}");
    }
}

#[test]
fn a_proxy_that_finds_no_health_service_says_so() {
    let nobody = format!("http://127.0.0.1:{}", free_port());
    let command = fastcache(&["cache-proxy", "--port", "0", "--health-service", &nobody]);
    let proxy = Process::spawn("proxy", command);
    let told =
        proxy.wait_for_line("cannot follow the health service: does it run, and is --health-service right?");
    assert!(told.contains("efused") || proxy.log().contains("efused"), "{}", proxy.log());
}

#[test]
fn sigterm_ends_each_process_cleanly_though_clients_are_connected() {
    let mut cluster = Cluster::start(2, 1);
    let mut client = cluster.client(0);
    assert_eq!(client.ask("SET a 1"), "+OK\r\n");
    let mut node_client = cluster.node_client(0);
    assert_eq!(node_client.ask("PING"), "+PONG\r\n");
    stops(&mut cluster.proxies[0].process);
    assert!(client.receive().is_err(), "the proxy has ended and its connection has not");
    stops(&mut cluster.health.process);
    stops(&mut cluster.nodes[0].process);
    assert!(node_client.receive().is_err(), "the node has ended and its connection has not");
}

fn stops(process: &mut Process) {
    process.signal(Signal::TERM);
    let status = process.wait();
    assert!(status.success(), "{status}");
}
