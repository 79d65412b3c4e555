//! The bytes of a manifest and of a self-test's right values: bincode 2 in its standard configuration, behind these two functions and
//! nowhere else.
//!
//! bincode is finished and no longer maintained (RUSTSEC-2025-0141). What it writes is written down in `docs/bundle-format.md`, and
//! `tests/vectors/manifest.txt` has a manifest byte by byte, made by an encoder of the tests that knows nothing of bincode; the
//! browser's reader, which does not use it either, is held against the same file.

#[cfg(test)]
mod annotate;
#[cfg(test)]
mod tests;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// No more than `MOST` bytes are read or claimed by any list.
fn config<const MOST: usize>() -> impl bincode::config::Config {
    bincode::config::standard().with_limit::<MOST>()
}

/// The bytes of a value, or why it has none.
pub(crate) fn encode<const MOST: usize>(value: &impl Serialize) -> Result<Vec<u8>, String> {
    bincode::serde::encode_to_vec(value, config::<MOST>()).map_err(|error| error.to_string())
}

/// The value that all of the bytes are, or why they are none.
pub(crate) fn decode<const MOST: usize, T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let decoded = bincode::serde::decode_from_slice(bytes, config::<MOST>());
    let (value, read) = decoded.map_err(|error| error.to_string())?;
    match bytes.len() - read {
        0 => Ok(value),
        left => Err(format!("{left} bytes are left over")),
    }
}
