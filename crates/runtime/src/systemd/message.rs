//! D-Bus messages (dbus-specification.html, "Message Protocol"), as far as systemd's manager is spoken to: little-endian, no descriptors.

use crate::step::Property;

/// Grows a message; alignment counts from its beginning.
#[derive(Debug, Default)]
pub(super) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    fn align(&mut self, to: usize) {
        self.bytes.resize(self.bytes.len().next_multiple_of(to), 0);
    }

    pub(super) fn number(&mut self, number: u32) {
        self.align(4);
        self.bytes.extend_from_slice(&number.to_le_bytes());
    }

    fn long(&mut self, number: u64) {
        self.align(8);
        self.bytes.extend_from_slice(&number.to_le_bytes());
    }

    pub(super) fn text(&mut self, text: &str) {
        self.number(length(text.len()));
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.push(0);
    }

    pub(super) fn signature(&mut self, signature: &str) {
        self.bytes.push(u8::try_from(signature.len()).unwrap_or(u8::MAX));
        self.bytes.extend_from_slice(signature.as_bytes());
        self.bytes.push(0);
    }

    /// An array of elements that begin at multiples of `align`.
    fn array(&mut self, align: usize, fill: impl FnOnce(&mut Self)) {
        self.number(0);
        let place = self.bytes.len() - 4;
        self.align(align);
        let begin = self.bytes.len();
        fill(self);
        let size = length(self.bytes.len() - begin).to_le_bytes();
        if let Some(slot) = self.bytes.get_mut(place..place + 4) {
            slot.copy_from_slice(&size);
        }
    }

    /// `a(sv)`, the properties of a unit, and with them its first processes.
    pub(super) fn properties(&mut self, properties: &[Property], pids: &[u32]) {
        self.array(8, |out| {
            for property in properties {
                out.align(8);
                out.property(property);
            }
            if !pids.is_empty() {
                out.align(8);
                out.text("PIDs");
                out.signature("au");
                out.array(4, |out| pids.iter().for_each(|pid| out.number(*pid)));
            }
        });
    }

    /// `a(sa(sv))`, the auxiliary units: none.
    pub(super) fn no_units(&mut self) {
        self.array(8, |_| ());
    }

    fn property(&mut self, property: &Property) {
        match property {
            Property::Flag { name, value } => {
                self.text(name);
                self.signature("b");
                self.number(u32::from(*value));
            }
            Property::Number { name, value } => {
                self.text(name);
                self.signature("t");
                self.long(*value);
            }
            Property::Text { name, value } => {
                self.text(name);
                self.signature("s");
                self.text(value);
            }
            Property::Bytes { name, value } => {
                self.text(name);
                self.signature("ay");
                self.array(1, |out| out.bytes.extend_from_slice(value));
            }
            Property::Devices { name, value } => {
                self.text(name);
                self.signature("a(ss)");
                self.array(8, |out| {
                    for line in value {
                        out.align(8);
                        out.text(&line.device);
                        out.text(&line.access);
                    }
                });
            }
        }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

fn length(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// To whom a call goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Address<'a> {
    pub(super) destination: &'a str,
    pub(super) path: &'a str,
    pub(super) interface: &'a str,
}

/// A method call.
pub(super) fn call(to: Address<'_>, member: &str, serial: u32, signature: &str, body: Writer) -> Vec<u8> {
    let body = body.into_bytes();
    // little-endian, a method call, no flags, protocol 1
    let mut out = Writer { bytes: vec![b'l', 1, 0, 1] };
    out.number(length(body.len()));
    out.number(serial);
    out.array(8, |out| {
        for (code, kind, value) in
            [(1, "o", to.path), (2, "s", to.interface), (3, "s", member), (6, "s", to.destination)]
        {
            out.align(8);
            out.bytes.push(code);
            out.signature(kind);
            out.text(value);
        }
        if !signature.is_empty() {
            out.align(8);
            out.bytes.push(8);
            out.signature("g");
            out.signature(signature);
        }
    });
    out.align(8);
    out.bytes.extend_from_slice(&body);
    out.bytes
}

/// What came in, as far as it matters.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Incoming {
    /// 2 a reply, 3 an error, 4 a signal.
    pub(super) kind: u8,
    pub(super) reply_to: u32,
    pub(super) member: String,
    pub(super) error: String,
    /// The texts of the body, in order, up to what is no text.
    pub(super) texts: Vec<String>,
}

