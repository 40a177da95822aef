//! The journal: what the service must remember over a restart, on disk before anyone acts on it.
//!
//! A proxy that has seen epoch 57 must never be told by a restarted service that 57 is something
//! else, nor that a node is routable which 57 took out. So each new view is appended and synced
//! before it is published.
//!
//! ```text
//! <state-dir>/journal   one entry a line: xxh3 of the JSON, a blank, the JSON
//!                       8f0c1d2e3a4b5c6d {"transition":{"nodeId":"node7","at":...}}
//!                       0123456789abcdef {"record":{"view":{"epoch":57,...},"nodes":[...]}}
//! ```
//!
//! The last whole record counts. What follows the last whole line was torn by a crash and is cut off.
//! Bad lines before it are passed over; the disk changed them, so the file is kept as
//! `journal.damaged` for whoever looks into that. When the file has grown, it is replaced as a whole by one with the latest record and the
//! kept history (written beside it, synced, renamed). Without a state directory nothing is kept.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use cluster::{NodeId, Status};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::verdict::{MemberIndex, Record, Transition};

/// The file is rewritten when it is longer than this and four times its length after the last
/// rewrite: some thousand changes of a 50-node cluster.
const MIN_REWRITE_LEN: u64 = 4 << 20;

/// One line of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Entry {
    /// The state of the verdict.
    Record(Record),
    /// A change of one member, for its history.
    Transition(PastTransition),
}

/// A transition that is told by name, so that it outlives changes of the topology.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PastTransition {
    /// Who.
    pub node_id: NodeId,
    /// When, in milliseconds since 1970.
    pub at: u64,
    /// The epoch after it.
    pub epoch: u64,
    /// The status before.
    pub from: Status,
    /// The status after.
    pub to: Status,
    /// Routable after it.
    pub routable: bool,
    /// In words.
    pub cause: String,
}

impl PastTransition {
    /// A transition of the member called `node_id`.
    #[must_use]
    pub fn of(node_id: NodeId, transition: &Transition) -> Self {
        let Transition { at, epoch, from, to, routable, cause, .. } = transition;
        // Milliseconds since 1970 fit in 64 bits for half a billion years.
        let at = u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
        Self { node_id, at, epoch: *epoch, from: *from, to: *to, routable: *routable, cause: cause.clone() }
    }

    /// Back to a transition; the verdict knows which member it is of.
    #[must_use]
    pub fn into_transition(self) -> (NodeId, Transition) {
        let Self { node_id, at, epoch, from, to, routable, cause } = self;
        let (member, at) = (MemberIndex(0), Duration::from_millis(at));
        (node_id, Transition { member, at, epoch, from, to, routable, cause })
    }
}

/// What an earlier run left.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory {
    /// The last state.
    pub record: Option<Record>,
    /// The transitions, oldest first.
    pub transitions: Vec<PastTransition>,
}

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    len: u64,
    /// Length after the last rewrite.
    base_len: u64,
}

impl Journal {
    /// Opens the journal of a state directory, making both if they are missing, and reads what is in
    /// it. A torn end is cut off; a file with bad lines elsewhere is copied first.
    ///
    /// # Errors
    /// When the directory or file cannot be made, read, locked or written. Another process that has
    /// it open is such an error: two services must not share an epoch.
    pub fn open(directory: &Path) -> io::Result<(Self, Memory)> {
        fs::create_dir_all(directory)?;
        let path = directory.join("journal");
        let file = OpenOptions::new().read(true).append(true).create(true).open(&path)?;
        lock(directory, &file)?;
        let bytes = fs::read(&path)?;
        let Found { memory, len, damaged } = read(&bytes)?;
        if damaged > 0 {
            let copy = path.with_extension("damaged");
            fs::write(&copy, &bytes)?;
            tracing::error!(path = %path.display(), copy = %copy.display(), lines = damaged, "the journal is damaged; bad lines are passed over");
        }
        if len < bytes.len() {
            tracing::warn!(path = %path.display(), lost = bytes.len() - len, "the journal's end was torn; cut off");
            file.set_len(len as u64)?;
        }
        // Makes the file's existence itself survive.
        File::open(directory)?.sync_all()?;
        Ok((Self { path, file, len: len as u64, base_len: len as u64 }, memory))
    }

