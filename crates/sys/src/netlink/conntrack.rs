//! Connection tracking: forgetting flows whose translation is out of date.

use super::message::{ACK, DUMP, Message};
use super::socket::Socket;
use std::io;

const SUBSYSTEM: u16 = 1 << 8;
const GET: u16 = SUBSYSTEM | 1;
const DELETE: u16 = SUBSYSTEM | 2;
const TUPLE_ORIG: u16 = 1;
const TUPLE_PROTO: u16 = 2;
const PROTO_NUM: u16 = 1;
const PROTO_DST_PORT: u16 = 3;
const ZONE: u16 = 18;
const FILTER: u16 = 25;
const FILTER_ORIG_FLAGS: u16 = 1;
const FILTER_REPLY_FLAGS: u16 = 2;
/// `CTA_FILTER_F_CTA_PROTO_NUM | CTA_FILTER_F_CTA_PROTO_DST_PORT`.
const BY_PORT: u32 = (1 << 3) | (1 << 5);
const UDP: u8 = 17;

/// Forgets the UDP flows that were first sent to this port, so that their next packet is translated by today's rules. Returns how many.
///
/// # Errors
/// Kernel. A flow that ended meanwhile is no error.
pub fn forget_udp(socket: &mut Socket, v6: bool, port: u16) -> io::Result<usize> {
    let family = if v6 { libc::AF_INET6 } else { libc::AF_INET };
    let header = [u8::try_from(family).unwrap_or(0), 0, 0, 0];
    let mut dump = Message::new(GET, DUMP, &header);
    dump.nest(TUPLE_ORIG, |tuple| {
        tuple.nest(TUPLE_PROTO, |proto| {
            proto.put(PROTO_NUM, &[UDP]).put(PROTO_DST_PORT, &port.to_be_bytes());
        });
    });
    dump.nest(FILTER, |filter| {
        filter.put_u32(FILTER_ORIG_FLAGS, BY_PORT).put_u32(FILTER_REPLY_FLAGS, 0);
    });
    let mut flows = Vec::new();
    socket.query(&dump, |reply| {
        let attributes = reply.attributes(4);
        let tuple = attributes.find(TUPLE_ORIG).unwrap_or_default();
        let proto = attributes.nested(TUPLE_ORIG).nested(TUPLE_PROTO);
        // A kernel that does not know the filter sends them all.
        if proto.find(PROTO_NUM) == Some(&[UDP]) && proto.find(PROTO_DST_PORT) == Some(&port.to_be_bytes()) {
            let family = reply.body.first().copied().unwrap_or(0);
            flows.push((family, tuple.to_vec(), attributes.find(ZONE).map(<[u8]>::to_vec)));
        }
    })?;
    for (family, tuple, zone) in &flows {
        let mut delete = Message::new(DELETE, ACK, &[*family, 0, 0, 0]);
        delete.nest(TUPLE_ORIG, |inside| {
            inside.raw(tuple);
        });
        if let Some(zone) = zone {
            delete.put(ZONE, zone);
        }
        match socket.request(&delete) {
            Err(error) if error.raw_os_error() != Some(libc::ENOENT) => return Err(error),
            _ => {}
        }
    }
    Ok(flows.len())
}
