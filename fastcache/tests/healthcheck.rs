//! `fastcache healthcheck`: its exit status is all that a container looks at.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use super::command::{run, stderr_lines};

/// A server that gives every connection this answer.
fn answering(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut question = [0; 1024];
            let _ = stream.read(&mut question);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    address
}

#[test]
fn pong_and_status_200_are_well() {
    assert!(run(&["healthcheck", &answering("+PONG\r\n")]).status.success());
    let url = format!("http://{}/readyz", answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    assert!(run(&["healthcheck", &url]).status.success());
}

#[test]
fn anything_else_is_not_and_says_why() {
    let refused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let page = format!("http://{}/readyz", answering("HTTP/1.1 503 Service Unavailable\r\n\r\nnot ready\n"));
    for (target, told) in [
        (answering("-LOADING not yet\r\n"), "answered \"-LOADING not yet\""),
        (refused, "does not answer"),
        (page, "answered status 503"),
        ("https://127.0.0.1/readyz".to_owned(), "only http:// is spoken here"),
    ] {
        let output = run(&["healthcheck", &target]);
        assert_eq!(output.status.code(), Some(1), "{target}");
        assert!(stderr_lines(&output)[0].contains(told), "{:?}", stderr_lines(&output));
    }
}

#[test]
fn silence_ends_after_two_seconds() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let began = Instant::now();
    let output = run(&["healthcheck", &silent.local_addr().unwrap().to_string()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        (Duration::from_secs(2)..Duration::from_secs(20)).contains(&began.elapsed()),
        "{:?}",
        began.elapsed()
    );
}
