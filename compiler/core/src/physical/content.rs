//! What tells the tensors of several graphs apart: ids are of one graph, contents of all.

use drift_ir::Tensor;

/// A hash of contents.
pub type Hash = [u8; 32];

/// Hash of a tensor's type, shape and bytes.
pub fn hash(tensor: &Tensor) -> Hash {
    of_pieces(tensor, tensor.stored().into_iter().map(|bytes| &bytes[..]))
}

/// The same of a few pieces of the bytes, which tells nearly all tensors apart and reads a few pages of large ones.
pub fn sample(tensor: &Tensor) -> Hash {
    const PIECES: usize = 8;
    const PIECE_BYTES: usize = 256;
    let Some(&bytes) = tensor.stored().first() else { return hash(tensor) };
    if bytes.len() <= PIECES * PIECE_BYTES {
        return hash(tensor);
    }
    let step = (bytes.len() - PIECE_BYTES) / (PIECES - 1);
    of_pieces(tensor, (0..PIECES).map(|n| &bytes[n * step..][..PIECE_BYTES]))
}

/// Type and shape, and of quantized weights their form.
fn description(tensor: &Tensor) -> String {
    let (element, shape, form) = (tensor.element(), tensor.shape(), tensor.form());
    format!("{element:?} {shape:?} {form:?} ")
}

fn of_pieces<'a>(tensor: &Tensor, pieces: impl IntoIterator<Item = &'a [u8]>) -> Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(description(tensor).as_bytes());
    pieces.into_iter().for_each(|piece| {
        hasher.update(piece);
    });
    *hasher.finalize().as_bytes()
}