    /// Appends entries and syncs them.
    ///
    /// # Errors
    /// When they could not be written as a whole; the file is then as it was before, or will be cut
    /// back to that when it is opened again.
    pub fn append(&mut self, entries: &[Entry]) -> io::Result<()> {
        let lines = lines(entries)?;
        let result = self.file.write_all(&lines).and_then(|()| self.file.sync_data());
        match result {
            Ok(()) => self.len += lines.len() as u64,
            // A half-written line would hide all that is appended after it.
            Err(_) => self.file.set_len(self.len)?,
        }
        result
    }

    /// Whether it has grown enough to be [rewritten](Self::rewrite).
    #[must_use]
    pub fn is_long(&self) -> bool {
        self.len > MIN_REWRITE_LEN && self.len / 4 > self.base_len
    }

    /// Replaces all entries by these, as a whole or not at all.
    ///
    /// # Errors
    /// When the new file could not be written; the old one then stays.
    pub fn rewrite(&mut self, entries: &[Entry]) -> io::Result<()> {
        let lines = lines(entries)?;
        let new = self.path.with_extension("new");
        let mut file = File::create(&new)?;
        file.write_all(&lines)?;
        file.sync_all()?;
        let file = OpenOptions::new().read(true).append(true).open(&new)?;
        let directory = self.path.parent().unwrap_or(Path::new("."));
        lock(directory, &file)?;
        fs::rename(&new, &self.path)?;
        File::open(directory)?.sync_all()?;
        (self.file, self.len, self.base_len) = (file, lines.len() as u64, lines.len() as u64);
        Ok(())
    }
}

fn lock(directory: &Path, file: &File) -> io::Result<()> {
    file.try_lock().map_err(|_| {
        let text = format!("{} is in use by another process", directory.display());
        io::Error::new(io::ErrorKind::ResourceBusy, text)
    })
}

fn lines(entries: &[Entry]) -> io::Result<Vec<u8>> {
    let mut lines = Vec::new();
    for entry in entries {
        let json = serde_json::to_string(entry)?;
        writeln!(lines, "{:016x} {json}", xxh3_64(json.as_bytes()))?;
    }
    Ok(lines)
}

/// What is in a journal.
#[derive(Debug, Default)]
struct Found {
    memory: Memory,
    /// Where the last whole line ends.
    len: usize,
    /// Bad lines that are no torn end.
    damaged: usize,
}

fn read(bytes: &[u8]) -> io::Result<Found> {
    let mut found = Found::default();
    let mut place = 0;
    for line in bytes.split_inclusive(|&b| b == b'\n') {
        let start = place;
        place += line.len();
        let Some(json) = whole_json(line) else {
            // Only the last line of a torn write has no end.
            found.damaged += usize::from(line.ends_with(b"\n"));
            continue;
        };
        match serde_json::from_str(json) {
            Ok(Entry::Record(record)) => found.memory.record = Some(record),
            Ok(Entry::Transition(transition)) => found.memory.transitions.push(transition),
            Err(error) => return Err(unknown_entry(start, &error)),
        }
        found.len = place;
    }
    Ok(found)
}

/// The JSON of a line that was written as a whole.
fn whole_json(line: &[u8]) -> Option<&str> {
    let line = std::str::from_utf8(line.strip_suffix(b"\n")?).ok()?;
    let (sum, json) = line.split_once(' ')?;
    (u64::from_str_radix(sum, 16).ok()? == xxh3_64(json.as_bytes())).then_some(json)
}

/// A whole line that says something else was written by another release: it must not be cut off.
fn unknown_entry(place: usize, error: &serde_json::Error) -> io::Error {
    let text = format!("the entry at byte {place} was written by another release: {error}");
    io::Error::new(io::ErrorKind::InvalidData, text)
}

#[cfg(test)]
mod tests {
    use cluster::{DEFAULT_POINTS, DEFAULT_SLOTS, View};

    use super::*;

    fn record(epoch: u64) -> Entry {
        let (slots, points) = (DEFAULT_SLOTS, DEFAULT_POINTS);
        let view = View { epoch, slots, points, nodes: Vec::new(), proxies: Vec::new() };
        Entry::Record(Record { view, frozen: false, nodes: Vec::new() })
    }

