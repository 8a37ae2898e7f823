//! A layer as registries carry it: its tar, compressed by gzip. The same tar gives the same bytes, and the digest is remembered, so that a
//! registry can be asked whether it has them before they are made again.

use super::{Record, ingest, key};
use crate::{Error, Result, Store, error::At};
use dhow_oci::Digest;
use flate2::{Compression, GzBuilder};
use ring::digest::{Context, SHA256};
use std::io::{self, Write};

/// Between speed and size: a push over a fast network is bound by this, one over a slow network by the bytes.
const LEVEL: u32 = 3;

impl Store {
    /// Digest and size of the layer's packed form, if it was made before.
    #[must_use]
    pub fn packed(&self, diff_id: &Digest) -> Option<(Digest, u64)> {
        self.0.read().layers.get(diff_id)?.packed.clone()
    }

    /// Writes the layer's tar, compressed. Digest and size of what was written.
    ///
    /// # Errors
    /// `NotFound`; disk; what `out` says.
    pub fn pack_layer(&self, diff_id: &Digest, out: &mut dyn Write) -> Result<(Digest, u64)> {
        let counted = Counted { out, context: Context::new(&SHA256), count: 0 };
        // No name and no time: the same bytes each time.
        let mut encoder = GzBuilder::new().write(counted, Compression::new(LEVEL));
        self.write_layer_tar(diff_id, &mut encoder)?;
        let Counted { context, count, .. } = encoder.finish().at("pack layer", diff_id.as_str())?;
        let packed = (ingest::digest(context), count);
        self.remember(diff_id, &packed)?;
        Ok(packed)
    }

    fn remember(&self, diff_id: &Digest, packed: &(Digest, u64)) -> Result<()> {
        let _changing = self.0.change();
        let held = self.0.read().layers.get(diff_id).cloned();
        let mut held = held.ok_or_else(|| Error::absent("pack layer", diff_id.as_str()))?;
        if held.packed.as_ref() == Some(packed) {
            return Ok(());
        }
        held.packed = Some(packed.clone());
        if held.settled {
            // Lost, it costs the work of packing again.
            self.0.journal.put(&key(diff_id), Some(&Record::of(&held).bytes()?)).forget();
        }
        self.0.write().add_layer(held);
        Ok(())
    }
}

struct Counted<'a> {
    out: &'a mut dyn Write,
    context: Context,
    count: u64,
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.context.update(bytes.get(..written).unwrap_or_default());
        self.count += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
