//! YAML with positions: the tree, its reader, and typed access that names the key in every error.

mod cursor;
mod node;
mod parse;

pub use cursor::{Cursor, Fields, suggestion};
pub use node::{Entry, Map, Node, Position, Tag, Value};
pub use parse::parse;
