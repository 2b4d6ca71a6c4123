//! What is written to a terminal, or to a pipe in its place.

pub mod out;
