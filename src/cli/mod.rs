//! The command line: what is typed, and what is printed.

pub mod args;
pub mod check;
