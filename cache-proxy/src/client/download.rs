//! Large replies, passed on while they come; and how a client that takes its own slowly is kept from delaying others.
//!
//! The pieces of a large reply go to its receiver as the node sends them. While the receiver has `STREAM_AHEAD` bytes
//! that it has not taken, the link is *halted*: it is not read, so the node stops too, and the proxy holds no more than
//! that of a reply of any size.
//!
//! A link is shared, and the replies of others come behind the large one:
//! - new requests for its node go over another link (`aside`);
//! - what others have asked to read is asked again over that one, `ASK_AGAIN_AFTER` the first halt;
//! - what others wait for besides, writes, is waited for `PATIENCE`, from the first halt too. Then the link is read
//!   again whatever its client takes: the rest piles up for that client, up to its output limit; beyond it the client
//!   is closed.
//!
//! The same holds for a reply that waits for its turn behind one of another node.
//!
//! Pure. When to stop reading a socket is the link's task's business; it asks `is_halted`.

use std::time::{Duration, Instant};

use slab::Slab;

use crate::client::replies::Place;
use crate::client::stream::STREAM_AHEAD;
use crate::dispatch::Dispatcher;
use crate::link::failure::Failure;
use crate::link::{Link, LinkId};
use crate::outbox::RareWork;
use crate::plan::refuse::unasked;
use crate::target::{ClientId, Receiver, Target};
use crate::transaction::unit::{Unit, awaits_exec};

/// How long a client may take for its reply before the reads behind it are asked again. A client in the same network
/// takes 10 MB in this time: it costs nothing extra.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(20);

/// How long others wait behind a reply that its client does not take; with the look at the deadlines every 50 ms nobody
/// is held up for more than 150 ms.
const PATIENCE: Duration = Duration::from_millis(100);

/// A halted link is read again when its client has no more than this: the node fills the rest while it is written.
const RESUME_AT: usize = STREAM_AHEAD / 2;

/// A reply that is passed on while it comes.
#[derive(Debug, Default)]
pub(crate) struct Download {
    /// Bytes passed on so far.
    passed: usize,
    /// Its link is not read now.
    pub(crate) halted: bool,
    /// When its link was first not read: what others wait counts from here, also while it is read in between.
    halted_at: Option<Instant>,
    /// Others have waited for too long: it is not halted again.
    hurried: bool,
}

impl Dispatcher {
    /// Whether the reply that comes over the link may be passed on before its end is here. A push and the answer to a
    /// handshake are looked at whole.
    #[cold]
    pub(crate) fn may_pass_on(&self, link: LinkId, first: Option<&u8>) -> bool {
        let target = self.links.get(link).and_then(|link| in_turn(link, &self.units));
        first != Some(&b'>')
            && target.is_some_and(|target| {
                !matches!(target.receiver(), Receiver::Handshake | Receiver::Subscription(_))
            })
    }

    /// Passes the next piece of a reply on.
    ///
    /// # Errors
    /// When nobody has asked for it.
    pub(crate) fn pass_on(&mut self, link: LinkId, piece: &[u8]) -> Result<(), Failure> {
        let Some(entry) = self.links.get_mut(link) else { return Ok(()) };
        let Some(target) = in_turn(entry, &self.units) else { return Err(unasked(piece)) };
        let download = entry.download.get_or_insert_default();
        download.passed += piece.len();
        let hurried = download.hurried;
        match target.receiver() {
            Receiver::Client(id, place) => {
                if self.extend(id, place, piece) && !hurried {
                    self.halt(link, id);
                }
            }
            Receiver::Part(gather, part) => self.extend_part(gather, part, piece),
            Receiver::Unit(_)
            | Receiver::Handshake
            | Receiver::Nobody
            | Receiver::Subscription(_)
            | Receiver::Figures(..) => {}
        }
        Ok(())
    }

    /// Takes the last piece of a reply that was passed on.
    ///
    /// # Errors
    /// As [`Self::reply`].
    #[cold]
    pub(crate) fn end_of_reply(&mut self, link: LinkId, piece: &[u8]) -> Result<(), Failure> {
        let Some(entry) = self.links.get_mut(link) else { return Ok(()) };
        let target = in_turn(entry, &self.units);
        self.share_again(link);
        let outcome = self.answer(link, piece);
        let download = self.links.get_mut(link).and_then(|link| link.download.take());
        let passed = download.map_or(0, |download| download.passed);
        if let Some(Receiver::Client(id, _)) = target.map(|target| target.receiver())
            && let Some(client) = self.client(id)
        {
            client.note_reply_len(passed + piece.len());
        }
        outcome
    }

    /// Whether the link is not to be read now.
    pub(crate) fn is_halted(&self, link: LinkId) -> bool {
        self.links.get(link).is_some_and(Link::is_halted)
    }

    /// Gives a client the next piece of a reply. `true`: it has enough for now.
    fn extend(&mut self, id: ClientId, place: Place, piece: &[u8]) -> bool {
        let most = self.limits.close_at;
        // What comes for a client that has left, or is about to, is read off the link and dropped.
        let client = self.clients.get_mut(id.index as usize).filter(|client| client.serial == id.serial);
        let Some(client) = client.filter(|client| !client.killed) else { return false };
        if client.backlog() > most {
            tracing::warn!(peer = %client.peer, backlog = client.backlog(), "closing a client: others wait behind the reply that it does not take");
            client.closing = true;
            client.killed = true;
            self.list(id);
            return false;
        }
        client.extend(place, piece, &mut self.spare);
        let enough = client.waiting_at(place) > STREAM_AHEAD;
        self.list(id);
        self.note_growth(piece.len());
        enough
    }

