//! CLIENT: names, lists and ends connections.

use super::Family;
use super::argument::{integer, is, printable};
use crate::client::{Client, ClientId, Ending};
use crate::execute::Context;
use crate::failure::Failure;
use resp::{Protocol, Request};
use std::fmt::Write;
use std::rc::Rc;

pub(super) const FAMILY: Family = &[
    ("client|id", id),
    ("client|getname", getname),
    ("client|setname", setname),
    ("client|setinfo", setinfo),
    ("client|list", list),
    ("client|info", info),
    ("client|kill", kill),
    ("client|unblock", unblock),
    ("client|no-evict", no_evict),
    ("client|no-touch", no_touch),
    ("client|help", help),
];

/// Redis' rule: what may stand in a line of CLIENT LIST.
pub(super) fn valid_name(name: &[u8]) -> Result<&[u8], Failure> {
    if name.iter().all(|byte| (b'!'..=b'~').contains(byte)) {
        return Ok(name);
    }
    Err(Failure::Fixed("ERR Client names cannot contain spaces, newlines or special characters."))
}

pub(super) fn set_name(client: &Client, name: &[u8]) {
    name.clone_into(&mut client.name.borrow_mut());
}

fn id(ctx: &mut Context<'_>, _: &Request<'_>) -> Result<(), Failure> {
    ctx.reply.integer(ctx.client.id as i64);
    Ok(())
}

fn getname(ctx: &mut Context<'_>, _: &Request<'_>) -> Result<(), Failure> {
    let name = ctx.client.name.borrow();
    if name.is_empty() {
        ctx.reply.null();
    } else {
        ctx.reply.bulk(&name);
    }
    Ok(())
}

fn setname(ctx: &mut Context<'_>, request: &Request<'_>) -> Result<(), Failure> {
    set_name(ctx.client, valid_name(request.arg(2))?);
    ctx.reply.simple("OK");
    Ok(())
}

fn setinfo(ctx: &mut Context<'_>, request: &Request<'_>) -> Result<(), Failure> {
    let (what, value) = (request.arg(2), request.arg(3));
    let (field, label) = if is(what, "lib-name") {
        (&ctx.client.library, "lib-name")
    } else if is(what, "lib-ver") {
        (&ctx.client.library_version, "lib-ver")
    } else {
        let what = printable(what);
        return Err(Failure::Worded(format!("ERR Unrecognized option '{what}'")));
    };
    if valid_name(value).is_err() {
        let problem = format!("ERR {label} cannot contain spaces, newlines or special characters.");
        return Err(Failure::Worded(problem));
    }
    value.clone_into(&mut field.borrow_mut());
    ctx.reply.simple("OK");
    Ok(())
}

/// One line of CLIENT LIST.
fn describe(client: &Client, now: u64) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let seconds_since = |then: u64| now.saturating_sub(then) / 1_000;
    let queued = if client.in_multi.get() { client.transaction.borrow().queued().len() as i64 } else { -1 };
    format!(
        "id={} addr={} laddr={} name={} age={} idle={} flags={} db=0 sub=0 psub=0 ssub=0 multi={queued} qbuf={} \
         multi-mem={} omem={} cmd={} user=default redir=-1 resp={} lib-name={} lib-ver={}\n",
        client.id,
        client.peer,
        client.local,
        text(&client.name.borrow()),
        seconds_since(client.connected),
        seconds_since(client.active.get()),
        flags(client),
        client.unread.get(),
        client.held.get(),
        client.unwritten.get(),
        client.last_command.get(),
        if client.protocol.get() == Protocol::Resp3 { 3 } else { 2 },
        text(&client.library.borrow()),
        text(&client.library_version.borrow()),
    )
}

fn flags(client: &Client) -> &'static str {
    match (client.in_multi.get(), client.is_waiting()) {
        (true, _) => "x",
        (false, true) => "b",
        (false, false) => "N",
    }
}

