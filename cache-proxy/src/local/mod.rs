//! Answers what concerns the connection or the proxy itself, so that every client library finds the server it
//! expects when it connects.
//!
//! To a client the whole cluster is one standalone Redis: `INFO` says `redis_mode:standalone`, there is one
//! database, no replication, no cluster mode.

pub(crate) mod figures;
pub(crate) mod info;
pub(crate) mod local_client;
pub(crate) mod node_info;
pub(crate) mod node_settings;
pub(crate) mod settings;

use commands::Command;
use resp::{Encoder, Protocol, Request};

use crate::client::Client;
use crate::dispatch::Dispatcher;
use crate::plan::handling::is_served;
use crate::plan::refusal::Refusal;
use crate::plan::refuse::NO_VIEW;
use crate::target::ClientId;

/// The version of Redis whose commands and replies the tier is compatible with. Clients choose features by
/// it.
pub(crate) const REDIS_VERSION: &str = "7.2.0";

/// `LOADING` is what clients already know as: not here, not now.
const DRAINING: &str = "LOADING the proxy is draining, connect again";

/// Answers one request of a client that is planned as local. Appends exactly one reply to `out`.
pub(crate) fn answer(
    worker: &mut Dispatcher,
    id: ClientId,
    command: &'static Command,
    request: &Request<'_>,
    out: &mut Vec<u8>,
) {
    if command.name == "hello" {
        return hello(worker, id, request, out);
    }
    let Some(client) = worker.client(id) else { return };
    let mut to = Encoder::new(out, client.protocol);
    match command.name {
        "ping" => ping(worker, id, request, &mut to),
        "echo" => to.bulk(request.arg(1)),
        "quit" => {
            client.closing = true;
            to.simple("OK");
        }
        "reset" => {
            worker.reset(id);
            Encoder::new(out, Protocol::Resp2).simple("RESET");
        }
        "auth" => auth(worker, id, request, &mut to),
        "select" => select(request, &mut to),
        "client" => with_subcommand(command, request, &mut to, |name, to| {
            local_client::answer(worker, id, name, request, to);
        }),
        "command" => commands::Catalogue::new(&is_served).answer(request, &mut to),
        "config" => with_subcommand(command, request, &mut to, config),
        "cluster" => to.error("ERR This instance has cluster support disabled"),
        "role" => role(&mut to),
        // `WHOAMI`: there is one user.
        "acl" => to.bulk(b"default"),
        "script" => debug_scripts(client, request, &mut to),
        "module" => with_subcommand(command, request, &mut to, no_modules),
        "time" => time(&mut to),
        // No replica will ever confirm a write.
        "wait" => wait(request, &mut to),
        "waitaof" => wait_aof(request, &mut to),
        "readonly" | "readwrite" => to.simple("OK"),
        other => to.error(&format!("ERR '{other}' is not supported by the proxy")),
    }
}

/// `PING` is what a load balancer asks, so it says whether requests can be served: not before the first
/// view. Without an admin port it is all that a balancer can ask; while such a proxy drains, a new connection that
/// begins with a bare PING is taken for a check, and told. A client that does the same connects again, and not here.
fn ping(worker: &mut Dispatcher, id: ClientId, request: &Request<'_>, to: &mut Encoder<'_>) {
    let draining = worker.draining_since.filter(|_| worker.config.admin_port.is_none());
    let is_new = worker.client(id).is_some_and(|client| {
        client.asked() == 1 && draining.is_some_and(|draining| client.since >= draining)
    });
    match request.get(1) {
        _ if request.len() > 2 => to.error("ERR wrong number of arguments for 'ping' command"),
        _ if worker.routing.is_none() => to.error(NO_VIEW),
        Some(text) => to.bulk(text),
        None if is_new => to.error(DRAINING),
        None => to.simple("PONG"),
    }
}

