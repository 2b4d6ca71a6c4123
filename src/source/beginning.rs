//! The first bytes of an export, before anything is configured: what `init` looks at.

use std::io::{Cursor, Read};
use std::path::Path;
use std::time::Duration;

use reqwest::header::{LINK, LOCATION};
use url::Url;

use super::transport::file::{Input, unusable};
use crate::config::settings::{
    FileSettings, FormatSettings, OnIncomplete, RowsPerPerson, SourceKind, SourceSettings, TrustSettings,
};
use crate::domain::address::{is_private, shown};
use crate::domain::error::{Error, Failure, Result, SourceReason};
use crate::domain::limits::Limit;
use crate::http::auth;
use crate::http::client::{Client, builder, clock_can_judge_certificates};
use crate::http::settings::{AuthSettings, NetworkSettings};

/// How much is looked at, in bytes: forty thousand people take a tenth of it, and a JSON document has to be whole.
const MOST: u64 = 32_000_000;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// How many redirects are followed.
const REDIRECTS: usize = 5;

/// The beginning of an export.
pub struct Beginning {
    /// The bytes, unpacked.
    pub bytes: Vec<u8>,
    /// They are all that there is.
    pub whole: bool,
    /// A `Link` header leads to a next page (RFC 8288).
    pub linked: bool,
}

/// The beginning of a file, which may be packed.
///
/// # Errors
/// As when the source is read: 69 when there is no such file, 65 when it can't be unpacked.
pub fn of_file(path: &Path) -> Result<Beginning> {
    let source = unnamed(path);
    taken(&source, Input::open(&source, path)?)
}

fn taken(source: &SourceSettings, input: Input) -> Result<Beginning> {
    let mut bytes = Vec::new();
    let read = input.take(MOST + 1).read_to_end(&mut bytes);
    read.map_err(|error| unusable(source, "it can't be read".into()).because(error))?;
    let whole = bytes.len() as u64 <= MOST;
    bytes.truncate(MOST as usize);
    Ok(Beginning { bytes, whole, linked: false })
}

/// The first answer of an address. Redirects are followed within the same host.
///
/// # Errors
/// 69 when there is no answer, or one that is none; 77 when it wants credentials, or others; 65 when it is too large; 78
/// when the secret can't be read, 64 when it would be sent in the clear.
pub async fn of_address(url: &Url, auth: &AuthSettings) -> Result<Beginning> {
    const OWNER: &str = "source hr";
    clock_can_judge_certificates(OWNER, url)?;
    let client = Client::new(OWNER, builder(OWNER, &NetworkSettings::default(), PATIENCE)?, PATIENCE)?;
    let unreachable = |why: String| {
        Failure::new(Error::Source(SourceReason::Unreachable), format!("source hr: {} {why}", shown(url)))
    };
    if auth.secret().is_some() && !is_private(url) {
        let message = format!("source hr: {} would be sent a secret over the network in the clear", shown(url));
        return Err(Failure::new(Error::Usage, message).help("write https://"));
    }
    let header = auth::fixed(OWNER, auth)?;
    let request = |url: Url| match &header {
        Some((name, value)) => client.get(url).header(name.clone(), value.clone()),
        None => client.get(url),
    };
    let mut asked = url.clone();
    for _ in 0..=REDIRECTS {
        let answer = client.send(request(asked.clone()), MOST).await.map_err(|error| {
            unreachable(format!("gives no usable answer: {}", error.message))
                .help("see whether it can be fetched by hand")
        })?;
        match answer.status {
            200..=299 => {
                let links = answer.headers.get_all(LINK).iter().filter_map(|link| link.to_str().ok());
                let linked = links.into_iter().any(|link| link.to_ascii_lowercase().contains("rel=\"next\""));
                let source = unnamed(Path::new(url.path()));
                let input = Input::new(Box::new(Cursor::new(answer.body)), None);
                let input = input.map_err(|error| unusable(&source, "it can't be read".into()).because(error))?;
                return Ok(Beginning { linked, ..taken(&source, input)? });
            }
            301 | 302 | 303 | 307 | 308 => {
                let next =
                    answer.headers.get(LOCATION).and_then(|to| to.to_str().ok()).and_then(|to| asked.join(to).ok());
                match next.filter(|next| next.origin() == asked.origin()) {
                    Some(next) => asked = next,
                    None => {
                        return Err(unreachable(
                            "leads elsewhere, and redirects are followed within the host alone".into(),
                        )
                        .help("name the address to which it leads"));
                    }
                }
            }
            401 | 403 => {
                let wants = if auth.secret().is_some() { "does not take this secret" } else { "wants credentials" };
                let message = format!("source hr: {} {wants} (HTTP {})", shown(url), answer.status);
                return Err(Failure::new(Error::Source(SourceReason::Denied), message).help(
                    "a bearer token is given by --source-token-file or --source-token-env; for anything else save one page \
                     of it as a file, name that with --source, and write kind, url and auth into the source's section",
                ));
            }
            status => {
                return Err(unreachable(format!("answers with HTTP {status}")).help("see whether the address is right"));
            }
        }
    }
    Err(unreachable("leads from one place to the next without end".into())
        .help("name the address of the export itself"))
}

/// A source that nobody configured: for the words of messages alone.
fn unnamed(path: &Path) -> SourceSettings {
    SourceSettings {
        name: "hr".into(),
        key: String::new(),
        also_key: Vec::new(),
        required: Vec::new(),
        rows: RowsPerPerson::One,
        gate: TrustSettings {
            min_records: 1,
            max_shrink: Limit::Unlimited,
            max_rejected: Limit::Unlimited,
            max_age: None,
            on_incomplete: OnIncomplete::Stop,
        },
        kind: SourceKind::File(FileSettings { path: path.into(), format: FormatSettings::Ndjson }),
    }
}
