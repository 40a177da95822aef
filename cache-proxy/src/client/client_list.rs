//! `CLIENT LIST`, `INFO` and `KILL`: which clients a request means, and how one is shown.
//!
//! The clients of one worker: with several workers each knows its own. A master or a replica is never among them.

use std::collections::HashSet;
use std::fmt::Write;

use resp::{Encoder, Protocol, Request};

use crate::client::Client;
use crate::dispatch::Dispatcher;
use crate::pubsub::subscriptions::topic::Kind;
use crate::target::{ClientId, id_of};

/// Whoever fits all that is set.
#[derive(Debug, Default)]
struct Filter {
    /// A client may name a million; each of the worker's clients is looked for among them.
    ids: Option<HashSet<u32>>,
    kind: Option<ClientKind>,
    address: Option<String>,
    /// Nobody has this name.
    no_such_user: bool,
    /// Whoever asks is not meant.
    skip: Option<ClientId>,
}

/// What `TYPE` tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ClientKind {
    Normal,
    Subscriber,
    /// Nobody connects to a proxy to replicate.
    Replication,
}

impl ClientKind {
    fn parse(name: &[u8]) -> Result<Self, String> {
        match name.to_ascii_lowercase().as_slice() {
            b"normal" => Ok(Self::Normal),
            b"pubsub" => Ok(Self::Subscriber),
            b"master" | b"replica" | b"slave" => Ok(Self::Replication),
            _ => Err(format!("ERR Unknown client type '{}'", String::from_utf8_lossy(name))),
        }
    }

    fn of(client: &Client) -> Self {
        if client.subscribed { Self::Subscriber } else { Self::Normal }
    }
}

impl Filter {
    fn fits(&self, id: ClientId, client: &Client) -> bool {
        self.ids.as_ref().is_none_or(|ids| ids.contains(&client.serial))
            && self.kind.is_none_or(|kind| kind == ClientKind::of(client))
            && self.address.as_ref().is_none_or(|address| *address == client.peer.to_string())
            && self.skip != Some(id)
            && !self.no_such_user
    }

    /// `LIST`, `LIST TYPE type`, `LIST ID id…`.
    fn of_list(request: &Request<'_>) -> Result<Self, String> {
        let option = request.get(2).map(<[u8]>::to_ascii_lowercase).unwrap_or_default();
        match (option.as_slice(), request.len()) {
            (_, 2) => Ok(Self::default()),
            (b"type", 4) => Ok(Self { kind: Some(ClientKind::parse(request.arg(3))?), ..Self::default() }),
            (b"id", 4..) => {
                let ids = request.args().skip(3).map(|id| number(id).ok_or("ERR Invalid client ID"));
                Ok(Self { ids: Some(ids.collect::<Result<_, _>>()?), ..Self::default() })
            }
            _ => Err("ERR syntax error".to_owned()),
        }
    }

    /// The pairs of `KILL`; whoever asks is left out unless it says otherwise.
    fn of_kill(asker: ClientId, request: &Request<'_>) -> Result<Self, String> {
        let mut filter = Self { skip: Some(asker), ..Self::default() };
        if !request.len().is_multiple_of(2) {
            return Err("ERR syntax error".to_owned());
        }
        for index in (2..request.len()).step_by(2) {
            let value = request.arg(index + 1);
            match request.arg(index).to_ascii_lowercase().as_slice() {
                b"id" => {
                    let id = number(value).filter(|id| *id > 0);
                    filter.ids = Some(HashSet::from([id.ok_or("ERR client-id should be greater than 0")?]));
                }
                b"type" => filter.kind = Some(ClientKind::parse(value)?),
                b"addr" => filter.address = Some(String::from_utf8_lossy(value).into_owned()),
                b"user" => filter.no_such_user |= value != b"default",
                b"skipme" if value.eq_ignore_ascii_case(b"yes") => filter.skip = Some(asker),
                b"skipme" if value.eq_ignore_ascii_case(b"no") => filter.skip = None,
                _ => return Err("ERR syntax error".to_owned()),
            }
        }
        Ok(filter)
    }
}

fn number(text: &[u8]) -> Option<u32> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Answers `CLIENT LIST`.
pub(crate) fn list(worker: &Dispatcher, request: &Request<'_>, to: &mut Encoder<'_>) {
    match Filter::of_list(request) {
        Ok(filter) => {
            let clients = worker.clients.iter().map(|entry| (id_of(entry), entry.1));
            let lines = clients.filter(|(id, client)| filter.fits(*id, client));
            let lines: String = lines.map(|(id, client)| line(worker, id, client)).collect();
            to.verbatim("txt", lines.as_bytes());
        }
        Err(text) => to.error(&text),
    }
}

