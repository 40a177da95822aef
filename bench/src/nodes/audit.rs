//! What must hold after a saturated load, of whose replies redis-benchmark only knows that they are no errors.
//!
//! The one idea: counters of the server from before the load are compared with those after it, and a sample of
//! reads is checked to the byte. A server that finds nothing, or loses what it holds, has no speed.

use super::closed_loop::ClosedLoop;
use super::dataset::{Command, MOVED_SET, READ_SET, VALUE, all_keys, keys};
use super::mix::Mix;
use super::server::Server;
use crate::bench::Bench;
use crate::client::Client;
use crate::load::key;
use crate::load::keys::shown;
use crate::rounds::Trouble;

/// Reads of a sample; more than fit into luck.
const SAMPLE: u64 = 200;
/// Overwritten keys that are looked at: even of a quick run's few SETs dozens are among them.
const LOOKED_AT: u64 = 2_000;
/// Of the sample under way at a time.
const DEPTH: usize = 20;

/// The counters before a load.
#[derive(Debug, Clone, Copy)]
pub(super) struct Audit {
    command: Command,
    found: u64,
    missed: u64,
    calls: u64,
}

impl Audit {
    /// Takes the counters.
    ///
    /// # Errors
    /// When the server does not tell them.
    pub(super) fn begin(server: &Server, command: Command) -> Result<Self, Trouble> {
        let stats = server.info("stats")?;
        let (found, missed) = (stats.number("keyspace_hits")?, stats.number("keyspace_misses")?);
        Ok(Self { command, found, missed, calls: calls(server, command)? })
    }

    /// Compares them after `requests` requests.
    ///
    /// # Errors
    /// [`Trouble::Wrong`] when they were not all done, a read found nothing, or the data is not what it should be.
    pub(super) fn end(self, bench: &Bench, server: &Server, requests: u64) -> Result<(), Trouble> {
        let after = Self::begin(server, self.command)?;
        self.compare(after, requests).map_err(Trouble::Wrong)?;
        count_keys(bench, &mut server.client()?)?;
        let reads = ClosedLoop { address: server.address, connections: 1, depth: DEPTH };
        for command in [Command::Get, Command::Zrange] {
            // Another sample each time; reads store nothing, so they have no generation.
            reads.run(SAMPLE, &mut Mix::of_one(command, keys(bench), after.calls, 0))?;
        }
        if self.command == Command::Set { look_at_sets(&mut server.client()?, keys(bench)) } else { Ok(()) }
    }

    fn compare(self, after: Self, requests: u64) -> Result<(), String> {
        let (name, calls, missed) =
            (self.command.name(), after.calls - self.calls, after.missed - self.missed);
        if calls < requests {
            return Err(format!("of {requests} {name} it counted {calls}"));
        }
        let found = after.found - self.found;
        let is_read = matches!(self.command, Command::Get | Command::Zrange);
        if is_read && (missed > 0 || found < requests) {
            return Err(format!(
                "{requests} {name} of keys that are there found {found} and missed {missed}"
            ));
        }
        Ok(())
    }
}

/// How often a command was called, by the server's own account.
fn calls(server: &Server, command: Command) -> Result<u64, Trouble> {
    let words = command.words();
    let name = format!("cmdstat_{}", words[0].to_lowercase());
    let info = server.info("commandstats")?;
    let Some(line) = info.text(&name) else { return Ok(0) };
    let calls = line.split(',').find_map(|field| field.strip_prefix("calls=")?.parse().ok());
    calls.ok_or_else(|| Trouble::Failed(format!("INFO tells no calls in {name}:{line}")))
}

/// Loads overwrite, count and move: there are as many keys and members as before.
fn count_keys(bench: &Bench, client: &mut Client) -> Result<(), Trouble> {
    let held = Server::keys(client)?;
    if held != all_keys(bench) {
        return Err(Trouble::Wrong(format!("it holds {held} of {} keys", all_keys(bench))));
    }
    for set in [READ_SET, MOVED_SET] {
        let reply = client.ask_line(&format!("ZCARD {set}"))?;
        if reply != format!(":{}\r\n", keys(bench)) {
            return Err(Trouble::Wrong(format!(
                "ZCARD of {} members gave {}",
                keys(bench),
                reply.trim_end()
            )));
        }
    }
    Ok(())
}

/// A key that redis-benchmark may have set holds what it stores, or still what was there before.
fn look_at_sets(client: &mut Client, keys: u64) -> Result<(), Trouble> {
    let words = Command::Set.words();
    let stored = words.last().map(String::as_bytes).unwrap_or_default();
    let frame = |bytes: &[u8]| [format!("${VALUE}\r\n").as_bytes(), bytes, b"\r\n"].concat();
    let (stored, mut changed) = (frame(stored), 0);
    for number in (0..keys).step_by((keys / LOOKED_AT).max(1) as usize) {
        let reply = client.ask(&[b"GET", key("set", number).as_bytes()])?;
        if reply == stored {
            changed += 1;
        } else if reply.len() != stored.len() {
            return Err(Trouble::Wrong(format!("GET of a value that was SET gave {}", shown(reply))));
        }
    }
    if changed == 0 { Err(Trouble::Wrong("no SET has left anything behind".to_owned())) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missed_or_not_done_is_told() {
        let audit = |command, found, missed, calls| Audit { command, found, missed, calls };
        let before = |command| audit(command, 5, 1, 7);
        for command in [Command::Get, Command::Zrange] {
            let compare = |after| before(command).compare(after, 10);
            assert_eq!(compare(audit(command, 15, 1, 17)), Ok(()));
            assert!(compare(audit(command, 14, 2, 17)).is_err(), "a miss");
            assert!(compare(audit(command, 5, 1, 17)).is_err(), "neither found nor missed");
            assert!(compare(audit(command, 15, 1, 16)).is_err(), "not done");
        }
        assert_eq!(before(Command::Set).compare(audit(Command::Set, 5, 1, 17), 10), Ok(()));
    }
}