fn list(ctx: &mut Context<'_>, request: &Request<'_>) -> Result<(), Failure> {
    let filter = ListFilter::read(request)?;
    let mut text = String::new();
    for client in present(ctx).filter(|client| filter.wants(client.id)) {
        // Writing to a String cannot fail.
        let _ = text.write_str(&describe(client, ctx.now));
    }
    ctx.reply.verbatim("txt", text.as_bytes());
    Ok(())
}

/// Whether clients of this type are the only ones there are; fails for a type that Redis does not know.
fn is_usual_type(name: &[u8]) -> Result<bool, Failure> {
    if ["normal", "master", "replica", "slave", "pubsub"].iter().any(|known| is(name, known)) {
        return Ok(is(name, "normal"));
    }
    let name = printable(name);
    Err(Failure::Worded(format!("ERR Unknown client type '{name}'")))
}

/// Clients that were not ended yet: one that was is gone for everybody, even before its connection notices.
fn present<'a>(ctx: &'a Context<'_>) -> impl Iterator<Item = &'a Rc<Client>> {
    ctx.node.clients.values().filter(|client| client.ending() <= Ending::Drained)
}

/// Whom CLIENT LIST is asked for.
#[derive(Debug)]
enum ListFilter {
    All,
    None,
    Ids(Vec<ClientId>),
}

impl ListFilter {
    fn read(request: &Request<'_>) -> Result<Self, Failure> {
        match request.get(2) {
            None => Ok(Self::All),
            Some(word) if is(word, "type") && request.len() == 4 => {
                Ok(if is_usual_type(request.arg(3))? { Self::All } else { Self::None })
            }
            Some(word) if is(word, "id") && request.len() > 3 => {
                let id = |arg| integer(arg).map_err(|_| Failure::Fixed("ERR Invalid client ID"));
                let ids = request.args().skip(3).map(|arg| Ok(id(arg)? as ClientId));
                Ok(Self::Ids(ids.collect::<Result<_, Failure>>()?))
            }
            Some(_) => Err(Failure::Syntax),
        }
    }

    fn wants(&self, id: ClientId) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::Ids(ids) => ids.contains(&id),
        }
    }
}

fn info(ctx: &mut Context<'_>, _: &Request<'_>) -> Result<(), Failure> {
    ctx.reply.verbatim("txt", describe(ctx.client, ctx.now).as_bytes());
    Ok(())
}

/// Whom CLIENT KILL is to end; a condition not given holds for all.
#[derive(Debug, Default)]
struct KillFilter {
    id: Option<ClientId>,
    peer: Option<String>,
    local: Option<String>,
    nobody: bool,
    spare_me: bool,
}

impl KillFilter {
    fn read(request: &Request<'_>) -> Result<Self, Failure> {
        let mut filter = Self { spare_me: true, ..Self::default() };
        for at in (2..request.len()).step_by(2) {
            let (word, value) = (request.arg(at), request.get(at + 1).ok_or(Failure::Syntax)?);
            let text = || String::from_utf8_lossy(value).into_owned();
            if is(word, "id") {
                let id = integer(value).ok().filter(|id| *id > 0);
                let id = id.ok_or(Failure::Fixed("ERR client-id should be greater than 0"))?;
                filter.id = Some(id as ClientId);
            } else if is(word, "addr") {
                filter.peer = Some(text());
            } else if is(word, "laddr") {
                filter.local = Some(text());
            } else if is(word, "user") {
                if value != b"default" {
                    return Err(Failure::Worded(format!("ERR No such user '{}'", text())));
                }
            } else if is(word, "type") {
                filter.nobody |= !is_usual_type(value)?;
            } else if is(word, "skipme") && (is(value, "yes") || is(value, "no")) {
                filter.spare_me = is(value, "yes");
            } else {
                return Err(Failure::Syntax);
            }
        }
        Ok(filter)
    }

    fn hits(&self, client: &Client, me: ClientId) -> bool {
        let spared = self.nobody || self.spare_me && client.id == me;
        !spared
            && self.id.is_none_or(|id| client.id == id)
            && self.peer.as_ref().is_none_or(|peer| client.peer.to_string() == *peer)
            && self.local.as_ref().is_none_or(|local| client.local.to_string() == *local)
    }
}