/// Answers `CLIENT INFO`.
pub(crate) fn info(worker: &Dispatcher, id: ClientId, to: &mut Encoder<'_>) {
    let client = worker.clients.get(id.index as usize);
    to.verbatim("txt", client.map(|client| line(worker, id, client)).unwrap_or_default().as_bytes());
}

/// Answers `CLIENT KILL address` and `CLIENT KILL filter value …`.
pub(crate) fn kill(worker: &mut Dispatcher, asker: ClientId, request: &Request<'_>, to: &mut Encoder<'_>) {
    let by_address = request.len() == 3;
    let filter = if by_address {
        Ok(Filter {
            address: Some(String::from_utf8_lossy(request.arg(2)).into_owned()),
            ..Filter::default()
        })
    } else {
        Filter::of_kill(asker, request)
    };
    let filter = match filter {
        Ok(filter) => filter,
        Err(text) => return to.error(&text),
    };
    let clients = worker.clients.iter().map(|entry| (id_of(entry), entry.1));
    let found: Vec<_> = clients.filter(|(id, client)| filter.fits(*id, client)).map(|(id, _)| id).collect();
    for id in &found {
        if let Some(client) = worker.client(*id) {
            client.closing = true;
            // Whoever kills itself is told so first.
            client.killed = *id != asker;
        }
        worker.list(*id);
    }
    match (by_address, found.len()) {
        (true, 0) => to.error("ERR No such client"),
        (true, _) => to.simple("OK"),
        (false, killed) => to.integer(killed as i64),
    }
}

/// One client, with every field that client libraries look for, under Redis' names and in their order. What the proxy
/// does not follow is told as unknown: `idle` as -1, `cmd` as Redis does for a client that has sent nothing.
fn line(worker: &Dispatcher, id: ClientId, client: &Client) -> String {
    let mut line = String::new();
    let count = |kind| worker.subscriptions.number_of(id, kind);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (queued, queued_bytes) = match &client.transaction {
        Some(transaction) => (i64::try_from(transaction.len()).unwrap_or(i64::MAX), transaction.bytes()),
        None => (-1, 0),
    };
    // Writing to a String cannot fail.
    let _ = writeln!(
        line,
        "id={} addr={} name={} age={} idle=-1 flags={} db=0 sub={} psub={} ssub={} multi={queued} qbuf={} qbuf-free=0 \
         argv-mem=0 multi-mem={queued_bytes} obl={} oll={} omem={} tot-mem={} events=r cmd=NULL user=default redir=-1 \
         resp={} lib-name={} lib-ver={}",
        client.serial,
        client.peer,
        text(&client.name),
        client.since.elapsed().as_secs(),
        flags(client),
        count(Kind::Channel),
        count(Kind::Pattern),
        count(Kind::Shard),
        client.unread,
        client.unwritten().len(),
        client.owed(),
        client.backlog(),
        client.kept(),
        if client.protocol == Protocol::Resp3 { 3 } else { 2 },
        text(&client.lib_name),
        text(&client.lib_version),
    );
    line
}

/// Redis' letters for what a client is at.
fn flags(client: &Client) -> String {
    let letters = [(client.blocked_on.is_some(), 'b'), (client.closing, 'c'), (client.subscribed, 'P')];
    let flags: String = letters.iter().filter(|(is_so, _)| *is_so).map(|(_, letter)| *letter).collect();
    if flags.is_empty() { "N".to_owned() } else { flags }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use resp::{Limits, RequestScanner, encode_request};

    use super::*;

    #[test]
    fn a_million_ids_are_looked_through_in_no_time() {
        let ids: Vec<_> = (10_000..1_010_000_u32).map(|id| id.to_string().into_bytes()).collect();
        let words = [&b"CLIENT"[..], b"LIST", b"ID"].into_iter().chain(ids.iter().map(Vec::as_slice));
        let (mut wire, mut scanner) = (Vec::new(), RequestScanner::new(Limits::default()));
        encode_request(&mut wire, words.collect::<Vec<_>>().into_iter());
        scanner.scan(&wire).unwrap().unwrap();
        let filter = Filter::of_list(&scanner.request(&wire)).unwrap();
        let began = Instant::now();
        let fitting = (1..=10_000).filter(|serial| {
            let client = Client::new(*serial, "127.0.0.1:1".parse().unwrap(), began, true);
            filter.fits(ClientId { index: 0, serial: *serial }, &client)
        });
        assert_eq!(fitting.collect::<Vec<_>>(), [10_000]);
        // Each with each would be 10 000 000 000 looks.
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    }
}
