//! `CLIENT …`, answered by the worker the client is connected to.

use resp::{Encoder, Request};

use crate::client::Wants;
use crate::client::client_list;
use crate::dispatch::Dispatcher;
use crate::local::{NO_NAME, is_name};
use crate::target::ClientId;

/// An invalidation message would have to come from whichever node serves the key at that time.
const NO_TRACKING: &str = "ERR client-side caching is not supported by the proxy: keys move between nodes; switch it off in the client";

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
        "info" => client_list::info(worker, id, to),
        "list" => client_list::list(worker, request, to),
        "reply" => reply(worker, id, request.arg(2), to),
        "kill" => client_list::kill(worker, id, request, to),
        // The proxy evicts nobody and keeps no access times, so there is nothing to switch.
        "no-evict" | "no-touch" => switch(request.arg(2), to),
        // Nobody can suspend the clients, so nothing is suspended; and no ability of a client makes a difference
        // here, as for Valkey those that it does not know.
        "unpause" | "capa" => to.simple("OK"),
        "tracking" if request.arg(2).eq_ignore_ascii_case(b"OFF") => to.simple("OK"),
        "tracking" => to.error(NO_TRACKING),
        "trackinginfo" => tracking_info(to),
        // There is no tracking, so nothing is redirected.
        "getredir" => to.integer(-1),
        "caching" => to.error(
            "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode \
             enabled",
        ),
        other => to.error(&format!("ERR 'client|{other}' is not supported by the proxy")),
    }
}

/// `CLIENT REPLY ON|OFF|SKIP`. Only `ON` is answered; the reply to the others goes nowhere.
fn reply(worker: &mut Dispatcher, id: ClientId, wanted: &[u8], to: &mut Encoder<'_>) {
    let Some(client) = worker.client(id) else { return };
    let wants = match wanted.to_ascii_uppercase().as_slice() {
        b"ON" => Wants::Replies,
        b"OFF" => Wants::Nothing,
        b"SKIP" if client.wants == Wants::Nothing => Wants::Nothing,
        b"SKIP" => Wants::NotTheNext,
        _ => return to.error("ERR syntax error"),
    };
    client.want(wants);
    client.mute(wants != Wants::Replies);
    to.simple("OK");
}

fn switch(position: &[u8], to: &mut Encoder<'_>) {
    if [&b"ON"[..], b"OFF"].iter().any(|known| position.eq_ignore_ascii_case(known)) {
        to.simple("OK");
    } else {
        to.error("ERR syntax error");
    }
}

/// What Redis says of a client that has no tracking.
fn tracking_info(to: &mut Encoder<'_>) {
    to.map(3);
    to.bulk(b"flags");
    to.set(1);
    to.bulk(b"off");
    to.bulk(b"redirect");
    to.integer(-1);
    to.bulk(b"prefixes");
    to.array(0);
}

fn get_name(worker: &mut Dispatcher, id: ClientId, to: &mut Encoder<'_>) {
    match worker.client(id) {
        Some(client) if !client.name.is_empty() => to.bulk(&client.name),
        _ => to.null(),
    }
}

fn set_name(worker: &mut Dispatcher, id: ClientId, name: &[u8], to: &mut Encoder<'_>) {
    if !is_name(name) {
        return to.error(NO_NAME);
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
