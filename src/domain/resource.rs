//! What of a platform is kept in step: its users. State, plans and definitions hang on it by name.
//!
//! Its text is stored: a name that was written once never changes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A kind of things that a platform has and rosterd provisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    /// The accounts of people.
    #[default]
    Users,
}

impl Resource {
    /// All there are.
    pub const ALL: [Resource; 1] = [Resource::Users];

    /// Its name, as it is stored and as definitions write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Resource::Users => "users",
        }
    }
}

/// A name that no resource has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownResource;

impl fmt::Display for UnknownResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no such resource; there is: ")?;
        let names: Vec<&str> = Resource::ALL.into_iter().map(Resource::as_str).collect();
        f.write_str(&names.join(", "))
    }
}

impl std::error::Error for UnknownResource {}

impl FromStr for Resource {
    type Err = UnknownResource;

    fn from_str(name: &str) -> Result<Resource, UnknownResource> {
        Resource::ALL.into_iter().find(|resource| resource.as_str() == name).ok_or(UnknownResource)
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_name_is_one_whoever_writes_it() {
        for resource in Resource::ALL {
            assert_eq!(resource.as_str().parse(), Ok(resource));
            assert_eq!(resource.to_string(), resource.as_str());
            let json = serde_json::to_string(&resource).expect("JSON");
            assert_eq!(json, format!("\"{resource}\""));
            assert_eq!(serde_json::from_str::<Resource>(&json).expect("a resource"), resource);
        }
        assert_eq!("user".parse::<Resource>(), Err(UnknownResource));
        assert_eq!(UnknownResource.to_string(), "no such resource; there is: users");
    }
}