fn hello(worker: &mut Dispatcher, id: ClientId, request: &Request<'_>, out: &mut Vec<u8>) {
    let result = parse_hello(request).and_then(|wanted| {
        if let Some(password) = wanted.password {
            check_password(worker, id, wanted.user, password)?;
        }
        let client = worker.client(id).ok_or("ERR client is gone")?;
        if !client.authenticated {
            return Err("NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO \
                        <proto> AUTH <user> <pass> option can be used to authenticate the client and select the \
                        RESP protocol version at the same time");
        }
        if let Some(name) = wanted.name {
            client.name = name.to_vec();
        }
        client.switch_to(wanted.protocol.unwrap_or(client.protocol));
        Ok((client.protocol, client.serial))
    });
    match result {
        Ok((protocol, serial)) => write_hello(serial, &mut Encoder::new(out, protocol)),
        Err(text) => Encoder::new(out, Protocol::Resp2).error(text),
    }
}

/// What a `HELLO` asks for.
#[derive(Default)]
struct Hello<'a> {
    protocol: Option<Protocol>,
    user: &'a [u8],
    password: Option<&'a [u8]>,
    name: Option<&'a [u8]>,
}

fn parse_hello<'a>(request: &Request<'a>) -> Result<Hello<'a>, &'static str> {
    let mut hello = Hello::default();
    let mut args = request.args().skip(1);
    hello.protocol = match args.next() {
        None => None,
        Some(b"2") => Some(Protocol::Resp2),
        Some(b"3") => Some(Protocol::Resp3),
        Some(other) if other.iter().all(u8::is_ascii_digit) => {
            return Err("NOPROTO unsupported protocol version");
        }
        Some(_) => return Err("ERR Protocol version is not an integer or out of range"),
    };
    const SYNTAX: &str = "ERR Syntax error in HELLO option";
    while let Some(option) = args.next() {
        if option.eq_ignore_ascii_case(b"AUTH") {
            hello.user = args.next().ok_or(SYNTAX)?;
            hello.password = Some(args.next().ok_or(SYNTAX)?);
        } else if option.eq_ignore_ascii_case(b"SETNAME") {
            hello.name = Some(args.next().ok_or(SYNTAX)?);
            if !hello.name.is_none_or(is_name) {
                return Err(NO_NAME);
            }
        } else {
            return Err(SYNTAX);
        }
    }
    Ok(hello)
}

fn write_hello(serial: u32, to: &mut Encoder<'_>) {
    to.map(7);
    let mut text = |field: &str, value: &str| {
        to.bulk(field.as_bytes());
        to.bulk(value.as_bytes());
    };
    text("server", "redis");
    text("version", REDIS_VERSION);
    to.bulk(b"proto");
    to.integer(if to.protocol() == Protocol::Resp3 { 3 } else { 2 });
    to.bulk(b"id");
    to.integer(serial.into());
    for (field, value) in [("mode", "standalone"), ("role", "master")] {
        to.bulk(field.as_bytes());
        to.bulk(value.as_bytes());
    }
    to.bulk(b"modules");
    to.array(0);
}

/// What is said to a name that is none.
pub(crate) const NO_NAME: &str = "ERR Client names cannot contain spaces, newlines or special characters.";

/// Client names may hold no blanks and no line breaks, as in Redis.
pub(crate) fn is_name(name: &[u8]) -> bool {
    name.iter().all(|byte| (b'!'..=b'~').contains(byte))
}

fn auth(worker: &mut Dispatcher, id: ClientId, request: &Request<'_>, to: &mut Encoder<'_>) {
    let (user, password) = match request.len() {
        2 => (&b"default"[..], request.arg(1)),
        3 => (request.arg(1), request.arg(2)),
        _ => return to.error("ERR syntax error"),
    };
    if worker.config.password.is_none() && request.len() == 2 {
        return to.error(
            "ERR AUTH <password> called without any password configured for the default user. Are you sure your \
             configuration is correct?",
        );
    }
    match check_password(worker, id, user, password) {
        Ok(()) => to.simple("OK"),
        Err(text) => to.error(text),
    }
}