    pub(crate) fn halt(&mut self, link: LinkId, id: ClientId) {
        let now = self.now;
        let Some(download) = self.links[link].download.as_mut() else { return };
        download.halted = true;
        let first = download.halted_at.replace(download.halted_at.unwrap_or(now)).is_none();
        if let Some(client) = self.client(id).filter(|client| !client.halts.contains(&link)) {
            client.halts.push(link);
        }
        if first {
            self.set_aside(link);
        }
    }

    /// Goes on with the links that a client had halted, as far as it has taken what came over them.
    #[cold]
    pub(crate) fn resume_links_of(&mut self, id: ClientId) {
        let Some(halts) = self.client(id).map(|client| std::mem::take(&mut client.halts)) else { return };
        let halts = self.resume_links(id, halts);
        if let Some(client) = self.client(id) {
            client.halts = halts;
        }
    }

    /// Goes on with these links, which a client had halted, as far as it has taken what came over them, or has left;
    /// returns the others.
    #[cold]
    pub(crate) fn resume_links(&mut self, id: ClientId, mut links: Vec<LinkId>) -> Vec<LinkId> {
        links.retain(|link| self.stays_halted(*link, id));
        links
    }

    /// Whether a link is halted by this client still, and stays so; if not, it is read again.
    fn stays_halted(&mut self, link_id: LinkId, id: ClientId) -> bool {
        let Some(link) = self.links.get_mut(link_id).filter(|link| link.is_halted()) else { return false };
        let place = match in_turn(link, &self.units).map(Target::receiver) {
            Some(Receiver::Client(of, place)) if of == id => place,
            // Another link has got its id.
            _ => return false,
        };
        let client = self.clients.get(id.index as usize).filter(|client| client.serial == id.serial);
        if client.is_some_and(|client| !client.killed && client.waiting_at(place) > RESUME_AT) {
            return true;
        }
        if let Some(download) = &mut link.download {
            download.halted = false;
        }
        // It was not the node that was silent.
        link.heard = self.now;
        self.outbox.rare.push(RareWork::Resume(link_id));
        false
    }

    /// Sees to those who wait behind a reply that its client takes slowly. Called at each look at the deadlines.
    pub(crate) fn tend_downloads(&mut self) {
        let now = self.now;
        let halted = |link: &Link| link.download.as_ref().and_then(|download| download.halted_at);
        let links = self.links.iter().filter_map(|(id, link)| Some((id, now - halted(link)?)));
        let links: Vec<_> = links.collect();
        for (id, waited) in links {
            if waited >= ASK_AGAIN_AFTER {
                self.ask_again(id);
            }
            if waited >= PATIENCE && self.others_wait(id) {
                self.hurry(id);
            }
        }
    }

    /// Reads on, whatever the client takes.
    fn hurry(&mut self, id: LinkId) {
        let link = &mut self.links[id];
        let Some(download) = link.download.as_mut() else { return };
        download.hurried = true;
        if std::mem::take(&mut download.halted) {
            link.heard = self.now;
            self.outbox.rare.push(RareWork::Resume(id));
        }
    }

    /// Whether another client than the first one waits for a reply of the link.
    fn others_wait(&self, id: LinkId) -> bool {
        let mut waiting = self.links[id].pipeline.receivers().map(|target| self.client_behind(target));
        let first = waiting.next().flatten();
        waiting.any(|client| client.is_some() && client != first)
    }

    /// The link is lost: nothing more will come of the reply that was passed on. A client that has the beginning of it
    /// can only be closed; `true` then, and its request is not to be sent again. What nobody has seen yet is forgotten.
    pub(crate) fn break_off(&mut self, link: LinkId) -> bool {
        let Some(entry) = self.links.get_mut(link) else { return false };
        if entry.download.take().is_none() {
            return false;
        }
        let Some(target) = in_turn(entry, &self.units) else { return false };
        let oldest = entry.pipeline.oldest().map(|waiter| waiter.target);
        match target.receiver() {
            Receiver::Client(id, place) => {
                let begun = self.cut_off(link, id, place);
                if let Some(Receiver::Unit(unit)) = oldest.map(Target::receiver).filter(|_| begun) {
                    self.units.try_remove(unit as usize);
                }
                begun
            }
            Receiver::Part(gather, part) => {
                self.withdraw_part(gather, part);
                false
            }
            Receiver::Unit(_)
            | Receiver::Handshake
            | Receiver::Nobody
            | Receiver::Subscription(_)
            | Receiver::Figures(..) => false,
        }
    }

    /// Closes a client that has the beginning of a reply whose end will not come; `false`: it has seen nothing of it.
    fn cut_off(&mut self, link: LinkId, id: ClientId, place: Place) -> bool {
        let node = self.links[link].node.clone();
        let Some(client) = self.client(id) else { return true };
        if client.withdraw(place) {
            return false;
        }
        tracing::warn!(peer = %client.peer, %node, "closing a client: its node was lost in the middle of a reply");
        client.closing = true;
        client.killed = true;
        self.stats.cut_replies += 1;
        self.list(id);
        true
    }
}

/// Who gets the reply that comes next over the link. Of a unit's replies only the last one is somebody's.
pub(crate) fn in_turn(link: &Link, units: &Slab<Unit>) -> Option<Target> {
    let waiter = link.pipeline.due();
    waiter.map(|waiter| waiter.target).or_else(|| awaits_exec(link.pipeline.unit_in_turn()?.target, units))
}
