//! Sizes of a session that the app says.

use drift_bundle::manifest::{IoBinding, IoTensor};

use super::{Progress, Session, elements};
use crate::error::RuntimeError;
use crate::sizes::Dim;

impl Session {
    /// The dims of the model whose sizes are free, in the order of their names.
    pub fn dims(&self) -> &[Dim] {
        self.sizes.dims()
    }

    /// Sets the size of a dim of the model that was left free; until then it has the largest. It holds from the next run on.
    ///
    /// An input whose shape follows has to be written again before that ([`RuntimeError::NotWritten`]), unless it is in a buffer
    /// of the app's, and there are no results until then ([`RuntimeError::NotRun`]). States stay as they are. A run that was
    /// called off is waited for. To set what is set already changes nothing.
    ///
    /// [`RuntimeError::NoSuchDim`] and [`RuntimeError::DimSize`] say what may be set.
    pub fn set_dim(&mut self, name: &str, size: u64) -> Result<(), RuntimeError> {
        let index = self.sizes.find(name, size, &self.report.entry)?;
        self.goes_on("setting a size")?;
        if !self.sizes.set(index, size) {
            return Ok(());
        }
        for (tensor, input) in self.input_tensors.iter_mut().zip(&mut self.inputs) {
            if self.sizes.shape(tensor) {
                (input.fresh, input.known) = (false, input.is_the_apps || elements(tensor) == 0);
            }
        }
        for tensor in &mut self.output_tensors {
            self.sizes.shape(tensor);
        }
        let inputs = self.input_tensors.iter().zip(&self.inputs);
        let inputs: Vec<u64> = inputs.map(|(tensor, input)| device_bytes(tensor, &input.binding)).collect();
        let outputs = self.output_tensors.iter().zip(&self.outputs);
        let outputs: Vec<u64> =
            outputs.map(|(tensor, output)| device_bytes(tensor, &output.binding)).collect();
        self.replay.resize(&self.sizes, &inputs, &outputs);
        self.progress = Progress::Loaded;
        Ok(())
    }
}

/// Bytes that a tensor takes on the device.
fn device_bytes(tensor: &IoTensor, binding: &IoBinding) -> u64 {
    elements(tensor) * binding.element.size_bytes()
}
