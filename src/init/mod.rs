//! `rosterd init`: from the beginning of an export and the catalogue of a target to a configuration that can be used.
//!
//! [`detect`] and [`json`] turn bytes into named columns, [`vocabulary`] says what a column's name means, [`guess`] holds
//! names against values, [`proposal`] makes the configuration as a model, and [`write`] makes its text. Nothing here reads
//! a file, asks a question or prints: the command does.

pub mod accounts;
pub mod detect;
pub mod guess;
pub mod include;
pub mod json;
pub mod notation;
pub mod proposal;
pub mod samples;
pub mod status;
pub mod table;
pub mod vocabulary;
pub mod words;
pub mod write;

#[cfg(test)]
mod tests;
