//! Bytes of netlink messages: a builder that patches lengths, a reader that checks them.

/// `NLM_F_REQUEST`.
pub const REQUEST: u16 = 0x1;
/// `NLM_F_ACK`: answer also when all went well.
pub const ACK: u16 = 0x4;
/// `NLM_F_EXCL`: fail if it exists.
pub const EXCL: u16 = 0x200;
/// `NLM_F_CREATE`: make it if absent.
pub const CREATE: u16 = 0x400;
/// `NLM_F_APPEND`: at the end of the list.
pub const APPEND: u16 = 0x800;
/// `NLM_F_DUMP`: all objects.
pub const DUMP: u16 = 0x300;
/// `NLA_F_NESTED`.
const NESTED: u16 = 0x8000;
/// `NLA_TYPE_MASK`: without the flag bits.
const TYPE_MASK: u16 = 0x3fff;
/// `NLM_F_REPLACE`: in place of what is there.
pub const REPLACE: u16 = 0x100;
const HEADER: usize = 16;

/// One or several messages in the making. Multi-byte values are in host order unless a method says otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    bytes: Vec<u8>,
    /// Where the header of the message being written starts.
    start: usize,
    /// Messages begun so far.
    count: u32,
    /// The last of them that is answered also when all goes well.
    answered: u32,
}

impl Message {
    /// A message of this type and flags ([`REQUEST`] is added) behind which the family's fixed header comes.
    #[must_use]
    pub fn new(kind: u16, flags: u16, header: &[u8]) -> Self {
        let mut message = Self { bytes: Vec::with_capacity(256), start: 0, count: 0, answered: 0 };
        message.next(kind, flags, header);
        message
    }

    /// Ends the current message and begins another in the same buffer: the kernel handles them one after another.
    pub fn next(&mut self, kind: u16, flags: u16, header: &[u8]) {
        self.start = self.bytes.len();
        self.bytes.extend_from_slice(&0u32.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(&(flags | REQUEST).to_ne_bytes());
        // The sequence number counts the messages here; the socket adds its own base.
        self.bytes.extend_from_slice(&self.count.to_ne_bytes());
        self.bytes.extend_from_slice(&0u32.to_ne_bytes());
        self.count += 1;
        self.note(flags);
        self.raw(header);
    }

    /// Puts another buffer's messages behind these.
    pub fn extend(&mut self, other: &Self) {
        let base = self.bytes.len();
        self.bytes.extend_from_slice(&other.bytes);
        let mut at = base;
        while at + HEADER <= self.bytes.len() {
            let length = read_u32(&self.bytes[at..]) as usize;
            self.bytes[at + 8..at + 12].copy_from_slice(&self.count.to_ne_bytes());
            self.start = at;
            self.count += 1;
            self.note(u16::from_ne_bytes([self.bytes[at + 6], self.bytes[at + 7]]));
            at += length.next_multiple_of(4).max(HEADER);
        }
    }

    /// An attribute.
    pub fn put(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
        self.bytes.extend_from_slice(&length.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.raw(value);
        self
    }

    /// A C string.
    pub fn put_str(&mut self, kind: u16, value: &str) -> &mut Self {
        let mut bytes = Vec::with_capacity(value.len() + 1);
        bytes.extend_from_slice(value.as_bytes());
        bytes.push(0);
        self.put(kind, &bytes)
    }

    /// In host order, as rtnetlink wants it.
    pub fn put_u32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.put(kind, &value.to_ne_bytes())
    }

    /// In network order, as nfnetlink wants it.
    pub fn put_be32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.put(kind, &value.to_be_bytes())
    }

    /// An attribute made of attributes.
    pub fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) -> &mut Self {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(&0u16.to_ne_bytes());
        self.bytes.extend_from_slice(&(kind | NESTED).to_ne_bytes());
        fill(self);
        let length = u16::try_from(self.bytes.len() - at).unwrap_or(u16::MAX);
        self.bytes[at..at + 2].copy_from_slice(&length.to_ne_bytes());
        self.finish();
        self
    }

    /// Bytes without a header of their own (a fixed struct), padded to four.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        let padded = self.bytes.len().next_multiple_of(4);
        self.bytes.resize(padded, 0);
        self.finish();
        self
    }

    /// Sets a flag of the message being written.
    pub fn flag(&mut self, flag: u16) {
        let at = self.start + 6;
        let flags = u16::from_ne_bytes([self.bytes[at], self.bytes[at + 1]]) | flag;
        self.bytes[at..at + 2].copy_from_slice(&flags.to_ne_bytes());
        self.note(flags);
    }

    /// Remembers whether the message being written is answered.
    const fn note(&mut self, flags: u16) {
        if flags & ACK != 0 || flags & DUMP == DUMP {
            self.answered = self.count - 1;
        }
    }

    /// Which message's answer is the last.
    #[must_use]
    pub const fn answered(&self) -> u32 {
        self.answered
    }

    /// How many messages are in it.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// What goes over the wire once `base` is added to the sequence numbers.
    #[must_use]
    pub fn numbered(&self, base: u32) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        let mut at = 0;
        while at + HEADER <= bytes.len() {
            let length = read_u32(&bytes[at..]) as usize;
            let sequence = read_u32(&bytes[at + 8..]).wrapping_add(base);
            bytes[at + 8..at + 12].copy_from_slice(&sequence.to_ne_bytes());
            at += length.next_multiple_of(4).max(HEADER);
        }
        bytes
    }

    /// Writes the length of the message so far into its header.
    fn finish(&mut self) {
        let length = u32::try_from(self.bytes.len() - self.start).unwrap_or(u32::MAX);
        self.bytes[self.start..self.start + 4].copy_from_slice(&length.to_ne_bytes());
    }
}

