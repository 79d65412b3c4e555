//! Dims of the model whose sizes the app says.

use std::ffi::{CString, c_char};

use crate::call::{call, needed_text, shared, unique};
use crate::session::CSession;
use crate::status::{Failure, Status};

/// A dim of the model whose size is free. Its name belongs to the session.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Dim {
    /// Name, as the model writes it.
    pub name: *const c_char,
    /// The least size that it may have.
    pub low: u64,
    /// The greatest, which it has until another one is set.
    pub high: u64,
    /// What its sizes are multiples of.
    pub step: u64,
    /// The size that it has.
    pub size: u64,
}

/// Number of dims whose sizes are free; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drift_session_dim_count(session: *const CSession) -> usize {
    // SAFETY: the caller keeps to the header.
    unsafe { session.as_ref() }.map_or(0, |session| session.dims.len())
}

/// Describes a dim whose size is free. Its name is valid until the session is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drift_session_dim(session: *const CSession, index: usize, out: *mut Dim) -> Status {
    // SAFETY: the caller keeps to the header.
    call(|| unsafe {
        let dims = &shared(session, "session")?.dims;
        let out = unique(out, "out")?;
        let found = dims.get(index).ok_or_else(|| {
            Failure::argument(format!("there are {} dims; number {index} was asked for", dims.len()))
        })?;
        *out = found.dim();
        Ok(())
    })
}

/// Sets the size of a dim from the next run on. Inputs and outputs have other sizes then: ask for them again, write those inputs
/// again that have changed, and run before an output is read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drift_session_set_dim(
    session: *mut CSession,
    name: *const c_char,
    size: u64,
) -> Status {
    // SAFETY: the caller keeps to the header.
    call(|| unsafe {
        let (session, name) = (unique(session, "session")?, needed_text(name, "name")?);
        session.slot.here()?.set_dim(name, size)?;
        session.follow()
    })
}

/// What a [`Dim`] points to.
pub(crate) struct NamedDim {
    name: CString,
    dim: drift_runtime::Dim,
}

impl NamedDim {
    pub(crate) fn new(dim: &drift_runtime::Dim) -> Self {
        let name = CString::new(dim.free.name.replace('\0', "\u{fffd}")).unwrap_or_default();
        Self { name, dim: dim.clone() }
    }

    /// Takes its size anew. The name stays where it is.
    pub(crate) fn follow(&mut self, dim: &drift_runtime::Dim) {
        self.dim.size = dim.size;
    }

    fn dim(&self) -> Dim {
        let drift_runtime::Dim { free, size } = &self.dim;
        let (low, high, step) = (free.least(), free.most(), free.step);
        Dim { name: self.name.as_ptr(), low, high, step, size: *size }
    }
}
