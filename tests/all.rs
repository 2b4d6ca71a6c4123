//! All integration tests in one binary: one link, and shared support code.

mod sandbox;
mod support;
