//! What a session keeps from run to run: described, saved, loaded and reset.

use std::ffi::c_char;

use crate::call::{call, needed_text, shared, unique};
use crate::session::{CSession, Tensor, bytes_of, describe, room_of};
use crate::status::Status;

/// Number of states; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drift_session_state_count(session: *const CSession) -> usize {
    // SAFETY: the caller keeps to the header.
    unsafe { session.as_ref() }.map_or(0, |session| session.states.len())
}

/// Describes a state: what runs keep for the next one. Its `bytes` are those on the device. What it points to is valid until the
/// session is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drift_session_state(
    session: *const CSession,
    index: usize,
    out: *mut Tensor,
) -> Status {
    // SAFETY: the caller keeps to the header.
    call(|| unsafe { describe(&shared(session, "session")?.states, "states", index, out) })
}

/// Zeros all states, for the sessions that share them as well.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drift_session_reset_state(session: *mut CSession) -> Status {
    // SAFETY: the caller keeps to the header.
    call(|| unsafe { Ok(unique(session, "session")?.slot.here()?.reset_state()?) })
}

/// Copies what a state holds, as it is on the device, into `bytes` bytes: to save it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drift_session_read_state(
    session: *mut CSession,
    name: *const c_char,
    into: *mut u8,
    bytes: usize,
) -> Status {
    // SAFETY: the caller keeps to the header.
    call(|| unsafe {
        let (session, name) = (unique(session, "session")?, needed_text(name, "name")?);
        Ok(session.slot.here()?.read_state_into(name, room_of(into, bytes)?)?)
    })
}

/// Replaces what a state holds, for the sessions that share it as well, by `bytes` bytes that drift_session_read_state gave for the
/// same bundle, variant and kind of device.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drift_session_write_state(
    session: *mut CSession,
    name: *const c_char,
    data: *const u8,
    bytes: usize,
) -> Status {
    // SAFETY: the caller keeps to the header.
    call(|| unsafe {
        let (session, name) = (unique(session, "session")?, needed_text(name, "name")?);
        Ok(session.slot.here()?.write_state(name, bytes_of(data, bytes)?)?)
    })
}
