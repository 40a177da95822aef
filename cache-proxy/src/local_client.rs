//! `CLIENT …`, answered by the worker the client is connected to.
//!
//! `LIST` and `KILL` know the clients of one worker: with several workers each shows its own.

use std::fmt::Write;

use resp::{Encoder, Protocol, Request};

use crate::client::Client;
use crate::dispatch::Dispatcher;
use crate::local::is_name;
use crate::target::{ClientId, id_of};

/// Answers a `CLIENT` request whose subcommand and arity have been checked.
pub(crate) fn answer(
    worker: &mut Dispatcher,
    id: ClientId,
    subcommand: &str,
    request: &Request<'_>,
    to: &mut Encoder<'_>,
) {
    match subcommand {
        "id" => to.integer(id.serial.into()),
        "getname" => get_name(worker, id, to),
        "setname" => set_name(worker, id, request.arg(2), to),
        "setinfo" => set_info(worker, id, request, to),
        "info" => {
            let line = worker.client(id).map(|client| line(client)).unwrap_or_default();
            to.verbatim("txt", (line + "\n").as_bytes());
        }
        "list" => {
            let lines: String = worker.clients.iter().map(|(_, client)| line(client) + "\n").collect();
            to.verbatim("txt", lines.as_bytes());
        }
        "kill" => kill(worker, request, to),
        // The proxy evicts nobody and keeps no access times, so there is nothing to switch.
        "no-evict" | "no-touch" => to.simple("OK"),
        "tracking" if request.arg(2).eq_ignore_ascii_case(b"OFF") => to.simple("OK"),
        other => to.error(&format!("ERR 'client|{other}' is not supported by the proxy")),
    }
}

fn get_name(worker: &mut Dispatcher, id: ClientId, to: &mut Encoder<'_>) {
    match worker.client(id) {
        Some(client) if !client.name.is_empty() => to.bulk(&client.name),
        _ => to.null(),
    }
}

fn set_name(worker: &mut Dispatcher, id: ClientId, name: &[u8], to: &mut Encoder<'_>) {
    if !is_name(name) {
        return to.error("ERR Client names cannot contain spaces, newlines or special characters.");
    }
    if let Some(client) = worker.client(id) {
        client.name = name.to_vec();
    }
    to.simple("OK");
}

fn set_info(worker: &mut Dispatcher, id: ClientId, request: &Request<'_>, to: &mut Encoder<'_>) {
    let (attribute, value) = (request.arg(2), request.arg(3).to_vec());
    let Some(client) = worker.client(id) else { return };
    let field = if attribute.eq_ignore_ascii_case(b"LIB-NAME") {
        &mut client.lib_name
    } else if attribute.eq_ignore_ascii_case(b"LIB-VER") {
        &mut client.lib_version
    } else {
        return to.error(&format!("ERR Unrecognized option '{}'", String::from_utf8_lossy(attribute)));
    };
    if !is_name(&value) {
        let attribute = String::from_utf8_lossy(attribute);
        return to.error(&format!("ERR {attribute} cannot contain spaces, newlines or special characters."));
    }
    *field = value;
    to.simple("OK");
}

/// `CLIENT KILL address`, or `CLIENT KILL ID n` / `ADDR address`.
fn kill(worker: &mut Dispatcher, request: &Request<'_>, to: &mut Encoder<'_>) {
    let text = |index: usize| String::from_utf8_lossy(request.get(index).unwrap_or_default()).into_owned();
    let (by, value) = match request.len() {
        3 => ("ADDR".to_owned(), text(2)),
        4 => (text(2).to_ascii_uppercase(), text(3)),
        _ => return to.error("ERR syntax error"),
    };
    let matches = |client: &Client| match by.as_str() {
        "ID" => client.serial.to_string() == value,
        _ => client.peer.to_string() == value,
    };
    if by != "ID" && by != "ADDR" {
        return to.error("ERR syntax error");
    }
    let found: Vec<_> = worker.clients.iter().filter(|(_, client)| matches(client)).map(id_of).collect();
    for id in &found {
        if let Some(client) = worker.client(*id) {
            client.closing = true;
            client.killed = true;
        }
        worker.list(*id);
    }
    match (request.len(), found.len()) {
        (3, 0) => to.error("ERR No such client"),
        (3, _) => to.simple("OK"),
        (_, killed) => to.integer(i64::from(killed > 0)),
    }
}

/// One client as `CLIENT LIST` shows it; the fields that make sense for a proxy, under Redis' names.
fn line(client: &Client) -> String {
    let mut line = String::new();
    let resp = if client.protocol == Protocol::Resp3 { 3 } else { 2 };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    // Writing to a String cannot fail.
    let _ = write!(
        line,
        "id={} addr={} name={} age={} db=0 oll={} omem={} resp={resp} lib-name={} lib-ver={}",
        client.serial,
        client.peer,
        text(&client.name),
        client.since.elapsed().as_secs(),
        client.owed(),
        client.unwritten().len(),
        text(&client.lib_name),
        text(&client.lib_version),
    );
    line
}
