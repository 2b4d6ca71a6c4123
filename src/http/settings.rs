//! What is configured of a connection: how requests are authenticated, and what it needs beyond the usual.

use std::path::PathBuf;

use super::secret::Secret;
use crate::domain::address::Address;

/// What a connection needs beyond the usual.
#[derive(Clone, Debug, Default)]
pub struct NetworkSettings {
    /// Certificates of authorities that are trusted besides the usual ones, PEM.
    pub ca_file: Option<PathBuf>,
    /// The certificate and key with which we identify ourselves, PEM.
    pub client_cert: Option<PathBuf>,
    /// The proxy that every request goes through.
    pub proxy: Option<Address>,
}

/// How requests are authenticated.
#[derive(Clone, Debug)]
pub enum AuthSettings {
    /// Not at all.
    None,
    /// `Authorization: Bearer …`.
    Bearer(Secret),
    /// `Authorization: Token …`.
    Token(Secret),
    /// A header of any name.
    Header {
        /// The header's name.
        name: String,
        /// Its value.
        value: Secret,
    },
    /// HTTP Basic.
    Basic {
        /// User name.
        username: String,
        /// Password.
        password: Secret,
    },
    /// Log in first, then carry the session as the definition says.
    Session {
        /// User name.
        username: String,
        /// Password.
        password: Secret,
    },
    /// OAuth 2.0 client credentials.
    OAuth2 {
        /// Token endpoint.
        token_url: Address,
        /// Client id.
        client_id: String,
        /// Client secret.
        client_secret: Secret,
        /// Scope, if the server wants one.
        scope: Option<String>,
    },
}

impl AuthSettings {
    /// The kind's name, as in the configuration.
    pub fn kind(&self) -> &'static str {
        match self {
            AuthSettings::None => "none",
            AuthSettings::Bearer(_) => "bearer",
            AuthSettings::Token(_) => "token",
            AuthSettings::Header { .. } => "header",
            AuthSettings::Basic { .. } => "basic",
            AuthSettings::Session { .. } => "session",
            AuthSettings::OAuth2 { .. } => "oauth2",
        }
    }

    /// The secret that it rests on, if any.
    pub fn secret(&self) -> Option<&Secret> {
        match self {
            AuthSettings::None => None,
            AuthSettings::Bearer(secret) | AuthSettings::Token(secret) => Some(secret),
            AuthSettings::Header { value: secret, .. }
            | AuthSettings::Basic { password: secret, .. }
            | AuthSettings::Session { password: secret, .. }
            | AuthSettings::OAuth2 { client_secret: secret, .. } => Some(secret),
        }
    }
}
