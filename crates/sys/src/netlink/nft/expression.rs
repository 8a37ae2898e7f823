//! The instructions of a rule: they load registers, compare them, and end in a verdict or a translation.

use super::super::message::Message;
use std::fmt;

const LIST_ELEM: u16 = 1;
const EXPR_NAME: u16 = 1;
const EXPR_DATA: u16 = 2;
pub(super) const DATA_VALUE: u16 = 1;
const DATA_VERDICT: u16 = 2;

/// What `meta` loads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// Name of the link it came in by; 16 bytes.
    IifName,
    /// Name of the link it goes out by; 16 bytes.
    OifName,
    /// 2 for IPv4, 10 for IPv6; 1 byte.
    NfProto,
    /// 6, 17, …; 1 byte.
    L4Proto,
}

/// How a rule ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Away with it.
    Drop,
    /// Done in this base chain.
    Accept,
}

/// One instruction. Registers are numbered as the kernel does: 1–4 have 16 bytes, 8–23 are the same memory in words of 4.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "fields are registers, offsets and names; the variants are documented")]
pub enum Expression {
    /// Something about the packet that is not in it.
    Meta { key: Key, to: u32 },
    /// Bytes of the network header.
    Network { offset: u32, len: u32, to: u32 },
    /// Bytes of the transport header.
    Transport { offset: u32, len: u32, to: u32 },
    /// Goes on if equal (or, `not`, if not).
    Compare { from: u32, not: bool, value: Vec<u8> },
    /// Goes on if the key is in the set (or not); loads what a map has for it.
    Lookup { set: &'static str, from: u32, to: Option<u32>, not: bool },
    /// Goes on if the destination is an address of this machine.
    LocalDestination,
    /// Goes on if the connection is established or related to one.
    Established,
    /// Goes on if the destination has been translated.
    Translated,
    /// Translates the destination to address and port in registers. True: IPv6.
    Dnat { v6: bool, address: u32, port: u32 },
    /// Loads a constant.
    Constant { to: u32, value: Vec<u8> },
    /// Translates the source to the address of the link it goes out by.
    Masquerade,
    /// Ends.
    Verdict(Verdict),
}

const NFPROTO_IPV4: u32 = 2;
const NFPROTO_IPV6: u32 = 10;
/// `ct state` bits: established, related. `ct status` bit: dst-nat. `fib` result: address type; flag: destination; type: local.
const STATE_OLD: u32 = 0x6;
const STATUS_DNAT: u32 = 0x20;
const CT_STATE: u32 = 0;
const CT_STATUS: u32 = 2;
const ADDRTYPE: u32 = 3;
const FIB_DADDR: u32 = 2;
const RTN_LOCAL: u32 = 2;

impl Expression {
    /// Writes it (some are several on the wire) as elements of a rule's list.
    pub(super) fn encode(&self, list: &mut Message) {
        match self {
            Self::Meta { key, to } => {
                let key = match key {
                    Key::IifName => 6,
                    Key::OifName => 7,
                    Key::NfProto => 15,
                    Key::L4Proto => 16,
                };
                element(list, "meta", |e| {
                    e.put_be32(1, *to).put_be32(2, key);
                });
            }
            Self::Network { offset, len, to } => payload(list, 1, *offset, *len, *to),
            Self::Transport { offset, len, to } => payload(list, 2, *offset, *len, *to),
            Self::Compare { from, not, value } => compare(list, *from, *not, value),
            Self::Lookup { set, from, to, not } => element(list, "lookup", |e| {
                e.put_str(1, set).put_be32(2, *from);
                if let Some(to) = to {
                    e.put_be32(3, *to);
                }
                if *not {
                    e.put_be32(5, 1);
                }
            }),
            Self::LocalDestination => {
                element(list, "fib", |e| {
                    e.put_be32(1, 1).put_be32(2, ADDRTYPE).put_be32(3, FIB_DADDR);
                });
                compare(list, 1, false, &RTN_LOCAL.to_ne_bytes());
            }
            Self::Established => conntrack(list, CT_STATE, STATE_OLD),
            Self::Translated => conntrack(list, CT_STATUS, STATUS_DNAT),
            Self::Dnat { v6, address, port } => element(list, "nat", |e| {
                let family = if *v6 { NFPROTO_IPV6 } else { NFPROTO_IPV4 };
                e.put_be32(1, 1).put_be32(2, family).put_be32(3, *address).put_be32(5, *port);
            }),
            Self::Constant { to, value } => element(list, "immediate", |e| {
                e.put_be32(1, *to).nest(2, |data| {
                    data.put(DATA_VALUE, value);
                });
            }),
            Self::Masquerade => element(list, "masq", |_| {}),
            Self::Verdict(verdict) => element(list, "immediate", |e| {
                let code = match verdict {
                    Verdict::Drop => 0,
                    Verdict::Accept => 1,
                };
                e.put_be32(1, 0).nest(2, |data| {
                    data.nest(DATA_VERDICT, |v| {
                        v.put_be32(1, code);
                    });
                });
            }),
        }
    }
}

fn element(list: &mut Message, name: &str, fill: impl FnOnce(&mut Message)) {
    list.nest(LIST_ELEM, |e| {
        e.put_str(EXPR_NAME, name).nest(EXPR_DATA, fill);
    });
}

fn payload(list: &mut Message, base: u32, offset: u32, len: u32, to: u32) {
    element(list, "payload", |e| {
        e.put_be32(1, to).put_be32(2, base).put_be32(3, offset).put_be32(4, len);
    });
}

fn compare(list: &mut Message, from: u32, not: bool, value: &[u8]) {
    element(list, "cmp", |e| {
        e.put_be32(1, from).put_be32(2, u32::from(not)).nest(3, |data| {
            data.put(DATA_VALUE, value);
        });
    });
}

/// Any of the bits set.
fn conntrack(list: &mut Message, key: u32, bits: u32) {
    element(list, "ct", |e| {
        e.put_be32(1, 1).put_be32(2, key);
    });
    element(list, "bitwise", |e| {
        e.put_be32(1, 1).put_be32(2, 1).put_be32(3, 4);
        e.nest(4, |mask| {
            mask.put(DATA_VALUE, &bits.to_ne_bytes());
        });
        e.nest(5, |xor| {
            xor.put(DATA_VALUE, &[0; 4]);
        });
    });
    compare(list, 1, true, &[0; 4]);
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Meta { key, to } => {
                let key = match key {
                    Key::IifName => "iifname",
                    Key::OifName => "oifname",
                    Key::NfProto => "nfproto",
                    Key::L4Proto => "l4proto",
                };
                write!(f, "[ meta load {key} => reg {to} ]")
            }
            Self::Network { offset, len, to } => {
                write!(f, "[ payload load {len}b @ network header + {offset} => reg {to} ]")
            }
            Self::Transport { offset, len, to } => {
                write!(f, "[ payload load {len}b @ transport header + {offset} => reg {to} ]")
            }
            Self::Compare { from, not, value } => {
                write!(f, "[ cmp {} reg {from} {} ]", if *not { "neq" } else { "eq" }, hex(value))
            }
            Self::Lookup { set, from, to, not } => {
                write!(f, "[ lookup reg {from} set {set}")?;
                if let Some(to) = to {
                    write!(f, " dreg {to}")?;
                }
                f.write_str(if *not { " 0x1 ]" } else { " ]" })
            }
            Self::LocalDestination => f.write_str("[ fib daddr type local ]"),
            Self::Established => f.write_str("[ ct state established,related ]"),
            Self::Translated => f.write_str("[ ct status dnat ]"),
            Self::Dnat { v6, address, port } => {
                write!(
                    f,
                    "[ nat dnat {} addr_min reg {address} proto_min reg {port} ]",
                    if *v6 { "ip6" } else { "ip" }
                )
            }
            Self::Constant { to, value } => write!(f, "[ immediate reg {to} {} ]", hex(value)),
            Self::Masquerade => f.write_str("[ masq ]"),
            Self::Verdict(Verdict::Drop) => f.write_str("[ drop ]"),
            Self::Verdict(Verdict::Accept) => f.write_str("[ accept ]"),
        }
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
