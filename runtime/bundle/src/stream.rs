//! Reads a bundle as its bytes arrive: manifest and shaders as soon as they are there, then one weight after another.
//!
//! The checks are those of a [`crate::Bundle`]. Nothing is handed out before its hash was found right. Memory holds what
//! [`Contents`] holds, and one weight at a time, as far as its bytes have come: a header cannot claim more than is sent.

use crate::contents::Contents;
use crate::error::{BundleError, Section};
use crate::format::{HASHED, HEADER_BYTES, Header, check_padding};

/// Takes the bytes of one bundle, in pieces of any size.
///
/// ```no_run
/// use drift_bundle::{StreamReader, Streamed};
///
/// # fn next_piece() -> Option<Vec<u8>> { None }
/// # fn main() -> Result<(), drift_bundle::BundleError> {
/// let mut reader = StreamReader::new(1 << 30);
/// while let Some(piece) = next_piece() {
///     let mut rest = &piece[..];
///     while let Some(streamed) = reader.take(&mut rest)? {
///         match streamed {
///             Streamed::Contents => println!("{} entries", reader.contents().map_or(0, |c| c.manifest().entries.len())),
///             Streamed::Weight { index, bytes } => println!("weight {index} has {} bytes", bytes.len()),
///         }
///     }
/// }
/// reader.finish()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct StreamReader {
    part: Part,
    /// Bytes of the part so far.
    bytes: Vec<u8>,
    most_weight_bytes: u64,
    /// Bytes that were taken.
    taken: u64,
    failed: bool,
}

/// What is complete.
#[derive(Debug, PartialEq, Eq)]
pub enum Streamed {
    /// All but the weights: [`StreamReader::contents`] is there from now on.
    Contents,
    /// One weight, in the order of the manifest.
    Weight {
        /// Index in [`crate::manifest::Manifest::weights`].
        index: usize,
        /// All of it.
        bytes: Vec<u8>,
    },
}

/// The part of a file that the next bytes belong to, and what is known of those before.
#[derive(Debug)]
enum Part {
    Header,
    /// The section after those that are there, or the zeros after the last of these.
    Front {
        header: Box<Header>,
        sections: Vec<Vec<u8>>,
        padding: bool,
    },
    /// A weight, or the zeros before it; the end of the file where there is no such weight.
    Weights {
        contents: Box<Contents>,
        index: usize,
        padding: bool,
    },
}

impl StreamReader {
    /// A reader of a bundle none of whose weights has more than `most_weight_bytes` bytes.
    pub fn new(most_weight_bytes: u64) -> Self {
        Self { part: Part::Header, bytes: Vec::new(), most_weight_bytes, taken: 0, failed: false }
    }

    /// Manifest and shaders, once they have come.
    pub fn contents(&self) -> Option<&Contents> {
        match &self.part {
            Part::Weights { contents, .. } => Some(contents),
            Part::Header | Part::Front { .. } => None,
        }
    }

    /// Takes bytes off the front of `piece` until something is complete, which is returned, or until none is left. After an
    /// error nothing more can be taken.
    pub fn take(&mut self, piece: &mut &[u8]) -> Result<Option<Streamed>, BundleError> {
        if self.failed {
            return Err(BundleError::Refused);
        }
        let taken = self.advance(piece);
        self.failed = taken.is_err();
        taken
    }

    /// Says whether the bundle is whole.
    pub fn finish(self) -> Result<(), BundleError> {
        if self.failed {
            return Err(BundleError::Refused);
        }
        let expected = match &self.part {
            Part::Header => HEADER_BYTES,
            Part::Front { header, .. } => header.file_bytes(),
            Part::Weights { contents, .. } => contents.file_bytes(),
        };
        let found = self.taken;
        if found < expected { Err(BundleError::Truncated { expected, found }) } else { Ok(()) }
    }

    fn advance(&mut self, piece: &mut &[u8]) -> Result<Option<Streamed>, BundleError> {
        while let Some(size) = self.part.size(self.most_weight_bytes)? {
            self.collect(piece, size)?;
            if (self.bytes.len() as u64) < size {
                self.check_start()?;
                return Ok(None);
            }
            if let Some(streamed) = self.complete()? {
                return Ok(Some(streamed));
            }
        }
        match piece.len() {
            0 => Ok(None),
            more => Err(BundleError::Header { problem: format!("{more} bytes follow the last section") }),
        }
    }