fn kill(ctx: &mut Context<'_>, request: &Request<'_>) -> Result<(), Failure> {
    if request.len() == 3 {
        return kill_address(ctx, request.arg(2));
    }
    let filter = KillFilter::read(request)?;
    let mut killed = 0;
    for client in present(ctx).filter(|client| filter.hits(client, ctx.client.id)) {
        end(client, ctx.client.id);
        killed += 1;
    }
    ctx.reply.integer(killed);
    Ok(())
}

/// The old form: CLIENT KILL ip:port.
fn kill_address(ctx: &mut Context<'_>, address: &[u8]) -> Result<(), Failure> {
    let victim = present(ctx).find(|client| client.peer.to_string().as_bytes() == address);
    end(victim.ok_or(Failure::Fixed("ERR No such client"))?, ctx.client.id);
    ctx.reply.simple("OK");
    Ok(())
}

/// Whoever ends itself still gets the reply.
fn end(client: &Client, me: ClientId) {
    client.end(if client.id == me { Ending::AfterReplies } else { Ending::Now });
}

fn unblock(ctx: &mut Context<'_>, request: &Request<'_>) -> Result<(), Failure> {
    let with_error = match request.get(3) {
        None => false,
        Some(word) if is(word, "timeout") => false,
        Some(word) if is(word, "error") => true,
        Some(_) => return Err(Failure::Fixed("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")),
    };
    let id = integer(request.arg(2))? as ClientId;
    let unblocked = if with_error {
        ctx.node.answer_error(id, "UNBLOCKED client unblocked via CLIENT UNBLOCK")
    } else {
        ctx.node.answer_nothing(id)
    };
    ctx.reply.integer(i64::from(unblocked));
    Ok(())
}

fn on_or_off(ctx: &mut Context<'_>, request: &Request<'_>) -> Result<bool, Failure> {
    let word = request.arg(2);
    if !is(word, "on") && !is(word, "off") {
        return Err(Failure::Syntax);
    }
    ctx.reply.simple("OK");
    Ok(is(word, "on"))
}

fn no_evict(ctx: &mut Context<'_>, request: &Request<'_>) -> Result<(), Failure> {
    // Accepted only: replies in waiting never end a client, and the bound on unfinished requests knows no favours.
    on_or_off(ctx, request).map(drop)
}

fn no_touch(ctx: &mut Context<'_>, request: &Request<'_>) -> Result<(), Failure> {
    let on = on_or_off(ctx, request)?;
    ctx.client.no_touch.set(on);
    Ok(())
}

fn help(ctx: &mut Context<'_>, _: &Request<'_>) -> Result<(), Failure> {
    super::server::reply_help(
        ctx,
        "CLIENT",
        &[
            "GETNAME",
            "    Return the name of the current connection.",
            "ID",
            "    Return the ID of the current connection.",
            "INFO",
            "    Return information about the current client connection.",
            "KILL <ip:port>",
            "    Kill connection made from <ip:port>.",
            "KILL <option> <value> [<option> <value> [...]]",
            "    Kill connections. Options are: ADDR, LADDR, TYPE, USER, ID, SKIPME (yes|no).",
            "LIST [TYPE (NORMAL|MASTER|REPLICA|PUBSUB)] [ID <client-id> ...]",
            "    Return information about client connections.",
            "NO-EVICT (ON|OFF)",
            "    Accepted; client buffers never cause eviction here.",
            "NO-TOUCH (ON|OFF)",
            "    Do not note this connection's reads as uses of the keys.",
            "SETINFO <LIB-NAME|LIB-VER> <value>",
            "    Name the client library of the current connection.",
            "SETNAME <name>",
            "    Assign the name <name> to the current connection.",
            "UNBLOCK <clientid> [TIMEOUT|ERROR]",
            "    Unblock the specified blocked client.",
        ],
    );
    Ok(())
}
