//! What to do: pure functions from (wanted, seen) to ordered, printable steps.

mod converge;
mod down;
mod images;
mod step;

pub use converge::{Recreate, UpOptions, up, up_for_run};
pub use down::{DownOptions, Rmi, down, stop_order};
pub use images::{ImageOptions, Pull, images};
pub use step::{Action, Plan, Step, Target};
