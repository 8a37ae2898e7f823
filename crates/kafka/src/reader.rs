//! Reading a message: bounds first, memory afterwards.

use crate::{Uuid, varint};

/// Bytes that are not the message they should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The message ends within a field.
    #[error("the message is cut off")]
    Short,
    /// A length or count that cannot be.
    #[error("a length or count is wrong: {0}")]
    Length(i64),
    /// Text that is none.
    #[error("a string is not UTF-8")]
    Text,
    /// Null where a value must be.
    #[error("a value is null that must not be")]
    Null,
    /// More elements than an honest message of this size has.
    #[error("the message would need too much memory")]
    Large,
    /// A tagged field that is longer or shorter than its size.
    #[error("a tagged field is not as long as it says")]
    Tag,
    /// A version that the schema does not have.
    #[error("version {0} is not known")]
    Version(i16),
}

/// What a message may cost in memory for each of its bytes: an element of an array takes more in memory than on the wire, and this
/// is more than any takes that has content.
const GROWTH: usize = 32;

/// A place in a message.
#[derive(Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    flexible: bool,
    budget: usize,
}

impl<'a> Reader<'a> {
    /// At the front of `bytes`; `flexible` is the message's version: compact lengths and tagged fields.
    pub fn new(bytes: &'a [u8], flexible: bool) -> Self {
        Self { rest: bytes, flexible, budget: bytes.len().saturating_mul(GROWTH) }
    }

    /// What was not read.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    fn take(&mut self, size: usize) -> Result<&'a [u8], Error> {
        let (taken, rest) = self.rest.split_at_checked(size).ok_or(Error::Short)?;
        self.rest = rest;
        Ok(taken)
    }

    fn fixed<const SIZE: usize>(&mut self) -> Result<[u8; SIZE], Error> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Error::Short)?;
        self.rest = rest;
        Ok(*taken)
    }

    /// Takes from what the message may cost.
    fn charge(&mut self, bytes: usize) -> Result<(), Error> {
        self.budget = self.budget.checked_sub(bytes).ok_or(Error::Large)?;
        Ok(())
    }

    pub(crate) fn bool(&mut self) -> Result<bool, Error> {
        Ok(self.i8()? != 0)
    }

    pub(crate) fn i8(&mut self) -> Result<i8, Error> {
        self.fixed().map(i8::from_be_bytes)
    }

    pub(crate) fn i16(&mut self) -> Result<i16, Error> {
        self.fixed().map(i16::from_be_bytes)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Error> {
        self.fixed().map(u16::from_be_bytes)
    }

    pub(crate) fn i32(&mut self) -> Result<i32, Error> {
        self.fixed().map(i32::from_be_bytes)
    }

    pub(crate) fn i64(&mut self) -> Result<i64, Error> {
        self.fixed().map(i64::from_be_bytes)
    }

    pub(crate) fn f64(&mut self) -> Result<f64, Error> {
        self.fixed().map(f64::from_be_bytes)
    }

    pub(crate) fn uuid(&mut self) -> Result<Uuid, Error> {
        self.fixed().map(Uuid)
    }

    fn unsigned(&mut self) -> Result<u32, Error> {
        varint::read_u32(&mut self.rest).ok_or(Error::Short)
    }

    /// A length, or null: compact if the message is flexible, otherwise as `plain` reads it.
    fn length(&mut self, plain: impl Fn(&mut Self) -> Result<i32, Error>) -> Result<Option<usize>, Error> {
        let length = if self.flexible { i64::from(self.unsigned()?) - 1 } else { i64::from(plain(self)?) };
        match length {
            -1 => Ok(None),
            _ => match usize::try_from(length) {
                Ok(length) if length <= self.rest.len() => Ok(Some(length)),
                _ => Err(Error::Length(length)),
            },
        }
    }

    pub(crate) fn string(&mut self) -> Result<String, Error> {
        self.optional_string()?.ok_or(Error::Null)
    }

    pub(crate) fn optional_string(&mut self) -> Result<Option<String>, Error> {
        let Some(length) = self.length(|reader| reader.i16().map(i32::from))? else { return Ok(None) };
        let text = std::str::from_utf8(self.take(length)?).map_err(|_| Error::Text)?;
        Ok(Some(text.to_owned()))
    }

    pub(crate) fn bytes(&mut self) -> Result<Vec<u8>, Error> {
        self.optional_bytes()?.ok_or(Error::Null)
    }

    pub(crate) fn optional_bytes(&mut self) -> Result<Option<Vec<u8>>, Error> {
        self.slice().map(|slice| slice.map(<[u8]>::to_vec))
    }

    pub(crate) fn records(&mut self) -> Result<crate::Records<'a>, Error> {
        self.slice().map(|slice| slice.map_or(crate::Records::Null, crate::Records::Here))
    }

    fn slice(&mut self) -> Result<Option<&'a [u8]>, Error> {
        let Some(length) = self.length(Self::i32)? else { return Ok(None) };
        self.take(length).map(Some)
    }

    pub(crate) fn array<T>(
        &mut self,
        element: impl FnMut(&mut Self) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        self.optional_array(element)?.ok_or(Error::Null)
    }

    pub(crate) fn optional_array<T>(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<T, Error>,
    ) -> Result<Option<Vec<T>>, Error> {
        // no element is smaller than a byte: `length` has looked
        let Some(count) = self.length(Self::i32)? else { return Ok(None) };
        self.charge(count.saturating_mul(size_of::<T>()))?;
        let mut elements = Vec::with_capacity(count);
        for _ in 0..count {
            elements.push(element(self)?);
        }
        Ok(Some(elements))
    }

    /// A struct that may be null: a byte says so.
    pub(crate) fn optional<T>(
        &mut self,
        value: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        if self.i8()? < 0 { Ok(None) } else { value(self).map(Some) }
    }

    /// The tagged fields, if the message is flexible: `known` reads the one with a tag and says true, or says false.
    pub(crate) fn tags(
        &mut self,
        mut known: impl FnMut(u32, &mut Self) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        if !self.flexible {
            return Ok(());
        }
        for _ in 0..self.unsigned()? {
            let tag = self.unsigned()?;
            let size = usize::try_from(self.unsigned()?).map_err(|_| Error::Short)?;
            let field = self.take(size)?;
            let after = std::mem::replace(&mut self.rest, field);
            if known(tag, self)? && !self.rest.is_empty() {
                return Err(Error::Tag);
            }
            self.rest = after;
        }
        Ok(())
    }

    /// Tagged fields of which none is known.
    pub(crate) fn skip_tags(&mut self) -> Result<(), Error> {
        self.tags(|_, _| Ok(false))
    }
}
