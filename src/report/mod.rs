//! What is told of syncs and of people: how a sync stands, and why somebody is treated as they are.

pub mod labels;
pub mod status;
pub mod why;
