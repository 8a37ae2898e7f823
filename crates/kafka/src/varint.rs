//! Variable-length integers: seven bits a byte, lowest first; the signed ones in zigzag.

/// Reads an unsigned integer of at most 32 bits from the front of `bytes`.
pub(crate) fn read_u32(bytes: &mut &[u8]) -> Option<u32> {
    u32::try_from(read_u64(bytes, 5)?).ok()
}

/// Reads a signed integer of at most 32 bits.
pub(crate) fn read_i32(bytes: &mut &[u8]) -> Option<i32> {
    let value = read_u32(bytes)?;
    Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
}

/// Reads a signed integer of at most 64 bits.
pub(crate) fn read_i64(bytes: &mut &[u8]) -> Option<i64> {
    let value = read_u64(bytes, 10)?;
    Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
}

/// `most` is how many bytes the integer may have.
fn read_u64(bytes: &mut &[u8], most: usize) -> Option<u64> {
    let mut value = 0u64;
    for index in 0..most {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let part = u64::from(byte & 0x7f);
        let shifted = part << (7 * index);
        if shifted >> (7 * index) != part {
            return None;
        }
        value |= shifted;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

pub(crate) fn write_u32(out: &mut Vec<u8>, value: u32) {
    write_u64(out, u64::from(value));
}

pub(crate) fn write_i32(out: &mut Vec<u8>, value: i32) {
    write_u32(out, (value << 1).cast_unsigned() ^ (value >> 31).cast_unsigned());
}

pub(crate) fn write_i64(out: &mut Vec<u8>, value: i64) {
    write_u64(out, (value << 1).cast_unsigned() ^ (value >> 63).cast_unsigned());
}

fn write_u64(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn integers_come_back(unsigned: u32, short: i32, long: i64) {
            let mut out = Vec::new();
            write_u32(&mut out, unsigned);
            write_i32(&mut out, short);
            write_i64(&mut out, long);
            let mut rest = out.as_slice();
            prop_assert_eq!(read_u32(&mut rest), Some(unsigned));
            prop_assert_eq!(read_i32(&mut rest), Some(short));
            prop_assert_eq!(read_i64(&mut rest), Some(long));
            prop_assert!(rest.is_empty());
        }
    }

    #[test]
    fn too_long_is_refused() {
        assert_eq!(read_u32(&mut [0xff; 4].as_slice()), None);
        assert_eq!(read_u32(&mut [0xff, 0xff, 0xff, 0xff, 0x1f].as_slice()), None);
        assert_eq!(read_u32(&mut [0x80, 0x80, 0x80, 0x80, 0x80, 0].as_slice()), None);
        assert_eq!(read_u32(&mut [0xff, 0xff, 0xff, 0xff, 0x0f].as_slice()), Some(u32::MAX));
        assert_eq!(read_i64(&mut [0xff; 10].as_slice()), None);
    }
}