    fn transition(at: u64) -> Entry {
        Entry::Transition(PastTransition {
            node_id: "node1".parse().unwrap(),
            at,
            epoch: 1,
            from: Status::Healthy,
            to: Status::Unhealthy,
            routable: false,
            cause: "a reason\nof two lines".to_owned(),
        })
    }

    fn epoch(memory: &Memory) -> Option<u64> {
        memory.record.as_ref().map(|record| record.view.epoch)
    }

    #[test]
    fn what_was_appended_is_remembered() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/b");
        let (mut journal, memory) = Journal::open(&path).unwrap();
        assert_eq!(memory, Memory::default());
        journal.append(&[transition(1), record(1)]).unwrap();
        journal.append(&[transition(2), transition(3), record(2)]).unwrap();
        drop(journal);
        let (_, memory) = Journal::open(&path).unwrap();
        assert_eq!(epoch(&memory), Some(2));
        assert_eq!(memory.transitions.iter().map(|past| past.at).collect::<Vec<_>>(), [1, 2, 3]);
    }

    /// Whatever a crash leaves of the last write, what was written before it is whole.
    #[test]
    fn a_torn_end_is_cut_off_wherever_it_is_torn() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let whole = lines(&[transition(1), record(1)]).unwrap();
        let last = lines(&[transition(2), record(2)]).unwrap();
        for torn in 0..=last.len() {
            fs::write(&path, [&whole, &last[..torn]].concat()).unwrap();
            let (mut journal, memory) = Journal::open(directory.path()).unwrap();
            assert_eq!(epoch(&memory), Some(if torn == last.len() { 2 } else { 1 }), "torn at {torn}");
            // What is appended to the rest counts again.
            journal.append(&[record(3)]).unwrap();
            drop(journal);
            assert_eq!(epoch(&Journal::open(directory.path()).unwrap().1), Some(3), "torn at {torn}");
        }
    }

    #[test]
    fn a_flipped_bit_costs_its_own_line_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let copy = directory.path().join("journal.damaged");
        let whole = lines(&[transition(1), record(1), record(2), transition(3), record(3)]).unwrap();
        let last = lines(&[record(3)]).unwrap().len();
        for place in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[place] ^= 1;
            fs::write(&path, &bytes).unwrap();
            let (_, memory) = Journal::open(directory.path()).unwrap();
            // Without its newline, the line before it becomes one with it.
            let in_last = place + 1 >= whole.len() - last;
            assert_eq!(epoch(&memory), Some(if in_last { 2 } else { 3 }), "flipped at {place}");
            if !in_last {
                assert_eq!(fs::read(&path).unwrap(), bytes, "nothing whole is cut off: {place}");
                assert_eq!(fs::read(&copy).unwrap(), bytes, "flipped at {place}");
            }
        }
        fs::write(&path, b"not a journal at all").unwrap();
        assert_eq!(epoch(&Journal::open(directory.path()).unwrap().1), None);
    }

    #[test]
    fn what_another_release_wrote_is_refused_and_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let json = "{\"lease\":{\"term\":7}}";
        let written = format!("{:016x} {json}\n", xxh3_64(json.as_bytes()));
        fs::write(&path, &written).unwrap();
        let error = Journal::open(directory.path()).unwrap_err();
        assert!(error.to_string().contains("at byte 0 was written by another release"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), written);
    }

    #[test]
    fn a_long_journal_is_replaced_as_a_whole() {
        let directory = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(directory.path()).unwrap();
        let many: Vec<Entry> = (0..10_000).map(transition).collect();
        let mut appended = 0;
        while !journal.is_long() {
            journal.append(&many).unwrap();
            appended += 1;
            assert!(appended < 100);
        }
        journal.rewrite(&[transition(7), record(9)]).unwrap();
        assert!(!journal.is_long());
        journal.append(&[record(10)]).unwrap();
        assert!(Journal::open(directory.path()).is_err(), "it is still locked");
        drop(journal);
        let (_, memory) = Journal::open(directory.path()).unwrap();
        assert_eq!((epoch(&memory), memory.transitions.len()), (Some(10), 1));
        let names: Vec<_> =
            fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["journal"]);
    }
}
