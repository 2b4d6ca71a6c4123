//! A page as it arrived, unpacked as `Content-Encoding` says, within the cap.
//!
//! It is unpacked here and not by the HTTP client, which drops `Content-Length` when it does that itself: whether an
//! answer came whole could not be told any more.

use std::io::{self, BufReader, Read};
use std::path::Path;

use reqwest::header::{self, HeaderMap};

use crate::http::body::{Body, BodyError, Store};
use crate::source::transport::file::Zstd;

/// How many bytes are unpacked at once.
const CHUNK: usize = 64 * 1024;

/// What is asked for, in the order of preference.
pub(super) const ACCEPTED: &str = "gzip, zstd, br";

/// How a body is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    /// gzip (RFC 1952).
    Gzip,
    /// zstd (RFC 8878).
    Zstd,
    /// brotli (RFC 7932).
    Brotli,
}

/// How the headers say that a body is packed (RFC 9110, section 8.4); none where it is as it is.
///
/// # Errors
/// It is packed in a way that was not asked for.
pub(super) fn packing(headers: &HeaderMap) -> Result<Option<Packing>, ()> {
    let values = headers.get_all(header::CONTENT_ENCODING).iter().map(|value| value.to_str().map_err(|_| ()));
    let values: Vec<&str> = values.collect::<Result<_, ()>>()?;
    let codings = values.iter().flat_map(|value| value.split(',')).map(str::trim);
    let mut codings = codings.filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("identity"));
    let packing = match codings.next().map(str::to_ascii_lowercase).as_deref() {
        None => return Ok(None),
        Some("gzip" | "x-gzip") => Packing::Gzip,
        Some("zstd") => Packing::Zstd,
        Some("br") => Packing::Brotli,
        Some(_) => return Err(()),
    };
    if codings.next().is_some() { Err(()) } else { Ok(Some(packing)) }
}

/// Unpacks a body into one of at most so many bytes. Blocks.
///
/// # Errors
/// It broke off or is not packed so, is too large, or can't be written.
pub(super) fn unpacked(body: &Body, packing: Packing, directory: &Path, most: u64) -> Result<Body, BodyError> {
    let packed = BufReader::with_capacity(CHUNK, body.reader().map_err(BodyError::Disk)?);
    let mut reader: Box<dyn Read> = match packing {
        Packing::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(packed)),
        Packing::Zstd => Box::new(Zstd::new(packed)),
        Packing::Brotli => Box::new(brotli_decompressor::Decompressor::new(packed, CHUNK)),
    };
    let mut store = Store::spilling(directory, most);
    let mut chunk = vec![0; CHUNK];
    loop {
        match reader.read(&mut chunk) {
            Ok(0) => return Ok(store.done()),
            Ok(n) => store.push(&chunk[..n])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(BodyError::Unpacking(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::CONTENT_ENCODING, value.parse().expect("a value"));
        }
        headers
    }

    #[test]
    fn packings_are_those_that_were_asked_for() {
        for (values, packing) in [
            (&[] as &[&str], Ok(None)),
            (&["identity"], Ok(None)),
            (&["GZIP"], Ok(Some(Packing::Gzip))),
            (&["identity, br"], Ok(Some(Packing::Brotli))),
            (&["gzip, zstd"], Err(())),
            (&["gzip", "gzip"], Err(())),
            (&["deflate"], Err(())),
        ] {
            assert_eq!(super::packing(&headers(values)), packing, "{values:?}");
        }
    }

    #[test]
    fn what_is_cut_anywhere_is_no_page_and_what_is_too_large_is_none_either() {
        let directory = tempfile::tempdir().expect("a directory");
        let text: Vec<u8> = (0..4_000u32).flat_map(|n| n.to_string().into_bytes()).collect();
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gz.write_all(&text).expect("into memory");
        let zstd = compress_to_vec(text.as_slice(), CompressionLevel::Fastest);
        for (packing, bytes) in [(Packing::Gzip, gz.finish().expect("into memory")), (Packing::Zstd, zstd)] {
            let unpack =
                |bytes: &[u8], most| unpacked(&Body::Memory(bytes.to_vec().into()), packing, directory.path(), most);
            let mut whole = Vec::new();
            let body = unpack(&bytes, text.len() as u64).expect("whole");
            body.reader().expect("there").read_to_end(&mut whole).expect("there");
            assert!(whole == text, "{packing:?}");
            assert!(matches!(unpack(&bytes, text.len() as u64 - 1), Err(BodyError::TooLarge)), "{packing:?}");
            for cut in (1..bytes.len()).step_by(7) {
                assert!(unpack(&bytes[..cut], u64::MAX).is_err(), "{packing:?} cut at {cut}");
            }
        }
    }
}
