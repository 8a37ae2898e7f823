//! WebSocket frames (RFC 6455) at the server's end: what a client sends is masked and taken apart as it comes, however large its
//! frames are; what we send is not masked and never in pieces.

use crate::Malformed;

/// What a client sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// Bytes, a piece of a message or all of it: attach carries a stream, where messages end says nothing.
    Data(Vec<u8>),
    /// To be answered with the same bytes.
    Ping(Vec<u8>),
    /// It wants to end, with this payload (code and reason).
    Close(Vec<u8>),
}

/// Kinds of frames that we send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opcode {
    /// Text.
    Text = 1,
    /// Bytes.
    Binary = 2,
    /// The end.
    Close = 8,
    /// The answer to a ping.
    Pong = 10,
}

/// The code of an end as it should be.
pub const NORMAL: u16 = 1000;
/// The code of an end because of a client's mistake.
pub const PROTOCOL_ERROR: u16 = 1002;

const MOST_CONTROL: u64 = 125;

/// One frame.
#[must_use]
pub fn encode(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() + 10);
    out.push(0x80 | opcode as u8);
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(short), _) if u64::from(short) <= MOST_CONTROL => out.push(short),
        (_, Ok(middle)) => {
            out.push(126);
            out.extend_from_slice(&middle.to_be_bytes());
        }
        _ => {
            out.push(127);
            out.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
    out
}

/// A frame that ends the connection.
#[must_use]
pub fn close(code: u16) -> Vec<u8> {
    encode(Opcode::Close, &code.to_be_bytes())
}

/// Takes a client's bytes apart, whatever the pieces they come in.
#[derive(Debug, Default)]
pub struct Decoder {
    /// A head, or a control frame's payload, that is not whole yet.
    buffer: Vec<u8>,
    /// The payload that is being read.
    frame: Option<Frame>,
    /// A message has begun, and its next frames are continuations.
    within: bool,
}

#[derive(Debug, Clone, Copy)]
struct Frame {
    opcode: u8,
    left: u64,
    mask: [u8; 4],
    /// Of the mask, the next byte's.
    at: usize,
}

impl Decoder {
    /// What these bytes bring. After an error the connection is to be closed with [`PROTOCOL_ERROR`].
    ///
    /// # Errors
    /// What a client may not send.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<Vec<Event>, Malformed> {
        let mut events = Vec::new();
        loop {
            let Some(frame) = &mut self.frame else {
                if !self.head(&mut bytes)? {
                    return Ok(events);
                }
                continue;
            };
            let take = usize::try_from(frame.left).map_or(bytes.len(), |left| left.min(bytes.len()));
            let (now, later) = bytes.split_at(take);
            bytes = later;
            let payload = frame.unmask(now);
            let (opcode, whole) = (frame.opcode, frame.left == 0);
            if opcode < 8 {
                if !payload.is_empty() {
                    events.push(Event::Data(payload));
                }
            } else {
                self.buffer.extend(payload);
                if whole {
                    events.extend(control(opcode, std::mem::take(&mut self.buffer)));
                }
            }
            if !whole {
                return Ok(events);
            }
            self.frame = None;
        }
    }

    /// Reads on in a head; `false` if it is not whole yet.
    fn head(&mut self, bytes: &mut &[u8]) -> Result<bool, Malformed> {
        while let Some((first, rest)) = bytes.split_first() {
            self.buffer.push(*first);
            *bytes = rest;
            let Some(frame) = parse(&self.buffer)? else { continue };
            let last = self.buffer.first().is_some_and(|first| first & 0x80 != 0);
            match frame.opcode {
                0 if !self.within => return Err(Malformed("a continuation of nothing".to_owned())),
                1 | 2 if self.within => return Err(Malformed("a message within a message".to_owned())),
                0..=2 => self.within = !last,
                8..=10 if !last || frame.left > MOST_CONTROL => {
                    return Err(Malformed("a control frame in pieces".to_owned()));
                }
                8..=10 => {}
                other => return Err(Malformed(format!("unknown WebSocket opcode {other}"))),
            }
            self.buffer.clear();
            self.frame = Some(frame);
            return Ok(true);
        }
        Ok(false)
    }
}

