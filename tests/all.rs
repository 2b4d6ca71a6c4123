<<<<<<< HEAD
//! All integration tests in one binary: one link, and shared support code.

mod sandbox;
mod support;
=======
//! The integration tests: one binary, a module a theme.

mod wire;
>>>>>>> w-target
