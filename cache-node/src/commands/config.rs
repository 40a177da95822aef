//! CONFIG: parameters under Redis' names. Each is one line of the table: how it reads and how it is set.

use super::Family;
use super::argument::printable;
use crate::config::MAX_BULK_LEN;
use crate::engine::Policy;
use crate::execute::Context;
use crate::failure::Failure;
use crate::node::Node;
use crate::number::parse_integer;
use commands::glob_matches;
use resp::Request;

pub(super) const FAMILY: Family =
    &[("config|get", get), ("config|set", set), ("config|resetstat", resetstat), ("config|help", help)];

/// Sets a parameter from its text; the error is what Redis says after the name.
type Setter = fn(&mut Node, &str) -> Result<(), String>;

/// A parameter; without a setter it cannot be changed while running.
struct Parameter {
    name: &'static str,
    show: fn(&Node) -> String,
    set: Option<Setter>,
}

const fn parameter(name: &'static str, show: fn(&Node) -> String, set: Option<Setter>) -> Parameter {
    Parameter { name, show, set }
}

/// In the order in which CONFIG GET lists them. The last ones say what this node never does: clients that ask
/// get Redis' word for it.
static PARAMETERS: [Parameter; 18] = [
    parameter("maxmemory", |node| node.config.limits.maxmemory.to_string(), Some(set_maxmemory)),
    parameter("maxmemory-policy", |node| node.config.limits.policy.to_string(), Some(set_policy)),
    parameter("maxmemory-samples", |node| node.config.limits.samples.to_string(), Some(set_samples)),
    parameter("maxclients", |node| node.config.maxclients.to_string(), Some(set_maxclients)),
    parameter("requirepass", |node| node.config.requirepass.expose().to_owned(), Some(set_requirepass)),
    parameter("timeout", |node| node.config.timeout.to_string(), Some(set_timeout)),
    parameter("proto-max-bulk-len", |node| node.config.max_bulk_len.to_string(), Some(set_max_bulk_len)),
    parameter("zset-max-listpack-entries", show_packed_entries, Some(set_packed_entries)),
    parameter("zset-max-ziplist-entries", show_packed_entries, Some(set_packed_entries)),
    parameter("zset-max-listpack-value", show_packed_member, Some(set_packed_member)),
    parameter("zset-max-ziplist-value", show_packed_member, Some(set_packed_member)),
    parameter("bind", |node| node.config.host.clone(), None),
    parameter("port", |node| node.port.to_string(), None),
    parameter("databases", |_| "1".to_owned(), None),
    parameter("appendonly", |_| "no".to_owned(), Some(|_, value| only(value, "no"))),
    parameter("save", |_| String::new(), Some(|_, value| only(value, ""))),
    parameter("lazyfree-lazy-user-flush", |_| "yes".to_owned(), Some(|_, value| only(value, "yes"))),
    parameter("lazyfree-lazy-server-del", |_| "yes".to_owned(), Some(|_, value| only(value, "yes"))),
];

fn show_packed_entries(node: &Node) -> String {
    node.config.limits.packed.entries.to_string()
}

fn show_packed_member(node: &Node) -> String {
    node.config.limits.packed.member.to_string()
}

/// A parameter that has one possible value here.
fn only(value: &str, possible: &str) -> Result<(), String> {
    if value.eq_ignore_ascii_case(possible) {
        Ok(())
    } else {
        Err(format!("this node only knows '{possible}'"))
    }
}

fn number(value: &str, least: u64, most: u64) -> Result<u64, String> {
    let number = parse_integer(value.as_bytes()).ok_or("argument couldn't be parsed into an integer")?;
    let number = u64::try_from(number).ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| format!("argument must be between {least} and {most} inclusive"))
}

fn set_maxmemory(node: &mut Node, value: &str) -> Result<(), String> {
    let maxmemory = daemon::settings::parse_size(value).ok_or("argument must be a memory value")?;
    let limits = crate::engine::Limits { maxmemory, ..node.config.limits };
    node.apply_limits(limits);
    Ok(())
}

fn set_policy(node: &mut Node, value: &str) -> Result<(), String> {
    let policy = Policy::named(value)
        .ok_or_else(|| format!("argument(s) must be one of the following: {}", Policy::NAMES.join(", ")))?;
    let limits = crate::engine::Limits { policy, ..node.config.limits };
    node.apply_limits(limits);
    Ok(())
}

fn set_samples(node: &mut Node, value: &str) -> Result<(), String> {
    // The bounds of Redis since 7.2: more samples only stall, one eviction would look at a whole keyspace.
    let samples = number(value, 1, 64)? as usize;
    let limits = crate::engine::Limits { samples, ..node.config.limits };
    node.apply_limits(limits);
    Ok(())
}

