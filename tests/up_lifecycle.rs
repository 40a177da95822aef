//! The life of `fastcache up`: it refuses what cannot work, and whatever ends it, nothing is left behind.

use std::fs;
use std::net::{TcpListener, TcpStream};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::eventually::eventually;
use crate::process::Process;
use crate::up::{Ports, Up, command};

#[test]
fn a_taken_port_is_refused_by_name_and_nothing_is_started() {
    let ports = Ports::free();
    let _taken = TcpListener::bind(("127.0.0.1", ports.first_node + 1)).expect("the port is free");
    let files = TempDir::new().expect("a temporary directory");
    let mut process = Process::spawn("up", command("shared", ports, &files));
    let status = process.wait();
    assert_eq!(status.code(), Some(1));
    process.wait_for_line(&format!("port {} for node2 is taken", ports.first_node + 1));
    assert!(ports.all().filter(|port| *port != ports.first_node + 1).all(nobody_listens));
    let left = fs::read_dir(files.path()).expect("the directory was there before").count();
    assert_eq!(left, 0, "it leaves nothing behind");
}

#[test]
fn ctrl_c_stops_all_of_it() {
    let mut up = Up::start("haproxy");
    up.process.signal(Signal::INT);
    assert!(up.process.wait().success());
    assert!(up.ports.all().all(nobody_listens));
}

#[test]
fn sigkill_leaves_no_orphans() {
    let mut up = Up::start("haproxy");
    up.process.kill();
    eventually("every port is free again", || match up.ports.all().find(|port| !nobody_listens(*port)) {
        None => Ok(()),
        Some(port) => Err(format!("somebody listens on {port}; files are in {}", up.files.path().display())),
    });
}

fn nobody_listens(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_err()
}
