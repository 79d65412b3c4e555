//! Measured times of dispatches, from what `driftc bench --per-dispatch --json` wrote.

use super::report::{ExplainedDispatch, ExplainedVariant};
use crate::error::CliError;
use crate::files;
use serde::Deserialize;
use std::path::Path;

/// Times of one variant.
#[derive(Debug, Deserialize)]
pub(super) struct Times {
    target: String,
    variant: String,
    #[serde(default)]
    dispatches: Vec<Measured>,
}

#[derive(Debug, Deserialize)]
struct Measured {
    name: String,
    gpu_median_ms: f64,
}

impl Measured {
    /// A bundle calls a dispatch by its name and its kernel, the compiler by its name.
    fn is_of(&self, dispatch: &ExplainedDispatch) -> bool {
        let ExplainedDispatch { name, kernel, .. } = dispatch;
        self.name == *name
            || self.name.strip_prefix(name.as_str()).and_then(|rest| rest.strip_prefix(": ")) == Some(kernel)
    }
}

impl Times {
    pub(super) fn read(path: &Path) -> Result<Self, CliError> {
        let refused = |why: &str| {
            let path = path.display();
            CliError::Usage(format!(
                "{path} holds no times of dispatches: {why}; write it with `driftc bench --per-dispatch --json {path}`"
            ))
        };
        let times: Self =
            serde_json::from_slice(&files::read(path)?).map_err(|error| refused(&error.to_string()))?;
        if times.dispatches.is_empty() { Err(refused("the device did not measure any")) } else { Ok(times) }
    }

    /// The milliseconds of each dispatch, where these are the ones that were measured.
    pub(super) fn of(&self, own: &ExplainedVariant) -> Option<Vec<f64>> {
        let dispatches = &own.dispatches;
        let is_same = self.target == own.target
            && self.variant == own.variant
            && self.dispatches.len() == dispatches.len()
            && self.dispatches.iter().zip(dispatches).all(|(time, dispatch)| time.is_of(dispatch));
        is_same.then(|| self.dispatches.iter().map(|time| time.gpu_median_ms).collect())
    }
}
