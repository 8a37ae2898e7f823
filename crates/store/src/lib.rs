//! Blobs, images, layers, snapshots and volumes on disk; their collection; and the journal of engine objects.
//! Blocking, no tokio, no logs. `docs/store.md` draws the tree and specifies the formats.
#![forbid(unsafe_code)]

mod archive;
mod blobs;
mod catalog;
mod error;
mod image;
mod journal;
mod layer;
mod reaper;
mod snapshot;
mod store;
mod tree;
mod usage;
mod volume;

pub use archive::Loaded;
pub use error::{Error, Kind, Result};
pub use image::Image;
pub use journal::{Journal, Ticket};
pub use layer::{Layer, Limits};
pub use snapshot::{Change, Snapshot};
pub use store::Store;
pub use usage::Usage;
pub use volume::Volume;
