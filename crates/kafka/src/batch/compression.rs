//! The codecs of records. The broker passes compressed records through; it looks into them for compaction and for times.

use super::Error;
use std::{
    fmt,
    io::{self, Read, Write as _},
};

/// How records are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// RFC 1952.
    Gzip,
    /// Snappy, in the frames of the Java library or bare.
    Snappy,
    /// LZ4 frames.
    Lz4,
    /// RFC 8878.
    Zstd,
}

/// What the Java library for snappy puts before its blocks: name, version, compatible version.
const XERIAL: [u8; 16] = *b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";
const XERIAL_NAME: usize = 8;
/// Of a block in xerial frames; what the Java library uses.
const XERIAL_BLOCK: usize = 32 * 1024;
/// Windows of zstd up to this need no permission: RFC 8878 asks every decoder for 8 MiB.
const ZSTD_WINDOW_LOG: u32 = 23;

impl Compression {
    /// All of them, by their numbers.
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// By the number in a batch's attributes.
    pub fn from_code(code: i16) -> Option<Self> {
        Self::ALL.get(usize::try_from(code).ok()?).copied()
    }

    /// The number in a batch's attributes.
    pub fn code(self) -> i16 {
        self as i16
    }

    /// By the word in a topic's or a client's configuration.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.word() == word)
    }

    /// The word in configurations.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    /// Decompresses, to at most `most` bytes.
    pub(super) fn unpack(self, packed: &[u8], most: usize) -> Result<Vec<u8>, Error> {
        let broken = |_: io::Error| Error::Compression(self);
        match self {
            Self::None => Ok(packed.to_vec()),
            Self::Gzip => bounded(flate2::read::MultiGzDecoder::new(packed), most, self),
            Self::Snappy => unpack_snappy(packed, most),
            Self::Lz4 => bounded(lz4_flex::frame::FrameDecoder::new(packed), most, self),
            Self::Zstd => {
                let mut decoder = zstd::Decoder::with_buffer(packed).map_err(broken)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG.max(most.max(1).ilog2().min(30))).map_err(broken)?;
                bounded(decoder, most, self)
            }
        }
    }

    /// Compresses.
    pub(super) fn pack(self, plain: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Self::None => Ok(plain.to_vec()),
            Self::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
                encoder.write_all(plain)?;
                encoder.finish()
            }
            Self::Snappy => pack_snappy(plain),
            Self::Lz4 => {
                let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
                encoder.write_all(plain)?;
                encoder.finish().map_err(io::Error::other)
            }
            Self::Zstd => zstd::encode_all(plain, zstd::DEFAULT_COMPRESSION_LEVEL),
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

fn bounded(reader: impl Read, most: usize, compression: Compression) -> Result<Vec<u8>, Error> {
    let mut plain = Vec::new();
    let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    reader.take(limit).read_to_end(&mut plain).map_err(|_| Error::Compression(compression))?;
    if plain.len() > most { Err(Error::Large(most)) } else { Ok(plain) }
}

fn unpack_snappy(packed: &[u8], most: usize) -> Result<Vec<u8>, Error> {
    let mut plain = Vec::new();
    if !packed.starts_with(&XERIAL[..XERIAL_NAME]) {
        append_snappy(&mut plain, packed, most)?;
        return Ok(plain);
    }
    let broken = Error::Compression(Compression::Snappy);
    let mut rest = packed.get(XERIAL.len()..).ok_or(broken.clone())?;
    while !rest.is_empty() {
        let (length, after) = rest.split_first_chunk().ok_or(broken.clone())?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| broken.clone())?;
        let (block, after) = after.split_at_checked(length).ok_or(broken.clone())?;
        append_snappy(&mut plain, block, most)?;
        rest = after;
    }
    Ok(plain)
}

fn append_snappy(plain: &mut Vec<u8>, block: &[u8], most: usize) -> Result<(), Error> {
    let broken = |_: snap::Error| Error::Compression(Compression::Snappy);
    let more = snap::raw::decompress_len(block).map_err(broken)?;
    if more > most - plain.len() {
        return Err(Error::Large(most));
    }
    // a block says how large it becomes: no snappy block grows more than this, so a liar gets no memory
    if more > block.len().saturating_mul(64) + 64 {
        return Err(Error::Compression(Compression::Snappy));
    }
    let start = plain.len();
    plain.resize(start + more, 0);
    let written = snap::raw::Decoder::new().decompress(block, &mut plain[start..]).map_err(broken)?;
    plain.truncate(start + written);
    Ok(())
}

fn pack_snappy(plain: &[u8]) -> io::Result<Vec<u8>> {
    let mut packed = XERIAL.to_vec();
    let mut encoder = snap::raw::Encoder::new();
    for block in plain.chunks(XERIAL_BLOCK) {
        let block = encoder.compress_vec(block).map_err(io::Error::other)?;
        packed.extend(u32::try_from(block.len()).map_err(io::Error::other)?.to_be_bytes());
        packed.extend(block);
    }
    Ok(packed)
}