    /// Moves bytes from `piece` to the part, which has `size` of them in all. Memory grows as they come.
    fn collect(&mut self, piece: &mut &[u8], size: u64) -> Result<(), BundleError> {
        let wanted = (size - self.bytes.len() as u64).min(piece.len() as u64) as usize;
        let (part, rest) = piece.split_at(wanted);
        if self.bytes.capacity() - self.bytes.len() < part.len() {
            // Twice as much each time, though never more than the part has.
            let held = self.bytes.len() as u64;
            let more = (size - held).min(held.max(part.len() as u64));
            let out_of_memory = |_| BundleError::OutOfMemory { bytes: more };
            self.bytes.try_reserve_exact(more as usize).map_err(out_of_memory)?;
        }
        self.bytes.extend_from_slice(part);
        *piece = rest;
        self.taken += wanted as u64;
        Ok(())
    }

    /// Refuses what is no bundle before a whole header is there.
    fn check_start(&self) -> Result<(), BundleError> {
        if self.bytes.is_empty() || !matches!(self.part, Part::Header) {
            return Ok(());
        }
        match Header::decode(&self.bytes, None) {
            Err(BundleError::Truncated { .. }) => Ok(()),
            decoded => decoded.map(drop),
        }
    }

    /// Checks the part, all of whose bytes are there, and goes on to the next. What is refused leaves the reader failed.
    fn complete(&mut self) -> Result<Option<Streamed>, BundleError> {
        let bytes = std::mem::take(&mut self.bytes);
        let (next, streamed) = match std::mem::replace(&mut self.part, Part::Header) {
            Part::Header => {
                let header = Box::new(Header::decode(&bytes, None)?);
                (Part::Front { header, sections: Vec::new(), padding: false }, None)
            }
            Part::Front { header, mut sections, padding: false } => {
                header.check_hash(HASHED[sections.len()], &bytes)?;
                sections.push(bytes);
                (Part::Front { header, sections, padding: true }, None)
            }
            Part::Front { header, sections, padding: true } => {
                check_padding(&bytes)?;
                match <[Vec<u8>; HASHED.len()]>::try_from(sections) {
                    Err(sections) => (Part::Front { header, sections, padding: false }, None),
                    Ok([manifest, shaders, hashes]) => {
                        let contents = Box::new(Contents::new(*header, &manifest, shaders, &hashes)?);
                        (Part::Weights { contents, index: 0, padding: true }, Some(Streamed::Contents))
                    }
                }
            }
            Part::Weights { contents, index, padding: true } => {
                check_padding(&bytes)?;
                (Part::Weights { contents, index, padding: false }, None)
            }
            Part::Weights { contents, index, padding: false } => {
                contents.check_weight(index, blake3::hash(&bytes).as_bytes())?;
                let next = Part::Weights { contents, index: index + 1, padding: true };
                (next, Some(Streamed::Weight { index, bytes }))
            }
        };
        self.part = next;
        Ok(streamed)
    }
}

impl Part {
    /// Bytes of the part; none at the end of the file. A weight must have no more than `most`.
    fn size(&self, most: u64) -> Result<Option<u64>, BundleError> {
        match self {
            Self::Header => Ok(Some(HEADER_BYTES)),
            Self::Front { header, sections, padding: false } => {
                Ok(Some(header.section(HASHED[sections.len()]).size))
            }
            Self::Front { header, sections, padding: true } => {
                let next = HASHED.get(sections.len()).copied().unwrap_or(Section::Weights);
                let before = header.section(HASHED[sections.len() - 1]);
                Ok(Some(header.section(next).offset - before.end()))
            }
            Self::Weights { contents, index, padding } => {
                let weights = &contents.manifest().weights;
                let Some(weight) = weights.get(*index) else { return Ok(None) };
                if weight.size > most {
                    let (name, size) = (weight.name.clone(), weight.size);
                    return Err(BundleError::LargeWeight { name, size, most });
                }
                let before =
                    index.checked_sub(1).map_or(0, |before| weights[before].offset + weights[before].size);
                Ok(Some(if *padding { weight.offset - before } else { weight.size }))
            }
        }
    }
}
