//! What is needed of the operating system in more than one layer: bounded files, room on the disk and on the stack, panics.

pub mod bounded_file;
pub mod clock;
pub mod disk_budget;
pub mod panics;
pub mod parallel;
pub mod stack;
pub mod users;
pub mod zone;