fn check_password(
    worker: &mut Dispatcher,
    id: ClientId,
    user: &[u8],
    password: &[u8],
) -> Result<(), &'static str> {
    let right = worker.config.password.as_ref().is_none_or(|known| known.is(password));
    if user != b"default" || !right {
        return Err("WRONGPASS invalid username-password pair or user is disabled.");
    }
    if let Some(client) = worker.client(id) {
        client.authenticated = true;
        client.note_standing();
    }
    Ok(())
}

fn select(request: &Request<'_>, to: &mut Encoder<'_>) {
    let index = std::str::from_utf8(request.arg(1)).ok().and_then(|text| text.parse::<i64>().ok());
    match index {
        Some(0) => to.simple("OK"),
        Some(index) if i32::try_from(index).is_err() => {
            to.error("ERR value is out of range, value must between -2147483648 and 2147483647");
        }
        Some(_) => to.error("ERR DB index is out of range"),
        None => to.error("ERR value is not an integer or out of range"),
    }
}

/// Answers by the subcommand that a request names, or as Redis does when there is none or it is misused.
fn with_subcommand(
    command: &'static Command,
    request: &Request<'_>,
    to: &mut Encoder<'_>,
    answer: impl FnOnce(&'static str, &mut Encoder<'_>),
) {
    let given = request.get(1).unwrap_or_default();
    match command.subcommand(given) {
        Some(subcommand) if subcommand.arity_fits(request.len()) => answer(subcommand.short_name(), to),
        Some(subcommand) => to.error(&Refusal::arity(subcommand).to_string()),
        None => to.error(&Refusal::subcommand(command, given).to_string()),
    }
}

/// What of `CONFIG` needs no node; `GET` is in [`settings`].
fn config(subcommand: &str, to: &mut Encoder<'_>) {
    match subcommand {
        "resetstat" => to.simple("OK"),
        _ => to.error("ERR the proxy is configured by flags, environment or file; CONFIG GET reads it"),
    }
}

fn role(to: &mut Encoder<'_>) {
    to.array(3);
    to.bulk(b"master");
    to.integer(0);
    to.array(0);
}

/// `SCRIPT DEBUG`. redis-cli does not look at the answer and sends the script, which would run and not be undone as
/// under the debugger: so the connection ends here.
fn debug_scripts(client: &mut Client, request: &Request<'_>, to: &mut Encoder<'_>) {
    if request.arg(2).eq_ignore_ascii_case(b"NO") {
        return to.simple("OK");
    }
    client.closing = true;
    to.error("ERR scripts are debugged on one server; ask the node itself");
}

/// What a proxy has of modules.
fn no_modules(subcommand: &str, to: &mut Encoder<'_>) {
    match subcommand {
        "list" => to.array(0),
        other => to.error(&format!("ERR '{other}' is not supported by the proxy")),
    }
}

/// `WAIT`, whose arguments are looked at as Redis does.
fn wait(request: &Request<'_>, to: &mut Encoder<'_>) {
    let number = |index| std::str::from_utf8(request.arg(index)).ok()?.parse::<i64>().ok();
    match (number(1), number(2)) {
        (None, _) => to.error("ERR value is not an integer or out of range"),
        (_, None) => to.error("ERR timeout is not an integer or out of range"),
        (_, Some(..0)) => to.error("ERR timeout is negative"),
        _ => to.integer(0),
    }
}

/// Neither a replica nor an append-only file will ever confirm a write.
fn wait_aof(request: &Request<'_>, to: &mut Encoder<'_>) {
    if request.arg(1) != b"0" {
        return to.error("ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.");
    }
    to.array(2);
    to.integer(0);
    to.integer(0);
}

fn time(to: &mut Encoder<'_>) {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    to.array(2);
    to.bulk(now.as_secs().to_string().as_bytes());
    to.bulk(now.subsec_micros().to_string().as_bytes());
}
