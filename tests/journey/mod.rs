//! The whole of a sync's life, by the real binary against the simulated JUNO. What is asserted on is what an operator
//! and their scripts have: exit codes, JSON, the database's views, and the sandbox's own log of what it committed.

mod adoption;
mod defects;
mod exits;
mod holding;
mod life;
mod partial;
mod shapes;
mod source;
mod state;
