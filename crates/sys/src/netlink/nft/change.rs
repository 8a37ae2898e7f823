//! Changes of a table, and the transaction made of them.

use super::super::{
    message::{ACK, APPEND, Attributes, CREATE, DUMP, Message, Reply},
    socket::Socket,
};
use super::expression::{DATA_VALUE, Expression, hex};
use std::{fmt, io};

const SUBSYSTEM: u16 = 10 << 8;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const NEWTABLE: u16 = SUBSYSTEM;
const DELTABLE: u16 = SUBSYSTEM | 2;
const NEWCHAIN: u16 = SUBSYSTEM | 3;
const NEWRULE: u16 = SUBSYSTEM | 6;
const DELRULE: u16 = SUBSYSTEM | 8;
const NEWSET: u16 = SUBSYSTEM | 9;
const NEWSETELEM: u16 = SUBSYSTEM | 12;
const GETSETELEM: u16 = SUBSYSTEM | 13;
const DELSETELEM: u16 = SUBSYSTEM | 14;
const SET_INTERVAL: u32 = 0x4;
const SET_MAP: u32 = 0x8;
const SET_CONCAT: u32 = 0x80;
const INET: u8 = 1;
/// Elements in one message: an attribute is at most 64 KiB long.
const ELEMENTS: usize = 256;

/// `NFNLGRP_NFTABLES`: notices of changes, see [`Socket::join`](super::super::Socket::join).
pub const NFT_GROUP: i32 = 7;

/// Part of a key or value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// `ipv4_addr`, 4 bytes.
    Ipv4,
    /// `ipv6_addr`, 16 bytes.
    Ipv6,
    /// `inet_proto`, 1 byte in 4.
    Proto,
    /// `inet_service`, 2 bytes in 4.
    Service,
    /// `ifname`, 16 bytes.
    IfName,
}

impl Field {
    /// nft's number and name of the type, and the bytes it takes.
    const fn kind(self) -> (u32, &'static str, u32) {
        match self {
            Self::Ipv4 => (7, "ipv4_addr", 4),
            Self::Ipv6 => (8, "ipv6_addr", 16),
            Self::Proto => (12, "inet_proto", 4),
            Self::Service => (13, "inet_service", 4),
            Self::IfName => (41, "ifname", 16),
        }
    }

    /// nft's number for a concatenation, its length, its name.
    fn join(fields: &[Self]) -> (u32, u32, String) {
        let number = fields.iter().fold(0, |number, field| (number << 6) | field.kind().0);
        let length = fields.iter().map(|field| field.kind().2).sum();
        let names: Vec<_> = fields.iter().map(|field| field.kind().1).collect();
        (number, length, names.join(" . "))
    }
}

/// Where a base chain sees packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "netfilter's names")]
pub enum Hook {
    Prerouting,
    Input,
    Forward,
    Output,
    Postrouting,
}

