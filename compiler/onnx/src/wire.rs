//! A walk over the wire format before anything is decoded: how many parts would decoding allocate?
//!
//! An empty node costs two bytes in a file and some hundred in memory, so a small file could ask for a very large
//! allocation. The walk counts what the structs of [`crate::proto`] would hold, allocates nothing itself, and refuses
//! files beyond [`MAX_PARTS`]. Depth is prost's to limit; wrong encodings are reported here or by prost.

use thiserror::Error;

/// Messages and strings that one file may hold. Unrolled language models have some ten thousand nodes of ten parts.
pub(crate) const MAX_PARTS: usize = 1 << 21;

/// Nesting that the walk follows; prost's own limit is the same.
const MAX_DEPTH: usize = 100;

/// Why a file is not worth decoding.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
pub enum WireError {
    /// A field runs past the end of its message, or a tag or length is not encoded as protobuf says.
    #[error("byte {offset} is not valid protobuf: the file is truncated, damaged or not an ONNX model")]
    Malformed {
        /// Where in the file.
        offset: usize,
    },
    /// More nodes, attributes, tensors and names than any model needs.
    #[error("the file holds more than {limit} messages and names; no known model needs that many")]
    TooManyParts {
        /// The limit.
        limit: usize,
    },
    /// Messages nested too deeply.
    #[error("messages are nested more than {limit} deep")]
    TooDeep {
        /// The limit.
        limit: usize,
    },
}

/// Kinds of messages, as far as the walk has to tell them apart.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    SparseTensor,
    ValueInfo,
    Type,
    TensorType,
    Shape,
    Function,
    /// Strings, bytes and messages without messages inside.
    Leaf,
}

/// What a length-delimited field of a message holds; `None` when decoding skips or packs it.
fn part(message: Kind, field: u64) -> Option<Kind> {
    match (message, field) {
        (Kind::Model, 7) => Some(Kind::Graph),
        (Kind::Model, 25) => Some(Kind::Function),
        (Kind::Graph, 1) | (Kind::Function, 7) => Some(Kind::Node),
        (Kind::Graph, 5) | (Kind::Attribute, 5 | 10) | (Kind::SparseTensor, 1) => Some(Kind::Tensor),
        (Kind::Graph, 11..=13) => Some(Kind::ValueInfo),
        (Kind::Graph, 15) | (Kind::Attribute, 22) => Some(Kind::SparseTensor),
        (Kind::Node, 5) | (Kind::Function, 11) => Some(Kind::Attribute),
        (Kind::Attribute, 6 | 11) => Some(Kind::Graph),
        (Kind::ValueInfo, 2) => Some(Kind::Type),
        (Kind::Type, 1) => Some(Kind::TensorType),
        (Kind::TensorType, 2) => Some(Kind::Shape),
        (Kind::Model, 2 | 3 | 8)
        | (Kind::Node, 1 | 2 | 3 | 4 | 7 | 8)
        | (Kind::Attribute, 1 | 4 | 9 | 21)
        | (Kind::Tensor, 6 | 8 | 9 | 13)
        | (Kind::ValueInfo, 1)
        | (Kind::Shape, 1)
        | (Kind::Function, 1 | 4 | 5 | 6 | 9 | 10 | 13) => Some(Kind::Leaf),
        _ => None,
    }
}

/// Walks one encoded message of the given kind.
pub(crate) fn check(bytes: &[u8], kind: Kind) -> Result<(), WireError> {
    let mut open = vec![(kind, bytes.len())];
    let (mut at, mut parts) = (0, 0);
    while let Some(&(kind, end)) = open.last() {
        if at == end {
            open.pop();
            continue;
        }
        let start = at;
        let malformed = WireError::Malformed { offset: start };
        let tag = varint(bytes, &mut at, end).ok_or(malformed)?;
        let skipped = match tag & 7 {
            0 => varint(bytes, &mut at, end).map(|_| 0),
            1 => Some(8),
            2 => varint(bytes, &mut at, end).and_then(|length| usize::try_from(length).ok()),
            5 => Some(4),
            _ => None,
        }
        .ok_or(malformed)?;
        if skipped > end - at {
            return Err(malformed);
        }
        let child = if tag & 7 == 2 { part(kind, tag >> 3) } else { None };
        parts += usize::from(child.is_some());
        if parts > MAX_PARTS {
            return Err(WireError::TooManyParts { limit: MAX_PARTS });
        }
        match child {
            None | Some(Kind::Leaf) => at += skipped,
            Some(_) if open.len() == MAX_DEPTH => return Err(WireError::TooDeep { limit: MAX_DEPTH }),
            Some(child) => open.push((child, at + skipped)),
        }
    }
    Ok(())
}

/// Reads a varint that must end before `end`.
fn varint(bytes: &[u8], at: &mut usize, end: usize) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = *bytes[..end].get(*at)?;
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_nodes_and_refuses_too_many() {
        // Field 7 (graph) whose content is empty nodes: field 1, length 0.
        let nodes = [0x0a, 0x00].repeat(MAX_PARTS + 1);
        assert_eq!(check(&nodes, Kind::Graph), Err(WireError::TooManyParts { limit: MAX_PARTS }));
        assert_eq!(check(&nodes[..2000], Kind::Graph), Ok(()));
    }

    #[test]
    fn refuses_a_length_past_the_end_of_its_message() {
        assert_eq!(check(&[0x0a, 0x05, 0x00], Kind::Graph), Err(WireError::Malformed { offset: 0 }));
        // The inner string claims more than the node holds, though the file has the bytes.
        let inner = [0x0a, 0x02, 0x0a, 0x04, 0, 0, 0, 0];
        assert_eq!(check(&inner, Kind::Graph), Err(WireError::Malformed { offset: 2 }));
    }

    #[test]
    fn refuses_nesting_beyond_the_limit() {
        // graph > node > attribute > graph > ..., built inside out.
        let mut message = Vec::new();
        for level in 0..400 {
            let tag = [0x32, 0x2a, 0x0a][level % 3];
            let mut outer = vec![tag];
            prost::encoding::encode_varint(message.len() as u64, &mut outer);
            outer.append(&mut message);
            message = outer;
        }
        // The outermost field is a node's, because 400 leaves a remainder of one: start in a graph's attribute.
        assert_eq!(check(&message, Kind::Attribute), Err(WireError::TooDeep { limit: MAX_DEPTH }));
    }

    #[test]
    fn refuses_group_wire_types() {
        assert_eq!(check(&[0x0b], Kind::Model), Err(WireError::Malformed { offset: 0 }));
    }
}