/// One message of the kernel.
#[derive(Debug, Clone, Copy)]
pub struct Reply<'a> {
    /// Type.
    pub kind: u16,
    /// Sequence number of the request it answers.
    pub sequence: u32,
    /// What follows the header.
    pub body: &'a [u8],
}

impl<'a> Reply<'a> {
    /// The messages in a datagram; ends at the first malformed one.
    pub fn parse(mut bytes: &'a [u8]) -> impl Iterator<Item = Self> {
        std::iter::from_fn(move || {
            let length = (bytes.len() >= HEADER).then(|| read_u32(bytes) as usize)?;
            if length < HEADER || length > bytes.len() {
                return None;
            }
            let reply = Self {
                kind: u16::from_ne_bytes([bytes[4], bytes[5]]),
                sequence: read_u32(&bytes[8..]),
                body: &bytes[HEADER..length],
            };
            bytes = &bytes[length.next_multiple_of(4).min(bytes.len())..];
            Some(reply)
        })
    }

    /// The attributes behind a fixed header of `header` bytes.
    #[must_use]
    pub fn attributes(&self, header: usize) -> Attributes<'a> {
        Attributes(self.body.get(header..).unwrap_or_default())
    }
}

/// Attributes, to walk or to look one up.
#[derive(Debug, Clone, Copy)]
pub struct Attributes<'a>(pub &'a [u8]);

impl<'a> Attributes<'a> {
    /// Value of the first attribute of this type.
    #[must_use]
    pub fn find(self, kind: u16) -> Option<&'a [u8]> {
        let mut all = self;
        Iterator::find(&mut all, |(k, _)| *k == kind).map(|(_, value)| value)
    }

    /// Likewise, for one that holds attributes.
    #[must_use]
    pub fn nested(self, kind: u16) -> Self {
        Self(self.find(kind).unwrap_or_default())
    }

    /// Likewise, a C string.
    #[must_use]
    pub fn text(self, kind: u16) -> Option<&'a str> {
        let bytes = self.find(kind)?;
        std::str::from_utf8(bytes.strip_suffix(&[0]).unwrap_or(bytes)).ok()
    }

    /// Likewise, a number in host order.
    #[must_use]
    pub fn u32(self, kind: u16) -> Option<u32> {
        self.find(kind).filter(|value| value.len() == 4).map(read_u32)
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = self.0;
        if bytes.len() < 4 {
            return None;
        }
        let length = u16::from_ne_bytes([bytes[0], bytes[1]]) as usize;
        let kind = u16::from_ne_bytes([bytes[2], bytes[3]]) & TYPE_MASK;
        if length < 4 || length > bytes.len() {
            self.0 = &[];
            return None;
        }
        self.0 = &bytes[length.next_multiple_of(4).min(bytes.len())..];
        Some((kind, &bytes[4..length]))
    }
}

/// The first four bytes, which the caller has checked to be there.
pub(super) fn read_u32(bytes: &[u8]) -> u32 {
    u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_padding_are_right() {
        let mut message = Message::new(16, ACK, &[1, 2, 3, 4]);
        message.put_str(3, "lo").nest(18, |m| {
            m.put(1, b"veth");
        });
        message.next(17, 0, &[]);
        let bytes = message.numbered(7);
        let replies: Vec<_> = Reply::parse(&bytes).collect();
        assert_eq!(replies.len(), 2);
        assert_eq!((replies[0].kind, replies[0].sequence), (16, 7));
        assert_eq!((replies[1].kind, replies[1].sequence), (17, 8));
        let attributes = replies[0].attributes(4);
        assert_eq!(attributes.text(3), Some("lo"));
        assert_eq!(attributes.nested(18).find(1), Some(&b"veth"[..]));
        assert_eq!(bytes.len(), 16 + 4 + 8 + 12 + 16);
    }

    #[test]
    fn extending_renumbers() {
        let mut message = Message::new(1, 0, &[]);
        message.extend(&Message::new(2, 0, &[9, 9, 9, 9]));
        message.next(3, 0, &[]);
        let bytes = message.numbered(0);
        let seen: Vec<_> = Reply::parse(&bytes).map(|r| (r.kind, r.sequence)).collect();
        assert_eq!(seen, [(1, 0), (2, 1), (3, 2)]);
    }

    #[test]
    fn malformed_bytes_end_the_walk() {
        assert_eq!(Reply::parse(&[3, 0, 0, 0]).count(), 0);
        assert_eq!(Attributes(&[3, 0, 1, 0]).count(), 0);
        assert_eq!(Attributes(&[200, 0, 1, 0]).count(), 0);
    }
}
