//! What an API's validation layer says.

use std::sync::{Arc, Mutex, PoisonError};

/// What the validation layer said. Clones share one list.
#[derive(Clone, Debug, Default)]
pub struct ValidationLog {
    messages: Arc<Mutex<Vec<String>>>,
    active: bool,
}

impl ValidationLog {
    /// A log without messages; `active` says whether a layer will write any.
    pub(crate) fn new(active: bool) -> Self {
        Self { messages: Arc::default(), active }
    }

    /// Warnings and errors so far.
    pub fn messages(&self) -> Vec<String> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the layer was asked for and is installed.
    pub fn is_active(&self) -> bool {
        self.active
    }

    /// Adds what the layer says now.
    pub(crate) fn push(&self, message: String) {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner).push(message);
    }
}
