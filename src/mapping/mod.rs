//! From a source record to what the target should hold. (Being built.)

/// A compiled mapping.
#[derive(Debug)]
pub struct Mapping {
    _private: (),
}
