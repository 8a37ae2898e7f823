//! Plans as bytes for another process of the same version: fields in order, little-endian, lengths before contents.
//! Decoding never panics, and reserves little before it has seen what is to be kept.

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Items for which room is made on the word of a length.
const RESERVED: usize = 256;

/// A value with a byte form.
pub(crate) trait Code: Sized {
    fn put(&self, out: &mut Vec<u8>);
    fn take(input: &mut &[u8]) -> Option<Self>;
}

macro_rules! integers {
    ($($kind:ty),*) => { $(
        impl Code for $kind {
            fn put(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }
            fn take(input: &mut &[u8]) -> Option<Self> {
                let (head, rest) = input.split_first_chunk()?;
                *input = rest;
                Some(Self::from_le_bytes(*head))
            }
        }
    )* };
}
integers!(u8, u16, u32, i32, u64, i64);

impl Code for bool {
    fn put(&self, out: &mut Vec<u8>) {
        u8::from(*self).put(out);
    }
    fn take(input: &mut &[u8]) -> Option<Self> {
        match u8::take(input)? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX).put(out);
    out.extend_from_slice(bytes);
}

fn take_bytes<'a>(input: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(u32::take(input)?).ok()?;
    let (head, rest) = input.split_at_checked(length)?;
    *input = rest;
    Some(head)
}

impl Code for CString {
    fn put(&self, out: &mut Vec<u8>) {
        put_bytes(self.as_bytes(), out);
    }
    fn take(input: &mut &[u8]) -> Option<Self> {
        Self::new(take_bytes(input)?).ok()
    }
}

impl Code for String {
    fn put(&self, out: &mut Vec<u8>) {
        put_bytes(self.as_bytes(), out);
    }
    fn take(input: &mut &[u8]) -> Option<Self> {
        Self::from_utf8(take_bytes(input)?.to_vec()).ok()
    }
}

impl Code for PathBuf {
    fn put(&self, out: &mut Vec<u8>) {
        put_bytes(self.as_os_str().as_bytes(), out);
    }
    fn take(input: &mut &[u8]) -> Option<Self> {
        Some(OsStr::from_bytes(take_bytes(input)?).into())
    }
}

impl<T: Code> Code for Vec<T> {
    fn put(&self, out: &mut Vec<u8>) {
        u32::try_from(self.len()).unwrap_or(u32::MAX).put(out);
        self.iter().for_each(|item| item.put(out));
    }
    fn take(input: &mut &[u8]) -> Option<Self> {
        let length = usize::try_from(u32::take(input)?).ok()?;
        let mut items = Self::with_capacity(length.min(input.len()).min(RESERVED));
        for _ in 0..length {
            items.push(T::take(input)?);
        }
        Some(items)
    }
}

impl<T: Code> Code for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_some().put(out);
        if let Some(value) = self {
            value.put(out);
        }
    }
    fn take(input: &mut &[u8]) -> Option<Self> {
        if bool::take(input)? { Some(Some(T::take(input)?)) } else { Some(None) }
    }
}

/// A struct with [`Code`].
macro_rules! record {
    ($(#[$doc:meta])* $name:ident { $($(#[$fdoc:meta])* $field:ident : $kind:ty),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Default)]
        pub(crate) struct $name { $($(#[$fdoc])* pub(crate) $field: $kind),* }
        impl $crate::code::Code for $name {
            fn put(&self, out: &mut Vec<u8>) { $($crate::code::Code::put(&self.$field, out);)* }
            fn take(input: &mut &[u8]) -> Option<Self> {
                Some(Self { $($field: $crate::code::Code::take(input)?),* })
            }
        }
    };
}

/// An enum of struct variants with [`Code`], each with its number.
macro_rules! choice {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $tag:literal $variant:ident { $($field:ident : $kind:ty),* $(,)? }),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub(crate) enum $name { $($(#[$vdoc])* $variant { $($field: $kind),* }),* }
        impl $crate::code::Code for $name {
            fn put(&self, out: &mut Vec<u8>) {
                match self { $(Self::$variant { $($field),* } => {
                    let tag: u8 = $tag;
                    $crate::code::Code::put(&tag, out);
                    $($crate::code::Code::put($field, out);)*
                }),* }
            }
            fn take(input: &mut &[u8]) -> Option<Self> {
                match <u8 as $crate::code::Code>::take(input)? {
                    $($tag => Some(Self::$variant { $($field: $crate::code::Code::take(input)?),* }),)*
                    _ => None,
                }
            }
        }
    };
}
pub(crate) use {choice, record};