fn parse(head: &[u8]) -> Result<Option<Frame>, Malformed> {
    let [first, second, rest @ ..] = head else { return Ok(None) };
    if first & 0x70 != 0 {
        return Err(Malformed("a WebSocket extension that was not agreed on".to_owned()));
    }
    if second & 0x80 == 0 {
        return Err(Malformed("a client's WebSocket frame must be masked".to_owned()));
    }
    let (length, rest) = match (second & 0x7f, rest) {
        (126, [a, b, rest @ ..]) => (u64::from(u16::from_be_bytes([*a, *b])), rest),
        (127, [a, b, c, d, e, f, g, h, rest @ ..]) => {
            (u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]), rest)
        }
        (126 | 127, _) => return Ok(None),
        (short, rest) => (u64::from(short), rest),
    };
    let Ok(mask) = <[u8; 4]>::try_from(rest) else { return Ok(None) };
    Ok(Some(Frame { opcode: first & 0x0f, left: length, mask, at: 0 }))
}

impl Frame {
    fn unmask(&mut self, bytes: &[u8]) -> Vec<u8> {
        let key = self.mask.iter().cycle().skip(self.at);
        let plain = bytes.iter().zip(key).map(|(byte, key)| byte ^ key).collect();
        self.at = (self.at + bytes.len()) % 4;
        self.left -= bytes.len() as u64;
        plain
    }
}

fn control(opcode: u8, payload: Vec<u8>) -> Option<Event> {
    match opcode {
        8 => Some(Event::Close(payload)),
        9 => Some(Event::Ping(payload)),
        // Nobody was asked.
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![first];
        match payload.len() {
            short @ 0..=125 => frame.push(0x80 | u8::try_from(short).unwrap()),
            middle @ 126..=65535 => {
                frame.push(0xfe);
                frame.extend(u16::try_from(middle).unwrap().to_be_bytes());
            }
            long => {
                frame.push(0xff);
                frame.extend((long as u64).to_be_bytes());
            }
        }
        let mask = [0x37, 0xfa, 0x21, 0x3d];
        frame.extend(mask);
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
        frame
    }

    fn text(events: &[Event]) -> String {
        let bytes = events.iter().filter_map(|event| match event {
            Event::Data(bytes) => Some(bytes.as_slice()),
            _ => None,
        });
        String::from_utf8(bytes.flatten().copied().collect()).unwrap()
    }

    #[test]
    fn frames_are_read_in_pieces_of_every_size() {
        let long = "x".repeat(70_000);
        let whole = [
            // RFC 6455, 5.7: a masked "Hello", then one in two frames with a ping between.
            vec![0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58],
            masked(0x01, b"Hel"),
            masked(0x89, b"ping"),
            masked(0x80, b"lo"),
            masked(0x82, b""),
            masked(0x82, "y".repeat(300).as_bytes()),
            masked(0x82, long.as_bytes()),
            masked(0x88, &NORMAL.to_be_bytes()),
        ]
        .concat();
        for size in [1, 2, 3, 7, 1000, whole.len()] {
            let mut decoder = Decoder::default();
            let events: Vec<Event> =
                whole.chunks(size).flat_map(|piece| decoder.push(piece).unwrap()).collect();
            assert_eq!(text(&events), format!("HelloHello{}{long}", "y".repeat(300)), "by {size}");
            assert!(events.contains(&Event::Ping(b"ping".to_vec())));
            assert_eq!(events.last().unwrap(), &Event::Close(vec![3, 232]));
        }
    }

    #[test]
    fn what_a_client_may_not_send_is_refused() {
        for bad in [
            &[0x81, 0x05][..],
            &masked(0xc1, b"x"),
            &masked(0x80, b"x"),
            &masked(0x83, b"x"),
            &masked(0x09, b"x"),
            &masked(0x89, &[0; 126]),
            &[masked(0x01, b"x"), masked(0x01, b"x")].concat(),
        ] {
            assert!(Decoder::default().push(bad).is_err(), "{bad:?}");
        }
        // A frame that says it is endless is read as it comes.
        let mut decoder = Decoder::default();
        let head = [&[0x82, 0xff][..], &u64::MAX.to_be_bytes(), &[0; 4], b"abc"].concat();
        assert_eq!(decoder.push(&head).unwrap(), [Event::Data(b"abc".to_vec())]);
    }

    #[test]
    fn ours_are_not_masked() {
        assert_eq!(encode(Opcode::Text, b"Hello"), [0x81, 5, 0x48, 0x65, 0x6c, 0x6c, 0x6f]);
        assert_eq!(encode(Opcode::Binary, &[0; 256])[..4], [0x82, 0x7e, 1, 0]);
        assert_eq!(encode(Opcode::Binary, &[0; 65536])[..10], [0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0]);
        assert_eq!(close(NORMAL), [0x88, 2, 3, 232]);
    }
}
