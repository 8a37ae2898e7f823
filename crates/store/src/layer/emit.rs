//! Tar headers as bytes, deterministic: USTAR where it can say it, PAX records before it where it cannot.

use tar::{EntryType, Header};

/// What a header says.
#[derive(Debug, Clone)]
pub(crate) struct Member<'a> {
    pub(crate) kind: EntryType,
    /// Without a leading slash; of folders with a trailing one.
    pub(crate) path: &'a [u8],
    pub(crate) link: &'a [u8],
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mtime: i64,
    pub(crate) size: u64,
    pub(crate) device: (u32, u32),
    /// Sorted by name.
    pub(crate) xattrs: &'a [(Vec<u8>, Vec<u8>)],
}

impl<'a> Member<'a> {
    /// A plain file of root's, for documents in an archive.
    pub(crate) fn document(path: &'a [u8], size: u64) -> Self {
        Self {
            kind: EntryType::Regular,
            path,
            link: b"",
            mode: 0o644,
            uid: 0,
            gid: 0,
            mtime: 0,
            size,
            device: (0, 0),
            xattrs: &[],
        }
    }
}

/// Bytes that octal digits of a USTAR field can say.
const MAX_ID: u32 = 0o7_777_777;
const MAX_SIZE: u64 = 0o77_777_777_777;

/// The header blocks of a member.
pub(crate) fn header(member: &Member<'_>) -> Vec<u8> {
    let mut records = Vec::new();
    let simple = |text: &[u8]| text.len() <= 100 && text.is_ascii();
    if !simple(member.path) {
        record(&mut records, b"path", member.path);
    }
    if !simple(member.link) {
        record(&mut records, b"linkpath", member.link);
    }
    if member.size > MAX_SIZE {
        record(&mut records, b"size", member.size.to_string().as_bytes());
    }
    if member.uid > MAX_ID {
        record(&mut records, b"uid", member.uid.to_string().as_bytes());
    }
    if member.gid > MAX_ID {
        record(&mut records, b"gid", member.gid.to_string().as_bytes());
    }
    let time = u64::try_from(member.mtime).ok().filter(|&t| t <= MAX_SIZE);
    if time.is_none() {
        record(&mut records, b"mtime", member.mtime.to_string().as_bytes());
    }
    for (name, value) in member.xattrs {
        record(&mut records, &[b"SCHILY.xattr.", name.as_slice()].concat(), value);
    }
    let mut out = Vec::new();
    if !records.is_empty() {
        let mut pax = Header::new_ustar();
        pax.set_entry_type(EntryType::XHeader);
        field(&mut pax, 0, b"PaxHeaders.0/entry");
        fill(&mut pax, 0o644, (0, 0), records.len() as u64, 0);
        out.extend_from_slice(pax.as_bytes());
        pad(&mut records);
        out.extend_from_slice(&records);
    }
    let mut main = Header::new_ustar();
    main.set_entry_type(member.kind);
    field(&mut main, 0, &member.path[..member.path.len().min(100)]);
    field(&mut main, 157, &member.link[..member.link.len().min(100)]);
    if matches!(member.kind, EntryType::Char | EntryType::Block) {
        // Numbers beyond seven octal digits do not exist on Linux (12 and 20 bits).
        main.set_device_major(member.device.0).unwrap_or_default();
        main.set_device_minor(member.device.1).unwrap_or_default();
    }
    let ids = (member.uid.min(MAX_ID), member.gid.min(MAX_ID));
    let size = if member.size > MAX_SIZE { 0 } else { member.size };
    fill(&mut main, member.mode & 0o7777, ids, size, time.unwrap_or(0));
    out.extend_from_slice(main.as_bytes());
    out
}

fn fill(header: &mut Header, mode: u32, (uid, gid): (u32, u32), size: u64, mtime: u64) {
    header.set_mode(mode);
    header.set_uid(uid.into());
    header.set_gid(gid.into());
    header.set_size(size);
    header.set_mtime(mtime);
    header.set_cksum();
}

fn field(header: &mut Header, at: usize, value: &[u8]) {
    header.as_mut_bytes()[at..at + value.len()].copy_from_slice(value);
}

/// `length key=value\n`, the length counting itself.
fn record(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest;
    loop {
        let whole = rest + length.to_string().len();
        if whole == length {
            break;
        }
        length = whole;
    }
    out.extend_from_slice(length.to_string().as_bytes());
    out.push(b' ');
    out.extend_from_slice(key);
    out.push(b'=');
    out.extend_from_slice(value);
    out.push(b'\n');
}

/// Zeros up to a block.
pub(crate) fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(512), 0);
}

/// How many zeros follow a payload.
pub(crate) fn padding(size: u64) -> usize {
    usize::try_from(size.next_multiple_of(512) - size).unwrap_or(0)
}
