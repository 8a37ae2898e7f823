//! The storage as a whole: processes that are killed, full disks, Kafka's own tools.

mod full;
mod idle;
mod support;
mod tools;
mod torture;
