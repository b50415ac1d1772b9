//! How much the store holds: every node keeps all of it in memory, and sends it whole to one that joins.

use std::time::Duration;

/// The longest value, in bytes.
pub const MAX_VALUE: usize = 64 * 1024;

/// The most keys that a node takes writes up to; directories that were made count.
pub const MAX_KEYS: usize = 4096;

/// The most bytes of keys and values that a node takes writes up to.
pub const MAX_BYTES: usize = 4 * 1024 * 1024;

/// The longest that a key can be told to last.
pub const MAX_TTL: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// Sides of a split fill up on their own: of others so many times as much is taken.
pub(super) const SIDES: usize = 4;

/// No honest store has seen so many changes: a stamp above is no stamp. Clients read an index as a number
/// of JSON, which many hold in 53 bits.
pub(super) const MAX_STAMP: u64 = 1 << 52;
