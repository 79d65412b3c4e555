//! Libraries that Apple's compiler has made of Metal's language: the container, whose layout others have found out (Apple
//! documents none). What is in it is LLVM's, and is left to the driver.

use super::declared::{Declared, Needs, Numbering};
use super::flaw::ShaderFlaw;
use crate::manifest::LIBRARY_MAGIC;

/// Bytes of the header: magic, versions, size of the file, four sections.
const HEADER_BYTES: usize = 88;

/// Where the size of the file is, and after it offset and size of each section.
const SIZE_AT: usize = 16;

const SECTIONS: usize = 4;

/// A kernel, among the types of functions.
const KERNEL: &[u8] = &[2];

/// Whether `code` is such a library.
pub(super) fn is_one(code: &[u8]) -> bool {
    code.starts_with(LIBRARY_MAGIC)
}

/// Reads the one kernel of a library. Its workgroup and slots cannot be told.
pub(super) fn read(code: &[u8]) -> Result<Declared, ShaderFlaw> {
    let wrong = |problem| ShaderFlaw::Library { problem };
    let (header, _) = code.split_at_checked(HEADER_BYTES).ok_or(wrong("it ends in its header"))?;
    let words: Vec<u64> =
        header[SIZE_AT..].as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)).collect();
    if words[0] != code.len() as u64 {
        return Err(wrong("its size is not what its header says"));
    }
    let sections = words[1..].as_chunks::<2>().0;
    debug_assert_eq!(sections.len(), SECTIONS);
    let ends = sections.iter().map(|[offset, size]| offset.checked_add(*size));
    if !ends.into_iter().all(|end| end.is_some_and(|end| end <= code.len() as u64)) {
        return Err(wrong("a section is outside of it"));
    }
    let functions = &code[sections[0][0] as usize..];
    let entry_point = only_kernel(functions).ok_or(wrong("it does not hold one kernel and nothing else"))?;
    Ok(Declared {
        entry_point,
        workgroup_size: None,
        invocations: None,
        shared_bytes: None,
        resources: Vec::new(),
        numbering: Numbering::Untold,
        needs: Needs::default(),
    })
}

/// The name of the only function of a list, which is a kernel: a count, then for each function its length and its tags, of four
/// letters, a length and data each.
fn only_kernel(list: &[u8]) -> Option<String> {
    let (count, rest) = list.split_first_chunk::<4>()?;
    if u32::from_le_bytes(*count) != 1 {
        return None;
    }
    let (length, _) = rest.split_first_chunk::<4>()?;
    // The length counts itself.
    let mut tags = rest.get(4..u32::from_le_bytes(*length) as usize)?;
    let (mut name, mut is_kernel) = (None, false);
    loop {
        let (tag, after) = tags.split_first_chunk::<4>()?;
        if tag == b"ENDT" {
            break;
        }
        let (length, after) = after.split_first_chunk::<2>()?;
        let (data, after) = after.split_at_checked(u16::from_le_bytes(*length).into())?;
        match tag {
            b"NAME" => name = str::from_utf8(data.strip_suffix(&[0])?).ok(),
            b"TYPE" => is_kernel = data == KERNEL,
            _ => {}
        }
        tags = after;
    }
    name.filter(|_| is_kernel).map(str::to_owned)
}
