//! What `--json FILE|-` writes: one document, the same way for every command.
//!
//! `docs/json.md` lists the keys. A document begins with the version of its keys and the command's name.

use super::write;
use crate::Console;
use crate::error::CliError;
use crate::report::json;
use serde::Serialize;
use std::path::Path;

/// Rises when a key of any document is removed or changes its meaning; new keys may come at any time.
pub const SCHEMA_VERSION: u32 = 1;

/// What stands for standard output.
pub const STANDARD_OUTPUT: &str = "-";

/// A document of a command: what the command has to say, behind what tells documents apart.
#[derive(Serialize)]
struct Document<'a, T> {
    schema_version: u32,
    command: &'static str,
    #[serde(flatten)]
    content: &'a T,
}

/// Whether a document that is written there comes out of standard output.
pub fn is_standard_output(path: &Path) -> bool {
    path == Path::new(STANDARD_OUTPUT) || super::is_standard_output(path)
}

/// Writes a command's document where the user asked for one. `content` is a struct or a map.
pub fn write_document(
    path: Option<&Path>,
    command: &'static str,
    content: &impl Serialize,
    console: &mut Console<'_>,
) -> Result<(), CliError> {
    let Some(path) = path else { return Ok(()) };
    let text = json(&Document { schema_version: SCHEMA_VERSION, command, content }) + "\n";
    if path == Path::new(STANDARD_OUTPUT) {
        return console.document(&text);
    }
    write(path, text.as_bytes())
}
