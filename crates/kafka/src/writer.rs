//! Writing a message.

use crate::{Records, Uuid, varint};

/// A message in the making.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
    flexible: bool,
    holes: Vec<Hole>,
}

/// Where records belong that are not in the message's bytes: the sender puts them there, from a file perhaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hole {
    /// How many of the message's bytes come before.
    pub at: usize,
    /// How many bytes of records; the message says so.
    pub size: usize,
}

impl Writer {
    /// Behind `bytes`, which may be a header; `flexible` is the message's version.
    pub fn new(bytes: Vec<u8>, flexible: bool) -> Self {
        Self { bytes, flexible, holes: Vec::new() }
    }

    /// What was written, and where records are missing, in order.
    pub fn finish(self) -> (Vec<u8>, Vec<Hole>) {
        (self.bytes, self.holes)
    }

    pub(crate) fn bool(&mut self, value: bool) {
        self.bytes.push(u8::from(value));
    }

    pub(crate) fn i8(&mut self, value: i8) {
        self.bytes.extend(value.to_be_bytes());
    }

    pub(crate) fn i16(&mut self, value: i16) {
        self.bytes.extend(value.to_be_bytes());
    }

    pub(crate) fn u16(&mut self, value: u16) {
        self.bytes.extend(value.to_be_bytes());
    }

    pub(crate) fn i32(&mut self, value: i32) {
        self.bytes.extend(value.to_be_bytes());
    }

    pub(crate) fn i64(&mut self, value: i64) {
        self.bytes.extend(value.to_be_bytes());
    }

    pub(crate) fn f64(&mut self, value: f64) {
        self.bytes.extend(value.to_be_bytes());
    }

    pub(crate) fn uuid(&mut self, value: Uuid) {
        self.bytes.extend(value.0);
    }

    fn length(&mut self, length: Option<usize>) {
        if self.flexible {
            varint::write_u32(
                &mut self.bytes,
                length.map_or(0, |length| saturated(length).saturating_add(1)),
            );
        } else {
            self.i32(length.map_or(-1, |length| i32::try_from(length).unwrap_or(i32::MAX)));
        }
    }

    pub(crate) fn string(&mut self, text: &str) {
        self.optional_string(Some(text));
    }

    pub(crate) fn optional_string(&mut self, text: Option<&str>) {
        if self.flexible {
            self.length(text.map(str::len));
            self.bytes.extend(text.unwrap_or_default().as_bytes());
            return;
        }
        // a string of before the compact ones has 32 KiB at most: longer text loses its end
        let text = text.map(|text| &text[..text.floor_char_boundary(32_767)]);
        self.i16(text.map_or(-1, |text| i16::try_from(text.len()).unwrap_or(i16::MAX)));
        self.bytes.extend(text.unwrap_or_default().as_bytes());
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.optional_bytes(Some(bytes));
    }

    pub(crate) fn optional_bytes(&mut self, bytes: Option<&[u8]>) {
        self.length(bytes.map(<[u8]>::len));
        self.bytes.extend(bytes.unwrap_or_default());
    }

    pub(crate) fn records(&mut self, records: Records<'_>) {
        match records {
            Records::Null => self.length(None),
            Records::Here(bytes) => self.bytes(bytes),
            Records::Elsewhere(size) => {
                self.length(Some(size));
                self.holes.push(Hole { at: self.bytes.len(), size });
            }
        }
    }

    pub(crate) fn array<T>(&mut self, elements: &[T], element: impl FnMut(&mut Self, &T)) {
        self.optional_array(Some(elements), element);
    }

    pub(crate) fn optional_array<T>(
        &mut self,
        elements: Option<&[T]>,
        mut element: impl FnMut(&mut Self, &T),
    ) {
        self.length(elements.map(<[T]>::len));
        for one in elements.unwrap_or_default() {
            element(self, one);
        }
    }

    /// A struct that may be null.
    pub(crate) fn optional<T>(&mut self, value: Option<&T>, write: impl FnOnce(&mut Self, &T)) {
        self.i8(if value.is_some() { 1 } else { -1 });
        if let Some(value) = value {
            write(self, value);
        }
    }

    /// The tagged fields, if the message is flexible: `fields` adds those that are not as they are without being written.
    pub(crate) fn tags(&mut self, fields: impl FnOnce(&mut Tags)) {
        if !self.flexible {
            return;
        }
        let mut tags = Tags::default();
        fields(&mut tags);
        varint::write_u32(&mut self.bytes, tags.count);
        self.bytes.extend(tags.bytes);
    }
}

/// Tagged fields in the making.
#[derive(Default)]
pub(crate) struct Tags {
    count: u32,
    bytes: Vec<u8>,
}

impl Tags {
    pub(crate) fn add(&mut self, tag: u32, write: impl FnOnce(&mut Writer)) {
        let mut field = Writer::new(Vec::new(), true);
        write(&mut field);
        self.count += 1;
        varint::write_u32(&mut self.bytes, tag);
        varint::write_u32(&mut self.bytes, saturated(field.bytes.len()));
        self.bytes.extend(field.bytes);
    }
}

fn saturated(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
