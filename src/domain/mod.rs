//! What the program is about, as data: people and their records, accounts and their fields, operations and outcomes, the
//! rules and limits between them, schedules, errors.
//!
//! Nothing here does input or output, or knows a library that does.

pub mod account;
pub mod address;
pub mod bounded;
pub mod catalogue;
pub mod cause;
pub mod change_token;
pub mod error;
pub mod exit;
pub mod html;
pub mod ids;
pub mod json_schema;
pub mod keyset;
pub mod label;
pub mod limits;
pub mod link;
pub mod local_time;
#[cfg(test)]
pub mod mutated;
pub mod nearest;
pub mod operation;
pub mod outcome;
pub mod paging;
pub mod planned;
#[cfg(test)]
pub mod properties;
pub mod record;
pub mod remedy;
pub mod remote_id;
pub mod resource;
pub mod retry;
pub mod rules;
pub mod schedule;
pub mod schedule_field;
pub mod scim_path;
pub mod target_identity;
pub mod time;
pub mod units;
pub mod value;
pub mod visible;
pub mod wording;
pub mod wrap;
