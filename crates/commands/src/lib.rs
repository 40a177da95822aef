//! One declarative table of the commands of Redis 7 and Valkey 9, and of the one that is FastCache's own, `PROXY`.
//!
//! The proxy plans by it (which arguments are keys, may this be retried) and the node dispatches by it
//! (arity, flags, the replies of `COMMAND`), so that the two can never disagree about a command. Everything
//! is built at compile time: `lookup` reads constants, allocates nothing and needs no initialisation.
//!
//! What it does not hold: how a command is executed, and what a proxy does with it. Those are the business
//! of the processes. Module commands are unknown to it, and `lookup` says so with `None`.
//!
//! ```
//! let mget = commands::lookup(b"MGET").expect("in the table");
//! let request: [&[u8]; 3] = [b"MGET", b"a", b"b"];
//! let keys = mget.keys(request.len(), |i| request[i]).expect("well formed");
//! assert_eq!(keys.collect::<Vec<_>>(), [1, 2]);
//! ```

mod categories;
mod command;
mod flags;
mod glob;
mod idempotence;
mod introspect;
mod key_count;
mod key_error;
mod keys;
mod lookup;
mod table;

pub use categories::Categories;
pub use command::{Class, Command, CommandId, Group};
pub use flags::Flags;
pub use glob::glob_matches;
pub use idempotence::Idempotence;
pub use introspect::Catalogue;
pub use key_count::CountRule;
pub use key_error::KeyError;
pub use keys::{KeyPositions, KeySpec};
pub use lookup::lookup;
pub use table::{COUNT, ID_COUNT, all};
