//! Objects of Metal that threads share.
#![expect(unsafe_code, reason = "says which objects threads may share")]

use std::ops::Deref;

use objc2::rc::Retained;
use objc2::runtime::ProtocolObject;

/// A buffer, texture, command buffer that is committed, or the like. Metal counts the users of an object, committed commands
/// included, so that one may be dropped while work that uses it is pending.
pub(crate) struct Shared<P: ?Sized>(Retained<ProtocolObject<P>>);

// SAFETY: Metal's resources, archives and committed command buffers may be used by several threads; encoders, which may not,
// stay in the function that makes them.
unsafe impl<P: ?Sized> Send for Shared<P> {}
// SAFETY: as above.
unsafe impl<P: ?Sized> Sync for Shared<P> {}

impl<P: ?Sized> From<Retained<ProtocolObject<P>>> for Shared<P> {
    fn from(object: Retained<ProtocolObject<P>>) -> Self {
        Self(object)
    }
}

impl<P: ?Sized> Clone for Shared<P> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<P: ?Sized> Deref for Shared<P> {
    type Target = ProtocolObject<P>;

    fn deref(&self) -> &ProtocolObject<P> {
        &self.0
    }
}