/// One change of a table of family `inet`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "fields are names, keys and values; the variants are documented")]
pub enum Change {
    /// The table, if it is not there.
    AddTable,
    /// The table and all in it.
    DeleteTable,
    /// A base chain with policy accept, if it is not there. True: NAT, else filter.
    AddChain { chain: &'static str, nat: bool, hook: Hook, priority: i32 },
    /// All rules of a chain go.
    FlushChain { chain: &'static str },
    /// A rule at the end.
    AddRule { chain: &'static str, rule: Vec<Expression> },
    /// A set, or a map if there is a value, if it is not there.
    AddSet { set: &'static str, key: &'static [Field], value: &'static [Field] },
    /// A set of ranges: each field of a key runs from one value to another. If it is not there.
    AddRangeSet { set: &'static str, key: &'static [Field] },
    /// First and last key of a range.
    AddRange { set: &'static str, first: Vec<u8>, last: Vec<u8> },
    /// The transaction fails if it is not there.
    DeleteRange { set: &'static str, first: Vec<u8>, last: Vec<u8> },
    /// All elements go.
    FlushSet { set: &'static str },
    /// Keys and values (empty for a set).
    AddElements { set: &'static str, elements: Vec<(Vec<u8>, Vec<u8>)> },
    /// The transaction fails if one is not there.
    DeleteElements { set: &'static str, keys: Vec<Vec<u8>> },
}

/// The changes of `table` as one message batch.
#[must_use]
pub fn transaction(table: &str, changes: &[Change]) -> Message {
    let mut message = Message::new(BATCH_BEGIN, 0, &[0, 0, 0, 10]);
    let mut set_id = 0;
    for change in changes {
        change.encode(table, &mut message, &mut set_id);
    }
    // The answer to the last change says that the whole was committed.
    message.flag(ACK);
    let end = Message::new(BATCH_END, 0, &[0, 0, 0, 10]);
    let changes = message.count();
    message.extend(&end);
    debug_assert_eq!(message.count(), changes + 1);
    message
}

/// The keys in a set or map of `table`.
///
/// # Errors
/// Kernel; `ENOENT` if there is no such set.
pub fn keys(socket: &mut Socket, table: &str, set: &str) -> io::Result<Vec<Vec<u8>>> {
    let mut message = Message::new(GETSETELEM, DUMP, &[INET, 0, 0, 0]);
    message.put_str(1, table).put_str(2, set);
    let mut found = Vec::new();
    socket.query(&message, |reply| {
        for (_, element) in reply.attributes(4).nested(3) {
            found.extend(Attributes(element).nested(1).find(DATA_VALUE).map(<[u8]>::to_vec));
        }
    })?;
    Ok(found)
}

/// Whether a notice of [`NFT_GROUP`] says that this table was deleted.
#[must_use]
pub fn is_table_deleted(notice: Reply<'_>, table: &str) -> bool {
    notice.kind == DELTABLE
        && notice.body.first() == Some(&INET)
        && notice.attributes(4).text(1) == Some(table)
}

impl Change {
    fn encode(&self, table: &str, message: &mut Message, set_id: &mut u32) {
        match self {
            Self::AddTable => {
                begin(message, table, NEWTABLE, CREATE);
            }
            Self::DeleteTable => {
                begin(message, table, DELTABLE, 0);
            }
            Self::AddChain { chain, nat, hook, priority } => {
                begin(message, table, NEWCHAIN, CREATE)
                    .put_str(3, chain)
                    .nest(4, |h| {
                        h.put_be32(1, *hook as u32).put_be32(2, priority.cast_unsigned());
                    })
                    .put_be32(5, 1)
                    .put_str(7, if *nat { "nat" } else { "filter" });
            }
            Self::FlushChain { chain } => {
                begin(message, table, DELRULE, 0).put_str(2, chain);
            }
            Self::AddRule { chain, rule } => {
                begin(message, table, NEWRULE, CREATE | APPEND).put_str(2, chain).nest(4, |list| {
                    for expression in rule {
                        expression.encode(list);
                    }
                });
            }
            Self::AddSet { set, key, value } => {
                *set_id += 1;
                put_set(begin(message, table, NEWSET, CREATE), set, key, value, *set_id);
            }
            Self::AddRangeSet { set, key } => {
                *set_id += 1;
                put_range_set(begin(message, table, NEWSET, CREATE), set, key, *set_id);
            }
            Self::AddRange { set, first, last } => {
                put_range(begin(message, table, NEWSETELEM, CREATE), set, first, last)
            }
            Self::DeleteRange { set, first, last } => {
                put_range(begin(message, table, DELSETELEM, 0), set, first, last)
            }
            Self::FlushSet { set } => {
                begin(message, table, DELSETELEM, 0).put_str(2, set);
            }
            Self::AddElements { set, elements } => {
                for some in elements.chunks(ELEMENTS) {
                    let some = some.iter().map(|(key, value)| (key.as_slice(), value.as_slice()));
                    put_elements(begin(message, table, NEWSETELEM, CREATE), set, some);
                }
            }
            Self::DeleteElements { set, keys } => {
                for some in keys.chunks(ELEMENTS) {
                    put_elements(
                        begin(message, table, DELSETELEM, 0),
                        set,
                        some.iter().map(|key| (key.as_slice(), &[][..])),
                    );
                }
            }
        }
    }
}

/// A message of the table, to be continued.
fn begin<'a>(message: &'a mut Message, table: &str, kind: u16, flags: u16) -> &'a mut Message {
    message.next(kind, flags, &[INET, 0, 0, 0]);
    message.put_str(1, table)
}

fn put_set(message: &mut Message, set: &str, key: &[Field], value: &[Field], id: u32) {
    let ((number, length, _), (data, data_length, _)) = (Field::join(key), Field::join(value));
    message.put_str(2, set).put_be32(3, if value.is_empty() { 0 } else { SET_MAP });
    message.put_be32(4, number).put_be32(5, length);
    if !value.is_empty() {
        message.put_be32(6, data).put_be32(7, data_length);
    }
    message.put_be32(10, id);
    if key == [Field::IfName] {
        // For nft alone, which otherwise reads names backwards: key byte order, 4 bytes, that of the host.
        message.put(13, &[0, 4, 1, 0, 0, 0]);
    }
}

fn put_range_set(message: &mut Message, set: &str, key: &[Field], id: u32) {
    let (number, length, _) = Field::join(key);
    message.put_str(2, set).put_be32(3, SET_INTERVAL | SET_CONCAT).put_be32(4, number).put_be32(5, length);
    message.nest(9, |description| {
        description.nest(2, |fields| {
            for field in key {
                fields.nest(1, |f| {
                    f.put_be32(1, field.kind().2);
                });
            }
        });
    });
    message.put_be32(10, id);
}

fn put_range(message: &mut Message, set: &str, first: &[u8], last: &[u8]) {
    message.put_str(2, set).nest(3, |list| {
        list.nest(1, |element| {
            for (kind, key) in [(1, first), (10, last)] {
                element.nest(kind, |data| {
                    data.put(DATA_VALUE, key);
                });
            }
        });
    });
}

fn put_elements<'a>(message: &mut Message, set: &str, elements: impl Iterator<Item = (&'a [u8], &'a [u8])>) {
    message.put_str(2, set).nest(3, |list| {
        for (key, value) in elements {
            list.nest(1, |element| {
                element.nest(1, |data| {
                    data.put(DATA_VALUE, key);
                });
                if !value.is_empty() {
                    element.nest(2, |data| {
                        data.put(DATA_VALUE, value);
                    });
                }
            });
        }
    });
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddTable => f.write_str("add table"),
            Self::DeleteTable => f.write_str("delete table"),
            Self::AddChain { chain, nat, hook, priority } => {
                let hook = format!("{hook:?}").to_lowercase();
                write!(
                    f,
                    "add chain {chain} type {} hook {hook} priority {priority}",
                    if *nat { "nat" } else { "filter" }
                )
            }
            Self::FlushChain { chain } => write!(f, "flush chain {chain}"),
            Self::AddRule { chain, rule } => {
                write!(f, "add rule {chain}")?;
                rule.iter().try_for_each(|expression| write!(f, "\n  {expression}"))
            }
            Self::AddSet { set, key, value: [] } => {
                write!(f, "add set {set} {{ {} }}", Field::join(key).2)
            }
            Self::AddSet { set, key, value } => {
                write!(f, "add map {set} {{ {} : {} }}", Field::join(key).2, Field::join(value).2)
            }
            Self::AddRangeSet { set, key } => write!(f, "add range set {set} {{ {} }}", Field::join(key).2),
            Self::AddRange { set, first, last } => write!(f, "add range {set} {}-{}", hex(first), hex(last)),
            Self::DeleteRange { set, first, last } => {
                write!(f, "delete range {set} {}-{}", hex(first), hex(last))
            }
            Self::FlushSet { set } => write!(f, "flush set {set}"),
            Self::AddElements { set, elements } => elements.iter().try_for_each(|(key, value)| {
                write!(f, "add element {set} {}", hex(key))?;
                if value.is_empty() { Ok(()) } else { write!(f, " : {}", hex(value)) }
            }),
            Self::DeleteElements { set, keys } => {
                keys.iter().try_for_each(|key| write!(f, "delete element {set} {}", hex(key)))
            }
        }
    }
}
