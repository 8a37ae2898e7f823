//! nf_tables: typed changes of one table, sent as one transaction. Nothing of a transaction stays if any part is refused.
//!
//! The wire format has no man page; the words are those of [`nft(8)`](https://man7.org/linux/man-pages/man8/nft.8.html) and
//! `linux/netfilter/nf_tables.h`. Changes print as `nft --debug=netlink` prints them, so a plan can be read and tested.

mod change;
mod expression;

pub use change::{Change, Field, Hook, NFT_GROUP, is_table_deleted, keys, transaction};
pub use expression::{Expression, Key, Verdict};
