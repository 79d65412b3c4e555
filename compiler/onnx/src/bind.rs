//! Binds an input to a constant: from then on the model has it as an initializer.
//!
//! Nothing that reads the model needs to know: an initializer is no input, it folds, decides branches and gives sizes.

use crate::error::ImportError;
use crate::interface::{self, DimBinding, Port, infer_dims_from_inputs};
use crate::source::ModelSource;
use crate::tensor;
use bytes::Bytes;
use drift_ir::{ElementType, Tensor};
use std::collections::BTreeMap;

impl ModelSource {
    /// Makes the input called `name` the constant `value`, whose type and shape must be those that the model declares.
    /// Returns the sizes that the shape gives to free dimensions, which other inputs may have too.
    pub fn bind(&mut self, name: &str, value: &Tensor) -> Result<BTreeMap<String, DimBinding>, ImportError> {
        let dims = infer_dims_from_inputs(self, &[(name, value.shape())])?;
        let port = interface::inputs(self)?.into_iter().find(|port| port.name == name);
        // Callers give doubles as f32; in the file they are doubles, so that the operators that read them agree.
        let value = match &port {
            Some(port) if port.is_double => &doubles(value),
            _ => value,
        };
        let mismatch = |port: &Port| !port.is_double && port.element != value.element();
        if let Some(port) = port.as_ref().filter(|port| mismatch(port)) {
            let (wanted, found) = (port.element.name(), value.element().name());
            let reason = format!("the value is {found}, the model wants {wanted}");
            return Err(ImportError::InputData { input: name.to_owned(), reason });
        }
        let graph = self.model_mut().graph.as_mut().ok_or(ImportError::NoGraph)?;
        graph.initializer.push(tensor::proto(name, value));
        Ok(dims)
    }
}

fn doubles(value: &Tensor) -> Tensor {
    let bytes: Vec<u8> = value.to_f64_vec().iter().flat_map(|value| value.to_le_bytes()).collect();
    Tensor::new(ElementType::F64, value.shape(), Bytes::from(bytes))
        .unwrap_or_else(|_| unreachable!("a double for each element"))
}