fn set_packed_entries(node: &mut Node, value: &str) -> Result<(), String> {
    let mut limits = node.config.limits;
    limits.packed.entries = number(value, 0, i64::MAX as u64)? as usize;
    node.apply_limits(limits);
    Ok(())
}

fn set_packed_member(node: &mut Node, value: &str) -> Result<(), String> {
    let mut limits = node.config.limits;
    limits.packed.member = number(value, 0, i64::MAX as u64)? as usize;
    node.apply_limits(limits);
    Ok(())
}

fn set_maxclients(node: &mut Node, value: &str) -> Result<(), String> {
    let wanted = number(value, 1, u64::from(u32::MAX))? as usize;
    let room = crate::open_files::make_room_for(wanted);
    if room < wanted {
        return Err(format!(
            "The operating system is not able to handle the specified number of clients, try with {room}"
        ));
    }
    node.config.maxclients = wanted;
    Ok(())
}

fn set_requirepass(node: &mut Node, value: &str) -> Result<(), String> {
    node.config.requirepass = value.into();
    Ok(())
}

fn set_timeout(node: &mut Node, value: &str) -> Result<(), String> {
    node.set_timeout(number(value, 0, i32::MAX as u64)?);
    Ok(())
}

fn set_max_bulk_len(node: &mut Node, value: &str) -> Result<(), String> {
    let len = daemon::settings::parse_size(value).ok_or("argument must be a memory value")?;
    let (least, most) = (*MAX_BULK_LEN.start(), *MAX_BULK_LEN.end());
    node.config.max_bulk_len = number(&len.to_string(), least, most)? as usize;
    Ok(())
}

fn get(ctx: &mut Context<'_>, request: &Request<'_>) -> Result<(), Failure> {
    let wanted = |name: &str| {
        request.args().skip(2).any(|glob| glob_matches(&glob.to_ascii_lowercase(), name.as_bytes()))
    };
    let found: Vec<_> = PARAMETERS.iter().filter(|parameter| wanted(parameter.name)).collect();
    ctx.reply.map(found.len());
    for parameter in found {
        ctx.reply.bulk(parameter.name.as_bytes());
        ctx.reply.bulk((parameter.show)(ctx.node).as_bytes());
    }
    Ok(())
}

/// Sets all parameters or none: what was already set is set back when a later one fails.
fn set(ctx: &mut Context<'_>, request: &Request<'_>) -> Result<(), Failure> {
    if request.len() % 2 == 1 {
        return Err(Failure::Syntax);
    }
    let before = ctx.node.config.clone();
    for at in (2..request.len()).step_by(2) {
        let name = request.arg(at);
        if (2..at).step_by(2).any(|other| request.arg(other).eq_ignore_ascii_case(name)) {
            return Err(failed(name, "duplicate parameter"));
        }
    }
    for at in (2..request.len()).step_by(2) {
        if let Err(failure) = set_one(ctx.node, request.arg(at), request.arg(at + 1)) {
            ctx.node.apply_limits(before.limits);
            ctx.node.config = before;
            return Err(failure);
        }
    }
    ctx.reply.simple("OK");
    Ok(())
}

fn set_one(node: &mut Node, name: &[u8], value: &[u8]) -> Result<(), Failure> {
    let unknown = || {
        let name = printable(name);
        Failure::Worded(format!("ERR Unknown option or number of arguments for CONFIG SET - '{name}'"))
    };
    let named = |parameter: &&Parameter| parameter.name.as_bytes().eq_ignore_ascii_case(name);
    let parameter = PARAMETERS.iter().find(named).ok_or_else(unknown)?;
    let setter = parameter.set.ok_or_else(|| failed(name, "can't set immutable config"))?;
    let value = std::str::from_utf8(value).map_err(|_| failed(name, "argument must be UTF-8"))?;
    setter(node, value).map_err(|problem| failed(name, &problem))
}

fn failed(name: &[u8], problem: &str) -> Failure {
    let name = printable(name);
    Failure::Worded(format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {problem}"))
}

fn resetstat(ctx: &mut Context<'_>, _: &Request<'_>) -> Result<(), Failure> {
    ctx.node.reset_counters();
    ctx.reply.simple("OK");
    Ok(())
}

fn help(ctx: &mut Context<'_>, _: &Request<'_>) -> Result<(), Failure> {
    super::server::reply_help(
        ctx,
        "CONFIG",
        &[
            "GET <pattern>",
            "    Return parameters matching the glob-like <pattern> and their values.",
            "SET <directive> <value>",
            "    Set the configuration <directive> to <value>.",
            "RESETSTAT",
            "    Reset statistics reported by the INFO command.",
        ],
    );
    Ok(())
}
