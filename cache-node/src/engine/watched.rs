//! The keys that somebody watches, each with a version that every change of the key raises.
//!
//! The one idea: only who watches pays. A change asks whether any key is watched at all, and looks itself up only
//! then. Whether a key has changed is a comparison of versions; who watches it is not known here.

use super::{Engine, Place};
use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};

/// Room that is kept when the last key is forgotten: an application that watches does so all the time.
const KEPT_CAPACITY: usize = 64;

/// A key as it was when it was begun to be watched.
#[derive(Debug)]
pub struct Watch {
    key: Box<[u8]>,
    version: u64,
}

impl Watch {
    /// The key.
    pub fn key(&self) -> &[u8] {
        &self.key
    }
}

/// A client watches a key once, so the key is what tells its watches apart.
impl Borrow<[u8]> for Watch {
    fn borrow(&self) -> &[u8] {
        &self.key
    }
}

impl Hash for Watch {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}

impl PartialEq for Watch {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Watch {}

/// How often a key has changed since the first of its present watchers came.
#[derive(Debug, Default)]
struct Versioned {
    version: u64,
    watchers: usize,
}

/// All watched keys.
#[derive(Debug, Default)]
pub(super) struct Watched {
    keys: HashMap<Box<[u8]>, Versioned>,
}

impl Watched {
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn add(&mut self, key: &[u8]) -> Watch {
        let versioned = self.keys.entry(key.into()).or_default();
        versioned.watchers += 1;
        Watch { key: key.into(), version: versioned.version }
    }

    pub(super) fn remove(&mut self, watch: &Watch) {
        let Some(versioned) = self.keys.get_mut(watch.key()) else { return };
        versioned.watchers -= 1;
        if versioned.watchers == 0 {
            self.keys.remove(watch.key());
        }
        if self.keys.is_empty() {
            self.keys.shrink_to(KEPT_CAPACITY);
        }
    }

    pub(super) fn has_changed(&self, watch: &Watch) -> bool {
        self.keys.get(watch.key()).is_none_or(|versioned| versioned.version != watch.version)
    }

    /// Notes a change of `key`, if it is watched.
    #[cold]
    pub(super) fn raise(&mut self, key: &[u8]) {
        if let Some(versioned) = self.keys.get_mut(key) {
            versioned.version += 1;
        }
    }

    /// Notes a change of every watched key that is `present`.
    pub(super) fn raise_all(&mut self, present: impl Fn(&[u8]) -> bool) {
        for (key, versioned) in &mut self.keys {
            versioned.version += u64::from(present(key));
        }
    }
}

impl Engine {
    /// Begins to watch a key: `has_changed` tells from now on.
    pub fn watch(&mut self, key: &[u8], now: u64) -> Watch {
        // A key that is expired already does not change when it is removed.
        self.find(key, now);
        self.watched.add(key)
    }

    /// Whether a key was set, edited, removed or has expired since it was begun to be watched.
    pub fn has_changed(&mut self, watch: &Watch, now: u64) -> bool {
        self.find(watch.key(), now);
        self.watched.has_changed(watch)
    }

    /// Ends watching a key.
    pub fn unwatch(&mut self, watch: &Watch) {
        self.watched.remove(watch);
    }

    /// Number of keys that are watched.
    pub fn watched_len(&self) -> usize {
        self.watched.len()
    }

    /// Every change of an entry passes here or through `set`, for those who watch its key.
    #[inline]
    pub(super) fn note_change(&mut self, place: Place) {
        if !self.watched.is_empty() {
            self.watched.raise(self.table.at(place).key());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Watched;

    #[test]
    fn each_watcher_sees_the_changes_since_its_own_beginning() {
        let mut watched = Watched::default();
        let first = watched.add(b"k");
        watched.raise(b"k");
        let second = watched.add(b"k");
        watched.raise(b"other");
        assert_eq!((watched.has_changed(&first), watched.has_changed(&second)), (true, false));
        watched.remove(&first);
        watched.raise(b"k");
        assert!(watched.has_changed(&second));
        watched.remove(&second);
        assert!(watched.is_empty());
    }

    #[test]
    fn all_changes_at_once_are_those_of_the_keys_that_are_there() {
        let mut watched = Watched::default();
        let (there, missing) = (watched.add(b"there"), watched.add(b"missing"));
        watched.raise_all(|key| key == b"there");
        assert_eq!((watched.has_changed(&there), watched.has_changed(&missing)), (true, false));
    }
}
