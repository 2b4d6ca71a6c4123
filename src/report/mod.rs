//! What is told of syncs and of people: how a sync stands, why somebody is treated as they are, and who had it done.

pub mod labels;
pub mod status;
pub mod told;
pub mod why;