/// Bytes of a message in all, from its first 16.
pub(super) fn size(head: &[u8; 16]) -> Option<usize> {
    const LARGEST: usize = 1 << 20;
    let [b'l', _, _, 1, b0, b1, b2, b3, _, _, _, _, f0, f1, f2, f3] = *head else { return None };
    let body = usize::try_from(u32::from_le_bytes([b0, b1, b2, b3])).ok()?;
    let fields = usize::try_from(u32::from_le_bytes([f0, f1, f2, f3])).ok()?;
    let size = fields.checked_next_multiple_of(8)?.checked_add(16)?.checked_add(body)?;
    (size <= LARGEST).then_some(size)
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn align(&mut self, to: usize) {
        self.at = self.at.next_multiple_of(to);
    }

    fn byte(&mut self) -> Option<u8> {
        self.at += 1;
        self.bytes.get(self.at - 1).copied()
    }

    fn number(&mut self) -> Option<u32> {
        self.align(4);
        let bytes = self.bytes.get(self.at..self.at + 4)?;
        self.at += 4;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    }

    fn take(&mut self, length: usize) -> Option<String> {
        let bytes = self.bytes.get(self.at..self.at.checked_add(length)?)?;
        self.at += length + 1;
        Some(String::from_utf8_lossy(bytes).into_owned())
    }

    fn text(&mut self) -> Option<String> {
        let length = usize::try_from(self.number()?).ok()?;
        self.take(length)
    }

    fn signature(&mut self) -> Option<String> {
        let length = usize::from(self.byte()?);
        self.take(length)
    }
}

/// Reads a whole message; `None` if it is none.
pub(super) fn parse(bytes: &[u8]) -> Option<Incoming> {
    let head: &[u8; 16] = bytes.first_chunk()?;
    if size(head)? != bytes.len() {
        return None;
    }
    let mut message = Incoming { kind: head[1], ..Incoming::default() };
    let mut input = Reader { bytes, at: 12 };
    let end = 16 + usize::try_from(input.number()?).ok()?;
    let mut signature = String::new();
    while input.at < end {
        input.align(8);
        let code = input.byte()?;
        let kind = input.signature()?;
        match (code, kind.as_str()) {
            (3, "s") => message.member = input.text()?,
            (4, "s") => message.error = input.text()?,
            (5, "u") => message.reply_to = input.number()?,
            (8, "g") => signature = input.signature()?,
            (_, "s" | "o") => drop(input.text()?),
            (_, "u") => drop(input.number()?),
            (_, "g") => drop(input.signature()?),
            _ => return None,
        }
    }
    input.align(8);
    for kind in signature.chars() {
        match kind {
            's' | 'o' => message.texts.push(input.text()?),
            'u' => drop(input.number()?),
            _ => break,
        }
    }
    Some(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANAGER: Address<'_> = Address { destination: "a.b", path: "/a/b", interface: "a.b.C" };

    #[test]
    fn what_is_written_is_read() {
        let mut body = Writer::default();
        body.number(7);
        body.text("/job/1");
        body.text("x.scope");
        body.text("done");
        let bytes = call(MANAGER, "JobRemoved", 3, "uoss", body);
        assert_eq!(size(bytes.first_chunk().unwrap()), Some(bytes.len()));
        let message = parse(&bytes).unwrap();
        assert_eq!((message.kind, message.member.as_str()), (1, "JobRemoved"));
        assert_eq!(message.texts, ["/job/1", "x.scope", "done"]);
        // Nothing cut off is taken, and nothing panics.
        for end in 0..bytes.len() {
            assert_eq!(parse(&bytes[..end]), None);
        }
        for at in 0..bytes.len() {
            let mut broken = bytes.clone();
            broken[at] ^= 0xff;
            drop(parse(&broken));
        }
    }

    #[test]
    fn properties_are_aligned() {
        let mut body = Writer::default();
        let devices = vec![crate::step::DeviceLine { device: "/dev/char/1:3".into(), access: "rwm".into() }];
        body.properties(
            &[
                Property::Flag { name: "Delegate".into(), value: true },
                Property::Number { name: "MemoryMax".into(), value: 1 << 30 },
                Property::Bytes { name: "AllowedCPUs".into(), value: vec![3] },
                Property::Devices { name: "DeviceAllow".into(), value: devices },
            ],
            &[42],
        );
        let bytes = body.into_bytes();
        let at = |needle: &[u8]| bytes.windows(needle.len()).position(|w| w == needle).unwrap();
        // Every struct begins at a multiple of eight: its name follows a length of four.
        for name in ["Delegate", "MemoryMax", "AllowedCPUs", "DeviceAllow", "PIDs"] {
            assert_eq!((at(name.as_bytes()) - 4) % 8, 0, "{name}");
        }
        assert_eq!(at(&(1u64 << 30).to_le_bytes()) % 8, 0);
        assert_eq!(
            u32::from_le_bytes(*bytes.first_chunk().unwrap()),
            u32::try_from(bytes.len() - 8).unwrap()
        );
    }
}
