//! The limit of open files: every socket is one. The usual soft limit of 1024 is there for programs that use
//! `select`; a server may raise it to the hard limit.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit to `wanted` files, or as far as the hard limit allows; never lowers it. Returns the
/// limit now in force, `u64::MAX` when there is none.
pub fn raise_limit(wanted: u64) -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let Some(current) = current.filter(|current| *current < wanted) else { return limit() };
    let possible = maximum.map_or(wanted, |maximum| maximum.min(wanted)).max(current);
    // What cannot be raised stays as it is, and the caller is told.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(possible), maximum });
    limit()
}

/// Raises the limit for `sockets` sockets besides `reserved` other files; returns for how many sockets there is
/// room, at least one.
pub fn room_for(sockets: usize, reserved: u64) -> usize {
    let wanted = (sockets as u64).saturating_add(reserved);
    let room = raise_limit(wanted).saturating_sub(reserved).max(1);
    usize::try_from(room).map_or(sockets, |room| room.min(sockets))
}

/// The soft limit in force; `u64::MAX` when there is none.
#[must_use]
pub fn limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_raised_as_far_as_possible_and_never_lowered() {
        let before = limit();
        assert_eq!(raise_limit(1), before);
        let hard = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
        assert_eq!(raise_limit(before.saturating_add(10)), before.saturating_add(10).min(hard));
        assert_eq!(room_for(1, 0), 1);
        assert_eq!(room_for(10, u64::MAX), 1);
    }
}
